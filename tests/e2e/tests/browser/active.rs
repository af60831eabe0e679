//! An uploaded file must not execute anything, whatever its content and its name are, and however a browser opens it.

use std::collections::{BTreeSet, HashMap};

use e2e::Stack;
use serde::Deserialize;
use serde_json::json;

use crate::browser::Browser;

/// The output of js/active.js.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outcome {
    /// The origin of the page that embeds and opens the files.
    elsewhere: String,
    files: Vec<File>,
    acts: Vec<Act>,
    /// The number of times that the browser's viewer of PDFs was opened: for files, and for the same contents on
    /// another server.
    viewers: u32,
    viewers_of_controls: u32,
}

#[derive(Debug, Deserialize)]
struct File {
    id: String,
    content: String,
    name: String,
    through: Through,
    mark: String,
    /// The browser showed the file when it was opened, and did not save it.
    shown: bool,
}

#[derive(Debug, Deserialize, PartialEq, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum Through {
    Function,
    S3,
}

#[derive(Debug, Deserialize)]
struct Act {
    /// The mark of the file that acted.
    mark: String,
    /// The origin in which the file acted.
    origin: String,
    effect: String,
}

#[tokio::test]
async fn s05_active_content_never_runs() {
    let Some(browser) = Browser::here().await else { return };
    let bob = browser.stack.user("bob").await;
    let redirect = bob.upload("a.txt", b"hi").await;
    let redirect = bob.request("GET", &format!("/files/{redirect}/data")).header("Range", "bytes=0-").send().await;
    let s3 = origin(redirect.header("location"));
    let argument = json!({ "api": browser.stack.api, "token": bob.token, "s3": s3 });
    let outcome: Outcome = serde_json::from_str(&browser.run("active.js", &argument).await).unwrap();

    // Contents that act on a server without protection prove that the test notices it.
    let mut seen: HashMap<&str, BTreeSet<&str>> = HashMap::new();
    for act in &outcome.acts {
        if let Some(content) = act.mark.strip_suffix(" of nobody") {
            seen.entry(content).or_default().insert(&act.effect);
        }
    }
    let document = ["beacon", "console", "cookie", "fetch", "image", "name", "opener", "parent", "storage"];
    for (content, effects) in [
        ("html", [&document[..], &["title"]].concat()),
        ("svg", [&document[..], &["title"]].concat()),
        ("xhtml", [&document[..], &["title"]].concat()),
        ("xml", document.to_vec()),
        ("xslt", [&document[..], &["title"]].concat()),
        ("pdf", vec!["dialog"]),
        // A script of a page that no other page opened.
        ("js", document.iter().copied().filter(|effect| *effect != "opener").collect()),
    ] {
        let missing: Vec<_> = effects.iter().filter(|effect| !seen[content].contains(*effect)).collect();
        assert!(missing.is_empty(), "{content} acts, and {missing:?} is not noticed");
    }
    assert!(outcome.viewers_of_controls > 0, "a PDF in a page would not be noticed");

    assert!(outcome.files.len() == 43, "{}", outcome.files.len());
    for file in &outcome.files {
        for act in outcome.acts.iter().filter(|act| act.mark == file.mark) {
            // A page that includes a script from here runs it in its own origin. The content type must be the script's,
            // where that can be set.
            let is_theirs = act.origin == outcome.elsewhere && file.content == "js";
            let says_so = file.through == Through::S3 || file.name == "a.js";
            assert!(is_theirs && says_so, "{act:?}");
        }
        is_shut(&browser.stack, file).await;
    }
    assert_eq!(outcome.viewers, 0, "scripts run in the browser's viewer of PDFs");
}

/// Checks the headers of the file.
async fn is_shut(stack: &Stack, file: &File) {
    let answer = stack.anyone().get(&format!("/files/{}/data", file.id)).await;
    let extension = file.name.strip_prefix("a.");
    match file.through {
        Through::Function => {
            assert_eq!(answer.status, 200, "{file:?}: {answer}");
            for (header, value) in [
                ("x-content-type-options", "nosniff"),
                ("content-security-policy", "default-src 'none'; sandbox"),
                ("cross-origin-resource-policy", "cross-origin"),
                ("referrer-policy", "no-referrer"),
            ] {
                assert_eq!(answer.header(header), value, "{header} of {file:?}");
            }
            // A file without a type is saved too.
            assert_eq!(file.shown, !matches!(extension, Some("pdf") | None), "{file:?}");
        }
        Through::S3 => {
            assert_eq!(answer.status, 302, "{file:?}: {answer}");
            let said = stack.http.get(answer.header("location")).send().await.unwrap();
            let disposition = said.headers()["content-disposition"].to_str().unwrap();
            let is_passive = matches!(extension, Some("png" | "txt" | "jpg"));
            let expected = if is_passive { "inline; " } else { "attachment; " };
            assert!(disposition.starts_with(expected), "{file:?}: {disposition}");
            assert_eq!(file.shown, is_passive, "{file:?}");
        }
    }
}

fn origin(url: &str) -> String {
    url.split('/').take(3).collect::<Vec<_>>().join("/")
}
