//! `onConflict`: what happens to a new name that another document in the folder has.

use std::{collections::BTreeSet, time::Duration};

use e2e::{
    Answer, Stack, User, encoded, eventually,
    fixtures::jpeg,
    id_of,
    ledger::{all_of, expired, invisible, set, with},
    thumbnails::thumbnail,
};
use futures_util::future::join_all;
use serde_json::{Value, json};

const TAKEN: &str = "The name is taken";
const NO_FOLDER: &str = "A folder is not replaced";

async fn create(user: &User, name: &str, folder: &str, on_conflict: &str, bytes: &[u8]) -> Answer {
    let data = encoded(bytes);
    let file = json!({ "name": name, "type": "file", "parentId": folder, "data": data, "onConflict": on_conflict });
    user.create(file).await
}

async fn folder(user: &User, name: &str, parent: &str, on_conflict: &str) -> Answer {
    user.create(json!({ "name": name, "type": "folder", "parentId": parent, "onConflict": on_conflict })).await
}

/// The path of the companion routes of a new ticket.
async fn companion(user: &User, scope: Value) -> String {
    let issued = user.post("/uploads/tickets", scope).await;
    assert_eq!(issued.status, 201, "{issued}");
    format!("/uploads/{}/s3", issued.json()["ticket"].as_str().unwrap())
}

/// Sends the bytes of a small upload to S3.
async fn put(stack: &Stack, begun: &Value, bytes: &[u8]) {
    let mut request = stack.http.put(begun["upload"]["url"].as_str().unwrap());
    for (name, value) in begun["upload"]["headers"].as_object().unwrap() {
        request = request.header(name, value.as_str().unwrap());
    }
    assert_eq!(request.body(bytes.to_vec()).send().await.unwrap().status(), 200);
}

async fn names_in(user: &User, folder: &str) -> Vec<String> {
    let mut names = Vec::new();
    for page in 0.. {
        let some = user.get(&format!("/files?parentId={folder}&page={page}")).await.documents();
        if some.is_empty() {
            break;
        }
        names.extend(some.iter().map(|document| document["name"].as_str().unwrap().to_owned()));
    }
    names.sort();
    names
}

#[tokio::test]
async fn f16_every_request_that_names_something_takes_on_conflict() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let (file, trashed) = (bob.upload("a.txt", b"hi").await, bob.upload("t.txt", b"hi").await);
    bob.trash(&trashed).await.tagged(200);
    let rows = stack.count_rows(all_of(bob.object_id())).await;
    let invalid = "Invalid onConflict";
    for on_conflict in [json!("Keep"), json!("overwrite"), json!("keep "), json!("fail,rename"), json!(7), json!({})] {
        for new in [
            json!({ "name": "n", "type": "folder", "onConflict": on_conflict }),
            json!({ "name": "n", "type": "file", "data": "aGk=", "onConflict": on_conflict }),
            json!({ "name": "n", "type": "file", "size": 5, "onConflict": on_conflict }),
        ] {
            bob.create(new).await.fails(400, invalid);
        }
        bob.change(&file, json!({ "name": "n", "onConflict": on_conflict })).await.fails(400, invalid);
        bob.copy(&file, json!({ "onConflict": on_conflict })).await.fails(400, invalid);
        bob.restore(&trashed, json!({ "onConflict": on_conflict })).await.fails(400, invalid);
        bob.post("/uploads/tickets", json!({ "onConflict": on_conflict })).await.fails(400, invalid);
    }
    assert_eq!(stack.count_rows(all_of(bob.object_id())).await, rows);
    assert!(bob.get("/uploads/tickets").await.json().as_array().unwrap().is_empty());
}

