//! Previews: pictures that owners give their documents.

use e2e::{
    Answer, Client, Stack, User, encoded, eventually,
    fixtures::{DecodedImage, OWNER, bomb, decode_image, encode, gradient, jpeg, one_color, photograph},
    id_of,
    ledger::{self, State, all_of, expired, object, preview_of, set, thumbnails_due, version_of, with},
    thumbnails::{SOON, image_without_a_job, thumbnail},
    unique,
    worker::{job, run_worker},
};
use image::ImageFormat;
use mongodb::bson::{DateTime, doc, oid::ObjectId};
use serde_json::{Value, json};

const FILM: &[u8] = b"\0\0\0\x18ftypmp42, or so";
const RED: [u8; 3] = [255, 0, 0];
const BLUE: [u8; 3] = [0, 0, 255];

/// Waits until the document says this of its preview.
async fn preview(user: &User, id: &str, expected: Value) -> Value {
    eventually(&format!("the preview of {id} is {expected}"), SOON, async || {
        let document = user.show(id).await.document(200);
        (document.get("preview").unwrap_or(&Value::Null) == &expected).then_some(document)
    })
    .await
}

/// A file with a preview of one colour.
async fn with_preview(user: &User, name: &str, color: [u8; 3]) -> String {
    let id = user.upload(name, FILM).await;
    user.set_preview(&id, &one_color(600, 400, color)).await.tagged(202);
    preview(user, &id, json!(true)).await;
    id
}

fn has_color(answer: &Answer, color: [u8; 3]) -> bool {
    assert_eq!(answer.status, 200, "{answer}");
    let DecodedImage { width, height, pixels, .. } = decode_image(&answer.body);
    pixels.get_pixel(width / 2, height / 2).0.iter().zip(color).all(|(a, b)| a.abs_diff(b) < 12)
}

async fn smallest(reader: &Client, id: &str) -> Answer {
    reader.get(&format!("/files/{id}/data?size=100")).await
}

/// The number of rows with the bytes of previews of this document.
async fn rows_of_previews(stack: &Stack, id: &str) -> u64 {
    stack.count_rows(with(preview_of(id), ledger::not_deleted())).await
}

/// Waits until the jobs of all previews of this document have come to their ends.
async fn done(stack: &Stack, id: &str) {
    eventually("the jobs are done", SOON, async || (rows_of_previews(stack, id).await == 0).then_some(())).await;
}

/// Lets the sweeper remove all that is deleted, as if a minute had passed.
async fn swept(stack: &Stack, user: &User) {
    let deleted = with(all_of(user.object_id()), State::Tombstone.only());
    stack
        .sweep_until("what was deleted is gone", async || {
            stack.files.update_many(deleted.clone(), set(expired())).await.unwrap();
            (stack.count_rows(deleted.clone()).await == 0).then_some(())
        })
        .await;
}

/// The keys of the thumbnails that a document has.
async fn thumbnails_of(stack: &Stack, id: &str) -> Vec<String> {
    let of = stack.row(id).await.thumbnails_id().unwrap();
    stack.objects(&format!("thumbnails/{of}/")).await
}

