//! `GET` and `HEAD /files/{id}/data` with conditions and ranges, and of large files.

use e2e::{
    Answer, Stack, User, eventually,
    fixtures::jpeg,
    ledger::{object, thumbnails_due, with},
    thumbnails::{SOON, thumbnail},
    unique,
    worker::job,
};
use mongodb::bson::{DateTime, doc, oid::ObjectId};
use reqwest::Response;

/// A file of any size, stored as a direct upload stores it.
async fn planted(stack: &Stack, owner: &User, name: &str, bytes: Vec<u8>) -> String {
    let (id, size) = (ObjectId::new(), i64::try_from(bytes.len()).unwrap());
    let key = format!("files/{}", unique("planted"));
    stack.put_object(&key, bytes).await;
    let row = doc! {
        "_id": id, "userId": owner.object_id(), "name": name, "type": "file", "isPublic": false, "parentId": 0,
    };
    stack.plant(owner.object_id(), [with(row, object(&key, size))]).await;
    id.to_hex()
}

fn large() -> Vec<u8> {
    (0..5_000_000).flat_map(u32::to_le_bytes).take((4 << 20) + 1).collect()
}

/// S3's answer to the URL of a redirect.
async fn followed(stack: &Stack, answer: &Answer, range: Option<&str>) -> Response {
    let told = (answer.status, answer.header("cache-control"), answer.body.len());
    assert_eq!(told, (302, "private, no-store", 0), "of {answer}");
    let request = stack.http.get(answer.header("location"));
    let request = if let Some(range) = range { request.header("Range", range) } else { request };
    request.send().await.unwrap()
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn content_that_does_not_fit_into_an_answer_comes_from_s3() {
    let stack = Stack::running().await;
    let (bob, eve) = (stack.user("bob").await, stack.user("eve").await);
    let bytes = large();
    let file = planted(&stack, &bob, "naïve film.mp4", bytes.clone()).await;
    let path = format!("/files/{file}/data");
    eve.get(&path).await.fails(404, "Not found");
    stack.anyone().get(&path).await.fails(404, "Not found");

    let whole = followed(&stack, &bob.get(&path).await, None).await;
    assert_eq!((whole.status().as_u16(), header(&whole, "content-type")), (200, "video/mp4"));
    let name = "filename=\"na_ve film.mp4\"; filename*=UTF-8''na%C3%AFve%20film.mp4";
    assert_eq!(header(&whole, "content-disposition"), format!("inline; {name}"));
    assert_eq!(header(&whole, "cache-control"), "private, no-store");
    assert!(whole.bytes().await.unwrap() == bytes);
    let saved = followed(&stack, &bob.get(&format!("{path}?download=1")).await, None).await;
    assert_eq!(header(&saved, "content-disposition"), format!("attachment; {name}"));

    bob.publish(&file).await;
    let public = followed(&stack, &stack.anyone().get(&path).await, None).await;
    assert_eq!(header(&public, "cache-control"), "public, max-age=60");

    // A file of exactly the limit is answered directly.
    let just = planted(&stack, &bob, "just.bin", bytes[..4 << 20].to_vec()).await;
    bob.get(&format!("/files/{just}/data")).await.is_content("application/octet-stream", &bytes[..4 << 20]);
}

#[tokio::test]
async fn a_part_of_a_file_comes_from_s3() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let bytes = large();
    let (long, short) = (planted(&stack, &bob, "a.bin", bytes.clone()).await, bob.upload("a.txt", b"0123456789").await);
    for (file, range, expected) in
        [(long, "bytes=1000000-1999999", &bytes[1_000_000..2_000_000]), (short, "bytes=-3", b"789")]
    {
        let answer = bob.request("GET", &format!("/files/{file}/data")).header("Range", range).send().await;
        let part = followed(&stack, &answer, Some(range)).await;
        assert_eq!(part.status().as_u16(), 206);
        assert!(part.bytes().await.unwrap() == expected);
    }
}

#[tokio::test]
async fn s11_a_signed_url_reads_one_object_and_nothing_else() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let (one, other) = (planted(&stack, &bob, "a.bin", large()).await, planted(&stack, &bob, "b.bin", large()).await);
    let answer = bob.get(&format!("/files/{one}/data")).await;
    let url = answer.header("location");
    let lifetime = url.split(['?', '&']).find_map(|pair| pair.strip_prefix("X-Amz-Expires=")).unwrap();
    assert_eq!(lifetime, "60");
    let key = async |id: &str| stack.row(id).await.key().to_owned();
    let elsewhere = url.replace(&key(&one).await, &key(&other).await);
    assert_ne!(elsewhere, url);
    let saved = url.replace("inline", "attachment").replace("attachment%3B", "inline%3B");
    for (method, url) in [("GET", elsewhere.as_str()), ("GET", &saved), ("PUT", url), ("DELETE", url)] {
        let answer = stack.http.request(method.parse().unwrap(), url).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 403, "{method} {url}");
    }
}

