//! The page of a ZIP that is being made.

use maud::{Markup, html};
use shared::archives::State;

use super::{
    format,
    layout::{self, Head, icon},
    view::{LinkView, ZipView},
};

/// Seconds after which the browser asks again whether the ZIP is ready.
const REFRESH: u32 = 2;

/// The form that makes a ZIP of a folder.
pub fn form(link: &LinkView, folder: &str) -> Markup {
    html! {
        form method="post" action={ (link.path) "/zips" } {
            input type="hidden" name="folder" value=(folder);
            button class="button second" type="submit" { (icon("download")) "Download all" }
        }
    }
}

pub fn page(link: &LinkView, zip: &ZipView) -> Markup {
    let title = match zip.state {
        State::Due => "The ZIP is being made",
        State::Ready => "The ZIP is ready",
        State::Failed => "There is no ZIP",
    };
    let mut head = Head::titled(title);
    head.refresh = matches!(zip.state, State::Due).then_some(REFRESH);
    let data = format!("{}/zips/{}/data", link.path, zip.id);
    layout::page(
        &head,
        &html! {
            section class="card narrow" {
                div class="about" {
                    div class="sign" { (icon("download")) }
                    h1 { (title) }
                    @match zip.state {
                        State::Due => {
                            p role="status" {
                                @match zip.bytes {
                                    None => "The files are being listed.",
                                    Some(bytes) => { (format::size(zip.done)) " of " (format::size(bytes)) "." }
                                }
                                " This page loads again by itself."
                            }
                            progress max=(zip.bytes.unwrap_or(1).max(1)) value=[zip.bytes.map(|_| zip.done)]
                                aria-label="Progress" {}
                        }
                        State::Ready => {
                            @if let Some(bytes) = zip.bytes { p { (format::size(bytes)) } }
                            a class="button" href=(data) { "Download" }
                        }
                        State::Failed => {
                            p { (zip.error.as_deref().unwrap_or("The ZIP could not be made.")) }
                        }
                    }
                    p { a href=(link.path) { "Back to the files" } }
                }
            }
        },
    )
}
