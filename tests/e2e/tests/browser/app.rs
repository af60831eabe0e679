//! The goals of the web app, and what a person does with it, in a real browser: how small and how quick it is, that axe and
//! the browser complain about nothing, that the keyboard is enough, and that thousands of files and an outage are no matter.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::{Path, PathBuf},
};

use e2e::{PASSWORD, User, encoded, eventually, record_measurement, thumbnails::thumbnail};
use mongodb::bson::doc;
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

use crate::browser::Browser;

const PHOTO: &[u8] = include_bytes!("../../../photo.jpg");

/// Windows of the app: width, height, scheme of colors, language.
const WINDOWS: [(u32, u32, &str, &str); 5] = [
    (1280, 800, "light", "en-US"),
    (1280, 800, "dark", "de-DE"),
    (375, 740, "light", "en-US"),
    (320, 640, "dark", "en-US"),
    (1280, 800, "light", "ar-EG"),
];

/// The app in a browser, and an account with a few files.
struct App {
    browser: Browser,
    user: User,
    folder: String,
    image: String,
    text: String,
}

impl App {
    async fn here() -> Option<Self> {
        let browser = Browser::here().await?;
        let user = browser.stack.user("ada").await;
        let folder = user.folder("Photos").await;
        let photo = async |name: &str, parent: Value| {
            let body = json!({ "name": name, "type": "image", "parentId": parent, "data": encoded(PHOTO) });
            e2e::id_of(&user.create(body).await.document(201))
        };
        let image = photo("photo-1.jpg", json!(folder)).await;
        thumbnail(&user, &image, 100).await;
        let text = user.upload_into(&folder, "notes.txt", b"some text\n").await;
        for name in ["photo-1.jpg", "photo-2.jpg"] {
            photo(name, json!("0")).await;
        }
        user.upload("notes.txt", b"hi").await;
        user.folder("Zoo").await;
        Some(Self { browser, user, folder, image, text })
    }

    /// What a flow of js/app.js finds. It must not be complained about by the browser.
    async fn flow<T: for<'a> Deserialize<'a>>(&self, flow: &str, more: Value) -> T {
        let mut argument = json!({
            "flow": flow, "api": self.browser.stack.api, "email": self.user.email, "password": PASSWORD,
            "folder": self.folder, "image": self.image, "text": self.text,
        });
        argument.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let output = self.browser.run("app.js", &argument).await;
        let found: Value = serde_json::from_str(&output).unwrap();
        if let Some(complaints) = found.get("complaints") {
            assert_eq!(*complaints, json!([]), "{flow}");
        }
        serde_json::from_value(found).unwrap()
    }
}

fn dist() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../functions/web/app/dist")
}

/// Kilobytes of gzip.
#[derive(Deserialize)]
struct Sizes {
    script: f64,
    style: f64,
    uploads: f64,
    all: f64,
}

#[derive(Deserialize)]
struct Load {
    cold: Cold,
    warm: Warm,
    shift: f64,
}

/// A first visit on a slow network with a quarter of a processor: milliseconds until the first paint, and of long tasks.
#[derive(Deserialize)]
struct Cold {
    paint: f64,
    blocked: f64,
    requests: Vec<String>,
}

#[derive(Deserialize)]
struct Warm {
    paint: f64,
    /// The paths of functions that answered before the list was shown.
    before: Vec<String>,
}

#[tokio::test]
async fn the_app_is_small_and_loads_quickly() {
    let Some(app) = App::here().await else { return };
    let sizes: Sizes = app.flow("sizes", json!({ "dist": dist() })).await;
    let Load { cold, warm, shift } = app.flow("load", json!({})).await;
    record_measurement(
        "web app",
        "first load",
        format_args!(
            "{:.1} kB of scripts, {:.1} kB of styles, {} requests; paint after {:.0} ms on slow 4G with a quarter of the \
             processor, {:.0} ms of long tasks; again {:.0} ms; uploads {:.1} kB, all but PDF and languages {:.1} kB",
            sizes.script,
            sizes.style,
            cold.requests.len(),
            cold.paint,
            cold.blocked,
            warm.paint,
            sizes.uploads,
            sizes.all
        ),
    );
    assert!(sizes.script <= 40.0 && sizes.style <= 8.0, "{} kB, {} kB", sizes.script, sizes.style);
    assert!(sizes.uploads <= 30.0 && sizes.all <= 110.0, "{} kB, {} kB", sizes.uploads, sizes.all);
    assert!(cold.requests.len() <= 6, "{:?}", cold.requests);
    assert_eq!(warm.before, ["/"], "a later visit asks a function once before the list is there");
    assert!(shift < 0.1, "{shift}");
    // The goals are 1.5 s and 0.3 s on a machine that does nothing else; a whole run has thirty programs at work.
    assert!(cold.paint < 15_000.0, "{} ms", cold.paint);
    assert!(warm.paint < 5_000.0, "{} ms", warm.paint);
}