#[tokio::test]
async fn f58_a_file_has_the_thumbnails_of_its_preview() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let tall = encode(&gradient(800, 1200), ImageFormat::Png);
    for (bytes, source, upright) in [
        (photograph(600, 400), 400, true),
        (tall, 800, true),
        (encode(&gradient(600, 400), ImageFormat::WebP), 600, false),
        (jpeg(1000, 500), 1000, false),
    ] {
        let id = bob.upload("film.mp4", FILM).await;
        smallest(&bob, &id).await.fails(404, "Not found");
        let accepted = bob.set_preview(&id, &bytes).await.tagged(202);
        assert_eq!((&accepted["revision"], accepted.get("preview")), (&json!(1), None));
        for width in [500, 250, 100] {
            let answer = thumbnail(&bob, &id, width).await;
            let seen = decode_image(&answer.body);
            assert_eq!((seen.width, seen.width < seen.height), (width.min(source), upright));
            assert_eq!(answer.header("content-type"), seen.content_type);
            assert_eq!(answer.header("cache-control"), "private, no-store");
            assert!(answer.body != bytes, "they are made anew");
            for secret in [OWNER.as_bytes(), b"Exif", b"GPS"] {
                assert!(!answer.body.windows(secret.len()).any(|window| window == secret));
            }
            let known = bob.request("GET", &format!("/files/{id}/data?size={width}"));
            assert_eq!(known.header("If-None-Match", answer.header("etag")).send().await.status, 304);
        }
        let document = preview(&bob, &id, json!(true)).await;
        assert_eq!((&document["type"], &document["revision"]), (&json!("file"), &json!(1)));
        assert!(document["thumbhash"].as_str().unwrap().len() <= 40);
        for key in ["width", "height", "takenAt", "thumbnails"] {
            assert_eq!(document.get(key), None, "{key} would be that of the content");
        }
        assert_eq!(bob.content(&id).await, FILM);
        bob.get(&format!("/files/{id}/data?size=50")).await.fails(404, "Not found");
        assert!(bob.get("/files").await.documents().contains(&document));
    }
}

#[tokio::test]
async fn f58_a_preview_follows_the_rights_of_its_file() {
    let stack = Stack::running().await;
    let (bob, eve) = (stack.user("bob").await, stack.user("eve").await);
    let id = with_preview(&bob, "film.mp4", RED).await;
    for stranger in [&*eve, &stack.anyone()] {
        smallest(stranger, &id).await.fails(404, "Not found");
    }
    bob.publish(&id).await;
    for stranger in [&*eve, &stack.anyone()] {
        let answer = smallest(stranger, &id).await;
        assert!(has_color(&answer, RED));
        assert_eq!(answer.header("cache-control"), "public, max-age=60");
    }
    let link = bob.post("/links", json!({ "fileId": id })).await.json();
    let (token, anyone) = (link["token"].as_str().unwrap(), stack.anyone());
    let shared = anyone.get(&format!("/shared/{token}/files/{id}/data?size=100")).await;
    assert!(has_color(&shared, RED));
    assert!(anyone.get(&format!("/s/{token}")).await.text().contains("?size=500"));
}

#[tokio::test]
async fn f58_what_is_no_picture_fails() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let whole = jpeg(800, 600);
    for (what, bytes) in [
        ("text", &b"no picture at all"[..]),
        ("a truncated JPEG", &whole[..whole.len() / 2]),
        ("a bomb", &bomb()),
        ("another format", &encode(&gradient(60, 40), ImageFormat::Gif)),
        ("the most bytes", &vec![0; 1 << 20]),
    ] {
        let id = bob.upload("film.mp4", FILM).await;
        bob.set_preview(&id, bytes).await.tagged(202);
        preview(&bob, &id, json!("failed")).await;
        smallest(&bob, &id).await.fails(404, "Not found");
        done(&stack, &id).await;
        // A later one is a new attempt, and one that fails leaves what was there.
        bob.set_preview(&id, &one_color(60, 40, RED)).await.tagged(202);
        preview(&bob, &id, json!(true)).await;
        bob.set_preview(&id, bytes).await.tagged(202);
        preview(&bob, &id, json!("failed")).await;
        assert!(has_color(&smallest(&bob, &id).await, RED), "{what}");
        let copy = bob.copy(&id, json!({})).await.tagged(201);
        assert_eq!(copy["preview"], true, "{what}");
    }
    swept(&stack, &bob).await;
    assert_eq!(bob.used_bytes().await, 10 * FILM.len() as u64);
}

