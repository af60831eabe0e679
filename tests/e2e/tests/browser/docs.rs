//! `GET /docs`: the page shows every operation, works, and sends requests only to the API.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::browser::Browser;

#[derive(Debug, Deserialize)]
struct Page {
    /// The operations, each as `GET /files`.
    operations: BTreeSet<String>,
    /// The status that the page shows.
    status: String,
    urls: Vec<String>,
    complaints: Vec<String>,
}

#[tokio::test]
async fn the_page_shows_every_operation_and_asks_nobody_else() {
    let Some(browser) = Browser::here().await else { return };
    let api = &browser.stack.api;
    let page: Page = serde_json::from_str(&browser.run("docs.js", &json!(api)).await).unwrap();
    let description = browser.stack.anyone().get("/openapi.json").await.json();
    assert_eq!(page.operations, operations(&description));
    assert_eq!(page.status, "200");
    assert_eq!(page.complaints, Vec::<String>::new());
    let elsewhere = |url: &&String| !url.starts_with(&format!("{api}/")) && !url.starts_with("data:");
    assert_eq!(page.urls.iter().filter(elsewhere).collect::<Vec<_>>(), Vec::<&String>::new());
}

fn operations(description: &Value) -> BTreeSet<String> {
    let of = |path: &String, item: &Value| {
        let methods = item.as_object().unwrap().keys();
        methods.map(|method| format!("{} {path}", method.to_uppercase())).collect::<Vec<_>>()
    };
    description["paths"].as_object().unwrap().iter().flat_map(|(path, item)| of(path, item)).collect()
}
