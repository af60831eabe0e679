//! Links: what their owners may do with them, and what visitors may do who have only the token.

use std::time::{Duration, SystemTime};

use e2e::{Answer, PASSWORD, Stack, User, encoded, eventually, fixtures::jpeg, id_of, thumbnails::thumbnail};
use futures_util::future::join_all;
use mongodb::bson::{DateTime, doc};
use serde_json::{Value, json};

/// The most that a function sends itself.
const MOST: usize = 4 << 20;

const UNKNOWN: &str = "5f1e7d35c7ba06511e683b21";

/// A token that no link has.
fn forged() -> String {
    "A".repeat(38)
}

struct Shared {
    id: String,
    token: String,
}

async fn share(owner: &User, link: Value) -> Shared {
    let created = owner.post("/links", link).await;
    assert_eq!(created.status, 201, "{created}");
    let link = created.json();
    Shared { id: id_of(&link), token: link["token"].as_str().unwrap().to_owned() }
}

impl Shared {
    fn path(&self, rest: &str) -> String {
        format!("/shared/{}{rest}", self.token)
    }

    fn data(&self, file: &str) -> String {
        self.path(&format!("/files/{file}/data"))
    }

    async fn downloads(&self, owner: &User) -> u64 {
        owner.get(&format!("/links/{}", self.id)).await.json()["downloads"].as_u64().unwrap()
    }
}

fn basic(password: &str) -> String {
    format!("Basic {}", encoded(format!("anybody:{password}").as_bytes()))
}

/// A request of a visitor whom the count tells apart by the `User-Agent`.
async fn visit(stack: &Stack, visitor: &str, path: &str) -> Answer {
    stack.anyone().request("GET", path).header("User-Agent", visitor).send().await
}

/// The same, again after a 503: fifty requests at once may take the emulator longer than a function waits for S3.
async fn visit_again(stack: &Stack, visitor: &str, path: &str) -> Answer {
    eventually("an answer", Duration::from_secs(30), async || {
        let answer = visit(stack, visitor, path).await;
        (answer.status != 503).then_some(answer)
    })
    .await
}

fn names(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{answer}");
    answer.json().as_array().unwrap().iter().map(|file| file["name"].as_str().unwrap().to_owned()).collect()
}

/// Waits until a link with a lifetime of a second has expired.
async fn has_expired(stack: &Stack, link: &Shared) {
    eventually("an expired link", Duration::from_secs(20), async || {
        (stack.anyone().get(&link.path("")).await.status == 410).then_some(())
    })
    .await;
}

#[tokio::test]
async fn f45_a_link_is_created_and_shown_with_all_that_it_has() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let file = bob.upload("notes.txt", b"hi").await;
    let created = bob.post("/links", json!({ "fileId": file })).await;
    let link = created.json();
    let (id, token) = (id_of(&link), link["token"].as_str().unwrap());
    created.is(
        201,
        json!({
            "id": id, "url": format!("{}/s/{token}", stack.api), "token": token, "kind": "download", "fileId": file,
            "hasPassword": false, "expiresAt": null, "maxDownloads": null, "downloads": 0, "lastUsedAt": null,
            "createdAt": link["createdAt"],
        }),
    );
    bob.get(&format!("/links/{id}")).await.is(200, link);

    let all = json!({ "fileId": file, "kind": null, "password": "x", "expiresIn": 60, "maxDownloads": 3 });
    let link = bob.post("/links", all).await.json();
    assert_eq!((&link["hasPassword"], &link["maxDownloads"]), (&json!(true), &json!(3)));
    assert!(link["expiresAt"].is_string(), "{link}");

    let folder = bob.folder("inbox").await;
    let uploads = json!({ "fileId": folder, "kind": "upload", "maxBytes": 10, "maxFiles": 2, "types": ["Image/*"] });
    let link = bob.post("/links", uploads).await.json();
    assert_eq!((&link["kind"], &link["maxBytes"], &link["maxFiles"]), (&json!("upload"), &json!(10), &json!(2)));
    assert_eq!(link["types"], json!(["image/*"]));
}

#[tokio::test]
async fn f45_a_link_that_cannot_be_is_refused() {
    let stack = Stack::running().await;
    let (bob, eve) = (stack.user("bob").await, stack.user("eve").await);
    let (file, trashed) = (bob.upload("notes.txt", b"hi").await, bob.folder("old").await);
    bob.trash(&trashed).await.document(200);
    for (body, status, error) in [
        (json!({}), 400, "Missing fileId"),
        (json!({ "fileId": 7 }), 400, "Missing fileId"),
        (json!({ "fileId": file, "kind": "other" }), 400, "Invalid kind"),
        (json!({ "fileId": file, "password": "" }), 400, "Invalid password"),
        (json!({ "fileId": file, "password": 7 }), 400, "Invalid password"),
        (json!({ "fileId": file, "password": "x".repeat(1025) }), 400, "Invalid password"),
        (json!({ "fileId": file, "expiresIn": 0 }), 400, "Invalid expiresIn: 1 to 315360000 seconds"),
        (json!({ "fileId": file, "maxDownloads": 0 }), 400, "Invalid maxDownloads"),
        (json!({ "fileId": file, "maxDownloads": 1.5 }), 400, "Invalid maxDownloads"),
        (json!({ "fileId": file, "maxBytes": -1 }), 400, "Invalid maxBytes"),
        (json!({ "fileId": file, "maxFiles": 0 }), 400, "Invalid maxFiles"),
        (json!({ "fileId": file, "types": ["x"] }), 400, "Invalid types: media types such as image/png or image/*"),
        (json!({ "fileId": file, "kind": "upload" }), 400, "Only a folder takes uploads"),
        (json!({ "fileId": UNKNOWN }), 404, "Not found"),
        (json!({ "fileId": "malformed" }), 404, "Not found"),
        (json!({ "fileId": trashed }), 404, "Not found"),
    ] {
        bob.post("/links", body).await.fails(status, error);
    }
    eve.post("/links", json!({ "fileId": file })).await.fails(404, "Not found");
    assert_eq!(bob.get("/links").await.json(), json!([]));
}

