//! The pages of links: on a small and a large screen, light and dark, with and without JavaScript. No page breaks its own
//! policy, none violates a rule of axe, and none moves while it loads.

use std::{fs, path::PathBuf, time::Duration};

use crate::{browser::Browser, built};
use e2e::{User, eventually, unique};
use serde::Deserialize;
use serde_json::{Value, json};

/// How a page was, and what came of the steps of its visit.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Visit {
    status: u16,
    title: String,
    text: String,
    /// The names in the list of a folder.
    names: Vec<String>,
    /// Pixels that the page is wider than its window.
    overflow: i64,
    /// Pictures that cannot be shown.
    broken: Vec<String>,
    /// What moved while the page loaded, as browsers measure it.
    shift: f64,
    readable_cookies: String,
    results: Vec<Value>,
    /// What axe found.
    violations: Vec<String>,
    complaints: Vec<String>,
    urls: Vec<String>,
    cookies: Vec<Cookie>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Cookie {
    path: String,
    http_only: bool,
    secure: bool,
    same_site: String,
}

impl Browser {
    async fn visit(&self, visits: &[Value]) -> Vec<Visit> {
        let output = self.run("pages.js", &visits.into()).await;
        let visits: Vec<Visit> = output.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        for visit in &visits {
            visit.is_well_made();
        }
        visits
    }

    async fn visit_one(&self, visit: Value) -> Visit {
        self.visit(&[visit]).await.remove(0)
    }
}

impl Visit {
    fn is_well_made(&self) {
        assert_eq!(self.violations, Vec::<String>::new(), "{self:?}");
        assert_eq!(self.complaints, Vec::<String>::new(), "{self:?}");
        assert_eq!(self.broken, Vec::<String>::new(), "{self:?}");
        assert_eq!(self.overflow, 0, "{self:?}");
        // Uppy moves its own parts by 0.02. Browsers call a page good below 0.1.
        assert!(self.shift < 0.05, "{self:?}");
        assert_eq!(self.readable_cookies, "", "{self:?}");
    }

    fn shows(&self, text: &str) {
        assert!(self.text.contains(text), "{text}: {self:?}");
    }
}

/// The URL of the page of a new link.
async fn link(user: &User, file: &str, options: Value) -> String {
    let mut body = options;
    body["fileId"] = json!(file);
    let made = user.post("/links", body).await;
    assert_eq!(made.status, 201, "of {made}");
    made.json()["url"].as_str().unwrap().to_owned()
}

/// The same visit on a small and a large screen, light and dark.
fn everywhere(visit: &Value, picture: &str) -> Vec<Value> {
    let mut visits = Vec::new();
    for width in [1280, 320] {
        for scheme in ["light", "dark"] {
            let mut visit = visit.clone();
            visit["width"] = json!(width);
            visit["scheme"] = json!(scheme);
            visit["picture"] = json!(format!("{picture}-{width}-{scheme}"));
            visits.push(visit);
        }
    }
    visits
}

/// Long, without a space, written from the right, reordered, and of signs that are made of several.
fn names() -> [String; 5] {
    [
        format!("{}.txt", "a-long-name-without-a-space-".repeat(8)),
        "מסמך\u{200f} חשוב.txt".into(),
        "\u{202e}gpj.exe".into(),
        "👩‍👩‍👧‍👦🌍.zip".into(),
        "<img src=x onerror=alert(1)>&amp;.txt".into(),
    ]
}

