//! The web app: its page and files, and the cookie by which a browser keeps a session.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use e2e::{
    Answer, Client, PASSWORD, SESSION_COOKIE, Stack, User, cookie_key, encoded, fixtures::jpeg, session_key,
    thumbnails::thumbnail, zips,
};
use mongodb::bson::DateTime;
use redis::AsyncCommands;
use serde_json::json;

use crate::every_endpoint::AUTHENTICATED;

const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;

const MISSING: &str = "Missing X-Requested-With: files-manager";

/// What a browser wants content for that could act.
const ACTIVE: [&str; 13] = [
    "script",
    "style",
    "worker",
    "sharedworker",
    "serviceworker",
    "frame",
    "iframe",
    "embed",
    "object",
    "audioworklet",
    "paintworklet",
    "xslt",
    "manifest",
];

/// The path of a file that the page uses.
pub fn a_file_of(page: &Answer) -> String {
    use std::io::Read;
    let mut text = String::new();
    flate2::read::GzDecoder::new(&page.body[..]).read_to_string(&mut text).unwrap();
    let (_, rest) = text.split_once("src=\"/app/").unwrap_or_else(|| panic!("no script in {text}"));
    format!("/app/{}", rest.split('"').next().unwrap())
}

async fn refresh(browser: &Client) -> Answer {
    browser.request("POST", "/web/session/refresh").from_the_app().send().await
}

/// The remaining lifetime of a key of Redis, in milliseconds.
async fn lifetime(stack: &Stack, key: String) -> i64 {
    stack.redis().await.pttl(key).await.unwrap()
}

fn is_about(found: i64, expected: i64) {
    assert!((found - expected).abs() < MINUTE, "{found} ms, not {expected} ms");
}

#[tokio::test]
async fn s17_a_cookie_is_256_bits_of_chance_and_no_store_has_it() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let kept = bob.request("POST", "/web/session").send().await;
    kept.is_empty(204);
    let cookie = kept.cookie().unwrap();
    let attributes = kept.header("set-cookie").strip_prefix(&format!("{SESSION_COOKIE}={cookie}")).unwrap();
    let expected =
        ["604799", "604800"].map(|seconds| format!("; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age={seconds}"));
    assert!(expected.contains(&attributes.to_owned()), "{attributes}");
    assert_eq!(kept.header("cache-control"), "private, no-store");

    let secrets = [&cookie, &bob.token].map(|secret| URL_SAFE_NO_PAD.decode(secret).unwrap());
    assert!(secrets.iter().all(|secret| secret.len() == 32) && secrets[0] != secrets[1]);
    let mut redis = stack.redis().await;
    let hidden: Vec<u8> = redis.get(cookie_key(&cookie)).await.unwrap();
    let session: String = redis.get(session_key(&bob.token)).await.unwrap();
    assert_eq!(hidden.len(), 32);
    assert!(!secrets.contains(&hidden));
    assert!(session.starts_with(&format!("{} ", bob.id)), "{session}");
    for secret in [&cookie, &bob.token] {
        assert!(!session.contains(secret) && !cookie_key(&cookie).contains(secret));
    }
}

#[tokio::test]
async fn a_cookie_gives_the_app_its_token_back() {
    let stack = Stack::running().await;
    let (bob, anyone) = (stack.user("bob").await, stack.anyone());
    let browser = anyone.with_cookie(bob.keep_session().await);
    let refreshed = refresh(&browser).await;
    refreshed.is(200, json!({ "token": bob.token }));
    assert_eq!(refreshed.header("cache-control"), "private, no-store");
    // The browser keeps the cookie that it has.
    assert_eq!(refreshed.cookie(), refresh(&browser).await.cookie());
    anyone.with_cookie(refreshed.cookie().unwrap()).get("/users/me").await.fails(401, "Unauthorized");
    refresh(&anyone).await.fails(401, "Unauthorized");
    // A token is no cookie.
    refresh(&bob).await.fails(401, "Unauthorized");
    refresh(&anyone.with_cookie(&bob.token)).await.fails(401, "Unauthorized");
}

