//! Rows as the release a1049ed wrote them, and as the original did: they lack all fields that came later, and are
//! served, changed and counted like any others, without any step by hand.

use e2e::{
    Stack, User, document, encoded,
    fixtures::{decode_image, jpeg},
    id_of,
    ledger::{
        EARLIER_INDEX, all_of, due_tombstone, earlier_file, earlier_folder, earlier_image, earlier_index,
        earlier_upload, expired, with,
    },
    unique,
};
use mongodb::bson::{Bson, DateTime, doc, oid::ObjectId};
use serde_json::{Value, json};

use crate::files::original;

/// What a user of the earlier release has: `old/nested/notes.txt`, `old/photo.jpg` with thumbnails, and `top.txt`.
struct Earlier {
    old: String,
    nested: String,
    notes: String,
    photo: String,
    top: String,
    /// The keys of all objects.
    keys: Vec<String>,
    bytes: u64,
}

const NOTES: &[u8] = b"notes of last year";

async fn earlier(stack: &Stack, user: &User) -> Earlier {
    let owner = user.object_id();
    let [old, nested, notes, photo, top] = [(); 5].map(|()| ObjectId::new());
    let image = jpeg(600, 400);
    let small = jpeg(100, 67);
    let object = || format!("files/{}", unique("earlier"));
    let (of_notes, of_photo, of_top) = (object(), object(), object());
    let mut keys = vec![of_notes.clone(), of_photo.clone(), of_top.clone()];
    stack.put_object(&of_notes, NOTES.to_vec()).await;
    stack.put_object(&of_photo, image.clone()).await;
    stack.put_object(&of_top, b"top".to_vec()).await;
    for width in [500, 250, 100] {
        keys.push(format!("thumbnails/{photo}/{width}"));
        stack.put_object(keys.last().unwrap(), small.clone()).await;
    }
    let size = |bytes: &[u8]| i64::try_from(bytes.len()).unwrap();
    let thumbnails = [500, 250, 100].map(|width| (width, size(&small)));
    let rows = [
        earlier_folder(old, owner, "old", 0),
        earlier_folder(nested, owner, "nested", old),
        earlier_file(notes, owner, "notes.txt", nested, &of_notes, size(NOTES)),
        earlier_image(earlier_file(photo, owner, "photo.jpg", old, &of_photo, size(&image)), &thumbnails),
        earlier_file(top, owner, "top.txt", 0, &of_top, 3),
    ];
    stack.plant(owner, rows).await;
    let [old, nested, notes, photo, top] = [old, nested, notes, photo, top].map(ObjectId::to_hex);
    let bytes = (NOTES.len() + image.len() + 3) as u64;
    Earlier { old, nested, notes, photo, top, keys, bytes }
}

/// Documents of the original: a folder, a file and an image in it, and two whose fields have other types or are missing.
async fn of_the_original(stack: &Stack, user: &User) -> [String; 5] {
    let ids = [(); 5].map(|()| ObjectId::new());
    let [folder, file, image, odd, bare] = ids;
    let owner = user.object_id();
    let rows = [
        doc! { "_id": folder, "userId": owner, "name": "legacy", "type": "folder", "parentId": "0", "isPublic": false },
        doc! {
            "_id": file, "userId": owner, "name": "legacy.txt", "type": "file", "parentId": folder, "isPublic": false,
            "localPath": "/tmp/files_manager/x",
        },
        doc! {
            "_id": image, "userId": owner, "name": "legacy.png", "type": "image", "parentId": "0", "isPublic": true,
            "localPath": "/tmp/files_manager/y", "__v": 0,
        },
        doc! { "_id": odd, "userId": owner, "name": 5, "type": "file", "parentId": "0", "isPublic": "yes" },
        doc! { "_id": bare, "userId": owner, "type": "folder" },
    ];
    stack.plant(owner, rows).await;
    ids.map(ObjectId::to_hex)
}

#[tokio::test]
async fn earlier_rows_are_shown_and_listed_as_they_were() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let had = earlier(&stack, &bob).await;
    let before = stack.row(&had.notes).await;
    let shown = bob.show(&had.notes).await.tagged(200);
    assert_eq!(original(&shown), document(&had.notes, &bob.id, "notes.txt", "file", false, had.nested.as_str()));
    assert_eq!((&shown["size"], &shown["revision"]), (&json!(NOTES.len()), &json!(1)));
    bob.get(&format!("/files/{}/data", had.notes)).await.is_content("text/plain; charset=utf-8", NOTES);
    assert_eq!(bob.get(&format!("/files?parentId={}", had.nested)).await.documents(), [shown]);
    assert_eq!(bob.get(&format!("/files?parentId={}&limit=10", had.old)).await.documents().len(), 2);
    for width in [500, 250, 100] {
        assert_eq!(bob.get(&format!("/files/{}/data?size={width}", had.photo)).await.body, jpeg(100, 67));
    }
    let path: Vec<Value> = serde_json::from_value(bob.get(&format!("/files/{}/path", had.notes)).await.json()).unwrap();
    assert_eq!(path.iter().map(|step| &step["name"]).collect::<Vec<_>>(), ["old", "nested", "notes.txt"]);
    assert_eq!(stack.row(&had.notes).await, before, "a read writes nothing");
    // Rows without words are found before the sweeper has indexed them, and after.
    for _ in 0..2 {
        let found = bob.get("/search?q=notes").await.documents();
        assert_eq!(found.iter().map(id_of).collect::<Vec<_>>(), [&*had.notes]);
        stack.invoke("sweeper", &json!({})).await;
    }
}