#[tokio::test]
async fn f46_an_owner_lists_changes_and_deletes_links() {
    let stack = Stack::running().await;
    let (bob, eve) = (stack.user("bob").await, stack.user("eve").await);
    let (one, two) = (bob.upload("1.txt", b"one").await, bob.upload("2.txt", b"two").await);
    let (a, b) = (share(&bob, json!({ "fileId": one })).await, share(&bob, json!({ "fileId": two })).await);
    let ids = |answer: &Answer| answer.json().as_array().unwrap().iter().map(id_of).collect::<Vec<_>>();
    // Links of one second are in no order: their ids come from several instances.
    let (mut listed, mut both) = (ids(&bob.get("/links").await), [&*a.id, &*b.id]);
    listed.sort_unstable();
    both.sort_unstable();
    assert_eq!(listed, both);
    assert_eq!(ids(&bob.get(&format!("/links?fileId={one}")).await), [&*a.id]);
    assert!(ids(&bob.get("/links?fileId=malformed").await).is_empty());
    assert!(ids(&eve.get(&format!("/links?fileId={one}")).await).is_empty());

    let path = format!("/links/{}", a.id);
    let change = json!({ "password": "x", "expiresIn": 60, "maxDownloads": 5, "kind": "upload", "fileId": two });
    let changed = bob.patch(&path, change).await.json();
    assert_eq!((&changed["hasPassword"], &changed["maxDownloads"]), (&json!(true), &json!(5)));
    assert_eq!(
        (&changed["kind"], &changed["fileId"], &changed["token"]),
        (&json!("download"), &json!(one), &json!(a.token))
    );
    // What a change does not name stays.
    let changed = bob.patch(&path, json!({ "maxDownloads": null })).await.json();
    assert_eq!((&changed["hasPassword"], &changed["maxDownloads"]), (&json!(true), &json!(null)));
    let changed = bob.patch(&path, json!({ "password": null, "expiresIn": null })).await.json();
    assert_eq!((&changed["hasPassword"], &changed["expiresAt"]), (&json!(false), &json!(null)));
    bob.get(&path).await.is(200, changed);
    for (body, error) in [
        (json!({}), "Nothing to change"),
        (json!({ "password": "" }), "Invalid password"),
        (json!({ "expiresIn": "x" }), "Invalid expiresIn: 1 to 315360000 seconds"),
    ] {
        bob.patch(&path, body).await.fails(400, error);
    }

    for id in [&*a.id, UNKNOWN, "malformed"] {
        let path = format!("/links/{id}");
        eve.get(&path).await.fails(404, "Not found");
        eve.patch(&path, json!({ "maxDownloads": 1 })).await.fails(404, "Not found");
        eve.delete(&path).await.fails(404, "Not found");
    }
    assert_eq!(stack.anyone().get(&a.path("")).await.status, 200);
    bob.delete(&path).await.is_empty(204);
    stack.anyone().get(&a.path("")).await.fails(404, "Not found");
    stack.anyone().get(&a.data(&one)).await.fails(404, "Not found");
    bob.delete(&path).await.fails(404, "Not found");
}

#[tokio::test]
async fn f47_a_visitor_sees_what_is_shared_and_not_whose_it_is() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let (file, folder) = (bob.upload("notes.txt", b"hi").await, bob.folder("photos").await);
    let (of_file, of_folder) =
        (share(&bob, json!({ "fileId": file })).await, share(&bob, json!({ "fileId": folder })).await);
    stack.anyone().get(&of_file.path("")).await.is(
        200,
        json!({
            "name": "notes.txt", "type": "file", "kind": "download", "size": 2,
            "contentType": "text/plain; charset=utf-8", "hasPassword": false, "expiresAt": null,
        }),
    );
    stack.anyone().get(&of_folder.path("")).await.is(
        200,
        json!({
            "name": "photos", "type": "folder", "kind": "download", "size": null, "contentType": null,
            "hasPassword": false, "expiresAt": null,
        }),
    );
    bob.upload_into(&folder, "in.txt", b"hi").await;
    for path in [of_file.path(""), of_folder.path(""), of_file.path("/files"), of_folder.path("/files")] {
        let text = stack.anyone().get(&path).await.text().to_owned();
        for secret in [&bob.id, &bob.email, "userId"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}

#[tokio::test]
async fn f47_a_link_that_is_over_says_so_and_a_hidden_file_is_not_there() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let (file, folder) = (bob.upload("notes.txt", b"hi").await, bob.folder("photos").await);
    let inside = bob.upload_into(&folder, "in.txt", b"hi").await;
    let (link, of_inside) =
        (share(&bob, json!({ "fileId": file, "expiresIn": 1 })).await, share(&bob, json!({ "fileId": inside })).await);
    has_expired(&stack, &link).await;
    for path in [link.path(""), link.path("/files"), link.data(&file)] {
        stack.anyone().get(&path).await.fails(410, "The link has expired");
    }
    stack.anyone().post(&link.path("/ticket"), json!({})).await.fails(410, "The link has expired");
    assert_eq!(bob.get(&format!("/links?fileId={file}")).await.json().as_array().unwrap().len(), 1);
    // An expired link can be made valid again.
    assert_eq!(bob.patch(&format!("/links/{}", link.id), json!({ "expiresIn": null })).await.status, 200);
    stack.anyone().get(&link.data(&file)).await.is_content("text/plain; charset=utf-8", b"hi");

    let hidden = async || {
        for path in [of_inside.path(""), of_inside.path("/files"), of_inside.data(&inside)] {
            stack.anyone().get(&path).await.fails(404, "Not found");
        }
    };
    bob.trash(&folder).await.document(200);
    hidden().await;
    bob.restore(&folder, json!({})).await.document(200);
    stack.anyone().get(&of_inside.data(&inside)).await.is_content("text/plain; charset=utf-8", b"hi");
    bob.discard(&folder).await;
    hidden().await;

    for token in [forged(), "x".into(), "%ff".into(), of_inside.token.replace(&of_inside.token[..3], "AAA")] {
        stack.anyone().get(&format!("/shared/{token}")).await.fails(404, "Not found");
        stack.anyone().get(&format!("/shared/{token}/files")).await.fails(404, "Not found");
        stack.anyone().get(&format!("/shared/{token}/files/{file}/data")).await.fails(404, "Not found");
        stack.anyone().post(&format!("/shared/{token}/ticket"), json!({})).await.fails(404, "Not found");
        stack.anyone().post(&format!("/shared/{token}/unlock"), json!({})).await.fails(404, "Not found");
    }
}