/// A page of another origin cannot send the header, because the API allows no preflight for it. A page of the same site
/// could let the browser send the cookie.
#[tokio::test]
async fn s04_no_other_page_uses_the_cookie_or_signs_a_visitor_in() {
    let stack = Stack::running().await;
    let (bob, eve) = (stack.user("bob").await, stack.user("eve").await);
    let browser = stack.anyone().with_cookie(bob.keep_session().await);
    for value in ["", "XMLHttpRequest", "files-manager, files-manager"] {
        for (method, path) in [("POST", "/web/session/refresh"), ("DELETE", "/web/session")] {
            let request = browser.request(method, path).header("X-Requested-With", value);
            request.send().await.fails(403, MISSING);
            browser.request(method, path).send().await.fails(403, MISSING);
        }
    }
    for site in ["cross-site", "same-site", "something new"] {
        let request = browser.request("POST", "/web/session/refresh").from_the_app();
        request.header("Sec-Fetch-Site", site).send().await.fails(401, "Unauthorized");
        let request = browser.request("DELETE", "/web/session").from_the_app();
        request.header("Sec-Fetch-Site", site).send().await.is_empty(204);
    }
    assert_eq!(refresh(&browser).await.status, 200);
    let request = browser.request("POST", "/web/session/refresh").from_the_app();
    assert_eq!(request.header("Sec-Fetch-Site", "same-origin").send().await.status, 200);

    // A form of another page can send neither a header with a token nor a cookie of its own.
    let anyone = stack.anyone();
    for content_type in ["application/x-www-form-urlencoded", "text/plain", "application/json"] {
        let body = format!("token={0}&X-Token={0}", eve.token);
        let request = anyone.request("POST", &format!("/web/session?token={0}&X-Token={0}", eve.token));
        let answer = request.body(content_type, body).send().await;
        answer.fails(401, "Unauthorized");
        assert_eq!(answer.cookie(), None);
    }
    let preflight = anyone.request("OPTIONS", "/web/session/refresh").header("Origin", "https://app.example.com");
    let preflight = preflight.header("Access-Control-Request-Method", "POST");
    let answer = preflight.header("Access-Control-Request-Headers", "x-requested-with").send().await;
    assert!(!answer.header("access-control-allow-headers").contains("x-requested-with"), "{answer}");
    assert_eq!(answer.header("access-control-allow-credentials"), "");
}

#[tokio::test]
async fn a_malformed_cookie_is_no_cookie() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let file = bob.upload("a.txt", b"hi").await;
    let cookie = bob.keep_session().await;
    let other = stack.user("eve").await.keep_session().await;
    let name = SESSION_COOKIE;
    for header in [
        format!("{name}="),
        name.to_owned(),
        format!("{name}={}", "A".repeat(43)),
        format!("{name}={}", &cookie[1..]),
        format!("{name}={cookie}A"),
        format!("{name}={cookie}="),
        format!("{name}=\"{cookie}\""),
        format!("{name}={cookie}%00"),
        format!("session={cookie}"),
        format!("__Secure-session={cookie}"),
        format!("__host-session={cookie}"),
        // Of two cookies one was set by somebody else.
        format!("{name}={cookie}; {name}={other}"),
        format!("{name}={other}; {name}={cookie}"),
        "é".to_owned(),
    ] {
        let asked = |method, path: &str| stack.anyone().request(method, path).header("Cookie", &header);
        let refreshed = asked("POST", "/web/session/refresh").from_the_app().send().await;
        refreshed.fails(401, "Unauthorized");
        asked("GET", &format!("/files/{file}/data")).send().await.fails(404, "Not found");
        asked("DELETE", "/web/session").from_the_app().send().await.is_empty(204);
    }
    for header in
        [format!("a=b; {name}={cookie}"), format!("{name}={cookie};c"), format!(" {name}={cookie} ; x={other}")]
    {
        let read = stack.anyone().request("GET", &format!("/files/{file}/data")).header("Cookie", &header);
        read.send().await.is_content("text/plain; charset=utf-8", b"hi");
    }
}

