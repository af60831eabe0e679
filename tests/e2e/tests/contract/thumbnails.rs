//! Thumbnails, from the upload to the answer.

use std::time::SystemTime;

use base64::{Engine, engine::general_purpose::STANDARD};
use e2e::{
    Client, Stack, eventually,
    fixtures::{
        DecodedImage, OWNER, SERIAL_NUMBER, bomb, decode_image, encode, gradient, half_transparent, jpeg,
        lying_on_its_side, photograph, test_image,
    },
    thumbnails::{SOON, failure, image_without_a_job, thumbnail},
};
use image::{ImageFormat, Rgba, RgbaImage};
use mongodb::bson::DateTime;
use serde_json::{Value, json};

/// All three thumbnails, the largest first. Each must agree with its content type.
async fn all_of(reader: &Client, id: &str) -> [DecodedImage; 3] {
    let mut all = Vec::new();
    for width in [500, 250, 100] {
        let answer = thumbnail(reader, id, width).await;
        let seen = decode_image(&answer.body);
        assert_eq!(answer.header("content-type"), seen.content_type);
        assert_eq!(answer.header("content-length"), answer.body.len().to_string());
        all.push(seen);
    }
    all.try_into().unwrap_or_else(|_| unreachable!("three"))
}

fn sizes(all: &[DecodedImage; 3]) -> [(u32, u32); 3] {
    all.each_ref().map(|seen| (seen.width, seen.height))
}

#[tokio::test]
async fn an_image_gets_thumbnails_of_three_widths_and_its_own_aspect() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    for ((width, height), expected) in [
        ((1200, 801), [(500, 334), (250, 167), (100, 67)]),
        ((801, 1200), [(500, 749), (250, 375), (100, 150)]),
        ((1000, 501), [(500, 251), (250, 125), (100, 50)]),
        // An image that is narrower than a thumbnail keeps its size.
        ((471, 512), [(471, 512), (250, 272), (100, 109)]),
        ((100, 10), [(100, 10), (100, 10), (100, 10)]),
        ((1, 3), [(1, 3), (1, 3), (1, 3)]),
        // A thumbnail is at least one pixel high.
        ((2000, 1), [(500, 1), (250, 1), (100, 1)]),
    ] {
        let id = bob.upload_image("photo.jpg", &jpeg(width, height)).await;
        assert_eq!(sizes(&all_of(&bob, &id).await), expected, "of {width} x {height}");
        assert_eq!(bob.get(&format!("/files/{id}")).await.document(200)["thumbnails"], "ready");
    }
}

/// The keys of a document that tell about its picture.
fn picture(document: &Value) -> [&Value; 4] {
    ["width", "height", "takenAt", "thumbhash"].map(|key| document.get(key).unwrap_or(&Value::Null))
}

#[tokio::test]
async fn f57_an_image_tells_its_size_its_date_and_a_preview() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let id = bob.upload_image("photo.jpg", &photograph(600, 400)).await;
    thumbnail(&bob, &id, 100).await;
    let document = bob.get(&format!("/files/{id}")).await.document(200);
    let [width, height, taken_at, thumbhash] = picture(&document);
    assert_eq!((width, height, taken_at), (&json!(400), &json!(600), &json!("2026-11-29T07:28:35+01:00")));
    let hash = thumbhash.as_str().unwrap();
    assert!(hash.len() <= 40, "{hash}");
    let hash = STANDARD.decode(hash).unwrap();
    let (width, height, colors) = thumbhash::thumb_hash_to_rgba(&hash).unwrap();
    assert!(width < height, "{width} x {height}");
    let blurred = RgbaImage::from_raw(width.try_into().unwrap(), height.try_into().unwrap(), colors).unwrap();
    let seen = all_of(&bob, &id).await;
    for (x, y) in [(1, 1), (3, 1), (1, 3), (3, 3)] {
        let blurred = blurred.get_pixel(blurred.width() * x / 4, blurred.height() * y / 4).0;
        let sharp = seen[2].pixels.get_pixel(seen[2].width * x / 4, seen[2].height * y / 4).0;
        assert!(blurred.iter().zip(sharp).all(|(a, b)| a.abs_diff(b) < 60), "{blurred:?} for {sharp:?} at {x}, {y}");
    }
    // A listing, a copy and a version tell the same.
    let listed = bob.get("/files").await.documents();
    assert_eq!(picture(&listed[0]), picture(&document));
    let copy = bob.copy(&id, json!({})).await.tagged(201);
    assert_eq!(picture(&copy), picture(&document));
    let text =
        json!({ "name": "photo.jpg", "type": "image", "data": STANDARD.encode("text"), "onConflict": "replace" });
    let replaced = bob.create(text).await.tagged(201);
    assert_eq!((&replaced["id"], picture(&replaced)), (&json!(id), [&Value::Null; 4]));
    let failed = eventually("it failed", SOON, async || {
        let document = bob.get(&format!("/files/{id}")).await.document(200);
        (document["thumbnails"] == "failed").then_some(document)
    });
    assert_eq!(picture(&failed.await), [&Value::Null; 4]);
    let versions = bob.versions(&id).await;
    let version = versions[0]["id"].as_str().unwrap();
    let restored = bob.put(&format!("/files/{id}/versions/{version}/restore")).await.tagged(200);
    assert_eq!(picture(&restored), picture(&document));
}