#[tokio::test]
async fn f48_a_password_or_its_key_opens_a_link() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let file = bob.upload("notes.txt", b"hi").await;
    let link = share(&bob, json!({ "fileId": file, "password": "sesame: open" })).await;
    let (path, unlock) = (link.data(&file), link.path("/unlock"));
    let anyone = stack.anyone();
    let with =
        async |authorization: &str| anyone.request("GET", &path).header("Authorization", authorization).send().await;
    for path in [&link.path(""), &link.path("/files"), &path, &format!("{path}?key=x"), &format!("{path}?key=")] {
        anyone.get(path).await.fails(401, "Password required");
    }
    for wrong in [&*basic("wrong"), &basic(""), "Basic !", "Bearer x", &basic(&"x".repeat(1025))] {
        with(wrong).await.fails(401, "Password required");
    }
    with(&basic("sesame: open")).await.is_content("text/plain; charset=utf-8", b"hi");

    anyone.post(&unlock, json!({})).await.fails(400, "Missing password");
    anyone.request("POST", &unlock).body("application/json", "{").send().await.fails(400, "Invalid JSON");
    anyone.post(&unlock, json!({ "password": "wrong" })).await.fails(401, "Password required");
    let key = anyone.post(&unlock, json!({ "password": "sesame: open" })).await;
    assert_eq!(key.status, 200, "{key}");
    let key = key.json()["key"].as_str().unwrap().to_owned();
    let by_key = |link: &Shared| format!("{}?key={key}", link.data(&file));
    anyone.get(&by_key(&link)).await.is_content("text/plain; charset=utf-8", b"hi");
    anyone.get(&format!("{}?key={key}", link.path("/files"))).await.json();
    // The key opens this link only.
    let other = share(&bob, json!({ "fileId": file, "password": "sesame: open" })).await;
    anyone.get(&by_key(&other)).await.fails(401, "Password required");
    // A changed password ends the key, even if it is the same password again.
    let change = json!({ "password": "sesame: open" });
    assert_eq!(bob.patch(&format!("/links/{}", link.id), change).await.status, 200);
    anyone.get(&by_key(&link)).await.fails(401, "Password required");
    with(&basic("sesame: open")).await.is_content("text/plain; charset=utf-8", b"hi");
    // Without a password nothing is asked for.
    assert_eq!(bob.patch(&format!("/links/{}", link.id), json!({ "password": null })).await.status, 200);
    anyone.get(&path).await.is_content("text/plain; charset=utf-8", b"hi");
}

#[tokio::test]
async fn f48_a_key_is_valid_for_an_hour_and_is_stored_nowhere() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let file = bob.upload("notes.txt", b"hi").await;
    let link = share(&bob, json!({ "fileId": file, "password": "x" })).await;
    let unlocked = stack.anyone().post(&link.path("/unlock"), json!({ "password": "x" })).await.json();
    let key = unlocked["key"].as_str().unwrap();
    let seconds = DateTime::parse_rfc3339_str(unlocked["expiresAt"].as_str().unwrap()).unwrap();
    let left = seconds.timestamp_millis() - DateTime::now().timestamp_millis();
    assert!((3_590_000..=3_600_000).contains(&left), "{left} ms");
    // The expiry is signed.
    let later = format!("////{}", &key[4..]).replace('/', "_");
    let path = format!("{}?key={later}", link.path(""));
    stack.anyone().get(&path).await.fails(401, "Password required");
    let row = stack.links().find_one(doc! { "userId": bob.object_id() }).await.unwrap().unwrap();
    assert!(row.get_str("password").unwrap().starts_with("$argon2id$v=19$m=12288,t=3,p=1$"), "{row}");
    assert!(!row.to_string().contains(key) && !row.to_string().contains(&link.token), "{row}");
}

