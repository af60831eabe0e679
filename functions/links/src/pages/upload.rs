//! The page of a folder that takes uploads.

use maud::{Markup, html};

use super::{
    format,
    layout::{self, Head, Preview, icon},
    parts::expiry,
    view::{LinkView, RequestView},
};

/// The form is for browsers without JavaScript; `form_bytes` is the most that it can send. The script puts Uppy in its
/// place.
pub fn page(link: &LinkView, request: &RequestView, form_bytes: u64) -> Markup {
    let name = format::name(&request.name);
    let title = format!("Send files to {name}");
    let mut head = Head { has_uploader: true, ..Head::titled(&title) };
    if !link.has_password {
        head.preview =
            Some(Preview { description: "Upload files. Nobody else who has this link sees them.", image: None });
    }
    let limits = limits(request);
    layout::page(
        &head,
        &html! {
            section class="card" {
                div class="about" {
                    h1 class="name" { "Send files to " bdi { (name) } }
                    p { "Only the owner of this folder sees what you send." }
                    @if let Some(sent) = request.sent {
                        p class="success" role="status" { (format::count(sent, "file")) " sent. Thank you." }
                    }
                    @if let Some(refusal) = &request.refusal { p class="refusal" role="alert" { (refusal) } }
                    div class="uploader" data-ticket={ (link.path) "/ticket" } data-note=(limits)
                        data-max-bytes=[request.max_bytes] data-max-files=[request.max_files]
                        data-types=[(!request.types.is_empty()).then(|| request.types.join(" "))] {
                        form class="plain" method="post" action={ (link.path) "/files" } enctype="multipart/form-data" {
                            label for="file" { "Files" }
                            input id="file" name="file" type="file" multiple required
                                accept=[(!request.types.is_empty()).then(|| request.types.join(","))]
                                aria-describedby="limits";
                            p id="limits" class="note" {
                                @if !limits.is_empty() { (limits) ". " }
                                "This form sends up to " (format::size(form_bytes)) " at once. With JavaScript, larger "
                                "files can be sent."
                            }
                            button class="button" type="submit" { (icon("upload")) "Send" }
                        }
                    }
                    (expiry(link))
                }
            }
        },
    )
}

/// The limits of the link, in words.
fn limits(request: &RequestView) -> String {
    let parts = [
        request.max_files.map(|most| format!("Up to {}", format::count(most, "file"))),
        request.max_bytes.map(|most| format!("Up to {} each", format::size(most))),
        (!request.types.is_empty())
            .then(|| format!("Only {}", request.types.iter().map(|one| media(one)).collect::<Vec<_>>().join(", "))),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" · ")
}

/// A media type as people call it.
fn media(media_type: &str) -> String {
    match media_type.split_once('/') {
        Some(("image", "*")) => "pictures".into(),
        Some(("video", "*")) => "videos".into(),
        Some(("audio", "*")) => "audio".into(),
        Some(("text", "*")) => "text".into(),
        Some((_, kind)) if kind.len() <= 4 && kind.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
            kind.to_ascii_uppercase()
        }
        _ => media_type.to_owned(),
    }
}