#[derive(Debug, Deserialize)]
struct Screen {
    name: String,
    violations: Vec<String>,
    /// Pixels that the page is wider than its window.
    overflow: i64,
}

#[tokio::test]
async fn every_screen_of_the_app_is_accessible() {
    let Some(app) = App::here().await else { return };
    let trashed = app.user.upload("trashed.txt", b"hi").await;
    app.user.trash(&trashed).await.document(200);
    app.user.post("/links", json!({ "fileId": app.folder })).await.json();
    for window in WINDOWS {
        let screens: Vec<Screen> = app.flow("screens", json!({ "windows": [window] })).await;
        for Screen { name, violations, overflow } in screens {
            assert_eq!((violations, overflow), (Vec::new(), 0), "{name} {window:?}");
        }
    }
}

#[tokio::test]
async fn the_keyboard_is_enough_for_the_app() {
    #[derive(Deserialize)]
    struct Found {
        focus: BTreeMap<String, String>,
    }
    let Some(app) = App::here().await else { return };
    let Found { focus } = app.flow("keyboard", json!({})).await;
    for (after, row) in [
        ("afterNew", "Keyboard"),
        ("afterRename", "Renamed"),
        ("home", "Photos"),
        ("end", "photo-2.jpg"),
        ("typed", "Renamed"),
        ("afterMenu", "Renamed"),
        ("afterHelp", "Renamed"),
        ("afterView", "photo-"),
    ] {
        assert!(focus[after].starts_with(&format!("row {row}")), "{after}: {focus:?}");
    }
}

#[tokio::test]
async fn a_folder_of_ten_thousand_files_opens_and_scrolls() {
    #[derive(Deserialize)]
    struct Found {
        /// Milliseconds from the answer to the first rows.
        shown: f64,
        /// Milliseconds of the slowest frame of twenty.
        frame: f64,
        /// The most rows that were in the page.
        most: usize,
        last: String,
    }
    let Some(app) = App::here().await else { return };
    let tree = app.browser.stack.plant_tree(app.user.object_id(), 0, 1, 10_000, &doc! {}).await;
    let folder = tree.folders[0].to_hex();
    // The first listing gives the planted rows what a new row has.
    let first = format!("/files?parentId={folder}&sort=name&limit=1000");
    eventually("a listing in order", Duration::from_mins(1), async || {
        (app.user.get(&first).await.documents().first()?["name"] == "0.txt").then_some(())
    })
    .await;
    let Found { shown, frame, most, last } = app.flow("many", json!({ "folder": folder })).await;
    record_measurement(
        "web app",
        "10,000 files",
        format_args!(
            "first rows {shown:.0} ms after the answer, at most {most} rows in the page, 95 % of frames within {frame:.0} ms"
        ),
    );
    assert!(last.contains("9999.txt"), "{last}");
    assert!(most < 120, "{most} rows");
    // The goals are 100 ms and 50 ms on a machine that does nothing else.
    assert!(shown < 2_000.0, "{shown} ms");
    assert!(frame < 1_000.0, "{frame} ms");
}

#[tokio::test]
async fn a_drop_of_many_folders_goes_on_after_a_reload() {
    #[derive(Deserialize)]
    struct Found {
        /// Milliseconds that a timer of the page was late at most.
        late: f64,
        took: f64,
    }
    // The goal is `FILES_MANAGER_DROP=500x20`, which takes minutes.
    let wanted = env::var("FILES_MANAGER_DROP").unwrap_or("20x10".into());
    let (folders, files) = wanted.split_once('x').unwrap();
    let (folders, files): (usize, usize) = (folders.parse().unwrap(), files.parse().unwrap());
    let Some(app) = App::here().await else { return };
    let Found { late, took } = app.flow("dropped", json!({ "folders": folders, "files": files })).await;
    let count = folders * files;
    record_measurement(
        "web app",
        "drop",
        format_args!(
            "{count} files in {folders} folders, a reload in the middle: {took:.0} s, input at most {late:.0} ms late"
        ),
    );
    let paths = paths_below(&app.user, "dropped").await;
    let expected: BTreeSet<String> = (0..folders)
        .flat_map(|folder| (0..files).map(move |file| format!("group {}/folder {folder}/file {file}.txt", folder % 10)))
        .collect();
    assert_eq!(paths.len(), count, "files are lost or doubled");
    assert_eq!(paths.into_iter().collect::<BTreeSet<_>>(), expected);
    // The goal is 100 ms on a machine that does nothing else.
    assert!(late < 2_000.0, "{late} ms");
}

