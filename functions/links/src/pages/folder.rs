//! The page of a folder.

use maud::{Markup, html};

use super::{
    format::{self, Class},
    layout::{self, Head, Preview, icon},
    parts::{changed, expiry},
    view::{ContentView, EntryView, FolderView, LinkView, StepView},
};

/// The folder; `download_all` is the form that makes a ZIP of the folder.
pub fn page(link: &LinkView, folder: &FolderView, download_all: Option<&Markup>) -> Markup {
    let name = format::name(folder.name());
    let mut head = Head::titled(&name);
    if !link.has_password {
        head.preview = Some(Preview { description: "A shared folder", image: None });
    }
    layout::page(
        &head,
        &html! {
            (way(link, &folder.root, &folder.steps, None))
            section class="card" {
                div class="about heading" {
                    div {
                        h1 class="name" { bdi { (name) } }
                        (expiry(link))
                    }
                    @if let Some(form) = download_all { (form) }
                }
                @if folder.entries.is_empty() {
                    p class="nothing" {
                        @if folder.is_continued { "There is nothing more in this folder." } @else { "This folder is empty." }
                    }
                } @else {
                    ul class="entries" {
                        @for entry in &folder.entries { (row(link, entry)) }
                    }
                }
                (pages(link, folder))
            }
        },
    )
}

/// The folders above, from the shared one. `file` is the name of what is shown below the last of them.
pub fn way(link: &LinkView, root: &str, steps: &[StepView], file: Option<&str>) -> Markup {
    // The page of the shared folder itself has nothing above it.
    if steps.is_empty() && file.is_none() {
        return html! {};
    }
    let (above, current) = match (file, steps.split_last()) {
        (None, Some((last, above))) => (above, last.name.as_str()),
        (file, _) => (steps, file.unwrap_or_default()),
    };
    html! {
        nav class="way" aria-label="Folders above" {
            ol {
                li { a href=(link.path) { bdi { (format::name(root)) } } }
                @for step in above {
                    li { a href=(link.folder(&step.id)) { bdi { (format::name(&step.name)) } } }
                }
                li { span aria-current="page" { bdi { (format::name(current)) } } }
            }
        }
    }
}

fn row(link: &LinkView, entry: &EntryView) -> Markup {
    let name = format::name(&entry.name);
    html! {
        @match &entry.content {
            ContentView::Folder => {
                li {
                    span class="icon" { (icon("folder")) }
                    a class="name" href=(link.folder(&entry.id)) { bdi { (name) } }
                    span class="facts" { span class="size" { "Folder" } span class="date" { (changed(&entry.changed_at)) } }
                }
            }
            ContentView::File { size, content_type, has_thumbnails } => {
                li {
                    span class="icon" {
                        @if *has_thumbnails {
                            img src=(link.data(&entry.id, "?size=100")) alt="" width="40" height="40" loading="lazy";
                        } @else {
                            (icon(Class::of(content_type).icon()))
                        }
                    }
                    a class="name" href=(link.file(&entry.id)) { bdi { (name) } }
                    span class="facts" {
                        span class="size" { @if let Some(size) = size { (format::size(*size)) } @else { "–" } }
                        span class="date" { (changed(&entry.changed_at)) }
                    }
                    @if size.is_some() {
                        a class="get" href=(link.data(&entry.id, "?download=1")) aria-label={ "Download " (name) } {
                            (icon("download"))
                        }
                    }
                }
            }
        }
    }
}

/// Links to the next page and back to the first one.
fn pages(link: &LinkView, folder: &FolderView) -> Markup {
    if folder.next.is_none() && !folder.is_continued {
        return html! {};
    }
    let first = folder.steps.last().map_or_else(|| link.path.clone(), |step| link.folder(&step.id));
    let next = folder.next.as_ref().map(|cursor| {
        let sign = if folder.steps.is_empty() { '?' } else { '&' };
        format!("{first}{sign}cursor={cursor}")
    });
    html! {
        nav class="pages" aria-label="Pages of this folder" {
            @if folder.is_continued { a class="button second" href=(first) { "First page" } }
            @if let Some(next) = next { a class="button second" href=(next) rel="next" { "Next page" } }
        }
    }
}