#[tokio::test]
async fn s05_active_content_is_saved_and_not_shown_by_s3() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    for name in ["a.html", "a.svg", "a.xhtml", "a.xml", "a.pdf", "a.js", "a"] {
        let file = bob.upload(name, b"<script>alert(1)</script>").await;
        let path = format!("/files/{file}/data");
        let answer = bob.request("GET", &path).header("Range", "bytes=0-").send().await;
        let part = followed(&stack, &answer, Some("bytes=0-")).await;
        assert!(header(&part, "content-disposition").starts_with("attachment; "), "{name}");
    }
}

#[tokio::test]
async fn a_client_that_has_the_bytes_gets_304() {
    let stack = Stack::running().await;
    let (bob, eve) = (stack.user("bob").await, stack.user("eve").await);
    let (file, other) = (bob.upload("a.txt", b"hi").await, bob.upload("a.txt", b"hi").await);
    let path = format!("/files/{file}/data");
    let first = bob.get(&path).await;
    let (etag, modified) = (first.header("etag"), first.header("last-modified"));
    assert!(etag.starts_with('"') && etag.ends_with('"') && etag.len() > 10, "{etag} is a strong tag");
    assert_eq!(first.header("accept-ranges"), "bytes");
    assert_ne!(bob.get(&format!("/files/{other}/data")).await.header("etag"), etag);

    for (method, name, value, status) in [
        ("GET", "If-None-Match", etag.to_owned(), 304),
        ("HEAD", "If-None-Match", etag.to_owned(), 304),
        ("GET", "If-None-Match", format!("\"x\", W/{etag}"), 304),
        ("GET", "If-None-Match", "\"x\"".into(), 200),
        ("GET", "If-Modified-Since", modified.to_owned(), 304),
        ("GET", "If-Modified-Since", "Thu, 01 Jan 2015 00:00:00 GMT".into(), 200),
    ] {
        let answer = bob.request(method, &path).header(name, &value).send().await;
        assert_eq!(answer.status, status, "{method} with {name}: {value}");
        assert_eq!((answer.header("etag"), answer.header("last-modified")), (etag, modified));
        assert_eq!(answer.header("cache-control"), "private, no-store");
        assert_eq!(answer.body.is_empty(), status == 304);
    }
    // A client that knows the ETag gets no right to the file.
    let answer = eve.request("GET", &path).header("If-None-Match", etag).send().await;
    answer.fails(404, "Not found");
    bob.publish(&file).await;
    let published = eve.request("GET", &path).header("If-None-Match", etag).send().await;
    assert_eq!((published.status, published.header("cache-control")), (304, "public, max-age=60"));
}

#[tokio::test]
async fn a_name_is_given_to_who_saves_the_file() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let file = bob.upload("a \"b\"; 100%.txt", b"hi").await;
    let name = "filename=\"a _b_; 100_.txt\"; filename*=UTF-8''a%20%22b%22%3B%20100%25.txt";
    for (query, kind) in [("", "inline"), ("?download=1", "attachment"), ("?download=0", "inline")] {
        let answer = bob.get(&format!("/files/{file}/data{query}")).await;
        assert_eq!(answer.header("content-disposition"), format!("{kind}; {name}"));
    }
}

#[tokio::test]
async fn thumbnails_support_the_same_conditions_and_ranges() {
    let stack = Stack::running().await;
    let (bob, eve) = (stack.user("bob").await, stack.user("eve").await);
    let id = bob.upload_image("photo.jpg", &jpeg(800, 600)).await;
    let mut tags = Vec::new();
    for width in [500, 250, 100] {
        let whole = thumbnail(&bob, &id, width).await;
        let path = format!("/files/{id}/data?size={width}");
        let head = bob.request("HEAD", &path).send().await;
        assert_eq!((head.status, head.header("content-type")), (200, "image/jpeg"));
        assert_eq!(head.header("content-length"), whole.body.len().to_string());
        let name = format!("inline; filename=\"photo-{width}.jpg\"; filename*=UTF-8''photo-{width}.jpg");
        for answer in [&head, &whole] {
            assert_eq!(answer.header("content-disposition"), name);
            assert_eq!(answer.header("etag"), whole.header("etag"));
        }
        let known = bob.request("GET", &path).header("If-None-Match", whole.header("etag")).send().await;
        assert_eq!(known.status, 304);
        eve.request("GET", &path).header("If-None-Match", whole.header("etag")).send().await.fails(404, "Not found");
        tags.push(whole.header("etag").to_owned());
    }
    tags.dedup();
    assert_eq!(tags.len(), 3);
}