#[tokio::test]
async fn f48_ten_wrong_passwords_close_a_link_for_the_rest_of_the_minute() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let file = bob.upload("notes.txt", b"hi").await;
    let [link, other] = [(); 2].map(|()| json!({ "fileId": file, "password": "x" }));
    let (link, other) = (share(&bob, link).await, share(&bob, other).await);
    let key = stack.anyone().post(&link.path("/unlock"), json!({ "password": "x" })).await.json();
    let unlock = async |token: &str, password: &str| {
        stack.anyone().post(&format!("/shared/{token}/unlock"), json!({ "password": password })).await
    };
    for n in 0..10 {
        // Both ways count together.
        if n % 2 == 0 {
            unlock(&link.token, "wrong").await.fails(401, "Password required");
        } else {
            let request = stack.anyone().request("GET", &link.path("")).header("Authorization", &basic("wrong"));
            request.send().await.fails(401, "Password required");
        }
    }
    for password in ["wrong", "x"] {
        let refused = unlock(&link.token, password).await;
        refused.fails(429, "Too many failed logins: wait a minute");
        assert!((1..=60).contains(&refused.header("retry-after").parse::<u64>().unwrap()), "{refused}");
    }
    // A key, and other links, are not concerned.
    let by_key = format!("{}?key={}", link.path(""), key["key"].as_str().unwrap());
    assert_eq!(stack.anyone().get(&by_key).await.status, 200);
    assert_eq!(unlock(&other.token, "x").await.status, 200);
    // A link that does not exist counts like one that exists.
    let nobodys = format!("{}A", &e2e::unique("").replace('-', "B").repeat(2)[..37]);
    for _ in 0..10 {
        unlock(&nobodys, "wrong").await.fails(404, "Not found");
    }
    assert_eq!(unlock(&nobodys, "wrong").await.status, 429);
}

#[tokio::test]
async fn f49_a_folder_is_listed_and_read_as_by_its_owner() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let folder = bob.folder("photos").await;
    let below = bob.folder_in(&folder, "2026").await;
    bob.upload_into(&folder, "b.txt", b"b").await;
    bob.upload_into(&folder, "a10.txt", b"a10").await;
    bob.upload_into(&folder, "a2.txt", b"a2").await;
    let deep = bob.upload_into(&below, "deep.txt", b"deep").await;
    let link = share(&bob, json!({ "fileId": folder })).await;
    let anyone = stack.anyone();
    assert_eq!(names(&anyone.get(&link.path("/files")).await), ["2026", "a2.txt", "a10.txt", "b.txt"]);
    let sorted = "/files?sort=size&order=desc&type=file";
    assert_eq!(names(&anyone.get(&link.path(sorted)).await), ["a10.txt", "a2.txt", "b.txt"]);
    let first = anyone.get(&link.path("/files?limit=3")).await;
    assert_eq!(names(&first), ["2026", "a2.txt", "a10.txt"]);
    let next = anyone.get(&first.next_page().unwrap()).await;
    assert_eq!((names(&next), next.next_page()), (vec!["b.txt".to_owned()], None));
    assert_eq!(names(&anyone.get(&link.path(&format!("/files?parentId={below}"))).await), ["deep.txt"]);
    assert_eq!(names(&anyone.get(&link.path(&format!("/files?parentId={folder}"))).await).len(), 4);
    for (query, error) in [
        ("sort=x", "Invalid sort"),
        ("order=x", "Invalid order"),
        ("limit=0", "Invalid limit"),
        ("type=x", "Invalid type"),
        ("cursor=x", "Invalid cursor"),
    ] {
        anyone.get(&link.path(&format!("/files?{query}"))).await.fails(400, error);
    }
    anyone.get(&link.data(&deep)).await.is_content("text/plain; charset=utf-8", b"deep");
    anyone.get(&link.data(&below)).await.fails(400, "A folder doesn't have content");
    let saved = anyone.get(&format!("{}?download=1", link.data(&deep))).await;
    assert_eq!(saved.header("content-disposition"), "attachment; filename=\"deep.txt\"; filename*=UTF-8''deep.txt");
    assert_eq!(saved.header("cache-control"), "private, no-store");

    let image = json!({ "name": "a.jpg", "type": "image", "parentId": below, "data": encoded(&jpeg(600, 400)) });
    let image = id_of(&bob.create(image).await.document(201));
    thumbnail(&bob, &image, 100).await;
    let small = anyone.get(&format!("{}?size=100", link.data(&image))).await;
    assert_eq!((small.status, small.header("content-type")), (200, "image/jpeg"));
    anyone.get(&format!("{}?size=50", link.data(&image))).await.fails(404, "Not found");

    // The list of a file is the file.
    let of_file = share(&bob, json!({ "fileId": deep })).await;
    let listed = anyone.get(&of_file.path("/files")).await;
    assert_eq!((names(&listed), listed.json()[0]["id"].as_str()), (vec!["deep.txt".to_owned()], Some(&*deep)));
}

#[tokio::test]
async fn f49_nothing_outside_the_folder_can_be_read_or_changed() {
    let stack = Stack::running().await;
    let (bob, eve) = (stack.user("bob").await, stack.user("eve").await);
    let (top, folder) = (bob.folder("top").await, bob.folder("shared").await);
    let beside = bob.upload_into(&top, "beside.txt", b"no").await;
    let inside = bob.upload_into(&folder, "in.txt", b"hi").await;
    let (below, public) = (bob.folder_in(&folder, "below").await, bob.upload("public.txt", b"no").await);
    bob.publish(&public).await;
    let foreign = eve.upload("eve.txt", b"no").await;
    let link = share(&bob, json!({ "fileId": folder })).await;
    let anyone = stack.anyone();
    anyone.get(&link.data(&inside)).await.is_content("text/plain; charset=utf-8", b"hi");
    for id in [&*beside, &top, &public, &foreign, UNKNOWN, "malformed", "0"] {
        anyone.get(&link.data(id)).await.fails(404, "Not found");
        anyone.get(&link.path(&format!("/files?parentId={id}"))).await.fails(404, "Not found");
    }
    anyone.get(&link.path(&format!("/files?parentId={inside}"))).await.fails(404, "Not found");
    // Not even by the owner, nor with a token of a session.
    bob.get(&link.data(&beside)).await.fails(404, "Not found");
    // What is moved out is outside.
    bob.change(&inside, json!({ "parentId": top })).await.document(200);
    anyone.get(&link.data(&inside)).await.fails(404, "Not found");
    let deep = bob.upload_into(&below, "deep.txt", b"hi").await;
    anyone.get(&link.data(&deep)).await.is_content("text/plain; charset=utf-8", b"hi");
    bob.trash(&below).await.document(200);
    anyone.get(&link.data(&deep)).await.fails(404, "Not found");
    anyone.get(&link.path(&format!("/files?parentId={below}"))).await.fails(404, "Not found");
    // Only reading is allowed.
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        for path in [link.path(""), link.path("/files"), link.data(&deep)] {
            let answer = anyone.request(method, &path).send().await;
            answer.fails(405, "Method not allowed");
            assert_eq!(answer.header("referrer-policy"), "no-referrer");
        }
    }
    // A link of a file leads to this file only.
    let of_file = share(&bob, json!({ "fileId": inside })).await;
    anyone.get(&of_file.data(&inside)).await.is_content("text/plain; charset=utf-8", b"hi");
    anyone.get(&of_file.data(&beside)).await.fails(404, "Not found");
    anyone.get(&of_file.path(&format!("/files?parentId={top}"))).await.fails(404, "Not found");
}

