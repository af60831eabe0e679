//! The pages of links as a program sees them. A browser sees them in tests/browser.

use e2e::{Answer, Stack, User};
use serde_json::{Value, json};

/// The path of the page of a new link.
async fn page_of(user: &User, file: &str, options: Value) -> String {
    let mut body = options;
    body["fileId"] = json!(file);
    let made = user.post("/links", body).await;
    assert_eq!(made.status, 201, "of {made}");
    format!("/s/{}", made.json()["token"].as_str().unwrap())
}

/// A page, with what every page has.
fn is_page(answer: &Answer, status: u16, text: &str) {
    assert_eq!(answer.status, status, "of {answer}");
    assert!(answer.text().contains(text), "{text} is not in {answer}");
    for (header, value) in [
        ("content-type", "text/html; charset=utf-8"),
        ("cache-control", "private, no-store"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
        ("x-robots-tag", "noindex, nofollow"),
    ] {
        assert_eq!(answer.header(header), value, "{header} of {answer}");
    }
    let policy = answer.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; ") && !policy.contains("unsafe"), "{policy}");
}

async fn typed(stack: &Stack, page: &str, password: &str) -> Answer {
    let form = stack.anyone().request("POST", page);
    form.body("application/x-www-form-urlencoded", format!("password={password}")).send().await
}

#[tokio::test]
async fn a_page_shows_the_file_and_its_content() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let file = bob.upload("notes.txt", b"some bytes").await;
    let page = page_of(&bob, &file, json!({})).await;
    let answer = stack.anyone().get(&page).await;
    is_page(&answer, 200, "<title>notes.txt · Files Manager</title>");
    assert!(answer.text().contains("<meta property=\"og:title\" content=\"notes.txt\">"), "{answer}");
    let data = format!("{page}/files/{file}/data?download=1");
    assert!(answer.text().contains(&format!("href=\"{data}\"")), "{answer}");
    let content = stack.anyone().get(&data).await;
    assert_eq!((content.status, &content.body[..]), (200, &b"some bytes"[..]));
    assert_eq!(content.header("referrer-policy"), "no-referrer");
    assert!(content.header("content-disposition").starts_with("attachment; "), "{content}");
    assert!(!answer.text().contains(&bob.email) && !answer.text().contains(&bob.id), "{answer}");
}

#[tokio::test]
async fn a_page_shows_nothing_outside_of_the_folder() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let folder = bob.folder("shared").await;
    let (sub, outside) = (bob.folder_in(&folder, "sub").await, bob.folder("outside").await);
    let deep = bob.upload_into(&sub, "deep.txt", b"deep").await;
    let secret = bob.upload_into(&outside, "secret.txt", b"secret").await;
    let page = page_of(&bob, &folder, json!({})).await;
    let anyone = stack.anyone();
    is_page(&anyone.get(&format!("{page}?folder={sub}")).await, 200, "deep.txt");
    is_page(&anyone.get(&format!("{page}?file={deep}")).await, 200, "4 bytes");
    for query in [
        format!("?folder={outside}"),
        format!("?file={secret}"),
        format!("/files/{secret}/data"),
        format!("/files/{secret}/data?size=100"),
        "?folder=none".into(),
    ] {
        is_page(&anyone.get(&format!("{page}{query}")).await, 404, "There is nothing here");
    }
    is_page(&anyone.get(&format!("{page}?cursor=none")).await, 400, "not understood");
    bob.change(&sub, json!({ "parentId": outside })).await.document(200);
    is_page(&anyone.get(&format!("{page}?folder={sub}")).await, 404, "There is nothing here");
}

#[tokio::test]
async fn a_page_without_its_password_shows_no_hint() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let file = bob.upload("secret-plan.txt", b"some bytes").await;
    let page = page_of(&bob, &file, json!({ "password": "open sesame" })).await;
    let data = format!("{page}/files/{file}/data");
    let anyone = stack.anyone();
    for (answer, text) in [
        (anyone.get(&page).await, "type=\"password\""),
        (anyone.get(&data).await, "type=\"password\""),
        (typed(&stack, &page, "wrong").await, "This is not the password."),
        (typed(&stack, &page, &"x".repeat(2000)).await, "This is not the password."),
        (anyone.request("POST", &page).body("text/plain", "x").send().await, "This is not the password."),
    ] {
        is_page(&answer, 401, text);
        assert!(!answer.text().contains("secret-plan") && !answer.text().contains("og:"), "{answer}");
        assert!(answer.headers.get("www-authenticate").is_none(), "{answer}");
    }
    let opened = typed(&stack, &page, "open+sesame").await;
    assert_eq!((opened.status, opened.header("location")), (303, &*page));
    let cookie = opened.header("set-cookie").to_owned();
    let (cookie, attributes) = cookie.split_once("; ").unwrap();
    assert!(cookie.starts_with("__Secure-link="), "{cookie}");
    assert!(attributes.starts_with(&format!("Path={page}; Max-Age=")), "{attributes}");
    assert!(attributes.ends_with("; Secure; HttpOnly; SameSite=Lax"), "{attributes}");
    let with_cookie =
        async |path: &str, cookie: &str| anyone.request("GET", path).header("cookie", cookie).send().await;
    is_page(&with_cookie(&page, &format!("other=1; {cookie}")).await, 200, "secret-plan.txt");
    assert_eq!(with_cookie(&data, cookie).await.body, b"some bytes");
    is_page(&with_cookie(&page, "__Secure-link=forged").await, 401, "type=\"password\"");
    // A key in the URL opens the API but no page.
    let key = cookie.split_once('=').unwrap().1;
    is_page(&anyone.get(&format!("{page}?key={key}")).await, 401, "type=\"password\"");
}