#[tokio::test]
async fn earlier_rows_are_renamed_moved_and_published() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let had = earlier(&stack, &bob).await;
    let change = json!({ "name": "renamed.html", "parentId": had.old });
    let moved = bob.change(&had.notes, change).await.tagged(200);
    assert_eq!(original(&moved), document(&had.notes, &bob.id, "renamed.html", "file", false, had.old.as_str()));
    assert_eq!(moved["revision"], 2);
    bob.change(&had.old, json!({ "parentId": had.nested })).await.fails(409, "A folder cannot be moved into itself");
    bob.change(&had.nested, json!({ "parentId": 0 })).await.tagged(200);
    bob.change(&had.old, json!({ "parentId": had.nested, "name": "new" })).await.tagged(200);
    assert_eq!(bob.put(&format!("/files/{}/publish", had.photo)).await.tagged(200)["revision"], 2);
    assert_eq!(stack.anyone().get(&format!("/files/{}/data", had.photo)).await.body, jpeg(600, 400));
    assert_eq!(bob.content(&had.notes).await, NOTES);
}

#[tokio::test]
async fn earlier_rows_are_copied_and_share_their_objects() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let had = earlier(&stack, &bob).await;
    let copy = id_of(&bob.copy(&had.old, json!({})).await.tagged(201));
    let inside = bob.get(&format!("/files?parentId={copy}")).await.documents();
    let photo = id_of(inside.iter().find(|document| document["name"] == "photo.jpg").unwrap());
    assert_eq!(stack.row(&photo).await.key(), stack.row(&had.photo).await.key());
    assert_eq!(bob.used_bytes().await, 2 * had.bytes - 3);
    // The copy outlives the original, and takes the objects along.
    bob.discard(&had.old).await;
    stack.sweep_until("the original is swept", async || stack.find_row(&had.photo).await.is_none().then_some(())).await;
    assert_eq!(bob.content(&photo).await, jpeg(600, 400));
    for width in [500, 250, 100] {
        assert_eq!(bob.get(&format!("/files/{photo}/data?size={width}")).await.body, jpeg(100, 67));
    }
    for id in [&copy, &had.top] {
        bob.discard(id).await;
    }
    nothing_is_left(&stack, &bob, &had).await;
}

async fn nothing_is_left(stack: &Stack, user: &User, had: &Earlier) {
    stack
        .sweep_until("nothing is left", async || {
            let mut objects = 0;
            for key in &had.keys {
                objects += stack.objects(key).await.len();
            }
            (stack.count_rows(all_of(user.object_id())).await == 0 && objects == 0).then_some(())
        })
        .await;
    assert_eq!(user.used_bytes().await, 0);
}

/// The unique index on the keys would refuse the second row with an object.
#[tokio::test]
async fn the_first_copy_in_an_earlier_database_drops_its_unique_index() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let had = earlier(&stack, &bob).await;
    let by_copy = async |ids: &[&str]| {
        for id in ids {
            let copy = id_of(&bob.copy(id, json!({})).await.tagged(201));
            assert_eq!(stack.row(&copy).await.any_key(), stack.row(*id).await.any_key());
            bob.discard(&copy).await;
        }
    };
    for round in 0..4 {
        let file = bob.upload("new.txt", b"hi").await;
        // An instance that has dropped the index before finds it again: a function of the earlier release has made it.
        stack.files.create_index(earlier_index(bob.object_id())).await.unwrap();
        match round {
            0 | 1 => by_copy(&[&had.notes, &had.photo, &file]).await,
            2 => by_copy(&[&had.old]).await,
            _ => {
                let new = json!({ "name": "new.txt", "type": "file", "data": encoded(b"ho"), "onConflict": "replace" });
                assert_eq!(id_of(&bob.create(new).await.tagged(201)), file);
                assert_eq!(bob.versions(&file).await.len(), 1);
            }
        }
        let indexes = stack.files.list_index_names().await.unwrap();
        assert!(!indexes.contains(&EARLIER_INDEX.to_owned()), "round {round}: {indexes:?}");
        bob.discard(&file).await;
        stack
            .sweep_until("the copies are swept", async || {
                (stack.count_rows(all_of(bob.object_id())).await == 5).then_some(())
            })
            .await;
    }
}

