//! The page of a file.

use maud::{Markup, html};

use super::{
    format::{self, Class},
    layout::{self, Head, Preview, icon},
    parts::{changed, expiry},
    view::{ContentView, EntryView, LinkView},
};

/// The shared file, or a file of the shared folder; `above` is the way to it.
pub fn page(link: &LinkView, file: &EntryView, above: &Markup) -> Markup {
    let ContentView::File { size, content_type, has_thumbnails } = &file.content else { return html! {} };
    let name = format::name(&file.name);
    let class = Class::of(content_type);
    let kind = format::file_type(&file.name, content_type);
    let description = match size {
        Some(size) => format!("{kind}, {}", format::size(*size)),
        None => kind.clone(),
    };
    let image = has_thumbnails.then(|| format!("{}{}", link.api, link.data(&file.id, "?size=500")));
    let mut head = Head::titled(&name);
    if !link.has_password {
        head.preview = Some(Preview { description: &description, image: image.as_deref() });
    }
    layout::page(
        &head,
        &html! {
            (above)
            article class="card" {
                (preview(link, file, class, content_type, *has_thumbnails))
                div class="about" {
                    h1 class="name" { bdi { (name) } }
                    p class="facts" {
                        span { (kind) }
                        @if let Some(size) = size { span { (format::size(*size)) } }
                        span { (changed(&file.changed_at)) }
                    }
                    @if size.is_some() {
                        p class="actions" {
                            a class="button" href=(link.data(&file.id, "?download=1")) {
                                (icon("download")) "Download"
                            }
                            @if opens(content_type) {
                                a class="button second" href=(link.data(&file.id, "")) target="_blank" rel="noopener" {
                                    "Open in a new tab"
                                }
                            }
                        }
                    } @else {
                        p class="note" { "The content of this file cannot be read at the moment." }
                    }
                    (expiry(link))
                }
            }
        },
    )
}

/// A look at the file that costs the owner no counted download, unless the visitor plays it.
fn preview(link: &LinkView, file: &EntryView, class: Class, content_type: &str, has_thumbnails: bool) -> Markup {
    let data = link.data(&file.id, "");
    let preload = if link.is_counted { "none" } else { "metadata" };
    let name = format::name(&file.name);
    let poster = has_thumbnails.then(|| link.data(&file.id, "?size=500"));
    html! {
        @match class {
            Class::Video if plays(content_type) => {
                div class="preview" { video controls preload=(preload) src=(data) poster=[poster] aria-label=(name) {} }
            }
            Class::Audio if plays(content_type) => {
                div class="preview sound" {
                    (icon("audio"))
                    audio controls preload=(preload) src=(data) aria-label=(name) {}
                }
            }
            _ if has_thumbnails => { div class="preview" { img src=[poster] alt={ "Preview of " (name) }; } }
            _ => { div class="preview empty" { (icon(class.icon())) } }
        }
    }
}

/// Types that the native elements of all current browsers play.
fn plays(content_type: &str) -> bool {
    matches!(
        content_type,
        "video/mp4"
            | "video/webm"
            | "audio/mpeg"
            | "audio/mp4"
            | "audio/aac"
            | "audio/wav"
            | "audio/flac"
            | "audio/m4a"
    )
}

/// Types that a browser shows in a tab although the content is sandboxed; a sandboxed PDF is not shown.
fn opens(content_type: &str) -> bool {
    let shown = ["image/png", "image/jpeg", "image/gif", "image/webp", "image/avif", "text/plain"];
    shown.iter().any(|shown| content_type.starts_with(shown))
}