#[tokio::test]
async fn f57_only_an_image_with_thumbnails_tells_them() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let file = bob.upload("photo.jpg", &photograph(60, 40)).await;
    let image = bob.upload_image("flat.png", &encode(&gradient(40, 60), ImageFormat::Png)).await;
    thumbnail(&bob, &image, 100).await;
    let document = bob.get(&format!("/files/{image}")).await.document(200);
    let [width, height, taken_at, thumbhash] = picture(&document);
    assert_eq!((width, height, taken_at), (&json!(40), &json!(60), &Value::Null));
    assert!(thumbhash.is_string());
    assert_eq!(picture(&bob.get(&format!("/files/{file}")).await.document(200)), [&Value::Null; 4]);
}

#[tokio::test]
async fn f57_no_place_no_owner_and_no_serial_number_is_kept() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let since = SystemTime::now();
    let id = bob.upload_image("photo.jpg", &photograph(600, 400)).await;
    let mut seen = vec![thumbnail(&bob, &id, 100).await.body, stack.row(&id).await.to_string().into_bytes()];
    seen.push(stack.log_lines(since).await.join("\n").into_bytes());
    for secret in [OWNER.as_bytes(), SERIAL_NUMBER.as_bytes(), b"GPS"] {
        for bytes in &seen {
            assert!(!bytes.windows(secret.len()).any(|window| window == secret), "{}", String::from_utf8_lossy(bytes));
        }
    }
}

#[tokio::test]
async fn a_thumbnail_looks_like_its_source() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let id = bob.upload_image("photo.jpg", &jpeg(1000, 1000)).await;
    for seen in all_of(&bob, &id).await {
        let at = |x: u32, y: u32| seen.pixels.get_pixel(x * (seen.width - 1) / 4, y * (seen.height - 1) / 4).0;
        for (x, y, expected) in
            [(0, 0, [0, 0, 128]), (2, 2, [127, 127, 128]), (4, 0, [255, 0, 128]), (1, 3, [64, 191, 128])]
        {
            let near = at(x, y).iter().zip(expected).all(|(&a, b): (&u8, u8)| a.abs_diff(b) < 12);
            assert!(near, "{:?} at {x}, {y} of {}", at(x, y), seen.width);
        }
    }
}

#[tokio::test]
async fn a_thumbnail_has_a_content_type_of_its_own() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let opaque = gradient(600, 300);
    let clear = half_transparent(600, 300);
    for (name, bytes, expected) in [
        ("a.jpg", encode(&opaque, ImageFormat::Jpeg), "image/jpeg"),
        ("a.png", encode(&opaque, ImageFormat::Png), "image/png"),
        ("a.gif", encode(&clear, ImageFormat::Gif), "image/png"),
        ("a.webp", encode(&opaque, ImageFormat::WebP), "image/jpeg"),
        ("b.webp", encode(&clear, ImageFormat::WebP), "image/png"),
        // The content decides the format, not the name.
        ("really-a-png.txt", encode(&opaque, ImageFormat::Png), "image/png"),
    ] {
        let id = bob.upload_image(name, &bytes).await;
        let all = all_of(&bob, &id).await;
        assert_eq!(all.each_ref().map(|seen| seen.content_type), [expected; 3], "{name}");
        assert_eq!(sizes(&all), [(500, 250), (250, 125), (100, 50)], "{name}");
    }
}

#[tokio::test]
async fn transparency_is_kept() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    for format in [ImageFormat::Png, ImageFormat::Gif, ImageFormat::WebP] {
        let id = bob.upload_image("logo.png", &encode(&half_transparent(600, 400), format)).await;
        for seen in all_of(&bob, &id).await {
            let (left, right) = (seen.width / 4, seen.width * 3 / 4);
            assert_eq!(seen.pixels.get_pixel(left, seen.height / 2), &Rgba([0, 0, 255, 255]), "{format:?}");
            assert_eq!(seen.pixels.get_pixel(right, seen.height / 2).0[3], 0, "{format:?}");
        }
    }
}

#[tokio::test]
async fn a_photo_taken_upright_stands_upright() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let id = bob.upload_image("photo.jpg", &lying_on_its_side(1200, 800)).await;
    let all = all_of(&bob, &id).await;
    assert_eq!(sizes(&all), [(500, 750), (250, 375), (100, 150)]);
    for seen in all {
        let [top, bottom] = [1, 3].map(|quarter| seen.pixels.get_pixel(seen.width / 2, seen.height * quarter / 4).0);
        assert!(top[0] > 200 && top[2] < 60, "red is on top: {top:?}");
        assert!(bottom[2] > 200 && bottom[0] < 60, "blue is below: {bottom:?}");
    }
}