#[tokio::test]
async fn f50_a_visitor_counts_once_and_only_for_content() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let folder = bob.folder("photos").await;
    let image = json!({ "name": "a.jpg", "type": "image", "parentId": folder, "data": encoded(&jpeg(600, 400)) });
    let image = id_of(&bob.create(image).await.document(201));
    let note = bob.upload_into(&folder, "a.txt", b"hi").await;
    thumbnail(&bob, &image, 100).await;
    let link = share(&bob, json!({ "fileId": folder, "maxDownloads": 2 })).await;
    let data = link.data(&image);
    let head = stack.anyone().request("HEAD", &data).send().await;
    assert_eq!(head.status, 200);
    visit(&stack, "a", &link.path("")).await.json();
    visit(&stack, "a", &link.path("/files")).await.json();
    assert_eq!(visit(&stack, "a", &format!("{data}?size=100")).await.status, 200);
    let cached = stack.anyone().request("GET", &data).header("If-None-Match", head.header("etag")).send().await;
    assert_eq!((cached.status, link.downloads(&bob).await), (304, 0));
    let before = bob.get(&format!("/links/{}", link.id)).await.json();
    assert_eq!(before["lastUsedAt"], json!(null));

    for _ in 0..3 {
        assert_eq!(visit(&stack, "a", &data).await.status, 200);
        let range = stack.anyone().request("GET", &data).header("User-Agent", "a").header("Range", "bytes=5-9");
        // S3 sends a range.
        assert_eq!(range.send().await.status, 302);
    }
    assert_eq!(link.downloads(&bob).await, 1);
    assert!(bob.get(&format!("/links/{}", link.id)).await.json()["lastUsedAt"].is_string());
    // Another file counts, and then the link is used up for everybody but those who have been counted.
    assert_eq!(visit(&stack, "a", &link.data(&note)).await.status, 200);
    assert_eq!(link.downloads(&bob).await, 2);
    for path in [&data, &link.data(&note), &format!("{data}?size=100"), &link.path(""), &link.path("/files")] {
        visit(&stack, "b", path).await.fails(410, "The link is used up");
    }
    assert_eq!(visit(&stack, "a", &data).await.status, 200);
    assert_eq!(visit(&stack, "a", &format!("{data}?size=100")).await.status, 200);
    assert_eq!(link.downloads(&bob).await, 2);
    // The owner may allow more.
    assert_eq!(bob.patch(&format!("/links/{}", link.id), json!({ "maxDownloads": 3 })).await.status, 200);
    assert_eq!(visit(&stack, "b", &data).await.status, 200);
    visit(&stack, "c", &data).await.fails(410, "The link is used up");
    assert_eq!(link.downloads(&bob).await, 3);
}

#[tokio::test]
async fn f50_the_requests_of_one_visitor_at_the_same_time_count_once() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let file = bob.upload("notes.txt", b"hi").await;
    let link = share(&bob, json!({ "fileId": file, "maxDownloads": 1 })).await;
    let path = link.data(&file);
    let answers = join_all((0..12).map(|_| visit(&stack, "one", &path))).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert_eq!(link.downloads(&bob).await, 1);
    // A link without a limit counts in the same way.
    let free = share(&bob, json!({ "fileId": file })).await;
    let path = free.data(&file);
    join_all((0..12).map(|n| visit(&stack, if n % 2 == 0 { "one" } else { "two" }, &path))).await;
    assert_eq!(free.downloads(&bob).await, 2);
}

#[tokio::test]
async fn f50_of_fifty_visitors_at_once_ten_get_bytes() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let file = bob.upload("notes.txt", b"hi").await;
    let link = share(&bob, json!({ "fileId": file, "maxDownloads": 10 })).await;
    let path = link.data(&file);
    let visitors: Vec<String> = (0..50).map(|n| format!("visitor {n}")).collect();
    let answers = join_all(visitors.iter().map(|visitor| visit_again(&stack, visitor, &path))).await;
    let (served, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    assert_eq!((served.len(), refused.len()), (10, 40));
    for answer in &served {
        answer.is_content("text/plain; charset=utf-8", b"hi");
    }
    for answer in &refused {
        answer.fails(410, "The link is used up");
    }
    assert_eq!(link.downloads(&bob).await, 10);
}