#[tokio::test]
async fn a_folder_is_shown_on_every_screen() {
    let Some(browser) = Browser::here().await else { return };
    let bob = browser.stack.user("bob").await;
    let folder = bob.folder("Project").await;
    bob.folder_in(&folder, "Sub").await;
    for name in ["b10.txt", "b2.txt"].into_iter().map(str::to_owned).chain(names()) {
        bob.upload_into(&folder, &name, b"content").await;
    }
    let photo = fs::read(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../photo.jpg")).unwrap();
    let picture = bob.upload_image("c.jpg", &photo).await;
    bob.change(&picture, json!({ "parentId": folder })).await.document(200);
    eventually("the picture has thumbnails", Duration::from_mins(1), async || {
        (bob.get(&format!("/files/{picture}/data?size=100")).await.status == 200).then_some(())
    })
    .await;
    let url = link(&bob, &folder, json!({ "expiresIn": 3600 })).await;
    for visit in browser.visit(&everywhere(&json!({ "url": url }), "folder")).await {
        assert_eq!((visit.status, &*visit.title), (200, "Project · Files Manager"));
        visit.shows("This link expires on ");
        assert_eq!(visit.names[0], "Sub");
        assert_eq!(visit.names.len(), 9, "{visit:?}");
        let at = |name: &str| visit.names.iter().position(|shown| shown == name);
        assert!(at("b2.txt").unwrap() < at("b10.txt").unwrap(), "{visit:?}");
        // A character that reorders text would hide the extension.
        assert!(at("gpj.exe").is_some(), "{visit:?}");
        assert!(at("<img src=x onerror=alert(1)>&amp;.txt").is_some(), "{visit:?}");
        assert!(visit.urls.iter().all(|url| url.starts_with(&browser.stack.api)), "{visit:?}");
    }
    let picture = json!({ "url": format!("{url}?file={picture}") });
    for visit in browser.visit(&everywhere(&picture, "picture")).await {
        visit.shows("JPG picture");
        visit.shows("Project");
    }
}

#[tokio::test]
async fn a_folder_is_read_page_by_page_without_javascript() {
    let Some(browser) = Browser::here().await else { return };
    let bob = browser.stack.user("bob").await;
    let folder = bob.folder("many").await;
    let sub = bob.folder_in(&folder, "sub").await;
    bob.upload_into(&sub, "deep.txt", b"deep").await;
    for at in 0..101 {
        bob.upload_into(&folder, &format!("{at}.txt"), b"content").await;
    }
    let url = link(&bob, &folder, json!({})).await;
    let next = json!({ "url": url, "script": false, "steps": [{ "click": "a[rel=next]" }] });
    let open = json!({ "url": url, "script": false, "steps": [{ "click": ".entries .name" }] });
    let visits = browser.visit(&[json!({ "url": url, "script": false }), next, open]).await;
    assert_eq!((visits[0].names.len(), &*visits[0].names[1]), (100, "0.txt"));
    assert_eq!(visits[1].names, ["99.txt", "100.txt"]);
    visits[1].shows("First page");
    assert_eq!(visits[2].names, ["deep.txt"]);
    visits[2].shows("many");
}

#[tokio::test]
async fn a_file_is_downloaded_as_it_was_uploaded() {
    let Some(browser) = Browser::here().await else { return };
    let bob = browser.stack.user("bob").await;
    let file = bob.upload("notes.txt", b"some bytes").await;
    let url = link(&bob, &file, json!({})).await;
    let download = json!([{ "download": "a.button" }]);
    for script in [true, false] {
        let visit = browser.visit_one(json!({ "url": url, "script": script, "steps": download })).await;
        visit.shows("10 bytes");
        // The SHA-256 of "some bytes".
        let sha256 = "0d22cdcc10e6d049dbe1af5123d50873fdfc1a4f58306e58cb6241be9472014d";
        assert_eq!(visit.results, [json!({ "name": "notes.txt", "sha256": sha256 })], "{visit:?}");
    }
}

#[tokio::test]
async fn a_folder_is_downloaded_as_a_zip() {
    let Some(browser) = Browser::here().await else { return };
    let bob = browser.stack.user("bob").await;
    let folder = bob.folder("Project").await;
    bob.upload_into(&folder, "notes.txt", b"some bytes").await;
    let url = link(&bob, &folder, json!({})).await;
    // The page of the ZIP loads again by itself until the ZIP is ready.
    let made = json!({ "url": url, "steps": [
        { "click": "form[action$='/zips'] button" }, { "wait": "a.button[href$='/data']" }
    ] });
    for visit in browser.visit(&everywhere(&made, "zip-ready")).await {
        assert_eq!((visit.status, &*visit.title), (200, "The ZIP is ready · Files Manager"));
        visit.shows("Back to the files");
    }
    for script in [true, false] {
        let mut download = made.clone();
        download["script"] = json!(script);
        download["steps"].as_array_mut().unwrap().push(json!({ "download": "a.button" }));
        let visit = browser.visit_one(download).await;
        assert_eq!(visit.results[2]["name"], "Project.zip", "{visit:?}");
    }
}

#[tokio::test]
async fn a_password_opens_a_link_without_javascript() {
    let Some(browser) = Browser::here().await else { return };
    let bob = browser.stack.user("bob").await;
    let file = bob.upload("secret-plan.txt", b"some bytes").await;
    let url = link(&bob, &file, json!({ "password": "open sesame" })).await;
    let typed = |password: &str| {
        json!({ "url": url, "script": false, "steps": [
            { "fill": "#password", "text": password }, { "click": "button" }
        ] })
    };
    let mut visits = everywhere(&json!({ "url": url }), "password");
    visits.extend(everywhere(&typed("wrong"), "wrong-password"));
    let (mut opened, mut by_key) = (typed("open sesame"), typed("open sesame"));
    opened["steps"].as_array_mut().unwrap().push(json!({ "download": "a.button" }));
    by_key["steps"][1] = json!({ "press": "Enter" });
    by_key["steps"].as_array_mut().unwrap().push(json!({ "wait": "a.button" }));
    by_key["script"] = json!(true);
    visits.extend([opened, by_key]);
    let mut visits = browser.visit(&visits).await;
    let (by_key, opened) = (visits.pop().unwrap(), visits.pop().unwrap());
    by_key.shows("secret-plan.txt");
    opened.shows("secret-plan.txt");
    assert_eq!(opened.results[2]["name"], "secret-plan.txt");
    let [cookie] = &opened.cookies[..] else { panic!("{opened:?}") };
    let path = &url[browser.stack.api.len()..];
    assert_eq!((&*cookie.path, cookie.http_only, cookie.secure, &*cookie.same_site), (path, true, true, "Lax"));
    // The key is in no URL, where a history or a proxy would keep it.
    assert!(opened.urls.iter().all(|url| !url.contains("key=")), "{opened:?}");
    for (at, visit) in visits.iter().enumerate() {
        assert_eq!((visit.status, &*visit.title), (401, "Password required · Files Manager"));
        assert!(!visit.text.contains("secret"), "{visit:?}");
        assert_eq!(visit.text.contains("This is not the password."), at >= 4, "{visit:?}");
    }
}

#[tokio::test]
async fn a_link_that_does_not_open_says_why_and_no_more() {
    let Some(browser) = Browser::here().await else { return };
    let bob = browser.stack.user("bob").await;
    let file = bob.upload("secret-plan.txt", b"some bytes").await;
    let unknown = format!("{}/s/none", browser.stack.api);
    let expired = link(&bob, &file, json!({ "expiresIn": 1 })).await;
    let used_up = link(&bob, &file, json!({ "maxDownloads": 1 })).await;
    let guessed = link(&bob, &file, json!({ "password": "open sesame" })).await;
    let page = browser.visit_one(json!({ "url": used_up, "steps": [{ "download": "a.button" }] })).await;
    assert_eq!(page.status, 200);
    eventually("the link expires", Duration::from_secs(20), async || {
        (browser.stack.http.get(&expired).send().await.unwrap().status() == 410).then_some(())
    })
    .await;
    let wrong = json!([{ "fill": "#password", "text": "wrong" }, { "click": "button" }]);
    let wrong: Vec<Value> = (0..11).flat_map(|_| wrong.as_array().unwrap().clone()).collect();
    let mut visits = Vec::new();
    for (url, name) in [(&unknown, "unknown"), (&expired, "expired"), (&used_up, "used-up")] {
        visits.extend(everywhere(&json!({ "url": url }), name));
    }
    visits.push(json!({ "url": guessed, "steps": wrong, "picture": "too-many" }));
    let seen = browser.visit(&visits).await;
    let expected = [
        (404, "There is nothing here"),
        (410, "This link has expired"),
        (410, "This link is used up"),
        (429, "Too many wrong passwords"),
    ];
    for (at, visit) in seen.iter().enumerate() {
        let (status, text) = expected[at / 4];
        assert_eq!(visit.status, status, "{visit:?}");
        visit.shows(text);
        assert!(!visit.text.contains("secret"), "{visit:?}");
    }
}

#[tokio::test]
async fn uppy_on_the_page_sends_files_into_the_folder() {
    let Some(browser) = Browser::here().await else { return };
    let bob = browser.stack.user("bob").await;
    let folder = bob.folder("Inbox").await;
    bob.upload_into(&folder, "secret-plan.txt", b"some bytes").await;
    let options = json!({ "kind": "upload", "maxFiles": 9, "maxBytes": 1_000_000, "password": "open sesame" });
    let url = link(&bob, &folder, options).await;
    let here = here(&[("one.txt", b"one"), ("two.txt", b"two")]);
    let visit = json!({ "url": url, "steps": [
        { "fill": "#password", "text": "open sesame" },
        { "click": "button" },
        { "wait": ".uppy-Dashboard-inner" },
        { "choose": "input[type=file]", "files": here },
        { "wait": ".uppy-StatusBar-actionBtn--upload" },
        { "click": ".uppy-StatusBar-actionBtn--upload", "stays": true },
        { "wait": ".uppy-StatusBar.is-complete" },
    ] });
    let seen = browser.visit(&everywhere(&visit, "uppy-sent")).await;
    for visit in &seen {
        visit.shows("Send files to Inbox");
        assert!(!visit.text.contains("secret"), "{visit:?}");
    }
    // Four visits sent the same names.
    arrived(&bob, &folder, 9).await;
    let listed = bob.get(&format!("/files?parentId={folder}&sort=name")).await.json();
    let names: Vec<_> = listed.as_array().unwrap().iter().map(|file| file["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"one (4).txt") && names.contains(&"two.txt"), "{names:?}");
    // The limit of the link is reached, and the page says so.
    let more = browser.visit_one(json!({ "url": url, "picture": "uppy-refused", "steps": [
        { "fill": "#password", "text": "open sesame" },
        { "click": "button" },
        { "wait": ".uppy-Dashboard-inner" },
        { "choose": "input[type=file]", "files": here },
        { "click": ".uppy-StatusBar-actionBtn--upload", "stays": true },
        { "wait": ".uppy-StatusBar.is-error" },
    ] }));
    more.await.shows("Upload failed");
}

#[tokio::test]
async fn a_form_sends_files_without_javascript() {
    let Some(browser) = Browser::here().await else { return };
    let bob = browser.stack.user("bob").await;
    let folder = bob.folder("Inbox").await;
    let url = link(&bob, &folder, json!({ "kind": "upload", "types": ["text/plain", "image/*"] })).await;
    // Chromium sends no file whose path has dots.
    let photo = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../photo.jpg").canonicalize().unwrap();
    let mut files = here(&[("é 👋.txt", b"one"), ("two.txt", b"")]);
    files.push(photo);
    let form = |files: &[PathBuf]| {
        json!({ "url": url, "script": false, "steps": [
            { "choose": "#file", "files": files }, { "click": "button" }
        ] })
    };
    let sent = browser.visit(&everywhere(&form(&files), "form-sent")).await;
    for visit in sent {
        assert_eq!(visit.status, 200);
        visit.shows("3 files sent. Thank you.");
    }
    arrived(&bob, &folder, 12).await;
    let listed = bob.get(&format!("/files?parentId={folder}&sort=name")).await.json();
    let of = |name: &str| listed.as_array().unwrap().iter().find(|file| file["name"] == name).cloned();
    let one = of("é 👋.txt").unwrap_or_else(|| panic!("{listed}"));
    assert_eq!(bob.content(one["id"].as_str().unwrap()).await, b"one");
    assert_eq!(of("photo (4).jpg").unwrap()["type"], "image");

    let mut refused = here(&[("fine.txt", b"fine"), ("bad.exe", b"bad")]);
    refused.sort();
    refused.reverse();
    let visit = browser.visit_one(form(&refused)).await;
    assert_eq!(visit.status, 400);
    visit.shows("Files of this type are not allowed here");
}

#[tokio::test]
async fn the_script_of_the_pages_is_what_its_sources_make() {
    let Some(packages) = std::env::var_os("FILES_MANAGER_PAGES") else { return };
    built::is_what_its_sources_make("functions/links/page", packages).await;
}

/// Files of this machine for a visitor to send.
fn here(files: &[(&str, &[u8])]) -> Vec<PathBuf> {
    let folder = std::env::temp_dir().join(unique("sent"));
    fs::create_dir(&folder).unwrap();
    files
        .iter()
        .map(|(name, bytes)| {
            let path = folder.join(name);
            fs::write(&path, bytes).unwrap();
            path
        })
        .collect()
}

async fn arrived(user: &User, folder: &str, number: usize) {
    eventually("the files are in the folder", Duration::from_secs(30), async || {
        let listed = user.get(&format!("/files?parentId={folder}&sort=name")).await.json();
        (listed.as_array().unwrap().len() == number).then_some(())
    })
    .await;
}