#[tokio::test]
async fn an_image_has_no_thumbnails_until_they_are_made() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let source = jpeg(800, 600);
    let id = image_without_a_job(&stack, bob.object_id(), source.clone(), DateTime::MAX).await;
    for width in [500, 250, 100] {
        bob.get(&format!("/files/{id}/data?size={width}")).await.fails(404, "Not found");
    }
    bob.get(&format!("/files/{id}/data")).await.is_content("image/jpeg", &source);
    assert_eq!(bob.get(&format!("/files/{id}")).await.document(200)["thumbnails"], "due");
}

#[tokio::test]
async fn the_bytes_of_an_image_are_not_checked() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let id = bob.upload_image("photo.jpg", b"no image at all").await;
    bob.get(&format!("/files/{id}/data")).await.is_content("image/jpeg", b"no image at all");
    failure(&stack, &bob, &id).await;
}

#[tokio::test]
async fn s02_thumbnails_follow_the_rights_of_their_file() {
    let stack = Stack::running().await;
    let (bob, eve) = (stack.user("bob").await, stack.user("eve").await);
    let id = bob.upload_image("photo.jpg", &jpeg(600, 600)).await;
    let path = format!("/files/{id}/data?size=100");
    let mine = thumbnail(&bob, &id, 100).await;
    assert_eq!(mine.header("cache-control"), "private, no-store");
    let strangers = [&*eve, &stack.anyone(), &stack.anyone().with_token("no such token")].map(Client::clone);
    for stranger in &strangers {
        stranger.get(&path).await.fails(404, "Not found");
    }
    bob.publish(&id).await;
    for stranger in &strangers {
        let answer = stranger.get(&path).await;
        answer.is_content("image/jpeg", &mine.body);
        assert_eq!(answer.header("cache-control"), "public, max-age=60");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("content-security-policy"), "default-src 'none'; sandbox");
    }
    bob.put(&format!("/files/{id}/unpublish")).await.document(200);
    for stranger in &strangers {
        stranger.get(&path).await.fails(404, "Not found");
    }
}

#[tokio::test]
async fn an_image_that_cannot_be_decoded_fails_with_a_reason() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let whole = jpeg(800, 600);
    let png = encode(&gradient(800, 600), ImageFormat::Png);
    for (what, bytes) in [
        ("a truncated JPEG", &whole[..whole.len() / 2]),
        ("a JPEG without its data", &whole[..400]),
        ("a truncated PNG", &png[..png.len() / 2]),
        ("a bomb", &bomb()),
    ] {
        let id = bob.upload_image("photo.jpg", bytes).await;
        let reason = failure(&stack, &bob, &id).await;
        assert_eq!(reason.contains("100000"), what == "a bomb", "{what}: {reason}");
    }
}

#[tokio::test]
async fn what_phones_cameras_and_scanners_make_has_thumbnails() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    for name in ["grid-irot-1.heic", "10-bits.heic", "exif-6.jxl", "lzw-cmyk.tif", "rgb16-top-down.bmp", "png.ico"] {
        let id = bob.upload_image(name, &test_image(name)).await;
        let all = all_of(&bob, &id).await;
        let document = bob.get(&format!("/files/{id}")).await.document(200);
        let (width, height) = (document["width"].as_u64().unwrap(), document["height"].as_u64().unwrap());
        for (seen, target) in all.iter().zip([500, 250, 100]) {
            let expected = width.min(target);
            assert_eq!(u64::from(seen.width), expected, "{name}");
            assert!((u64::from(seen.height) * width).abs_diff(height * expected) <= width, "{name}");
        }
    }
}

#[tokio::test]
async fn any_other_file_is_an_unsupported_format() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    for (name, bytes) in [
        ("really-a-text.png", &b"The quick brown fox jumps over the lazy dog."[..]),
        ("film.heic", b"\0\0\0\x18ftypisom\0\0\0\0isommp42\0\0\0\x08moov"),
        ("drawing.svg", b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'><circle r='4'/></svg>"),
        ("paper.pdf", b"%PDF-1.7\n%%EOF"),
        ("photo.avif", b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf\0\0\0\x08meta"),
    ] {
        let id = bob.upload_image(name, bytes).await;
        assert_eq!(failure(&stack, &bob, &id).await, "unsupported format", "{name}");
    }
}

#[tokio::test]
async fn r02_a_corrupt_image_fails_alone() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let (whole, clipped) = (jpeg(600, 400), jpeg(800, 600));
    let mut good = Vec::new();
    let mut bad = Vec::new();
    for _ in 0..3 {
        good.push(bob.upload_image("good.jpg", &whole).await);
        bad.push(bob.upload_image("bad.jpg", &clipped[..clipped.len() / 2]).await);
    }
    for id in &good {
        assert_eq!(sizes(&all_of(&bob, id).await), [(500, 333), (250, 167), (100, 67)]);
    }
    for id in &bad {
        failure(&stack, &bob, id).await;
    }
}

#[tokio::test]
async fn a_thumbnail_lies_beside_its_siblings() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let id = bob.upload_image("photo.jpg", &jpeg(600, 400)).await;
    all_of(&bob, &id).await;
    let expected = ["100", "250", "500"].map(|width| format!("thumbnails/{id}/{width}"));
    assert_eq!(stack.objects(&format!("thumbnails/{id}")).await, expected);
}