#[tokio::test]
async fn f50_a_redirect_to_s3_counts_like_bytes() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let file = bob.upload("large.bin", &vec![b'x'; MOST]).await;
    let small = share(&bob, json!({ "fileId": file, "maxDownloads": 1 })).await;
    let range = json!({ "range": "bytes=0-0" });
    assert_eq!(stack.invoke_http("links", "GET", &small.data(&file), range).await["statusCode"], 302);
    assert_eq!(small.downloads(&bob).await, 1);
    visit(&stack, "b", &small.data(&file)).await.fails(410, "The link is used up");
    let file = upload_large(&stack, &bob).await;
    let link = share(&bob, json!({ "fileId": file, "maxDownloads": 1 })).await;
    assert_eq!(visit(&stack, "a", &link.data(&file)).await.status, 302);
    assert_eq!(visit(&stack, "a", &link.data(&file)).await.status, 302);
    visit(&stack, "b", &link.data(&file)).await.fails(410, "The link is used up");
    assert_eq!(link.downloads(&bob).await, 1);
}

/// Uploads a file that a function does not send itself.
async fn upload_large(stack: &Stack, owner: &User) -> String {
    let file = owner.create(json!({ "name": "larger.bin", "type": "file", "size": MOST + 1 })).await.document(201);
    let put = stack.http.put(file["upload"]["url"].as_str().unwrap()).header("If-None-Match", "*");
    let put = put.body(vec![b'x'; MOST + 1]).send().await.unwrap();
    assert!(put.status().is_success(), "{put:?}");
    let id = id_of(&file);
    owner.post(&format!("/files/{id}/complete"), json!({})).await.document(200);
    id
}

/// A ticket for a visitor of a link that takes uploads.
async fn ticket(stack: &Stack, link: &Shared) -> String {
    let issued = stack.anyone().post(&link.path("/ticket"), json!({})).await;
    assert_eq!(issued.status, 201, "{issued}");
    issued.json()["ticket"].as_str().unwrap().to_owned()
}

/// Uploads a file through the form of a ticket.
async fn send(stack: &Stack, ticket: &str, name: &str, bytes: &'static [u8]) -> Answer {
    let signed = stack.anyone().get(&format!("/uploads/{ticket}/s3/params?filename={name}")).await;
    if signed.status == 200 {
        let answer = signed.json();
        let sent = stack.post_form(&answer, bytes.to_vec()).await;
        assert!(sent.status().is_success(), "{sent:?}");
    }
    signed
}

#[tokio::test]
async fn f51_visitors_upload_into_a_folder_within_the_limits_of_its_link() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let inbox = bob.folder("inbox").await;
    bob.upload_into(&inbox, "a.txt", b"mine").await;
    let limits = json!({ "fileId": inbox, "kind": "upload", "maxFiles": 3, "maxBytes": 100, "types": ["text/plain"] });
    let link = share(&bob, limits).await;
    let (one, two) = (ticket(&stack, &link).await, ticket(&stack, &link).await);
    assert_eq!(send(&stack, &one, "a.txt", b"theirs").await.status, 200);
    assert_eq!(send(&stack, &two, "b.txt", b"theirs").await.status, 200);
    send(&stack, &one, "a.png", b"x").await.fails_with_message(400, "Files of this type are not allowed here");
    let form = stack.anyone().get(&format!("/uploads/{two}/s3/params?filename=c.txt")).await.json();
    let large = stack.post_form(&form, vec![b'x'; 101]).await;
    assert!(!large.status().is_success(), "{large:?}");
    // All tickets count together.
    for ticket in [&one, &two, &ticket(&stack, &link).await] {
        send(&stack, ticket, "d.txt", b"x").await.fails_with_message(409, "This ticket's file limit is reached");
    }
    let listed = eventually("the files are there", Duration::from_secs(20), async || {
        let listed = names(&bob.get(&format!("/files?parentId={inbox}&sort=name")).await);
        (listed.len() == 3).then_some(listed)
    })
    .await;
    assert_eq!(listed, ["a (2).txt", "a.txt", "b.txt"]);
    // The owner allows more files, and another size.
    let path = format!("/links/{}", link.id);
    assert_eq!(bob.patch(&path, json!({ "maxFiles": 4, "types": [] })).await.status, 200);
    assert_eq!(send(&stack, &one, "d.png", b"x").await.status, 200);
    send(&stack, &one, "e.png", b"x").await.fails_with_message(409, "This ticket's file limit is reached");
    assert_eq!(bob.patch(&path, json!({ "maxFiles": null })).await.status, 200);
    assert_eq!(send(&stack, &one, "e.png", b"x").await.status, 200);
    // The owner's list of tickets has other tickets.
    assert_eq!(bob.get("/uploads/tickets").await.json(), json!([]));
    bob.delete(&format!("/uploads/tickets/{one}")).await.fails(404, "Not found");
    // A changed password of the owner ends the tickets that the owner has issued, and no link.
    let change = json!({ "password": PASSWORD, "newPassword": PASSWORD });
    bob.request("PUT", "/users/me/password").json(change).send().await.is_empty(204);
    assert_eq!(send(&stack, &one, "f.png", b"x").await.status, 200);
    // An expired link ends its tickets, and so does a deleted one.
    assert_eq!(bob.patch(&path, json!({ "expiresIn": 1 })).await.status, 200);
    has_expired(&stack, &link).await;
    send(&stack, &one, "f.txt", b"x").await.fails_with_message(401, "Unauthorized");
    assert_eq!(bob.patch(&path, json!({ "expiresIn": null })).await.status, 200);
    assert_eq!(send(&stack, &one, "f.txt", b"x").await.status, 200);
    bob.delete(&path).await.is_empty(204);
    send(&stack, &one, "g.txt", b"x").await.fails_with_message(401, "Unauthorized");
    stack.anyone().post(&link.path("/ticket"), json!({})).await.fails(404, "Not found");
}