#[tokio::test]
async fn earlier_rows_go_into_the_trash_and_out_of_it() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let had = earlier(&stack, &bob).await;
    let trashed = bob.trash(&had.old).await.tagged(200);
    assert_eq!(trashed["revision"], 2);
    assert_eq!(bob.get("/trash").await.documents(), [trashed]);
    bob.get(&format!("/files/{}/data", had.notes)).await.fails(404, "Not found");
    assert_eq!(bob.used_bytes().await, had.bytes);
    stack.invoke("sweeper", &json!({})).await;
    bob.restore(&had.old, json!({})).await.tagged(200);
    assert_eq!(bob.content(&had.notes).await, NOTES);
    for id in [&had.old, &had.top] {
        bob.trash(id).await.tagged(200);
        stack.set_row(id, expired()).await;
    }
    nothing_is_left(&stack, &bob, &had).await;
}

#[tokio::test]
async fn earlier_rows_are_replaced_and_keep_their_old_content_as_a_version() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let had = earlier(&stack, &bob).await;
    let new = json!({
        "name": "Photo.JPG", "type": "image", "parentId": had.old, "data": encoded(&jpeg(400, 600)),
        "onConflict": "replace",
    });
    assert_eq!(id_of(&bob.create(new).await.tagged(201)), had.photo);
    let made = e2e::eventually("new thumbnails", e2e::thumbnails::SOON, async || {
        let answer = bob.get(&format!("/files/{}/data?size=100", had.photo)).await;
        (answer.status == 200).then_some(answer.body)
    })
    .await;
    assert_eq!(decode_image(&made).height, 150);
    let version = bob.versions(&had.photo).await[0]["id"].as_str().unwrap().to_owned();
    let path = format!("/files/{}/versions/{version}", had.photo);
    assert_eq!(bob.get(&format!("{path}/data")).await.body, jpeg(600, 400));
    assert_eq!(bob.used_bytes().await, had.bytes + jpeg(400, 600).len() as u64);
    bob.put(&format!("{path}/restore")).await.tagged(200);
    assert_eq!(bob.content(&had.photo).await, jpeg(600, 400));
    for (on_conflict, status) in [("fail", 409), ("rename", 201)] {
        let taken = json!({ "name": "TOP.txt", "type": "file", "data": "aGk=", "onConflict": on_conflict });
        assert_eq!(bob.create(taken).await.status, status, "{on_conflict}");
    }
}

#[tokio::test]
async fn earlier_rows_count_in_the_quota() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let had = earlier(&stack, &bob).await;
    of_the_original(&stack, &bob).await;
    stack.set_quota(bob.object_id(), i64::try_from(had.bytes).unwrap() + 5).await;
    let over = json!({ "name": "a", "type": "file", "data": encoded(b"123456") });
    bob.create(over).await.fails(507, "Over quota: 5 bytes left");
    let usage = bob.get("/users/me/usage").await.json();
    assert_eq!(usage["bytes"], json!(had.bytes), "what is on the original's disk has no bytes here: {usage}");
    bob.discard(&had.top).await;
    stack.sweep_until("it is swept", async || stack.find_row(&had.top).await.is_none().then_some(())).await;
    assert_eq!(bob.used_bytes().await, had.bytes - 3, "a row without a charge is refunded by its size");
    bob.upload("b.txt", b"12345678").await;
}

#[tokio::test]
async fn what_the_earlier_release_left_unfinished_is_finished_or_swept() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let owner = bob.object_id();
    let [direct, abandoned, deleted] = [(); 3].map(|()| ObjectId::new());
    let of_direct = format!("uploads/{direct}/{}", "a".repeat(32));
    let object = || format!("files/{}", unique("earlier"));
    let (of_abandoned, of_deleted) = (object(), object());
    let day = DateTime::from_millis(DateTime::now().timestamp_millis() + 86_400_000);
    let rows = [
        earlier_upload(earlier_file(direct, owner, "d.txt", 0, &of_direct, 5), day),
        earlier_upload(earlier_file(abandoned, owner, "a.txt", 0, &of_abandoned, 2), DateTime::from_millis(0)),
        with(earlier_file(deleted, owner, "b.txt", 0, &of_deleted, 2), due_tombstone()),
    ];
    for key in [&of_abandoned, &of_deleted] {
        stack.put_object(key, b"hi".to_vec()).await;
    }
    stack.plant(owner, rows).await;
    bob.change(&direct.to_hex(), json!({ "name": "renamed.txt" })).await.tagged(200);
    stack.put_object(&of_direct, b"hello".to_vec()).await;
    let complete = format!("/files/{direct}/complete");
    let done = bob.request("POST", &complete).send().await.tagged(200);
    assert_eq!((&done["name"], &done["size"]), (&json!("renamed.txt"), &json!(5)));
    stack
        .sweep_until("the rest is swept", async || {
            let objects = [stack.objects(&of_abandoned).await, stack.objects(&of_deleted).await].concat();
            (stack.count_rows(all_of(owner)).await == 1 && objects.is_empty()).then_some(())
        })
        .await;
    assert_eq!(bob.content(&direct.to_hex()).await, b"hello");
    assert_eq!(bob.used_bytes().await, 5);
}