#[tokio::test]
async fn f58_only_the_owner_of_a_file_gives_it_a_preview() {
    let stack = Stack::running().await;
    let (bob, eve) = (stack.user("bob").await, stack.user("eve").await);
    let (id, folder, gone) = (bob.upload("a", FILM).await, bob.folder("in").await, bob.upload("b", FILM).await);
    bob.publish(&id).await;
    bob.trash(&gone).await.tagged(200);
    let pending = id_of(&bob.create(json!({ "name": "c", "type": "file", "size": 9 })).await.tagged(201));
    let good = one_color(60, 40, RED);
    for id in [&id, &folder, &gone, &pending, &ObjectId::new().to_hex(), &"malformed".to_owned()] {
        eve.set_preview(id, &good).await.fails(404, "Not found");
    }
    for id in [&gone, &pending, &ObjectId::new().to_hex()] {
        bob.set_preview(id, &good).await.fails(404, "Not found");
    }
    bob.set_preview(&folder, &good).await.fails(400, "A folder has no preview");
    let path = format!("/files/{id}/preview");
    stack.anyone().request("PUT", &path).json(json!({ "data": "aGk=" })).send().await.fails(401, "Unauthorized");
    // The body comes before the id.
    for path in [&*path, "/files/malformed/preview"] {
        for body in [json!({}), json!({ "data": "" }), json!({ "data": 5 }), json!({ "data": null })] {
            bob.request("PUT", path).json(body).send().await.fails(400, "Missing data");
        }
        bob.request("PUT", path).json(json!({ "data": "!" })).send().await.fails(400, "Invalid data");
        bob.request("PUT", path).body("application/json", "{").send().await.fails(400, "Invalid JSON");
        let large = bob.request("PUT", path).json(json!({ "data": encoded(&vec![0; (1 << 20) + 1]) }));
        large.send().await.fails(413, "data is larger than 1 MiB (1048576 bytes), the limit of a preview");
    }
    let put = |tag: &str| bob.request("PUT", &path).header("If-Match", tag).json(json!({ "data": encoded(&good) }));
    put("\"1\"").send().await.fails(412, "The file was changed meanwhile");
    assert_eq!(rows_of_previews(&stack, &id).await, 0);
    assert_eq!(put("\"2\"").send().await.tagged(202)["revision"], 2, "publicity is a change, a preview is none");
    preview(&bob, &id, json!(true)).await;
    bob.discard(&pending).await;
}

#[tokio::test]
async fn f58_the_last_of_two_previews_wins() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let id = bob.upload("film.mp4", FILM).await;
    for colors in [[RED, BLUE], [BLUE, RED]] {
        for color in colors {
            bob.set_preview(&id, &one_color(600, 400, color)).await.tagged(202);
        }
        done(&stack, &id).await;
        assert!(has_color(&smallest(&bob, &id).await, colors[1]));
    }
    // A new one takes the place of one that is there, which is shown until then.
    bob.set_preview(&id, &one_color(600, 400, BLUE)).await.tagged(202);
    eventually("it has the new one", SOON, async || has_color(&smallest(&bob, &id).await, BLUE).then_some(())).await;
    done(&stack, &id).await;
    swept(&stack, &bob).await;
    assert!(has_color(&smallest(&bob, &id).await, BLUE));
    assert_eq!(thumbnails_of(&stack, &id).await.len(), 3);
    assert_eq!(stack.count_rows(all_of(bob.object_id())).await, 1);
}

#[tokio::test]
async fn f58_new_content_drops_the_preview_and_its_version_keeps_it() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let id = with_preview(&bob, "film.mp4", RED).await;
    let replace = json!({ "name": "film.mp4", "type": "file", "data": encoded(b"another"), "onConflict": "replace" });
    let replaced = bob.create(replace).await.tagged(201);
    assert_eq!((&replaced["id"], replaced.get("preview"), replaced.get("thumbhash")), (&json!(id), None, None));
    smallest(&bob, &id).await.fails(404, "Not found");
    let versions = bob.versions(&id).await;
    assert_eq!(versions.len(), 1, "a preview is no version");
    let version = format!("/files/{id}/versions/{}", versions[0]["id"].as_str().unwrap());
    assert!(has_color(&bob.get(&format!("{version}/data?size=100")).await, RED));
    swept(&stack, &bob).await;
    assert!(has_color(&bob.get(&format!("{version}/data?size=100")).await, RED));
    bob.set_preview(&id, &one_color(600, 400, BLUE)).await.tagged(202);
    preview(&bob, &id, json!(true)).await;
    let restored = bob.put(&format!("{version}/restore")).await.tagged(200);
    assert_eq!(restored["preview"], true);
    assert!(has_color(&smallest(&bob, &id).await, RED));
    swept(&stack, &bob).await;
    assert!(has_color(&smallest(&bob, &id).await, RED));
    let other = bob.versions(&id).await.remove(0);
    let other = format!("/files/{id}/versions/{}/data?size=100", other["id"].as_str().unwrap());
    assert!(has_color(&bob.get(&other).await, BLUE));
}