#[tokio::test]
async fn f16_by_default_a_name_may_be_there_twice_as_ever() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let to = bob.folder("to").await;
    for on_conflict in [Value::Null, json!("keep")] {
        let new = json!({ "name": "a.txt", "type": "file", "parentId": to, "data": "aGk=", "onConflict": on_conflict });
        let id = id_of(&bob.create(new).await.tagged(201));
        assert_eq!(stack.row(&id).await.name_key(), None, "an old client pays nothing");
        let moved = bob.upload("a.txt", b"hi").await;
        let change = json!({ "parentId": to, "onConflict": on_conflict });
        assert_eq!(bob.change(&moved, change).await.tagged(200)["name"], "a.txt");
        let trashed = bob.upload_into(&to, "a.txt", b"hi").await;
        bob.trash(&trashed).await.tagged(200);
        let restored = bob.restore(&trashed, json!({ "onConflict": on_conflict })).await;
        assert_eq!(restored.tagged(200)["name"], "a.txt");
        let companion = companion(&bob, json!({ "parentId": to, "onConflict": on_conflict })).await;
        let form = stack.anyone().get(&format!("{companion}/params?filename=a.txt")).await;
        assert_eq!(form.status, 200, "{form}");
        assert_eq!(stack.post_form(&form.json(), b"hi".to_vec()).await.status(), 201);
    }
    eventually("all of them", Duration::from_secs(20), async || {
        let names = names_in(&bob, &to).await;
        assert!(names.iter().all(|name| name == "a.txt"), "{names:?}");
        (names.len() == 8).then_some(())
    })
    .await;
}

#[tokio::test]
async fn f17_a_name_that_is_taken_is_refused_whatever_has_it() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let to = bob.folder("to").await;
    bob.upload_into(&to, "kept.txt", b"hi").await;
    create(&bob, "unique.txt", &to, "fail", b"hi").await.tagged(201);
    folder(&bob, "folder", &to, "fail").await.tagged(201);
    bob.folder_in(&to, "kept folder").await;
    let (other, trashed) = (bob.upload("b.txt", b"hi").await, bob.upload_into(&to, "kept.txt", b"hi").await);
    bob.trash(&trashed).await.tagged(200);
    let rows = stack.count_rows(all_of(bob.object_id())).await;
    for name in ["kept.txt", "unique.txt", "folder", "kept folder", "KEPT.txt", "Unique.TXT"] {
        create(&bob, name, &to, "fail", b"new").await.fails(409, TAKEN);
        folder(&bob, name, &to, "fail").await.fails(409, TAKEN);
        let asked = json!({ "name": name, "type": "file", "size": 5, "parentId": to, "onConflict": "fail" });
        bob.create(asked).await.fails(409, TAKEN);
        let to_it = json!({ "name": name, "parentId": to, "onConflict": "fail" });
        bob.change(&other, to_it.clone()).await.fails(409, TAKEN);
        bob.copy(&other, to_it).await.fails(409, TAKEN);
        let companion = companion(&bob, json!({ "parentId": to, "onConflict": "fail" })).await;
        let name = name.replace(' ', "%20");
        let form = stack.anyone().get(&format!("{companion}/params?filename={name}")).await;
        form.fails_with_message(409, TAKEN);
    }
    bob.restore(&trashed, json!({ "onConflict": "fail" })).await.fails(409, TAKEN);
    assert_eq!(stack.count_rows(all_of(bob.object_id())).await, rows);
    assert!(stack.row(&trashed).await.is_trashed());
    // The same name in another folder is another name, and a document does not conflict with itself.
    create(&bob, "kept.txt", "0", "fail", b"hi").await.tagged(201);
    bob.change(&other, json!({ "name": "B.TXT", "onConflict": "fail" })).await.tagged(200);
    bob.change(&other, json!({ "parentId": to, "onConflict": "fail" })).await.tagged(200);
}