#[tokio::test]
async fn documents_of_the_original_are_moved_and_renamed() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let [folder, file, image, odd, bare] = of_the_original(&stack, &bob).await;
    let to = bob.folder("to").await;
    for (id, name, r#type, is_public) in [
        (&file, "legacy.txt", "file", false),
        (&image, "legacy.png", "image", true),
        (&odd, "5", "file", false),
        (&bare, "", "folder", false),
        (&folder, "legacy", "folder", false),
    ] {
        let moved = bob.change(id, json!({ "parentId": to })).await.tagged(200);
        assert_eq!(original(&moved), document(id, &bob.id, name, r#type, is_public, to.as_str()));
        let renamed = bob.change(id, json!({ "name": format!("{name}-new"), "parentId": "0" })).await.tagged(200);
        assert_eq!(original(&renamed), document(id, &bob.id, &format!("{name}-new"), r#type, is_public, 0));
        assert_eq!(renamed["revision"], 3);
    }
    let row = stack.row(&image).await;
    assert_eq!((row.get_str("localPath").unwrap(), row.get_i32("__v").unwrap()), ("/tmp/files_manager/y", 0));
    assert!(bob.get(&format!("/files?parentId={to}")).await.documents().is_empty());
    assert_eq!(bob.get("/files").await.documents().len(), 6);
    bob.change(&to, json!({ "parentId": folder })).await.tagged(200);
    bob.change(&folder, json!({ "parentId": to })).await.fails(409, "A folder cannot be moved into itself");
}

#[tokio::test]
async fn documents_of_the_original_are_copied_trashed_and_restored() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let [folder, file, image, odd, bare] = of_the_original(&stack, &bob).await;
    let copy = bob.copy(&folder, json!({})).await.tagged(201);
    assert_eq!((&copy["name"], &copy["parentId"]), (&json!("legacy (2)"), &json!(0)));
    let inside = bob.get(&format!("/files?parentId={}", id_of(&copy))).await.documents();
    assert_eq!((inside.len(), &inside[0]["name"]), (1, &json!("legacy.txt")));
    // The bytes are still on the original's disk, for either.
    let copied = stack.row(id_of(&inside[0])).await;
    assert_eq!((copied.get_str("localPath").unwrap(), copied.any_key()), ("/tmp/files_manager/x", None));
    bob.get(&format!("/files/{}/data", id_of(&inside[0]))).await.fails(404, "Not found");
    for id in [&image, &odd, &bare] {
        bob.copy(id, json!({ "parentId": folder })).await.tagged(201);
    }
    assert_eq!(bob.get(&format!("/files?parentId={folder}")).await.documents().len(), 4);

    for id in [&folder, &image, &odd, &bare] {
        let before = bob.show(id).await.tagged(200);
        bob.trash(id).await.tagged(200);
        bob.show(id).await.fails(404, "Not found");
        let restored = bob.restore(id, json!({})).await.tagged(200);
        assert_eq!(original(&restored), original(&before));
    }
    bob.show(&file).await.tagged(200);
    // The place keeps its form, unless it changes.
    assert_eq!(stack.row(&image).await.get("parentId"), Some(&Bson::from("0")));
    assert_eq!(bob.used_bytes().await, 0);
    for id in [&folder, &image, &odd, &bare, &id_of(&copy)] {
        bob.discard(id).await;
    }
    stack
        .sweep_until("nothing is left", async || (stack.count_rows(all_of(bob.object_id())).await == 0).then_some(()))
        .await;
}

#[tokio::test]
async fn documents_of_the_original_are_replaced() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let [_, file, image, ..] = of_the_original(&stack, &bob).await;
    let new = json!({ "name": "legacy.png", "type": "image", "data": encoded(&jpeg(60, 40)), "onConflict": "replace" });
    assert_eq!(id_of(&bob.create(new).await.tagged(201)), image);
    assert_eq!(stack.anyone().get(&format!("/files/{image}/data")).await.body, jpeg(60, 40));
    assert_eq!(bob.used_bytes().await, jpeg(60, 40).len() as u64);
    let taken = json!({ "name": "LEGACY.png", "type": "folder", "onConflict": "fail" });
    bob.create(taken).await.fails(409, "The name is taken");
    bob.show(&file).await.tagged(200);
}