#[tokio::test]
async fn f51_who_uploads_learns_nothing_about_the_folder() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let inbox = bob.folder("inbox").await;
    let (file, below) = (bob.upload_into(&inbox, "a.txt", b"hi").await, bob.folder_in(&inbox, "below").await);
    let link = share(&bob, json!({ "fileId": inbox, "kind": "upload", "password": "x" })).await;
    stack.anyone().post(&link.path("/ticket"), json!({})).await.fails(401, "Password required");
    let key = stack.anyone().post(&link.path("/unlock"), json!({ "password": "x" })).await.json();
    let with_key = |path: String| {
        format!("{path}{}key={}", if path.contains('?') { '&' } else { '?' }, key["key"].as_str().unwrap())
    };
    assert_eq!(stack.anyone().post(&with_key(link.path("/ticket")), json!({})).await.status, 201);
    let shown = stack.anyone().get(&with_key(link.path(""))).await.json();
    assert_eq!((&shown["kind"], &shown["name"]), (&json!("upload"), &json!("inbox")));
    // The same answers, whether an id is there or not.
    let mut answers = Vec::new();
    for id in [&*file, &below, &inbox, UNKNOWN, "malformed"] {
        for path in [link.data(id), link.path(&format!("/files?parentId={id}"))] {
            answers.push(stack.anyone().get(&with_key(path)).await.comparable());
        }
    }
    answers.push(stack.anyone().get(&with_key(link.path("/files"))).await.comparable());
    for answer in &answers {
        assert_eq!((answer.0, &answer.1, &answer.2), (404, &answers[0].1, &answers[0].2));
    }
    // A name that is there and one that is not have answers of the same form.
    let ticket = stack.anyone().post(&with_key(link.path("/ticket")), json!({})).await.json();
    let ticket = ticket["ticket"].as_str().unwrap();
    for name in ["a.txt", "below", "new.txt"] {
        let begun = stack.anyone().post(&format!("/uploads/{ticket}/s3/multipart"), json!({ "filename": name })).await;
        assert_eq!(begun.status, 200, "{begun}");
        assert!(!begun.text().contains("(2)"), "{begun}");
    }
    // A link for downloads issues no ticket.
    let reading = share(&bob, json!({ "fileId": inbox })).await;
    stack.anyone().post(&reading.path("/ticket"), json!({})).await.fails(404, "Not found");
}

#[tokio::test]
async fn f52_no_page_learns_a_token_and_a_redirect_is_short() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let file = bob.upload("notes.txt", b"hi").await;
    let link = share(&bob, json!({ "fileId": file })).await;
    for path in [
        link.path(""),
        link.path("/files"),
        link.path("/nothing"),
        link.data(&file),
        link.data(UNKNOWN),
        format!("/shared/{}", forged()),
        format!("/s/{}/nothing", link.token),
    ] {
        let answer = stack.anyone().get(&path).await;
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{path}: {answer}");
        assert_eq!(answer.header("cache-control"), "private, no-store", "{path}: {answer}");
    }
    let range = stack.invoke_http("links", "GET", &link.data(&file), json!({ "range": "bytes=0-0" })).await;
    assert_eq!((&range["statusCode"], &range["headers"]["referrer-policy"]), (&json!(302), &json!("no-referrer")));
    let url = range["headers"]["location"].as_str().unwrap();
    assert!(url.contains("X-Amz-Expires=60&"), "{url}");
}

#[tokio::test]
async fn f52_no_log_line_has_the_token_of_a_link_or_its_key() {
    let stack = Stack::running().await;
    let since = SystemTime::now() - Duration::from_secs(1);
    let bob = stack.user("bob").await;
    let file = bob.upload("notes.txt", b"hi").await;
    let link = share(&bob, json!({ "fileId": file, "password": "a secret" })).await;
    let key = stack.anyone().post(&link.path("/unlock"), json!({ "password": "a secret" })).await.json();
    let key = key["key"].as_str().unwrap();
    stack.anyone().get(&format!("{}?key={key}", link.data(&file))).await.is_content("text/plain; charset=utf-8", b"hi");
    stack.anyone().get(&format!("{}?key={key}", link.data(UNKNOWN))).await.fails(404, "Not found");
    let lines = eventually("a line for the request", Duration::from_secs(20), async || {
        let lines = stack.log_lines(since).await;
        let is_ours = |line: &String| line.contains("/shared/{token}/files/{id}/data") && line.contains("404");
        lines.iter().any(is_ours).then_some(lines)
    })
    .await;
    for line in lines {
        for secret in [&*link.token, key, "a secret"] {
            assert!(!line.contains(secret), "{line}");
        }
    }
}

#[tokio::test]
async fn a_link_ends_with_its_file_and_with_its_owner() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let (file, folder) = (bob.upload("notes.txt", b"hi").await, bob.folder("inbox").await);
    let (of_file, of_folder) = (
        share(&bob, json!({ "fileId": file })).await,
        share(&bob, json!({ "fileId": folder, "kind": "upload" })).await,
    );
    let ticket = ticket(&stack, &of_folder).await;
    let kept = share(&bob, json!({ "fileId": bob.upload("kept.txt", b"hi").await })).await;
    bob.discard(&file).await;
    bob.discard(&folder).await;
    stack.anyone().get(&of_file.path("")).await.fails(404, "Not found");
    stack.anyone().post(&of_folder.path("/ticket"), json!({})).await.fails(404, "Not found");
    stack
        .sweep_until("the links are gone", async || {
            let left = bob.get("/links").await.json();
            (left.as_array().unwrap().len() == 1 && left[0]["id"] == kept.id).then_some(())
        })
        .await;
    send(&stack, &ticket, "a.txt", b"x").await.fails_with_message(401, "Unauthorized");

    let left = bob.request("DELETE", "/users/me").json(json!({ "password": PASSWORD })).send().await;
    assert_eq!(left.status, 204, "{left}");
    stack.anyone().get(&kept.path("")).await.fails(404, "Not found");
    assert_eq!(stack.links().count_documents(doc! { "userId": bob.object_id() }).await.unwrap(), 0);
}