#[tokio::test]
async fn a_session_has_one_cookie() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let (first, second) = (bob.keep_session().await, bob.keep_session().await);
    assert_ne!(first, second);
    refresh(&stack.anyone().with_cookie(&first)).await.fails(401, "Unauthorized");
    refresh(&stack.anyone().with_cookie(&second)).await.is(200, json!({ "token": bob.token }));
    let mut redis = stack.redis().await;
    let left: Vec<bool> =
        vec![redis.exists(cookie_key(&first)).await.unwrap(), redis.exists(cookie_key(&second)).await.unwrap()];
    assert_eq!(left, [false, true]);
    // Another session of the same user has another.
    let other = stack.anyone().with_token(bob.another_token().await);
    other.keep_session().await;
    assert_eq!(refresh(&stack.anyone().with_cookie(&second)).await.status, 200);
}

#[tokio::test]
async fn a_session_with_a_cookie_lasts_a_week_after_its_use_and_a_month_at_most() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let before = bob.get("/users/me/sessions").await.json()[0].clone();
    is_about(lifetime(&stack, session_key(&bob.token)).await, DAY);
    let cookie = bob.keep_session().await;
    let browser = stack.anyone().with_cookie(&cookie);
    let keys = [session_key(&bob.token), cookie_key(&cookie)];
    for key in &keys {
        is_about(lifetime(&stack, key.clone()).await, 7 * DAY);
    }
    let after = bob.get("/users/me/sessions").await.json()[0].clone();
    let time =
        |text: &serde_json::Value| DateTime::parse_rfc3339_str(text.as_str().unwrap()).unwrap().timestamp_millis();
    is_about(time(&after["createdAt"]), time(&before["createdAt"]));
    is_about(time(&after["expiresAt"]) - time(&after["createdAt"]), 7 * DAY);
    assert_eq!((&after["id"], &after["current"]), (&before["id"], &json!(true)));

    let mut redis = stack.redis().await;
    let value: String = redis.get(&keys[0]).await.unwrap();
    let now = DateTime::now().timestamp_millis();
    for (age, left) in [(DAY, 7 * DAY), (25 * DAY, 5 * DAY), (29 * DAY, DAY)] {
        let parts: Vec<&str> = value.split(' ').collect();
        let aged = format!("{} {} {}", parts[0], now - age, parts[2]);
        let (): () = redis.pset_ex(&keys[0], aged, 10 * MINUTE.unsigned_abs()).await.unwrap();
        refresh(&browser).await.is(200, json!({ "token": bob.token }));
        for key in &keys {
            is_about(lifetime(&stack, key.clone()).await, left);
        }
    }
    // The list of the sessions outlives each of them.
    assert!(lifetime(&stack, format!("sessions_{}", bob.id)).await > 29 * DAY);
}

/// What a browser with a cookie can read: a private file, a thumbnail, a version, a ZIP.
struct Readable {
    paths: Vec<String>,
}

impl Readable {
    async fn of(owner: &User) -> Self {
        let image = owner.upload_image("a.jpg", &jpeg(600, 400)).await;
        thumbnail(owner, &image, 100).await;
        let replaced = async |data: &[u8]| {
            let body = json!({ "name": "b.txt", "type": "file", "data": encoded(data), "onConflict": "replace" });
            owner.create(body).await.document(201)["id"].as_str().unwrap().to_owned()
        };
        replaced(b"one").await;
        let file = replaced(b"two").await;
        let version = owner.versions(&file).await[0]["id"].as_str().unwrap().to_owned();
        let zip = zips::done(owner, &zips::ask(owner, &[&file]).await).await;
        let paths = vec![
            format!("/files/{file}/data"),
            format!("/files/{image}/data?size=100&v=1"),
            format!("/files/{file}/versions/{version}/data"),
            format!("/zips/{}/data", zip["id"].as_str().unwrap()),
        ];
        Self { paths }
    }

    async fn read_by(&self, browser: &Client) -> Vec<u16> {
        let mut statuses = Vec::new();
        for path in &self.paths {
            let (get, head) = (browser.get(path).await, browser.request("HEAD", path).send().await);
            assert_eq!(get.status, head.status, "{path}");
            statuses.push(get.status);
        }
        statuses
    }
}

const ALL: [u16; 4] = [200, 200, 200, 302];
const NOTHING: [u16; 4] = [404, 404, 401, 401];