#[tokio::test]
async fn f17_names_are_equal_after_nfc_and_case_folding() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    for (n, (one, other, are_equal)) in [
        ("caf\u{e9}.txt", "cafe\u{301}.txt", true),
        ("CAF\u{c9}.txt", "cafe\u{301}.TXT", true),
        ("stra\u{df}e", "STRASSE", true),
        (
            "\u{3a3}\u{3af}\u{3c3}\u{3c5}\u{3c6}\u{3bf}\u{3c2}",
            "\u{3c3}\u{3af}\u{3c3}\u{3c5}\u{3c6}\u{3bf}\u{3c3}",
            true,
        ),
        ("\u{1e9e}", "ss", true),
        ("\u{fb01}le", "FILE", true),
        // Names that a collation takes for the same, and a person does not.
        ("caf\u{e9}.txt", "cafe.txt", false),
        ("a1.txt", "a01.txt", false),
        ("a b", "ab", false),
        ("a", "a ", false),
        ("a.txt", "a\u{200b}.txt", false),
    ]
    .into_iter()
    .enumerate()
    {
        // The first name has been made unique, or has not.
        for first in ["fail", "keep"] {
            for (one, other) in [(one, other), (other, one)] {
                let to = bob.folder(&format!("{n}")).await;
                create(&bob, one, &to, first, b"hi").await.tagged(201);
                let answer = create(&bob, other, &to, "fail", b"hi").await;
                if are_equal {
                    answer.fails(409, TAKEN);
                } else {
                    assert_eq!(answer.tagged(201)["name"], other, "{one:?} and {other:?}, made by {first}");
                }
            }
        }
    }
}

#[tokio::test]
async fn f17_of_fifty_clients_at_once_one_gets_the_name() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    for round in 0..2 {
        let to = bob.folder("to").await;
        let answers = join_all((0..50).map(async |n| {
            let name = if n % 2 == 0 { "Taken.txt" } else { "taken.TXT" };
            if round == 0 {
                create(&bob, name, &to, "fail", b"hi").await
            } else {
                folder(&bob, name, &to, "fail").await
            }
        }))
        .await;
        let (made, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 201);
        for answer in &refused {
            answer.fails(409, TAKEN);
        }
        assert_eq!((made.len(), refused.len()), (1, 49));
        assert_eq!(names_in(&bob, &to).await.len(), 1);
    }
}

/// A client that knows `onConflict` and one that does not.
#[tokio::test]
async fn f17_a_name_is_free_again_once_its_document_left() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let (to, other) = (bob.folder("to").await, bob.folder("other").await);
    let take = async || id_of(&create(&bob, "a.txt", &to, "fail", b"hi").await.tagged(201));
    let id = take().await;
    bob.change(&id, json!({ "name": "b.txt" })).await.tagged(200);
    let id = take().await;
    bob.change(&id, json!({ "parentId": other, "onConflict": "fail" })).await.tagged(200);
    let id = take().await;
    bob.trash(&id).await.tagged(200);
    let id = take().await;
    bob.discard(&id).await;
    let asked = json!({ "name": "a.txt", "type": "file", "size": 5, "parentId": to, "onConflict": "fail" });
    let begun = bob.create(asked.clone()).await.document(201);
    create(&bob, "a.txt", &to, "fail", b"hi").await.fails(409, TAKEN);
    bob.discard(&id_of(&begun)).await;
    let id = take().await;
    bob.create(asked).await.fails(409, TAKEN);
    bob.change(&id, json!({ "parentId": 0, "name": "c.txt" })).await.tagged(200);
    take().await;
}

#[tokio::test]
async fn f18_a_name_that_is_taken_gets_the_lowest_free_number() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    for (name, second, third) in [
        ("a.txt", "a (2).txt", "a (3).txt"),
        ("archive.tar.gz", "archive.tar (2).gz", "archive.tar (3).gz"),
        ("README", "README (2)", "README (3)"),
        (".hidden", ".hidden (2)", ".hidden (3)"),
        ("a (2).txt", "a (2) (2).txt", "a (2) (3).txt"),
    ] {
        let to = bob.folder("to").await;
        create(&bob, name, &to, "keep", b"hi").await.tagged(201);
        let made = create(&bob, name, &to, "rename", b"hi").await.tagged(201);
        assert_eq!(made["name"], second);
        assert_eq!(create(&bob, name, &to, "rename", b"hi").await.tagged(201)["name"], third);
        bob.change(&id_of(&made), json!({ "name": "gone" })).await.tagged(200);
        assert_eq!(
            create(&bob, &name.to_uppercase(), &to, "rename", b"hi").await.tagged(201)["name"]
                .as_str()
                .unwrap()
                .to_lowercase(),
            second.to_lowercase()
        );
    }
    let to = bob.folder("to").await;
    assert_eq!(create(&bob, "free.txt", &to, "rename", b"hi").await.tagged(201)["name"], "free.txt");
}