/// Asks for a ZIP through a link, and waits until it is made.
async fn zip_of(stack: &Stack, link: &Shared, body: Value) -> String {
    let asked = stack.anyone().post(&link.path("/zips"), body).await;
    assert_eq!(asked.status, 202, "{asked}");
    let path = link.path(&format!("/zips/{}", id_of(&asked.json())));
    eventually("the ZIP is made", Duration::from_mins(2), async || {
        let shown = stack.anyone().get(&path).await.json();
        assert_ne!(shown["state"], "failed", "{shown}");
        (shown["state"] == "ready").then_some(())
    })
    .await;
    path
}

#[tokio::test]
async fn f53_a_visitor_gets_a_zip_of_what_is_shared() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let folder = bob.folder("shared").await;
    let inside = bob.upload_into(&folder, "a.txt", b"one").await;
    bob.upload_into(&folder, "b.txt", b"two").await;
    let outside = bob.upload("c.txt", b"three").await;
    let link = share(&bob, json!({ "fileId": folder })).await;
    for (body, names) in [
        (json!({}), &["shared/", "shared/a.txt", "shared/b.txt"][..]),
        (json!({ "ids": [inside] }), &["a.txt"]),
        (json!({ "ids": [folder, inside] }), &["a.txt", "shared/", "shared/a.txt", "shared/b.txt"]),
    ] {
        let path = zip_of(&stack, &link, body).await;
        let sent = stack.anyone().get(&format!("{path}/data")).await;
        assert_eq!(sent.status, 302, "{sent}");
        let bytes = stack.http.get(sent.header("location")).send().await.unwrap().bytes().await.unwrap();
        let mut found: Vec<String> = e2e::zips::open(&bytes).into_iter().map(|entry| entry.name).collect();
        found.sort();
        assert_eq!(found, names);
    }
    let zips = link.path("/zips");
    for ids in [json!([outside]), json!([inside, outside]), json!(["x"]), json!([5]), json!([UNKNOWN])] {
        stack.anyone().post(&zips, json!({ "ids": ids })).await.fails(404, "Not found");
    }
    stack.anyone().post(&zips, json!({ "ids": [] })).await.fails(400, "Invalid ids: 1 to 1000");
    stack.anyone().post(&zips, json!([])).await.fails(400, "Invalid JSON");
}

#[tokio::test]
async fn f53_a_zip_of_a_link_is_seen_through_that_link_alone() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let folder = bob.folder("shared").await;
    bob.upload_into(&folder, "a.txt", b"one").await;
    let link = share(&bob, json!({ "fileId": folder })).await;
    let other = share(&bob, json!({ "fileId": folder })).await;
    let locked = share(&bob, json!({ "fileId": folder, "password": PASSWORD })).await;
    let inbox = share(&bob, json!({ "fileId": folder, "kind": "upload" })).await;
    let path = zip_of(&stack, &link, json!({})).await;
    let zip = path.rsplit('/').next().unwrap().to_owned();
    let of_the_owner = id_of(&bob.post("/zips", json!({ "ids": [folder] })).await.json());
    for rest in ["", "/data"] {
        let through = |link: &Shared, zip: &str| link.path(&format!("/zips/{zip}{rest}"));
        stack.anyone().get(&through(&other, &zip)).await.fails(404, "Not found");
        stack.anyone().get(&through(&link, &of_the_owner)).await.fails(404, "Not found");
        stack.anyone().get(&through(&locked, &zip)).await.fails(401, "Password required");
        stack.anyone().get(&through(&inbox, &zip)).await.fails(404, "Not found");
    }
    stack.anyone().post(&inbox.path("/zips"), json!({})).await.fails(404, "Not found");
    stack.anyone().post(&locked.path("/zips"), json!({})).await.fails(401, "Password required");
    bob.delete(&format!("/links/{}", link.id)).await.is_empty(204);
    stack.anyone().get(&path).await.fails(404, "Not found");
    stack.anyone().get(&format!("{path}/data")).await.fails(404, "Not found");
    stack
        .sweep_until("the ZIP goes with the link", async || {
            let objects = stack.objects(&format!("zips/{zip}/")).await;
            (objects.is_empty() && !stack.zip_exists(&zip).await).then_some(())
        })
        .await;
    assert!(stack.zip_exists(&of_the_owner).await, "the ZIP of the owner stays");
}

#[tokio::test]
async fn f50_a_zip_counts_as_one_download() {
    let stack = Stack::running().await;
    let bob = stack.user("bob").await;
    let folder = bob.folder("shared").await;
    bob.upload_into(&folder, "a.txt", b"one").await;
    let link = share(&bob, json!({ "fileId": folder, "maxDownloads": 1 })).await;
    let path = zip_of(&stack, &link, json!({})).await;
    assert_eq!(link.downloads(&bob).await, 0, "to make a ZIP is no download");
    let data = format!("{path}/data");
    for _ in 0..2 {
        assert_eq!(visit(&stack, "first", &data).await.status, 302);
    }
    assert_eq!(link.downloads(&bob).await, 1);
    visit(&stack, "second", &data).await.fails(410, "The link is used up");
    stack.anyone().post(&link.path("/zips"), json!({})).await.fails(410, "The link is used up");
}