/// The preview is of the content that was there at the request.
#[tokio::test]
async fn f58_a_preview_that_comes_after_new_content_is_dropped() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let id = bob.upload("film.mp4", FILM).await;
    bob.set_preview(&id, &one_color(3000, 2000, RED)).await.tagged(202);
    let replace = json!({ "name": "film.mp4", "type": "file", "data": encoded(b"another"), "onConflict": "replace" });
    bob.create(replace).await.tagged(201);
    done(&stack, &id).await;
    assert_eq!(bob.show(&id).await.tagged(200).get("preview"), None);
    smallest(&bob, &id).await.fails(404, "Not found");
    bob.discard(&id).await;
    swept(&stack, &bob).await;
    assert_eq!(stack.count_rows(all_of(bob.object_id())).await, 0);
    assert_eq!(bob.used_bytes().await, 0);
}

#[tokio::test]
async fn f58_a_copy_has_the_preview_that_its_original_had() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let id = bob.upload("film.mp4", FILM).await;
    let early = id_of(&bob.copy(&id, json!({})).await.tagged(201));
    bob.set_preview(&id, &one_color(600, 400, RED)).await.tagged(202);
    preview(&bob, &id, json!(true)).await;
    let copy = bob.copy(&id, json!({})).await.tagged(201);
    assert_eq!(copy["preview"], true);
    let copy = id_of(&copy);
    smallest(&bob, &early).await.fails(404, "Not found");
    let prefix = format!("thumbnails/{}/", stack.row(&id).await.thumbnails_id().unwrap());
    assert_eq!(stack.objects(&prefix).await.len(), 3);

    bob.discard(&id).await;
    swept(&stack, &bob).await;
    assert!(has_color(&smallest(&bob, &copy).await, RED));
    bob.set_preview(&copy, &one_color(600, 400, BLUE)).await.tagged(202);
    eventually("it is blue", SOON, async || has_color(&smallest(&bob, &copy).await, BLUE).then_some(())).await;
    done(&stack, &copy).await;
    swept(&stack, &bob).await;
    assert_eq!(stack.objects(&prefix).await, Vec::<String>::new(), "nobody has them any more");
    let prefix = format!("thumbnails/{}/", stack.row(&copy).await.thumbnails_id().unwrap());
    // The earlier copy has the same content, and no preview.
    bob.discard(&copy).await;
    swept(&stack, &bob).await;
    assert_eq!(stack.objects(&prefix).await, Vec::<String>::new());
    assert_eq!(bob.content(&early).await, FILM);
    assert_eq!(bob.used_bytes().await, FILM.len() as u64);
}