#[tokio::test]
async fn f18_every_request_that_names_something_can_rename() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let to = bob.folder("to").await;
    let first = bob.upload_into(&to, "a.txt", b"hi").await;
    let asked = json!({ "name": "a.txt", "type": "file", "size": 5, "parentId": to, "onConflict": "rename" });
    let begun = bob.create(asked).await;
    assert_eq!(begun.document(201)["name"], "a (2).txt");
    put(&stack, &begun.json(), b"hello").await;
    let complete = format!("/files/{}/complete", id_of(&begun.json()));
    assert_eq!(bob.request("POST", &complete).send().await.tagged(200)["name"], "a (2).txt");
    let moved = bob.upload("a.txt", b"hi").await;
    let change = json!({ "parentId": to, "onConflict": "rename" });
    assert_eq!(bob.change(&moved, change).await.tagged(200)["name"], "a (3).txt");
    assert_eq!(bob.copy(&first, json!({ "onConflict": "rename" })).await.tagged(201)["name"], "a (4).txt");
    let trashed = bob.upload_into(&to, "a.txt", b"hi").await;
    bob.trash(&trashed).await.tagged(200);
    assert_eq!(bob.restore(&trashed, json!({ "onConflict": "rename" })).await.tagged(200)["name"], "a (5).txt");
    let companion = companion(&bob, json!({ "parentId": to, "onConflict": "rename" })).await;
    let form = stack.anyone().get(&format!("{companion}/params?filename=a.txt")).await.json();
    assert_eq!(stack.post_form(&form, b"hi".to_vec()).await.status(), 201);
    let expected = ["a (2).txt", "a (3).txt", "a (4).txt", "a (5).txt", "a (6).txt", "a.txt"];
    eventually("all of them", Duration::from_secs(20), async || (names_in(&bob, &to).await == expected).then_some(()))
        .await;
    // A folder has no extension.
    assert_eq!(folder(&bob, "A.TXT", &to, "rename").await.tagged(201)["name"], "A.TXT (2)");
}

#[tokio::test]
async fn f18_a_renamed_name_has_at_most_255_bytes() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let to = bob.folder("to").await;
    let extension = "e".repeat(252);
    for name in [
        format!("{}.txt", "x".repeat(251)),
        format!("{}.txt", "\u{e9}".repeat(125)),
        format!("{}.txt", "\u{1f30d}".repeat(62)),
        "y".repeat(255),
        format!("z.{extension}"),
    ] {
        let mut names = BTreeSet::new();
        for _ in 0..12 {
            let made = create(&bob, &name, &to, "rename", b"hi").await.tagged(201)["name"].as_str().unwrap().to_owned();
            assert!(made.len() <= 255, "{} bytes: {made}", made.len());
            let extension = |name: &str| name.rsplit_once('.').map(|(_, extension)| extension.to_owned());
            assert!(extension(&made) == Some("txt".into()) || extension(&name) != Some("txt".into()), "{made}");
            assert!(names.insert(made), "twice: {names:?}");
        }
        assert!(names.contains(&name));
        assert_eq!(names.iter().filter(|made| made.contains(" (12)")).count(), 1, "{names:?}");
    }
}