#[tokio::test]
async fn s04_a_cookie_ends_at_once_with_its_session() {
    let stack = Stack::running().await;
    for way in ["sign out", "disconnect", "end", "end others", "password", "leave"] {
        let bob = stack.user("bob").await;
        let readable = Readable::of(&bob).await;
        let other = stack.anyone().with_token(bob.another_token().await);
        let browser = stack.anyone().with_cookie(bob.keep_session().await);
        assert_eq!(readable.read_by(&browser).await, ALL, "{way}");
        let answer = match way {
            "sign out" => browser.request("DELETE", "/web/session").from_the_app().send().await,
            "disconnect" => bob.get("/disconnect").await,
            "end" => {
                let sessions = bob.get("/users/me/sessions").await.json();
                let mut sessions = sessions.as_array().unwrap().iter();
                let mine = sessions.find(|session| session["current"] == true).unwrap();
                other.delete(&format!("/users/me/sessions/{}", mine["id"].as_str().unwrap())).await
            }
            "end others" => other.delete("/users/me/sessions").await,
            "password" => {
                let body = json!({ "password": PASSWORD, "newPassword": "another" });
                other.request("PUT", "/users/me/password").json(body).send().await
            }
            _ => other.request("DELETE", "/users/me").json(json!({ "password": PASSWORD })).send().await,
        };
        answer.is_empty(204);
        assert_eq!(readable.read_by(&browser).await, NOTHING, "{way}");
        refresh(&browser).await.fails(401, "Unauthorized");
        bob.get("/users/me").await.fails(401, "Unauthorized");
        bob.request("POST", "/web/session").send().await.fails(401, "Unauthorized");
        // A sign-out says so to the browser, also when there is no session any more.
        let cleared = browser.request("DELETE", "/web/session").from_the_app().send().await;
        for answer in [&cleared].into_iter().chain((way == "sign out").then_some(&answer)) {
            answer.is_empty(204);
            assert_eq!(answer.header("clear-site-data"), "\"cache\", \"cookies\"");
            let expired = format!("{SESSION_COOKIE}=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0");
            assert_eq!(answer.header("set-cookie"), expired);
        }
    }
}

/// A cookie prolongs a session, and yet the session is not newer than it was. If Redis has lost the list of sessions, only
/// the account tells that the session has ended.
#[tokio::test]
async fn s04_a_prolonged_session_ends_with_a_password_that_is_older() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let readable = Readable::of(&bob).await;
    let other = stack.anyone().with_token(bob.another_token().await);
    let browser = stack.anyone().with_cookie(bob.keep_session().await);
    let mut redis = stack.redis().await;
    let value: String = redis.get(session_key(&bob.token)).await.unwrap();
    let parts: Vec<&str> = value.split(' ').collect();
    let aged = format!("{} {} {}", parts[0], DateTime::now().timestamp_millis() - MINUTE, parts[2]);
    let (): () = redis.pset_ex(session_key(&bob.token), aged, DAY.unsigned_abs()).await.unwrap();
    let (): () = redis.del(format!("sessions_{}", bob.id)).await.unwrap();
    assert_eq!(readable.read_by(&browser).await, ALL);
    let body = json!({ "password": PASSWORD, "newPassword": "another" });
    other.request("PUT", "/users/me/password").json(body).send().await.is_empty(204);
    refresh(&browser).await;
    assert_eq!(readable.read_by(&browser).await, NOTHING);
    bob.get("/users/me").await.fails(401, "Unauthorized");
}

#[tokio::test]
async fn s01_a_cookie_changes_nothing_and_reads_content_alone() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let file = bob.upload("a.txt", b"hi").await;
    let browser = stack.anyone().with_cookie(bob.keep_session().await);
    for (method, path) in AUTHENTICATED.into_iter().filter(|(_, path)| !path.ends_with("/data")) {
        let request = browser.request(method, &path.replace("{id}", &file)).from_the_app();
        request.header("Sec-Fetch-Site", "same-origin").send().await.fails(401, "Unauthorized");
    }
    assert_eq!(bob.content(&file).await, b"hi");
}