/// The paths of all files in a folder of the root, as the API lists them.
async fn paths_below(user: &User, name: &str) -> Vec<String> {
    let found = user.get("/files?limit=1000").await.documents();
    let top = found.iter().find(|document| document["name"] == name).unwrap();
    let mut left = vec![(top["id"].as_str().unwrap().to_owned(), String::new())];
    let mut paths = Vec::new();
    while let Some((folder, path)) = left.pop() {
        for document in user.get(&format!("/files?parentId={folder}&limit=1000")).await.documents() {
            let below = format!("{path}{}", document["name"].as_str().unwrap());
            if document["type"] == "folder" {
                left.push((document["id"].as_str().unwrap().to_owned(), format!("{below}/")));
            } else {
                paths.push(below);
            }
        }
    }
    paths
}

#[tokio::test]
async fn nothing_is_lost_in_an_outage_of_the_network() {
    #[derive(Deserialize)]
    struct Found {
        typed: String,
        unavailable: bool,
    }
    let Some(app) = App::here().await else { return };
    let folder = env::temp_dir().join(e2e::unique("outage"));
    fs::create_dir(&folder).unwrap();
    let file = folder.join("during the outage.bin");
    fs::write(&file, vec![7; 300_000]).unwrap();
    let found: Found = app.flow("outage", json!({ "seconds": 30, "file": file })).await;
    fs::remove_dir_all(&folder).unwrap();
    assert_eq!(found.typed, "Typed before the outage");
    assert!(found.unavailable);
    let names = app.user.get("/files?limit=1000").await.documents();
    let count = |name: &str| names.iter().filter(|document| document["name"] == name).count();
    assert_eq!((count("Typed before the outage"), count("during the outage.bin")), (1, 1));
}

#[tokio::test]
async fn s05_content_that_is_opened_in_the_app_does_nothing() {
    #[derive(Deserialize)]
    struct Found {
        seen: Vec<Seen>,
    }
    #[derive(Debug, Deserialize)]
    struct Seen {
        acted: bool,
        text: String,
    }
    let Some(app) = App::here().await else { return };
    let act = "globalThis.acted = true; document.title = 'acted'";
    let html = format!("<!doctype html><title>x</title><script>{act}</script><img src=x onerror=\"{act}\">");
    let svg = format!("<svg xmlns='http://www.w3.org/2000/svg' onload=\"{act}\"><script>{act}</script></svg>");
    let mut files = Vec::new();
    for (name, content) in
        [("page.html", html.as_str()), ("picture.svg", svg.as_str()), ("script.js", act), ("x.xml", html.as_str())]
    {
        files.push(app.user.upload(name, content.as_bytes()).await);
    }
    let Found { seen } = app.flow("active", json!({ "files": files })).await;
    for one in &seen {
        assert!(!one.acted, "{one:?}");
    }
    assert!(seen[0].text.contains("onerror"), "HTML is shown as text: {seen:?}");
}

#[tokio::test]
async fn a_new_user_shares_photographs_and_requests_more() {
    #[derive(Deserialize)]
    struct Found {
        seconds: BTreeMap<String, f64>,
    }
    let Some(app) = App::here().await else { return };
    let folder = env::temp_dir().join(e2e::unique("photographs"));
    let photos = folder.join("Holidays");
    fs::create_dir_all(&photos).unwrap();
    for number in 1..=6 {
        fs::write(photos.join(format!("photo {number}.jpg")), PHOTO).unwrap();
    }
    let new_email = format!("{}@example.com", e2e::unique("new"));
    let Found { seconds } = app.flow("journey", json!({ "photos": photos, "newEmail": new_email })).await;
    fs::remove_dir_all(&folder).unwrap();
    let steps: Vec<String> = seconds.iter().map(|(step, seconds)| format!("{step} {seconds:.1} s")).collect();
    record_measurement("web app", "a new user", format_args!("{}", steps.join(", ")));
    // What the visitor has sent lies in the folder.
    let client = app.browser.stack.anyone();
    let token = client.connect(&new_email, PASSWORD).await.json()["token"].as_str().unwrap().to_owned();
    let client = client.with_token(token);
    let root = client.get("/files?limit=100").await.documents();
    let holidays = root.iter().find(|document| document["name"] == "Holidays").unwrap();
    let inside =
        client.get(&format!("/files?parentId={}&limit=100", holidays["id"].as_str().unwrap())).await.documents();
    let mut names: Vec<_> = inside.iter().map(|document| document["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    let sent = names.iter().filter(|name| name.starts_with("photo 2")).count();
    assert_eq!((names.len(), sent), (7, 2), "{names:?}");
}