#[tokio::test]
async fn a_page_of_no_link_says_nothing() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let file = bob.upload("a.txt", b"a").await;
    let page = page_of(&bob, &file, json!({})).await;
    is_page(&stack.anyone().get(&page).await, 200, "a.txt");
    bob.trash(&file).await.document(200);
    let forged = format!("{}A", &page[..page.len() - 1]);
    for page in [&page, &forged, "/s/none", "/s/assets"] {
        is_page(&stack.anyone().get(page).await, 404, "There is nothing here");
        is_page(&typed(&stack, page, "guess").await, 404, "There is nothing here");
    }
}

#[tokio::test]
async fn a_form_stores_files_within_the_limits_of_the_link() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let folder = bob.folder("Inbox").await;
    bob.upload_into(&folder, "secret-plan.txt", b"some bytes").await;
    let limits = json!({ "kind": "upload", "maxFiles": 3, "maxBytes": 9, "types": ["text/plain"] });
    let page = page_of(&bob, &folder, limits).await;
    let anyone = stack.anyone();
    let answer = anyone.get(&page).await;
    is_page(&answer, 200, "Up to 3 files · Up to 9 bytes each");
    assert!(!answer.text().contains("secret-plan"), "{answer}");
    let policy = answer.header("content-security-policy");
    assert!(policy.contains(&format!("script-src {}/s/assets/; ", stack.api)), "{policy}");
    let send = async |files: &[(&str, &str)]| {
        let parts = files.iter().map(|(name, content)| {
            format!("--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n{content}\r\n")
        });
        let body = parts.collect::<String>() + "--x--\r\n";
        anyone.request("POST", &format!("{page}/files")).body("multipart/form-data; boundary=x", body).send().await
    };
    is_page(&send(&[]).await, 400, "choose a file first");
    is_page(&send(&[("", "")]).await, 400, "choose a file first");
    is_page(&send(&[("a.exe", "a")]).await, 400, "Files of this type are not allowed here.");
    is_page(&send(&[("a.txt", "more than nine")]).await, 413, "The file is larger than this link allows.");
    let names: Vec<String> = (0..51).map(|at| format!("{at}.txt")).collect();
    let many: Vec<_> = names.iter().map(|name| (&**name, "")).collect();
    is_page(&send(&many).await, 413, "up to 50 files at once");
    is_page(&send(&[("a.txt", &"x".repeat((4 << 20) + (200 << 10)))]).await, 413, "Nothing was sent");
    let done = send(&[("secret-plan.txt", "one"), ("é.txt", "two")]).await;
    assert_eq!((done.status, done.header("location")), (303, &*format!("{page}?sent=2")));
    is_page(&send(&[("three.txt", "three"), ("four.txt", "four")]).await, 409, "1 file sent. Thank you.");
    let listed = bob.get(&format!("/files?parentId={folder}&sort=name")).await.documents();
    let mut names: Vec<_> = listed.iter().map(|file| file["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["secret-plan (2).txt", "secret-plan.txt", "three.txt", "é.txt"]);
    // A link for downloads takes no uploads, and a link for uploads gives no content.
    let file = listed[0]["id"].as_str().unwrap();
    is_page(&anyone.get(&format!("{page}/files/{file}/data")).await, 404, "There is nothing here");
    let reading = page_of(&bob, &folder, json!({})).await;
    let form = anyone.request("POST", &format!("{reading}/files"));
    is_page(&form.body("multipart/form-data; boundary=x", "--x--\r\n").send().await, 404, "There is nothing here");
    anyone.request("POST", &format!("{reading}/ticket")).send().await.fails(404, "Not found");
}

#[tokio::test]
async fn the_files_of_pages_are_kept_by_browsers() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let folder = bob.folder("Inbox").await;
    let page = stack.anyone().get(&page_of(&bob, &folder, json!({ "kind": "upload" })).await).await;
    let paths = page.text().split('"').filter(|text| text.starts_with("/s/assets/"));
    let paths: Vec<&str> = paths.collect();
    assert_eq!(paths.len(), 4, "{paths:?}");
    for path in paths {
        let asset = stack.anyone().get(path).await;
        assert_eq!(asset.status, 200, "{path}");
        assert_eq!(asset.header("cache-control"), "public, max-age=31536000, immutable");
    }
    stack.anyone().get("/s/assets/none").await.fails(404, "Not found");
}