#[tokio::test]
async fn s01_a_token_that_is_sent_decides_alone() {
    let stack = Stack::running().await;
    let (bob, eve) = (stack.user("bob").await, stack.user("eve").await);
    let readable = Readable::of(&bob).await;
    let browser = stack.anyone().with_cookie(bob.keep_session().await);
    for token in ["malformed", &eve.token, &"A".repeat(43)] {
        let statuses = readable.read_by(&browser.with_token(token)).await;
        assert_eq!(statuses, if token == eve.token { [404; 4] } else { NOTHING }, "{token}");
        for path in &readable.paths {
            let request = browser.request("GET", path).header("Authorization", &format!("Bearer {token}"));
            assert!([401, 404].contains(&request.send().await.status), "{path}");
        }
    }
    // And a token is enough where the cookie is of another user.
    let cookie_of_eve = eve.keep_session().await;
    assert_eq!(readable.read_by(&bob.with_cookie(cookie_of_eve)).await, ALL);
    // A header without a value counts as absent, as everywhere.
    assert_eq!(readable.read_by(&browser.with_token("")).await, ALL);
    // A page of another origin has no cookie, although one of the same site sends it.
    for site in ["same-site", "cross-site"] {
        let request = browser.request("GET", &readable.paths[0]).header("Sec-Fetch-Site", site);
        request.send().await.fails(404, "Not found");
    }
}

#[tokio::test]
async fn s04_only_a_thumbnail_with_a_version_is_kept_and_by_the_browser_alone() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let browser = stack.anyone().with_cookie(bob.keep_session().await);
    let image = bob.upload_image("a.jpg", &jpeg(600, 400)).await;
    let made = thumbnail(&bob, &image, 100).await;
    let (shut, kept) = ("private, no-store", "private, max-age=86400, immutable");
    for (query, by_cookie) in [
        ("", shut),
        ("?v=1", shut),
        ("?size=&v=1", shut),
        ("?size=100", shut),
        ("?size=100&v=", shut),
        ("?size=100&v=1", kept),
        ("?v=a%20b&size=250", kept),
    ] {
        let path = format!("/files/{image}/data{query}");
        for (client, expected) in [(&browser, by_cookie), (&*bob, shut)] {
            for method in ["GET", "HEAD"] {
                let answer = client.request(method, &path).send().await;
                assert_eq!((answer.status, answer.header("cache-control")), (200, expected), "{method} {path}");
                assert_eq!(answer.header("cross-origin-resource-policy"), "same-origin");
            }
        }
    }
    let path = format!("/files/{image}/data?size=100&v=1");
    let known = browser.request("GET", &path).header("If-None-Match", made.header("etag")).send().await;
    assert_eq!((known.status, known.header("cache-control")), (304, kept));
    stack.anyone().get(&path).await.fails(404, "Not found");
    bob.publish(&image).await;
    for client in [&browser, &*bob, &stack.anyone()] {
        assert_eq!(client.get(&path).await.header("cache-control"), "public, max-age=60");
    }
}

#[tokio::test]
async fn s05_content_is_no_part_of_a_page_of_this_origin() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let readable = Readable::of(&bob).await;
    let folder = bob.folder("shared").await;
    let script = bob.upload_into(&folder, "a.js", b"alert(1)").await;
    let link = bob.post("/links", json!({ "fileId": folder })).await.json();
    let token = link["token"].as_str().unwrap();
    let own = readable.paths.iter().take(3).map(|path| (&*bob, path.clone()));
    let (anyone, public) = (stack.anyone(), bob.upload("b.js", b"alert(1)").await);
    bob.publish(&public).await;
    let others = [
        format!("/files/{public}/data"),
        format!("/shared/{token}/files/{script}/data"),
        format!("/s/{token}/files/{script}/data"),
    ];
    for (client, path) in own.chain(others.iter().map(|path| (&anyone, path.clone()))) {
        let asked = async |site: &str, wanted: &str| {
            let request = client.request("GET", &path).header("Sec-Fetch-Site", site);
            request.header("Sec-Fetch-Dest", wanted).send().await
        };
        for wanted in ACTIVE {
            let answer = asked("same-origin", wanted).await;
            if path.starts_with("/s/") {
                assert_eq!((answer.status, answer.header("content-type")), (404, "text/html; charset=utf-8"));
            } else {
                answer.fails(404, "Not found");
            }
        }
        for wanted in ["image", "video", "audio", "empty", "document"] {
            assert_eq!(asked("same-origin", wanted).await.status, 200, "{wanted} of {path}");
        }
        // Clients of the original embed public files in pages of their own origins.
        for site in ["cross-site", "same-site", "none"] {
            assert_eq!(asked(site, "iframe").await.status, 200, "{site} of {path}");
        }
    }
}

