//! The frame of every page: head, brand and footer.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::assets;

/// The head of a page: for the browser, and for programs that show a preview of a link.
pub struct Head<'a> {
    pub title: &'a str,
    /// For previews of the link. `None` for pages that must give no hint.
    pub preview: Option<Preview<'a>>,
    /// Seconds after which the browser loads the page again.
    pub refresh: Option<u32>,
    /// True for the page with Uppy.
    pub has_uploader: bool,
}

pub struct Preview<'a> {
    pub description: &'a str,
    /// The absolute URL of a thumbnail.
    pub image: Option<&'a str>,
}

impl<'a> Head<'a> {
    pub fn titled(title: &'a str) -> Self {
        Self { title, preview: None, refresh: None, has_uploader: false }
    }
}

/// Whole page with this content.
pub fn page(head: &Head, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="robots" content="noindex, nofollow";
                @if let Some(seconds) = head.refresh { meta http-equiv="refresh" content=(seconds); }
                title { (head.title) " · Files Manager" }
                @if let Some(preview) = &head.preview {
                    meta name="description" content=(preview.description);
                    meta property="og:site_name" content="Files Manager";
                    meta property="og:type" content="website";
                    meta property="og:title" content=(head.title);
                    meta property="og:description" content=(preview.description);
                    @if let Some(image) = preview.image {
                        meta property="og:image" content=(image);
                        meta name="twitter:card" content="summary_large_image";
                    }
                }
                link rel="icon" type="image/svg+xml" href=(assets::ICON.path());
                link rel="stylesheet" href=(assets::STYLE.path());
                @if head.has_uploader {
                    link rel="stylesheet" href=(assets::UPLOADER_STYLE.path());
                    script src=(assets::UPLOADER.path()) defer {}
                }
            }
            body {
                (SYMBOLS)
                header class="top" {
                    span class="brand" { (icon("brand")) "Files Manager" }
                }
                main { (content) }
                footer {
                    p { "Shared with Files Manager. Open only files from people you trust." }
                }
            }
        }
    }
}

/// An icon that says nothing that the text beside it does not say.
pub fn icon(name: &str) -> Markup {
    html! { svg class=(name) aria-hidden="true" width="24" height="24" { use href={ "#icon-" (name) } {} } }
}

/// The icons, each once in the page.
const SYMBOLS: PreEscaped<&str> = PreEscaped(include_str!("symbols.svg"));
