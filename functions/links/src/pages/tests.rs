//! The pages as text. What they look like is tested in a browser.

use axum::{
    body::to_bytes,
    http::{StatusCode, header},
    response::IntoResponse,
};
use maud::{Markup, html};
use shared::Error;

use super::{
    assets::{self, Asset},
    file, folder,
    notice::{self, Notice},
    password,
    response::{Failure, Page},
    upload,
    view::{ContentView, EntryView, FolderView, LinkView, RequestView, StepView},
};

fn link() -> LinkView {
    LinkView {
        path: "/s/token".into(),
        api: "https://files.example.com".into(),
        expires_at: None,
        is_counted: false,
        has_password: false,
    }
}

fn entry(name: &str, content: ContentView) -> EntryView {
    let changed_at = "2026-11-28T10:11:12.123Z".into();
    EntryView { id: "5f1e7d35c7ba06511e683b21".into(), name: name.into(), changed_at, content }
}

fn stored(content_type: &str, has_thumbnails: bool) -> ContentView {
    ContentView::File { size: Some(1234), content_type: content_type.into(), has_thumbnails }
}

fn folder_with(entries: Vec<EntryView>) -> FolderView {
    FolderView { root: "Shared".into(), steps: vec![], entries, next: None, is_continued: false }
}

fn request() -> RequestView {
    RequestView {
        name: "Inbox".into(),
        max_bytes: Some(2_000_000),
        max_files: Some(3),
        types: vec!["image/*".into(), "application/pdf".into()],
        sent: None,
        refusal: None,
    }
}

fn has(page: &Markup, text: &str) {
    assert!(page.0.contains(text), "{text} is not in {}", page.0);
}

fn lacks(page: &Markup, text: &str) {
    assert!(!page.0.contains(text), "{text} is in {}", page.0);
}

#[test]
fn text_of_users_is_text_everywhere() {
    const EVIL: &str = "\"><script>alert(1)</script><b title='";
    let mut link = link();
    link.expires_at = Some(EVIL.into());
    let mut folder = folder_with(vec![
        entry(EVIL, ContentView::Folder),
        entry(EVIL, stored(EVIL, true)),
        entry(EVIL, stored("image/png", false)),
    ]);
    folder.root = EVIL.into();
    folder.steps = vec![StepView { id: "a".into(), name: EVIL.into() }, StepView { id: "b".into(), name: EVIL.into() }];
    folder.next = Some("cursor".into());
    let mut request = request();
    request.name = EVIL.into();
    request.types = vec![EVIL.into()];
    request.refusal = Some(EVIL.into());
    let above = folder::way(&link, EVIL, &folder.steps, Some(EVIL));
    for page in [
        folder::page(&link, &folder, None),
        file::page(&link, &entry(EVIL, stored("video/mp4", false)), &above),
        file::page(&link, &entry(EVIL, stored("image/png", true)), &above),
        upload::page(&link, &request, 1000),
        password::page(Some(EVIL)),
    ] {
        lacks(&page, "<script>");
        lacks(&page, "<b title");
        lacks(&page, "style=");
    }
}

#[test]
fn a_page_has_scripts_only_if_it_takes_uploads() {
    for page in [
        folder::page(&link(), &folder_with(vec![]), None),
        file::page(&link(), &entry("a.txt", stored("text/plain", false)), &html! {}),
        password::page(None),
        notice::page(&Notice::UNKNOWN),
    ] {
        lacks(&page, "<script");
    }
    has(&upload::page(&link(), &request(), 1000), "<script src=\"/s/assets/upload-");
}

#[test]
fn a_link_with_a_password_gives_no_preview() {
    let file = entry("plan.jpg", stored("image/jpeg", true));
    let page = file::page(&link(), &file, &html! {});
    has(&page, "<meta property=\"og:title\" content=\"plan.jpg\">");
    has(&page, "<meta property=\"og:description\" content=\"JPG picture, 1.2 kB\">");
    let thumbnail = "https://files.example.com/s/token/files/5f1e7d35c7ba06511e683b21/data?size=500";
    has(&page, &format!("<meta property=\"og:image\" content=\"{thumbnail}\">"));
    let locked = LinkView { has_password: true, ..link() };
    lacks(&file::page(&locked, &file, &html! {}), "og:");
    lacks(&folder::page(&locked, &folder_with(vec![]), None), "og:");
    lacks(&upload::page(&locked, &request(), 1000), "og:");
    lacks(&password::page(None), "og:");
}