#[tokio::test]
async fn f58_a_preview_goes_with_its_file() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let id = bob.upload("film.mp4", FILM).await;
    let picture = one_color(600, 400, RED);
    bob.set_preview(&id, &picture).await.tagged(202);
    preview(&bob, &id, json!(true)).await;
    done(&stack, &id).await;
    swept(&stack, &bob).await;
    assert_eq!(stack.count_rows(all_of(bob.object_id())).await, 1, "the picture is not kept");
    bob.get("/users/me/usage").await.is(200, json!({ "bytes": FILM.len(), "files": 1, "quotaBytes": null }));
    bob.get(&format!("/files/{id}/versions")).await.is(200, json!([]));
    let made = thumbnails_of(&stack, &id).await;
    assert_eq!(made.len(), 3);

    bob.trash(&id).await.tagged(200);
    smallest(&bob, &id).await.fails(404, "Not found");
    bob.restore(&id, json!({})).await.tagged(200);
    assert!(has_color(&smallest(&bob, &id).await, RED));
    bob.discard(&id).await;
    // The job of one that is on its way finds no document any more.
    let due = bob.upload("film.mp4", FILM).await;
    bob.set_preview(&due, &picture).await.tagged(202);
    bob.discard(&due).await;
    eventually("all is gone", SOON, async || {
        swept(&stack, &bob).await;
        (stack.count_rows(all_of(bob.object_id())).await == 0).then_some(())
    })
    .await;
    for key in made {
        assert_eq!(stack.objects(&key).await, Vec::<String>::new());
    }
    bob.get("/users/me/usage").await.is(200, json!({ "bytes": 0, "files": 0, "quotaBytes": null }));
}

#[tokio::test]
async fn f58_a_preview_counts_in_the_quota_until_it_is_made() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let (id, picture) = (bob.upload("film.mp4", FILM).await, one_color(600, 400, RED));
    let (film, picture_bytes) = (i64::try_from(FILM.len()).unwrap(), i64::try_from(picture.len()).unwrap());
    stack.set_quota(bob.object_id(), film + picture_bytes - 1).await;
    let error = format!("Over quota: {} bytes left", picture_bytes - 1);
    bob.set_preview(&id, &picture).await.fails(507, &error);
    stack.set_quota(bob.object_id(), film + picture_bytes).await;
    for _ in 0..2 {
        bob.set_preview(&id, &picture).await.tagged(202);
        preview(&bob, &id, json!(true)).await;
        done(&stack, &id).await;
        swept(&stack, &bob).await;
    }
    assert_eq!(bob.used_bytes().await, FILM.len() as u64);
}

#[tokio::test]
async fn f58_an_image_with_a_preview_keeps_its_facts() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let id = bob.upload_image("photo.jpg", &photograph(600, 400)).await;
    thumbnail(&bob, &id, 100).await;
    let before = bob.show(&id).await.tagged(200);
    let copy = id_of(&bob.copy(&id, json!({})).await.tagged(201));
    bob.set_preview(&id, &one_color(300, 300, BLUE)).await.tagged(202);
    let after = preview(&bob, &id, json!(true)).await;
    for key in ["width", "height", "takenAt", "thumbnails", "size", "revision"] {
        assert_eq!(after[key], before[key], "{key}");
    }
    assert_ne!(after["thumbhash"], before["thumbhash"]);
    let seen = smallest(&bob, &id).await;
    assert!(has_color(&seen, BLUE));
    assert!(!has_color(&smallest(&bob, &copy).await, BLUE));
    let own = format!("thumbnails/{id}/");
    done(&stack, &id).await;
    swept(&stack, &bob).await;
    assert_eq!(stack.objects(&own).await.len(), 3, "the copy has them");
    bob.discard(&copy).await;
    swept(&stack, &bob).await;
    assert_eq!(stack.objects(&own).await, Vec::<String>::new());
    assert_eq!(smallest(&bob, &id).await.body, seen.body);
}

#[tokio::test]
async fn f58_the_job_of_an_image_leaves_its_preview() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let id = image_without_a_job(&stack, bob.object_id(), photograph(600, 400), DateTime::MAX).await;
    bob.set_preview(&id, &one_color(300, 300, BLUE)).await.tagged(202);
    let shown = preview(&bob, &id, json!(true)).await;
    assert_eq!((&shown["thumbnails"], shown.get("width")), (&json!("due"), None));
    assert_eq!(run_worker(&stack, &[job(&bob.id, &id)]).await.0, json!([]));
    let shown = bob.show(&id).await.tagged(200);
    assert_eq!(
        (&shown["thumbnails"], &shown["width"], &shown["preview"]),
        (&json!("ready"), &json!(400), &json!(true))
    );
    assert!(has_color(&smallest(&bob, &id).await, BLUE));
    assert_eq!(stack.objects(&format!("thumbnails/{id}/")).await, Vec::<String>::new());
    // An image of which no thumbnails can be made may have a preview.
    let id = bob.upload_image("drawing.svg", b"<svg/>").await;
    bob.set_preview(&id, &one_color(300, 300, RED)).await.tagged(202);
    preview(&bob, &id, json!(true)).await;
    eventually("its own job has failed", SOON, async || {
        (bob.show(&id).await.tagged(200)["thumbnails"] == "failed").then_some(())
    })
    .await;
    assert!(has_color(&smallest(&bob, &id).await, RED));
}