#[tokio::test]
async fn f18_fifty_clients_at_once_get_fifty_names() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let to = bob.folder("to").await;
    let answers = join_all((0..50).map(|_| create(&bob, "a.txt", &to, "rename", b"hi"))).await;
    let names: BTreeSet<String> =
        answers.iter().map(|answer| answer.tagged(201)["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names.len(), 50, "{names:?}");
    let is_numbered = |name: &String| {
        let number = name.strip_prefix("a (").and_then(|name| name.strip_suffix(").txt"));
        name == "a.txt" || number.is_some_and(|number| number.parse::<u32>().is_ok_and(|number| number >= 2))
    };
    assert!(names.contains("a.txt") && names.iter().all(is_numbered), "{names:?}");
    assert_eq!(names_in(&bob, &to).await, names.into_iter().collect::<Vec<_>>());
}

#[tokio::test]
async fn f19_a_replaced_file_keeps_its_id_its_link_and_its_place() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let to = bob.folder("to").await;
    let id = bob.upload_into(&to, "a.txt", b"one").await;
    bob.publish(&id).await;
    let before = bob.show(&id).await.tagged(200);
    let answer = create(&bob, "A.TXT", &to, "replace", b"second").await;
    let replaced = answer.tagged(201);
    assert_eq!(bob.show(&id).await.tagged(200), replaced);
    let mut expected = before.clone();
    for (key, value) in [("size", json!(6)), ("revision", json!(3)), ("updatedAt", replaced["updatedAt"].clone())] {
        expected[key] = value;
    }
    // Whether the old or the new case of the name stays is not said.
    expected["name"] = replaced["name"].clone();
    expected["contentType"] = replaced["contentType"].clone();
    assert_eq!(replaced, expected);
    for reader in [&*bob, &stack.anyone()] {
        assert_eq!(reader.get(&format!("/files/{id}/data")).await.body, b"second");
    }
    assert_eq!(names_in(&bob, &to).await.len(), 1);
    // Nothing has the name: then a file is new.
    let new = create(&bob, "new.txt", &to, "replace", b"hi").await.tagged(201);
    assert_eq!((&new["revision"], bob.versions(&id_of(&new)).await.len()), (&json!(1), 0));
}

#[tokio::test]
async fn f19_until_the_new_bytes_are_there_the_old_are_served() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    // A client that completes its upload, and one that dies after the bytes.
    for is_completed in [true, false] {
        let id = bob.upload("a.txt", b"one").await;
        let asked = json!({ "name": "a.txt", "type": "file", "size": 5, "onConflict": "replace" });
        let answer = bob.create(asked).await;
        let begun = answer.json();
        assert_eq!((answer.status, &begun["replaces"]), (201, &json!(id)), "{begun}");
        let upload = id_of(&begun);
        assert_ne!(upload, id);
        let is_as_before = async || {
            let shown = bob.show(&id).await.tagged(200);
            assert_eq!((&shown["size"], &shown["revision"]), (&json!(3), &json!(1)));
            assert_eq!(bob.content(&id).await, b"one");
            assert!(bob.versions(&id).await.is_empty());
            assert_eq!(names_in(&bob, "0").await, ["a.txt"]);
        };
        is_as_before().await;
        let complete = format!("/files/{upload}/complete");
        let early = bob.request("POST", &complete).send().await;
        early.fails(409, "The bytes are not there: send them, then complete");
        is_as_before().await;
        put(&stack, &begun, b"hello").await;
        if is_completed {
            for _ in 0..2 {
                let done = bob.request("POST", &complete).send().await.tagged(200);
                assert_eq!((id_of(&done), &done["size"], &done["revision"]), (id.clone(), &json!(5), &json!(2)));
            }
        } else {
            eventually("the new content", Duration::from_secs(20), async || {
                (bob.show(&id).await.tagged(200)["size"] == 5).then_some(())
            })
            .await;
        }
        assert_eq!(bob.content(&id).await, b"hello");
        bob.show(&upload).await.fails(404, "Not found");
        assert_eq!(bob.versions(&id).await.len(), 1);
        assert_eq!(names_in(&bob, "0").await, ["a.txt"]);
        bob.discard(&id).await;
        // The tombstone of the upload waits a minute for a client that completes it again.
        stack.files.update_many(with(all_of(bob.object_id()), invisible()), set(expired())).await.unwrap();
        stack
            .sweep_until("neither rows nor objects", async || {
                let rows = stack.count_rows(all_of(bob.object_id())).await;
                (rows == 0 && stack.objects(&format!("uploads/{upload}/")).await.is_empty()).then_some(())
            })
            .await;
    }
}