#[tokio::test]
async fn s05_the_page_runs_nothing_but_the_files_of_the_app() {
    let stack = Stack::running().await;
    let bucket = stack.fault_proxy.trim_end_matches('/').to_owned();
    let page = stack.anyone().request("GET", "/").header("Accept-Encoding", "gzip").send().await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"), "of {page}");
    let file = stack.anyone().get(&a_file_of(&page)).await;
    assert_eq!((file.status, file.header("content-type")), (200, "text/javascript; charset=utf-8"), "of {file}");
    for answer in [&page, &file] {
        let policy = answer.header("content-security-policy");
        let directives: Vec<&str> = policy.split("; ").collect();
        let sources = |kind: &str| directives.iter().find_map(|one| one.strip_prefix(&format!("{kind} ")));
        assert_eq!(sources("default-src"), Some("'none'"));
        for kind in ["script-src", "style-src", "font-src", "worker-src", "manifest-src"] {
            let only = sources(kind).unwrap();
            assert!(only.starts_with("http://") && only.ends_with("/app/") && !only.contains(' '), "{policy}");
        }
        assert_eq!(sources("connect-src"), Some(&*format!("'self' {bucket}")));
        for directive in ["frame-ancestors 'none'", "base-uri 'none'", "require-trusted-types-for 'script'"] {
            assert!(directives.contains(&directive), "{policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
        for (header, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(answer.header(header), value, "{header}");
        }
        assert!(answer.header("permissions-policy").contains("camera=()"));
        assert_eq!(answer.header("set-cookie"), "");
    }
}

#[tokio::test]
async fn the_page_is_asked_for_again_and_its_files_are_not() {
    let stack = Stack::running().await;
    let anyone = stack.anyone();
    let asked =
        async |path: &str, codings: &str| anyone.request("GET", path).header("Accept-Encoding", codings).send().await;
    let page = asked("/", "gzip").await;
    assert_eq!((page.header("cache-control"), page.header("vary")), ("no-cache", "Accept-Encoding"));
    let tag = page.header("etag");
    assert!(tag.starts_with("W/\"") && tag.ends_with('"'), "{tag}");
    for known in [tag, "*", &format!("\"x\", {tag}")] {
        let answer = anyone.request("GET", "/").header("If-None-Match", known).send().await;
        answer.is_empty(304);
        assert_eq!((answer.header("etag"), answer.header("cache-control")), (tag, "no-cache"));
    }
    assert_eq!(anyone.request("GET", "/").header("If-None-Match", "\"x\"").send().await.status, 200);

    let file = a_file_of(&page);
    for path in ["/", &file] {
        let (gzip, brotli) = (asked(path, "gzip").await, asked(path, "gzip, deflate, br, zstd").await);
        assert_eq!((gzip.header("content-encoding"), brotli.header("content-encoding")), ("gzip", "br"), "{path}");
        assert!(gzip.body.starts_with(&[0x1f, 0x8b]) && gzip.body != brotli.body, "{path}");
        assert!(!brotli.body.is_empty() && brotli.body.len() <= gzip.body.len(), "{path}");
        let head = anyone.request("HEAD", path).send().await;
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
    }
    let kept = asked(&file, "br").await;
    assert_eq!(kept.header("cache-control"), "public, max-age=31536000, immutable");
    assert_eq!(kept.header("vary"), "Accept-Encoding");
    for unknown in ["/app/nothing", "/app/index.html", "/app/%ff", "/app/..%2findex.html", &format!("{file}.gz")] {
        let answer = anyone.get(unknown).await;
        answer.fails(404, "Not found");
        assert_eq!(answer.header("cache-control"), "private, no-store");
    }
}

#[tokio::test]
async fn an_api_key_keeps_no_session() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let key = bob.post("/users/me/keys", json!({ "name": "a", "scopes": ["read"] })).await.json();
    let client = stack.anyone().with_token(key["key"].as_str().unwrap());
    client.request("POST", "/web/session").send().await.fails(403, "This key may not do that");
    // With a bearer token as with `X-Token`.
    let request = stack.anyone().request("POST", "/web/session");
    let kept = request.header("Authorization", &format!("Bearer {}", bob.token)).send().await;
    kept.is_empty(204);
}
