//! `GET /openapi.json` and `/docs`: the API describes all that it does, and nothing else.

use std::collections::BTreeSet;

use e2e::{Answer, Stack};

const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/// The routes on which a `GET` changes something, so that `HEAD` is refused.
const WITHOUT_HEAD: [&str; 3] = ["/connect", "/disconnect", "/uploads/{ticket}/s3/params"];

#[tokio::test]
async fn the_api_describes_itself() {
    let stack = Stack::running().await;
    let answer = stack.anyone().get("/openapi.json").await;
    assert_eq!(answer.status, 200, "of {answer}");
    let description = answer.json();
    assert_eq!(description["openapi"].as_str().unwrap().rsplit_once('.').unwrap().0, "3.1");
    assert_eq!(description["info"]["title"], "Files Manager");
    is_shut(&answer);
}

/// Every described operation exists, and every existing one is described.
#[tokio::test]
async fn every_path_takes_the_methods_that_are_described_and_no_others() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let description = bob.get("/openapi.json").await.json();
    let paths = description["paths"].as_object().unwrap();
    assert!(!paths.is_empty());
    for (path, item) in paths {
        let mut described: BTreeSet<String> = item.as_object().unwrap().keys().map(|key| key.to_uppercase()).collect();
        let known = |method: &String| METHODS.contains(&method.as_str());
        assert!(described.iter().all(known), "{described:?} of {path}");
        let refused: Vec<_> = METHODS.into_iter().filter(|method| !described.contains(*method)).collect();
        if described.contains("GET") && !WITHOUT_HEAD.contains(&path.as_str()) {
            described.insert("HEAD".into());
        }
        for method in refused {
            let answer = bob.request(method, &filled(path)).send().await;
            answer.fails(405, "Method not allowed");
            let allowed = answer.header("allow").split(',').map(|method| method.trim().to_owned()).collect();
            assert_eq!(described, allowed, "for {method} {path}");
        }
    }
}

#[tokio::test]
async fn the_page_comes_from_here_alone() {
    let stack = Stack::running().await;
    let page = stack.anyone().get("/docs").await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"), "of {page}");
    is_shut(&page);
    for from in page.text().split(['"', '\'']).filter(|text| text.contains('/') && !text.contains('<')) {
        assert!(from.starts_with("docs/"), "the page takes {from}");
    }
    for (name, content_type) in [
        ("swagger-ui.css", "text/css; charset=utf-8"),
        ("swagger-ui-bundle.js", "text/javascript; charset=utf-8"),
        ("start.js", "text/javascript; charset=utf-8"),
    ] {
        let file = stack.anyone().get(&format!("/docs/{name}")).await;
        assert_eq!((file.status, file.header("content-type")), (200, content_type), "of {name}");
        let packed = file.header("content-encoding") == "gzip";
        assert_eq!(packed, file.body.starts_with(&[0x1f, 0x8b]), "of {name}");
        assert_eq!(packed, name.starts_with("swagger"), "of {name}");
        is_shut(&file);
    }
    for unknown in ["nothing", "start.js.gz", "%ff"] {
        stack.anyone().get(&format!("/docs/{unknown}")).await.fails(404, "Not found");
    }
}

/// Users type tokens into this page.
#[track_caller]
fn is_shut(answer: &Answer) {
    let policy = answer.header("content-security-policy");
    for part in ["default-src 'none'", "script-src 'self'", "connect-src 'self'", "frame-ancestors 'none'"] {
        assert!(policy.split(';').any(|directive| directive.trim() == part), "{part} is not in {policy:?}");
    }
    assert!(!policy.contains("http"), "{policy}");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert_eq!(answer.header("cache-control"), "public, max-age=3600");
}

/// A path with values for its parameters.
fn filled(path: &str) -> String {
    path.split('/').map(|part| if part.starts_with('{') { "x" } else { part }).collect::<Vec<_>>().join("/")
}