#[tokio::test]
async fn f19_a_replacement_that_is_given_up_changes_nothing() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let id = bob.upload("a.txt", b"one").await;
    let asked = json!({ "name": "a.txt", "type": "file", "size": 200 << 20, "onConflict": "replace" });
    for _ in 0..2 {
        let begun = bob.create(asked.clone()).await.json();
        bob.discard(&id_of(&begun)).await;
        bob.request("POST", &format!("/files/{}/complete", id_of(&begun))).send().await.fails(404, "Not found");
    }
    assert_eq!(bob.show(&id).await.tagged(200)["revision"], 1);
    assert_eq!(bob.content(&id).await, b"one");
    assert_eq!(bob.used_bytes().await, 3);
    assert_eq!(stack.count_rows(all_of(bob.object_id())).await, 1);
}

#[tokio::test]
async fn f19_what_is_replaced_may_go_meanwhile() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    for is_trashed in [true, false] {
        let to = bob.folder("to").await;
        let id = bob.upload_into(&to, "a.txt", b"one").await;
        let asked = json!({ "name": "a.txt", "type": "file", "size": 5, "parentId": to, "onConflict": "replace" });
        let begun = bob.create(asked).await.json();
        if is_trashed {
            drop(bob.trash(&id).await.tagged(200));
        } else {
            bob.discard(&id).await;
        }
        put(&stack, &begun, b"hello").await;
        let completed = bob.request("POST", &format!("/files/{}/complete", id_of(&begun))).send().await;
        // The bytes are not lost: they are a file of their own.
        let file = completed.tagged(200);
        assert_eq!((&file["name"], &file["parentId"], &file["size"]), (&json!("a.txt"), &json!(to), &json!(5)));
        assert_eq!(bob.content(&id_of(&file)).await, b"hello");
        if is_trashed {
            bob.restore(&id, json!({})).await.tagged(200);
            assert_eq!(bob.content(&id).await, b"one");
        } else {
            bob.show(&id).await.fails(404, "Not found");
        }
    }
}

#[tokio::test]
async fn f19_a_file_that_moves_onto_another_becomes_its_content() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let to = bob.folder("to").await;
    let target = bob.upload_into(&to, "a.txt", b"one").await;
    bob.publish(&target).await;
    let moved = bob.upload("b.txt", b"second").await;
    let change = json!({ "parentId": to, "name": "a.txt", "onConflict": "replace" });
    let answer = bob.change(&moved, change).await.tagged(200);
    assert_eq!((id_of(&answer), &answer["size"], &answer["isPublic"]), (target.clone(), &json!(6), &json!(true)));
    assert_eq!(answer["revision"], 3);
    bob.show(&moved).await.fails(404, "Not found");
    assert_eq!(stack.anyone().get(&format!("/files/{target}/data")).await.body, b"second");
    let version = bob.versions(&target).await[0]["id"].as_str().unwrap().to_owned();
    let old = bob.get(&format!("/files/{target}/versions/{version}/data")).await;
    old.is_content("text/plain; charset=utf-8", b"one");
    assert_eq!(bob.used_bytes().await, 9);
    stack.invoke("sweeper", &json!({})).await;
    assert_eq!(bob.content(&target).await, b"second");

    // A copy, and what comes out of the trash.
    let third = bob.upload("a.txt", b"third").await;
    let copied = bob.copy(&third, json!({ "parentId": to, "onConflict": "replace" })).await.tagged(201);
    assert_eq!((id_of(&copied), &copied["revision"]), (target.clone(), &json!(4)));
    assert_eq!((bob.content(&target).await, bob.content(&third).await), (b"third".to_vec(), b"third".to_vec()));
    let trashed = bob.upload_into(&to, "c.txt", b"fourth!").await;
    bob.trash(&trashed).await.tagged(200);
    let named = bob.upload_into(&to, "c.txt", b"c").await;
    let restored = bob.restore(&trashed, json!({ "onConflict": "replace" })).await.tagged(200);
    assert_eq!(id_of(&restored), named);
    assert_eq!(bob.content(&named).await, b"fourth!");
    assert!(bob.get("/trash").await.documents().is_empty());
    assert_eq!(bob.versions(&target).await.len(), 2);
}