/// Plants what a function leaves that dies before the document waits for its preview, or whose job is lost.
async fn planted(stack: &Stack, bob: &User, document: &str, due_at: DateTime) -> String {
    let (id, bytes, key) = (ObjectId::new(), one_color(600, 400, RED), format!("files/{}", unique("planted")));
    let size = i64::try_from(bytes.len()).unwrap();
    stack.put_object(&key, bytes).await;
    let row = doc! { "_id": id, "userId": bob.object_id(), "name": "a", "type": "image", "isPublic": false };
    let row = with(with(row, object(&key, size)), thumbnails_due(due_at));
    stack.plant(bob.object_id(), [with(with(row, version_of(document, DateTime::MAX)), preview_of(document))]).await;
    id.to_hex()
}

#[tokio::test]
async fn f58_a_function_that_dies_leaves_nothing_for_ever() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let id = bob.upload("film.mp4", FILM).await;
    // It died before the document noted the preview, so the job finds that nobody waits.
    let lost = planted(&stack, &bob, &id, DateTime::MAX).await;
    assert_eq!(run_worker(&stack, &[job(&bob.id, &lost)]).await.0, json!([]));
    assert!(stack.row(&lost).await.is_tombstone());
    assert_eq!(stack.objects(&format!("thumbnails/{lost}/")).await, Vec::<String>::new());
    assert_eq!(bob.show(&id).await.tagged(200).get("preview"), None);

    // The job was lost, so the sweeper sends it again.
    let due = planted(&stack, &bob, &id, DateTime::now()).await;
    stack.set_row(&id, ledger::awaiting_preview(&due)).await;
    stack.sweep_until("it is sent again", async || stack.row(&due).await.is_tombstone().then_some(())).await;
    assert_eq!(bob.show(&id).await.tagged(200)["preview"], true);

    // The worker died before it deleted the row of the preview that the document has.
    let until = State::Version.until(DateTime::MAX);
    stack.set_row(&due, until).await;
    assert_eq!(run_worker(&stack, &[job(&bob.id, &due)]).await.0, json!([]));
    assert!(stack.row(&due).await.is_tombstone());
    swept(&stack, &bob).await;
    assert!(has_color(&smallest(&bob, &id).await, RED));

    // Nothing became of the preview, and its time is over.
    let late = planted(&stack, &bob, &id, DateTime::MAX).await;
    stack.set_row(&id, ledger::awaiting_preview(&late)).await;
    stack.set_row(&late, expired()).await;
    stack.sweep_until("it is gone", async || stack.find_row(&late).await.is_none().then_some(())).await;
    assert_eq!(bob.show(&id).await.tagged(200)["preview"], "failed");
    assert!(has_color(&smallest(&bob, &id).await, RED));
    assert_eq!(bob.used_bytes().await, FILM.len() as u64);
    // The sweeper gives up after many attempts.
    let resent = planted(&stack, &bob, &id, DateTime::MAX).await;
    stack.set_row(&id, ledger::awaiting_preview(&resent)).await;
    stack.set_row(&resent, ledger::thumbnails_resent(8, DateTime::from_millis(0))).await;
    stack.sweep_until("it is gone", async || stack.find_row(&resent).await.is_none().then_some(())).await;
    assert_eq!(bob.show(&id).await.tagged(200)["preview"], "failed");
}