#[test]
fn a_look_at_a_counted_file_reads_no_content() {
    let film = entry("film.mp4", stored("video/mp4", false));
    has(&file::page(&link(), &film, &html! {}), "preload=\"metadata\"");
    let counted = LinkView { is_counted: true, ..link() };
    has(&file::page(&counted, &film, &html! {}), "preload=\"none\"");
    // Nor has a picture without a thumbnail any preview but an icon.
    lacks(&file::page(&counted, &entry("a.png", stored("image/png", false)), &html! {}), "<img");
}

#[test]
fn a_page_leads_to_the_next_one_of_the_same_folder() {
    let mut folder = folder_with(vec![entry("a", ContentView::Folder)]);
    folder.next = Some("abc".into());
    has(&folder::page(&link(), &folder, None), "href=\"/s/token?cursor=abc\" rel=\"next\"");
    folder.steps = vec![StepView { id: "b1".into(), name: "Sub".into() }];
    folder.is_continued = true;
    let page = folder::page(&link(), &folder, None);
    has(&page, "href=\"/s/token?folder=b1&amp;cursor=abc\" rel=\"next\"");
    has(&page, "href=\"/s/token?folder=b1\">First page");
}

#[test]
fn a_request_for_files_tells_its_limits() {
    let page = upload::page(&link(), &request(), 4_000_000);
    has(&page, "Up to 3 files · Up to 2 MB each · Only pictures, PDF. This form sends up to 4 MB at once.");
    has(&page, "data-max-bytes=\"2000000\" data-max-files=\"3\" data-types=\"image/* application/pdf\"");
    has(&page, "accept=\"image/*,application/pdf\"");
    let open = RequestView { max_bytes: None, max_files: None, types: vec![], sent: Some(1), ..request() };
    let page = upload::page(&link(), &open, 4_000_000);
    lacks(&page, "data-max");
    has(&page, "1 file sent. Thank you.");
}

#[tokio::test]
async fn a_failure_is_a_page_with_its_status_and_no_hint() {
    for (error, status, text) in [
        (Error::NotFound, StatusCode::NOT_FOUND, "There is nothing here"),
        (Error::Gone("The link has expired"), StatusCode::GONE, "This link has expired"),
        (Error::Gone("The link is used up"), StatusCode::GONE, "This link is used up"),
        (Error::PasswordRequired, StatusCode::UNAUTHORIZED, "This link has a password"),
        (Error::TooManyFailures { seconds: 7 }, StatusCode::TOO_MANY_REQUESTS, "Too many wrong passwords"),
        (Error::Invalid("Invalid cursor"), StatusCode::BAD_REQUEST, "This request is not understood"),
        (Error::timeout("a secret"), StatusCode::SERVICE_UNAVAILABLE, "This does not work at the moment"),
    ] {
        let is_limit = matches!(error, Error::TooManyFailures { .. });
        let response = Failure::from(error).into_response();
        assert_eq!(response.status(), status);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "text/html; charset=utf-8");
        // A browser would ask for a name and a password by itself.
        assert!(!response.headers().contains_key(header::WWW_AUTHENTICATE));
        if is_limit {
            assert_eq!(response.headers()[header::RETRY_AFTER], "7");
        }
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        let body = std::str::from_utf8(&body).unwrap();
        assert!(body.contains(text), "{body}");
        assert!(!body.contains("secret"), "{body}");
    }
}

#[test]
fn a_policy_names_the_sources_that_its_page_needs() {
    let policy =
        |page: Page| page.into_response().headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
    let (api, s3) = ("https://files.example.com", "https://bucket.s3.eu-central-1.amazonaws.com");
    let shown = policy(Page::with_content(html! {}, s3));
    assert!(shown.starts_with("default-src 'none'; ") && !shown.contains("script-src"), "{shown}");
    assert!(shown.contains(&format!("img-src 'self' {s3}; media-src 'self' {s3}")), "{shown}");
    let uploads = policy(Page::with_uploader(html! {}, api, s3));
    assert!(uploads.contains("; script-src https://files.example.com/s/assets/; "), "{uploads}");
    assert!(uploads.contains(&format!("; connect-src 'self' {s3}; ")), "{uploads}");
    for policy in [shown, uploads] {
        assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
    }
}

#[test]
fn an_asset_has_a_path_of_its_own_content() {
    for asset in [assets::STYLE, assets::UPLOADER_STYLE, assets::UPLOADER, assets::ICON] {
        let path = asset.path();
        let name = path.strip_prefix("/s/assets/").unwrap();
        assert_eq!(Asset::named(name).unwrap().bytes, asset.bytes);
        assert_eq!(asset.bytes[..2], [0x1f, 0x8b], "{path} is not compressed");
    }
    assert!(Asset::named("style.css").is_none());
}