#[tokio::test]
async fn f19_no_folder_is_replaced_and_none_replaces() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let to = bob.folder("to").await;
    let (inside, file) = (bob.folder_in(&to, "folder").await, bob.upload_into(&to, "file", b"hi").await);
    let rows = stack.count_rows(all_of(bob.object_id())).await;
    create(&bob, "folder", &to, "replace", b"hi").await.fails(409, NO_FOLDER);
    folder(&bob, "file", &to, "replace").await.fails(409, NO_FOLDER);
    folder(&bob, "folder", &to, "replace").await.fails(409, NO_FOLDER);
    let asked = json!({ "name": "folder", "type": "file", "size": 5, "parentId": to, "onConflict": "replace" });
    bob.create(asked).await.fails(409, NO_FOLDER);
    bob.change(&inside, json!({ "name": "file", "onConflict": "replace" })).await.fails(409, NO_FOLDER);
    bob.change(&file, json!({ "name": "folder", "onConflict": "replace" })).await.fails(409, NO_FOLDER);
    bob.copy(&file, json!({ "name": "Folder", "onConflict": "replace" })).await.fails(409, NO_FOLDER);
    bob.copy(&inside, json!({ "onConflict": "replace" })).await.fails(409, NO_FOLDER);
    assert_eq!(stack.count_rows(all_of(bob.object_id())).await, rows);
    assert_eq!(bob.show(&file).await.tagged(200)["revision"], 1);
    assert_eq!(bob.content(&file).await, b"hi");
}

#[tokio::test]
async fn f19_a_replaced_image_has_the_thumbnails_of_the_new_one() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let id = bob.upload_image("a.jpg", &jpeg(600, 400)).await;
    let before = thumbnail(&bob, &id, 500).await;
    assert_eq!(e2e::fixtures::decode_image(&before.body).height, 333);
    let new = json!({ "name": "a.jpg", "type": "image", "data": encoded(&jpeg(400, 600)), "onConflict": "replace" });
    assert_eq!(id_of(&bob.create(new).await.tagged(201)), id);
    let after = eventually("the new thumbnail", e2e::thumbnails::SOON, async || {
        let answer = bob.get(&format!("/files/{id}/data?size=100")).await;
        if answer.status == 404 { None } else { Some(answer) }
    })
    .await;
    assert_eq!(after.status, 200, "{after}");
    let after = e2e::fixtures::decode_image(&after.body);
    assert_eq!((after.width, after.height), (100, 150), "never a thumbnail of the old content");
}

/// Each content that was acknowledged is the present one or a version.
#[tokio::test]
async fn f19_of_replacements_at_once_none_is_lost() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let id = bob.upload("a.txt", b"0").await;
    let answers =
        join_all((1..=8).map(async |n: u32| create(&bob, "a.txt", "0", "replace", n.to_string().as_bytes()).await))
            .await;
    for answer in &answers {
        assert_eq!(id_of(&answer.tagged(201)), id);
    }
    let mut contents = BTreeSet::from([bob.content(&id).await]);
    for version in bob.versions(&id).await {
        let version = version["id"].as_str().unwrap();
        contents.insert(bob.get(&format!("/files/{id}/versions/{version}/data")).await.body);
    }
    let expected: BTreeSet<Vec<u8>> = (0..=8).map(|n: u32| n.to_string().into_bytes()).collect();
    assert_eq!(contents, expected);
    assert_eq!(bob.show(&id).await.tagged(200)["revision"], 9);
    assert_eq!(names_in(&bob, "0").await, ["a.txt"]);
    assert_eq!(bob.used_bytes().await, 9);
}