#[tokio::test]
async fn a_thumbnail_too_large_for_an_answer_comes_from_s3() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    // An image of noise with the largest height.
    let (mut noise, mut state) = (image::RgbImage::new(500, 6000), 1_u32);
    for byte in noise.iter_mut() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *byte = (state >> 24) as u8;
    }
    let mut png = std::io::Cursor::new(Vec::new());
    noise.write_to(&mut png, image::ImageFormat::Png).unwrap();
    let id = planted(&stack, &bob, "noise.png", png.into_inner()).await;
    stack.set_row(&id, with(doc! { "type": "image" }, thumbnails_due(DateTime::MAX))).await;
    let job = job(&bob.id, &id);
    stack.sqs.send_message().queue_url(&stack.queue_url).message_body(job).send().await.unwrap();
    let answer = eventually("a large thumbnail", SOON, async || {
        let answer = bob.get(&format!("/files/{id}/data?size=500")).await;
        (answer.status != 404).then_some(answer)
    })
    .await;
    let thumbnail = followed(&stack, &answer, None).await;
    assert_eq!(header(&thumbnail, "content-type"), "image/png");
    assert!(thumbnail.bytes().await.unwrap().len() > 4 << 20);
}

#[tokio::test]
async fn a_condition_that_does_not_hold_is_refused_before_all_else() {
    let stack = Stack::running().await;
    let (bob, eve) = (stack.user("bob").await, stack.user("eve").await);
    let (small, large) = (bob.upload("a.txt", b"hi").await, planted(&stack, &bob, "b.txt", large()).await);
    for (id, sent) in [(&small, 200), (&large, 302)] {
        let path = format!("/files/{id}/data");
        let head = bob.request("HEAD", &path).send().await;
        let (etag, modified) = (head.header("etag"), head.header("last-modified"));
        let (weak, past, future) =
            (format!("W/{etag}"), "Thu, 01 Jan 2015 00:00:00 GMT", "Sat, 01 Jan 2101 00:00:00 GMT");
        let (listed, none, changed) = (format!("\"x\", {etag}"), "\"x\"", 412);
        for (conditions, expected) in [
            (vec![("If-Match", etag)], sent),
            (vec![("If-Match", "*")], sent),
            (vec![("If-Match", &listed)], sent),
            (vec![("If-Match", none), ("If-Match", etag)], sent),
            (vec![("If-Match", none)], changed),
            // `If-Match` uses the strong comparison, which weak ETags fail.
            (vec![("If-Match", &weak)], changed),
            (vec![("If-Unmodified-Since", modified)], sent),
            (vec![("If-Unmodified-Since", future)], sent),
            (vec![("If-Unmodified-Since", "yesterday")], sent),
            (vec![("If-Unmodified-Since", past)], changed),
            // The ETag is checked before the date, and both before a range (RFC 9110, 13.2.2).
            (vec![("If-Match", etag), ("If-Unmodified-Since", past)], sent),
            (vec![("If-Match", none), ("If-Unmodified-Since", future)], changed),
            (vec![("If-Match", etag), ("If-None-Match", etag)], 304),
            (vec![("If-Match", none), ("If-None-Match", etag)], changed),
            (vec![("If-Unmodified-Since", past), ("If-None-Match", etag)], changed),
            (vec![("If-Match", etag), ("Range", "bytes=0-0")], 302),
            (vec![("If-Match", none), ("Range", "bytes=0-0")], changed),
        ] {
            for method in ["GET", "HEAD"] {
                let request = bob.request(method, &path);
                let request = conditions.iter().fold(request, |request, (name, value)| request.header(name, value));
                let answer = request.send().await;
                let expected = if method == "HEAD" && expected == 302 { 200 } else { expected };
                assert_eq!(answer.status, expected, "{method} with {conditions:?}: {answer}");
                if method == "GET" && expected == changed {
                    answer.fails(412, "Precondition failed");
                }
            }
        }
        eve.request("GET", &path).header("If-Match", none).send().await.fails(404, "Not found");
    }
}

#[tokio::test]
async fn a_range_that_does_not_count_bytes_is_no_range() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let path = format!("/files/{}/data", bob.upload("a.txt", b"hello").await);
    for range in ["items=0-1", "bytes", "", "0-1", "kilobytes=0-1"] {
        let answer = bob.request("GET", &path).header("Range", range).send().await;
        answer.is_content("text/plain; charset=utf-8", b"hello");
    }
    for range in ["bytes=0-1", "Bytes=0-1"] {
        let answer = bob.request("GET", &path).header("Range", range).send().await;
        assert_eq!(answer.status, 302, "{range}: {answer}");
    }
}
