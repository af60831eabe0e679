//! S1: the rights of every kind of client. `authorization.md` has a line for each route and each kind of object, and a
//! cell for each kind of client. Every client sends every request, and the answer must be the one in the table.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use e2e::{
    Answer, Client, PASSWORD, Stack, User, encoded, eventually, fixtures::jpeg, record_measurement, session_key,
    thumbnails::thumbnail, unique, zips,
};
use futures_util::{StreamExt, stream};
use mongodb::bson::oid::ObjectId;
use redis::AsyncCommands;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

const TABLE: &str = include_str!("authorization.md");

/// The clients, in the order of the table's columns.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Asking {
    Nobody,
    WithAMalformedToken,
    WithAnExpiredToken,
    AnotherUser,
    TheOwner,
    /// The cookie of the web app of another session of the owner, and no token.
    WithTheCookie,
    /// An API key of the owner with this scope.
    WithAKey(&'static str),
    /// An API key of the owner with all scopes, for a folder with nothing in it.
    WithAKeyOfAFolder,
    WithALink,
    /// The link has a password, which this client does not have.
    WithALinkWithAPassword,
    WithAnExpiredLink,
}

const EVERYBODY: [Asking; 13] = [
    Asking::Nobody,
    Asking::WithAMalformedToken,
    Asking::WithAnExpiredToken,
    Asking::AnotherUser,
    Asking::TheOwner,
    Asking::WithTheCookie,
    Asking::WithAKey("read"),
    Asking::WithAKey("upload"),
    Asking::WithAKey("write"),
    Asking::WithAKeyOfAFolder,
    Asking::WithALink,
    Asking::WithALinkWithAPassword,
    Asking::WithAnExpiredLink,
];

/// The kinds of objects that an id may have.
const THINGS: [&str; 16] = [
    "private file",
    "public file",
    "private image",
    "public image",
    "private folder",
    "public folder",
    "private upload",
    "public upload",
    "private file in a deleted folder",
    "public image in a deleted folder",
    "public folder in a deleted folder",
    "public upload in a deleted folder",
    "private file in the trash",
    "public image in a trashed folder",
    "unknown id",
    "malformed id",
];

/// Objects in a folder that its owner has deleted, and that the sweeper may not have removed yet.
const GONE: &str = " in a deleted folder";

/// Objects that their owner has put into the trash, and objects in a folder that is there.
const TRASHED: &str = " in the trash";
const BELOW_TRASHED: &str = " in a trashed folder";

/// True for objects that only the routes of the trash can reach.
fn is_gone(thing: &str) -> bool {
    [GONE, TRASHED, BELOW_TRASHED].iter().any(|gone| thing.ends_with(gone))
}

/// The files and versions that the routes of a version are tested with.
const VERSIONS: [&str; 8] = [
    "private file",
    "public file",
    "private file in a deleted folder",
    "private file in the trash",
    "unknown id",
    "private file, another file's version",
    "private file, unknown version",
    "private file, malformed version",
];

/// The content and the folders that the routes of a link are tested with. The link leads to a folder.
const SHARED: [&str; 8] = [
    "file inside",
    "file in a folder inside",
    "file inside, in the trash",
    "file outside",
    "public file of another user",
    "file for uploads",
    "unknown id",
    "malformed id",
];
const SHARED_FOLDERS: [&str; 6] =
    ["the folder", "folder inside", "folder outside", "folder for uploads", "unknown id", "malformed id"];

/// The tickets and uploads that a companion route is tested with.
const TICKETS: [&str; 5] =
    ["good ticket", "revoked ticket", "expired ticket", "ticket of a user who left", "unknown ticket"];

/// The ZIPs that the routes of a ZIP are tested with.
const ZIPS: [&str; 5] =
    ["the owner's ZIP", "ZIP that is being made", "ZIP of a user who left", "unknown id", "malformed id"];

/// Every route with the kinds of objects that it is tested with.
fn lines() -> Vec<(&'static str, Vec<String>)> {
    [lines_of_users(), lines_of_links()].concat()
}

fn only(things: &[&str]) -> Vec<String> {
    things.iter().map(ToString::to_string).collect()
}

/// The routes of links, for their owners and for whoever has a token.
fn lines_of_links() -> Vec<(&'static str, Vec<String>)> {
    let nothing = only(&["-"]);
    let passwords = only(&["right password", "wrong password"]);
    let links = only(&["the owner's link", "unknown id", "malformed id"]);
    let shared = only(&["link for reading", "link for uploads"]);
    let zips = only(&["ZIP of the link", "the owner's ZIP", "unknown id", "malformed id"]);
    vec![
        ("POST /links", only(&THINGS)),
        ("GET /links", nothing),
        ("GET /links/{id}", links.clone()),
        ("PATCH /links/{id}", links.clone()),
        ("DELETE /links/{id}", links),
        ("GET /shared/{token}", shared.clone()),
        ("POST /shared/{token}/unlock", passwords.clone()),
        ("GET /shared/{token}/files", only(&SHARED_FOLDERS)),
        ("GET /shared/{token}/files/{id}/data", only(&SHARED)),
        ("POST /shared/{token}/ticket", shared.clone()),
        ("GET /s/{token}", shared.clone()),
        ("POST /s/{token}", passwords),
        ("POST /s/{token}/files", shared.clone()),
        ("GET /s/{token}/files/{id}/data", only(&SHARED)),
        ("POST /s/{token}/ticket", shared.clone()),
        ("GET /s/assets/{file}", only(&["unknown file"])),
        ("POST /shared/{token}/zips", shared.clone()),
        ("GET /shared/{token}/zips/{id}", zips.clone()),
        ("GET /shared/{token}/zips/{id}/data", zips.clone()),
        ("POST /s/{token}/zips", shared),
        ("GET /s/{token}/zips/{id}", zips.clone()),
        ("GET /s/{token}/zips/{id}/data", zips),
    ]
}

fn lines_of_users() -> Vec<(&'static str, Vec<String>)> {
    let nothing = only(&["-"]);
    let passwords = only(&["right password", "wrong password"]);
    let things = only(&THINGS);
    let places = [only(&["the root"]), things.clone()].concat();
    let contents = THINGS.iter().flat_map(|thing| {
        let sizes = if thing.ends_with("id") || is_gone(thing) {
            &[""][..]
        } else {
            &["", ", size 500", ", size 250", ", size 100", ", size 50"]
        };
        sizes.iter().map(move |size| format!("{thing}{size}"))
    });
    let signed = places.iter().map(|place| format!("into {place}"));
    let signed = signed.chain(THINGS.iter().map(|thing| format!("key of {thing}"))).collect();
    let tickets = only(&TICKETS);
    let uploads = tickets.iter().map(|ticket| format!("{ticket}, its upload"));
    let uploads: Vec<String> =
        uploads.chain(only(&["good ticket, another's upload", "good ticket, unknown upload"])).collect();
    vec![
        ("GET /", nothing.clone()),
        ("GET /app/{file}", only(&["file of the page", "unknown file"])),
        ("POST /web/session", nothing.clone()),
        ("POST /web/session/refresh", nothing.clone()),
        ("DELETE /web/session", nothing.clone()),
        ("GET /status", nothing.clone()),
        ("GET /stats", nothing.clone()),
        ("GET /openapi.json", nothing.clone()),
        ("GET /docs", nothing.clone()),
        ("GET /docs/{file}", only(&["start.js", "unknown file"])),
        ("POST /users", nothing.clone()),
        ("GET /users/me", nothing.clone()),
        ("GET /users/me/usage", nothing.clone()),
        ("DELETE /users/me", passwords.clone()),
        ("PUT /users/me/password", passwords.clone()),
        ("GET /users/me/sessions", nothing.clone()),
        ("DELETE /users/me/sessions", nothing.clone()),
        ("DELETE /users/me/sessions/{id}", only(&["the owner's session", "unknown id", "malformed id"])),
        ("GET /users/me/keys", nothing.clone()),
        ("POST /users/me/keys", places.clone()),
        ("DELETE /users/me/keys/{id}", only(&["the owner's key", "unknown id", "malformed id"])),
        ("GET /connect", passwords),
        ("GET /disconnect", nothing.clone()),
        ("GET /files", places.clone()),
        ("POST /files", places.clone()),
        ("GET /files/{id}", things.clone()),
        ("PATCH /files/{id}", things.clone()),
        ("DELETE /files/{id}", things.clone()),
        ("GET /files/{id}/path", things.clone()),
        ("PUT /files/{id}/publish", things.clone()),
        ("PUT /files/{id}/unpublish", things.clone()),
        ("POST /files/{id}/copy", things.clone()),
        ("PUT /files/{id}/preview", things.clone()),
        ("PUT /files/{id}/trash", things.clone()),
        ("PUT /files/{id}/restore", things.clone()),
        ("GET /files/{id}/usage", things.clone()),
        ("GET /files/{id}/versions", things.clone()),
        ("DELETE /files/{id}/versions/{version}", only(&VERSIONS)),
        ("PUT /files/{id}/versions/{version}/restore", only(&VERSIONS)),
        ("GET /files/{id}/versions/{version}/data", only(&VERSIONS)),
        ("POST /files/batch", things.clone()),
        ("GET /trash", nothing.clone()),
        ("DELETE /trash", nothing.clone()),
        ("GET /search", nothing.clone()),
        ("GET /files/{id}/data", contents.collect()),
        ("GET /files/{id}/parts", things.clone()),
        ("POST /files/{id}/complete", things),
        ("POST /zips", only(&THINGS)),
        ("GET /zips/{id}", only(&ZIPS)),
        ("GET /zips/{id}/data", only(&ZIPS)),
        ("GET /uploads/tickets", nothing),
        ("POST /uploads/tickets", places),
        (
            "DELETE /uploads/tickets/{ticket}",
            only(&[
                "the owner's ticket",
                "id of the owner's ticket",
                "unknown ticket",
                "unknown id",
                "malformed ticket",
            ]),
        ),
        ("POST /uploads/sign", signed),
        ("GET /uploads/{ticket}/s3/params", tickets.clone()),
        ("POST /uploads/{ticket}/s3/multipart", tickets),
        ("GET /uploads/{ticket}/s3/multipart/{upload}", uploads.clone()),
        ("DELETE /uploads/{ticket}/s3/multipart/{upload}", uploads.clone()),
        ("GET /uploads/{ticket}/s3/multipart/{upload}/batch", uploads.clone()),
        ("POST /uploads/{ticket}/s3/multipart/{upload}/complete", uploads.clone()),
        ("GET /uploads/{ticket}/s3/multipart/{upload}/{part}", uploads),
    ]
}

#[tokio::test]
async fn s01_everybody_may_do_what_the_table_says_and_no_more() {
    let world = World::new().await;
    let lines = lines();
    let cells = lines.iter().flat_map(|(route, things)| things.iter().map(move |thing| (*route, thing)));
    let asked = stream::iter(cells).map(async |(route, thing)| {
        let mut line = format!("| {route} | {thing} |");
        for asking in EVERYBODY {
            line = format!("{line} {} |", world.ask(route, thing, asking).await);
        }
        line
    });
    let found: Vec<String> = asked.buffered(4).collect().await;
    let expected: Vec<&str> = TABLE.lines().filter(|line| line.starts_with("| ") && line.contains(" /")).collect();
    record_measurement("S1", "table", format_args!("{} cells, all as they should be", found.len() * EVERYBODY.len()));
    assert!(found == expected, "The table should be, if this is right:\n\n{}\n", found.join("\n"));
}

/// The operations in the description of the API. Another test checks that every route is described.
#[tokio::test]
async fn s01_the_table_has_every_route() {
    let stack = Stack::running().await;
    let described = stack.anyone().get("/openapi.json").await.json();
    let described: BTreeSet<String> = described["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap().keys();
            methods.map(move |method| format!("{} {path}", method.to_uppercase()))
        })
        .collect();
    let known: BTreeSet<String> = lines().into_iter().map(|(route, _)| route.to_owned()).collect();
    assert_eq!(known, described);
}

/// A line of the table: the method, the path, and the kind of the object.
type Line<'a> = (&'a str, &'a str, &'a str);

/// A ticket, and an upload that it began.
type Ticketed = (String, Value);

struct World {
    stack: Stack,
    owner: User,
    other: User,
    /// The user whose tickets the companion routes are tested with. One user may not have all incomplete uploads.
    issuer: User,
    /// The tickets and uploads of [`World::ticketed`], by their kind.
    tickets: Mutex<HashMap<String, Arc<OnceCell<Ticketed>>>>,
    /// The ids of [`World::shared`], by their kind.
    shared: Mutex<HashMap<String, Arc<OnceCell<String>>>>,
    /// The ids of [`World::kept`], by their line.
    kept: Mutex<HashMap<String, String>>,
    expired: String,
    cookie: String,
    /// Two images with thumbnails: the first is private, the second is public.
    images: [String; 2],
    /// Clients with keys of the owner, by [`EVERYBODY`]'s last.
    keys: Vec<(Asking, Client)>,
    /// The folder that links for reading lead to, and the folder that links for uploads lead to.
    folders: [String; 2],
    /// The ids of ZIPs: see [`World::zip`].
    zips: [OnceCell<String>; 4],
    /// For each kind of folder the tokens of a link without a password, of one with a password, and of an expired one.
    links: [[String; 3]; 2],
}

impl World {
    async fn new() -> Self {
        let stack = Stack::running().await;
        let (owner, other) = (stack.user("owner").await, stack.user("other").await);
        let issuer = stack.user("issuer").await;
        let expired = owner.another_token().await;
        let mut redis = stack.redis().await;
        let () = redis.pexpire(session_key(&expired), 1).await.unwrap();
        eventually("an expired session", Duration::from_secs(5), async || {
            let is_there: bool = redis.exists(session_key(&expired)).await.unwrap();
            (!is_there).then_some(())
        })
        .await;
        let cookie = stack.anyone().with_token(owner.another_token().await).keep_session().await;
        let mut images = [const { String::new() }; 2];
        for (image, is_public) in images.iter_mut().zip([false, true]) {
            let body =
                json!({ "name": "a.jpg", "type": "image", "isPublic": is_public, "data": encoded(&jpeg(600, 400)) });
            *image = id(&owner.create(body).await.document(201));
            thumbnail(&owner, image, 100).await;
        }
        let mut keys = Vec::new();
        for asking in EVERYBODY.into_iter().filter(Asking::has_key) {
            keys.push((asking, key_of(&stack, &owner, asking).await));
        }
        let folders = [owner.folder("shared").await, owner.folder("inbox").await];
        let mut links: [[String; 3]; 2] = Default::default();
        for ((links, folder), kind) in links.iter_mut().zip(&folders).zip(["download", "upload"]) {
            for (link, more) in
                links.iter_mut().zip([json!({}), json!({ "password": PASSWORD }), json!({ "expiresIn": 1 })])
            {
                let mut body = json!({ "fileId": folder, "kind": kind });
                body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
                let created = owner.post("/links", body).await;
                assert_eq!(created.status, 201, "{created}");
                created.json()["token"].as_str().unwrap().clone_into(link);
            }
            eventually("an expired link", Duration::from_secs(20), async || {
                (stack.anyone().get(&format!("/shared/{}", links[2])).await.status == 410).then_some(())
            })
            .await;
        }
        Self {
            stack,
            owner,
            other,
            issuer,
            tickets: Mutex::default(),
            shared: Mutex::default(),
            kept: Mutex::default(),
            expired,
            cookie,
            images,
            keys,
            folders,
            links,
            zips: Default::default(),
        }
    }

    fn as_seen_by(&self, asking: Asking) -> Client {
        match asking {
            Asking::Nobody => self.stack.anyone(),
            Asking::WithAMalformedToken => self.stack.anyone().with_token("no token"),
            Asking::WithAnExpiredToken => self.stack.anyone().with_token(&self.expired),
            Asking::AnotherUser => self.other.clone(),
            Asking::TheOwner => self.owner.clone(),
            Asking::WithTheCookie => self.stack.anyone().with_cookie(&self.cookie),
            Asking::WithAKey(_) | Asking::WithAKeyOfAFolder => {
                self.keys.iter().find(|(of, _)| *of == asking).expect("a key").1.clone()
            }
            // The token of a link is no token of a session.
            Asking::WithALink => self.stack.anyone().with_token(&self.links[0][0]),
            Asking::WithALinkWithAPassword => self.stack.anyone().with_token(&self.links[0][1]),
            Asking::WithAnExpiredLink => self.stack.anyone().with_token(&self.links[0][2]),
        }
    }

    /// The token in the path of a route for visitors. A client without a link has a forged one.
    fn token(&self, asking: Asking, for_uploads: bool) -> String {
        let of_kind = &self.links[usize::from(for_uploads)];
        match asking {
            Asking::WithALink => of_kind[0].clone(),
            Asking::WithALinkWithAPassword => of_kind[1].clone(),
            Asking::WithAnExpiredLink => of_kind[2].clone(),
            _ => format!("{}{}", ObjectId::new().to_hex(), "A".repeat(14)),
        }
    }

    /// The content of a cell: the status, for a listing the number of documents, and for a batch the status of its one
    /// result.
    async fn ask(&self, route: &str, thing: &str, asking: Asking) -> String {
        let mut answer = self.answer(route, thing, asking).await;
        // A sweep of another test may delete the upload of a user who left before the upload is asked for.
        if answer.status == 404 && thing.contains("a user who left") {
            self.tickets.lock().unwrap().remove(thing);
            answer = self.answer(route, thing, asking).await;
        }
        let is_companion = route.contains("/s3/");
        let is_page = route.contains("/s/{token}") && !route.ends_with("/ticket");
        let of_link = ["/shared/", "/s/{token}"].iter().any(|path| route.contains(path));
        let unauthorized = if of_link { "Password required" } else { "Unauthorized" };
        for (status, error) in [(401, unauthorized), (403, "This key may not do that"), (404, "Not found")] {
            if answer.status == status && is_page {
                assert_eq!(answer.header("content-type"), "text/html; charset=utf-8", "of {answer}");
            } else if answer.status == status && is_companion {
                answer.fails_with_message(status, error);
            } else if answer.status == status {
                answer.fails(status, error);
            }
        }
        match (route, answer.status) {
            ("GET /files", 200) => format!("200 ({})", answer.documents().len()),
            ("POST /files/batch", 200) => format!("200 ({})", answer.json()[0]["status"]),
            (_, status) => status.to_string(),
        }
    }

    async fn answer(&self, route: &str, thing: &str, asking: Asking) -> Answer {
        let (method, path) = route.split_once(' ').unwrap();
        let line = (method, path, thing);
        let answer = if path.starts_with("/s/") {
            self.of_pages(line, asking).await
        } else if path.starts_with("/links") || path.starts_with("/shared/") {
            self.of_links(line, asking).await
        } else {
            self.of_others(line, asking).await
        };
        if method != "GET" && answer.status < 400 {
            self.kept.lock().unwrap().remove(&key_of_line(line));
        }
        answer
    }

    /// The id of the object that `make` makes for this line. All clients ask about the same object until an answer says that
    /// it may have changed.
    async fn kept(&self, line: Line<'_>, make: impl AsyncFnOnce() -> String) -> String {
        let key = key_of_line(line);
        let kept = self.kept.lock().unwrap().get(&key).cloned();
        if let Some(id) = kept {
            return id;
        }
        let id = make().await;
        self.kept.lock().unwrap().insert(key, id.clone());
        id
    }

    /// The id of an object of this kind: see [`World::kept`].
    async fn object(&self, line: Line<'_>) -> String {
        self.kept(line, async || self.make(line.2).await).await
    }

    /// The answer of a route that is not of links.
    async fn of_others(&self, line: Line<'_>, asking: Asking) -> Answer {
        let (method, path, thing) = line;
        let client = self.as_seen_by(asking);
        let send = async |path: &str, body: Value| {
            let request = client.request(method, path);
            if body.is_null() { request.send().await } else { request.json(body).send().await }
        };
        match path {
            "/users" => send(path, json!({ "email": unique("new"), "password": PASSWORD })).await,
            "/connect" => {
                let password = if thing == "right password" { PASSWORD } else { "wrong" };
                // Ten wrong passwords a minute close an account.
                client.connect(&self.stack.user("connecting").await.email, password).await
            }
            _ if path.starts_with("/users/me") || path == "/disconnect" || path == "/trash" => {
                self.own(line, asking).await
            }
            // Every user has a root folder of their own.
            "/files" if method == "GET" && thing == "the root" => {
                let somebody = self.stack.user("somebody").await;
                match asking {
                    Asking::TheOwner | Asking::AnotherUser => somebody.get("/files").await,
                    _ if asking.has_key() => key_of(&self.stack, &somebody, asking).await.get("/files").await,
                    _ => client.get("/files").await,
                }
            }
            "/files" if method == "GET" => {
                let make = async || {
                    let place = self.make(thing).await;
                    if thing.ends_with("folder") && !is_gone(thing) {
                        self.owner.folder_in(&place, "inside").await;
                    }
                    place
                };
                let place = self.kept(line, make).await;
                send(&format!("/files?parentId={place}"), Value::Null).await
            }
            "/files" => {
                let place = self.object(line).await;
                send(path, json!({ "name": "new", "type": "folder", "parentId": place })).await
            }
            "/search" => send("/search?q=a", Value::Null).await,
            "/uploads/tickets" if method == "GET" => send(path, Value::Null).await,
            "/uploads/tickets" => send(path, json!({ "parentId": self.object(line).await })).await,
            "/uploads/sign" => self.sign_answer(line, &client).await,
            "/uploads/tickets/{ticket}" => {
                let ticket = self.called(thing).await;
                send(&path.replace("{ticket}", &ticket), Value::Null).await
            }
            "/files/{id}/data" => {
                let (thing, size) = thing.split_once(", size ").unwrap_or((thing, ""));
                let path = path.replace("{id}", &self.shared(thing).await);
                let query = if size.is_empty() { String::new() } else { format!("?size={size}") };
                send(&format!("{path}{query}"), Value::Null).await
            }
            _ if path.starts_with("/zips") => self.zip_answer(line, &client).await,
            "/files/batch" => send(path, json!({ "action": "trash", "ids": [self.object(line).await] })).await,
            "/files/{id}" if method == "PATCH" => {
                send(&path.replace("{id}", &self.object(line).await), json!({ "name": "new" })).await
            }
            "/files/{id}/preview" => {
                send(&path.replace("{id}", &self.object(line).await), json!({ "data": encoded(b"no picture") })).await
            }
            _ if path.starts_with("/files/{id}/versions/{version}") => {
                let version = self.kept(line, async || self.version(thing).await).await;
                send(&path.replace("{id}/versions/{version}", &version), Value::Null).await
            }
            "/app/{file}" if thing == "file of the page" => {
                let page = self.stack.anyone().request("GET", "/").header("Accept-Encoding", "gzip").send().await;
                send(&crate::web::a_file_of(&page), Value::Null).await
            }
            "/app/{file}" => send("/app/unknown-file", Value::Null).await,
            "/web/session/refresh" => client.request(method, path).from_the_app().send().await,
            "/web/session" if method == "DELETE" => {
                // The session ends, so each client has one of its own.
                let client = match asking {
                    Asking::WithTheCookie => {
                        let cookie = self.stack.user("leaving").await.keep_session().await;
                        self.stack.anyone().with_cookie(cookie)
                    }
                    _ => client,
                };
                client.request(method, path).from_the_app().send().await
            }
            "/docs/{file}" => send(&format!("/docs/{}", thing.replace(' ', "-")), Value::Null).await,
            _ if path.starts_with("/files/{id}") => {
                send(&path.replace("{id}", &self.object(line).await), Value::Null).await
            }
            _ if path.starts_with("/uploads/{ticket}/s3/") => self.companion((method, path), thing, asking).await,
            _ => send(path, Value::Null).await,
        }
    }

    /// Routes about the account of the client.
    async fn own(&self, line: Line<'_>, asking: Asking) -> Answer {
        let (method, path, thing) = line;
        let client = self.as_seen_by(asking);
        let send = async |path: &str| client.request(method, path).send().await;
        match path {
            // Each client does these to its own account.
            "/users/me" | "/users/me/password" | "/disconnect" | "/users/me/sessions" | "/trash" => {
                let client = match asking {
                    Asking::TheOwner | Asking::AnotherUser => self.stack.user("leaving").await.clone(),
                    _ if asking.has_key() => key_of(&self.stack, &self.stack.user("leaving").await, asking).await,
                    _ => client.clone(),
                };
                let password = if thing == "right password" { PASSWORD } else { "wrong" };
                let request = client.request(method, path);
                if method == "GET" || thing == "-" {
                    request.send().await
                } else {
                    request.json(json!({ "password": password, "newPassword": "another" })).send().await
                }
            }
            "/users/me/sessions/{id}" => {
                let session = match thing {
                    "the owner's session" => {
                        self.owner.another_token().await;
                        id(&self.owner.get("/users/me/sessions").await.json()[0])
                    }
                    thing => nobodys(thing),
                };
                send(&path.replace("{id}", &session)).await
            }
            "/users/me/keys" if method == "POST" => {
                let body = json!({ "name": "new", "scopes": ["read"], "parentId": self.object(line).await });
                client.request(method, path).json(body).send().await
            }
            "/users/me/keys/{id}" => {
                let key = match thing {
                    "the owner's key" => id(&self.owner.post("/users/me/keys", a_key("read")).await.json()),
                    thing => nobodys(thing),
                };
                send(&path.replace("{id}", &key)).await
            }
            _ => send(path).await,
        }
    }

    /// The answer of a route of links, for their owners or for visitors.
    async fn of_links(&self, line: Line<'_>, asking: Asking) -> Answer {
        let (method, path, thing) = line;
        let client = self.as_seen_by(asking);
        let send = async |path: &str, body: Value| {
            let request = client.request(method, path);
            if body.is_null() { request.send().await } else { request.json(body).send().await }
        };
        let path = path.replace("{token}", &self.token(asking, thing.ends_with("for uploads")));
        if path.ends_with("/unlock") {
            let password = if thing == "right password" { PASSWORD } else { "wrong" };
            send(&path, json!({ "password": password })).await
        } else if path.contains("/zips/{id}") {
            send(&path.replace("{id}", &self.zip(thing).await), Value::Null).await
        } else if path.contains("{id}") && path != "/links/{id}" {
            send(&path.replace("{id}", &self.object_of_link(line).await), Value::Null).await
        } else if path.ends_with("/files") {
            send(&format!("{path}?parentId={}", self.object_of_link(line).await), Value::Null).await
        } else if path == "/links/{id}" {
            let link_id = match thing {
                "the owner's link" => id(&self.owner.post("/links", json!({ "fileId": self.folders[0] })).await.json()),
                thing => nobodys(thing),
            };
            let body = if method == "PATCH" { json!({ "maxDownloads": 7 }) } else { Value::Null };
            send(&path.replace("{id}", &link_id), body).await
        } else if path == "/links" && method == "POST" {
            send(&path, json!({ "fileId": self.object(line).await })).await
        } else {
            send(&path, Value::Null).await
        }
    }

    /// The answer of a route of the pages of links.
    async fn of_pages(&self, line: Line<'_>, asking: Asking) -> Answer {
        let (method, path, thing) = line;
        let token = self.token(asking, thing.ends_with("for uploads"));
        let mut filled = path.replace("{token}", &token).replace("{file}", "unknown-file");
        if path.contains("/zips/{id}") {
            filled = filled.replace("{id}", &self.zip(thing).await);
        } else if path.contains("{id}") {
            filled = filled.replace("{id}", &self.object_of_link(line).await);
        }
        let request = self.as_seen_by(asking).request(method, &filled);
        let request = match (method, path) {
            ("POST", "/s/{token}") => {
                let password = if thing == "right password" { PASSWORD } else { "wrong" };
                request.body("application/x-www-form-urlencoded", format!("password={password}"))
            }
            (_, "/s/{token}/zips") => {
                let folder = &self.folders[usize::from(thing.ends_with("for uploads"))];
                request.body("application/x-www-form-urlencoded", format!("folder={folder}"))
            }
            (_, "/s/{token}/files") => request.body("multipart/form-data; boundary=x", "--x--\r\n"),
            _ => request,
        };
        request.send().await
    }

    /// The id of a file or a folder that a route of a link is asked for: see [`World::kept`].
    async fn object_of_link(&self, line: Line<'_>) -> String {
        self.kept(line, async || self.below(line.2).await).await
    }

    /// Makes a file or a folder that a route of a link is asked for, and returns its id.
    async fn below(&self, thing: &str) -> String {
        let [shared, inbox] = &self.folders;
        match thing {
            "the folder" => shared.clone(),
            "folder for uploads" => inbox.clone(),
            "folder inside" => self.owner.folder_in(shared, "inside").await,
            "folder outside" => self.owner.folder("outside").await,
            "file inside" => self.owner.upload_into(shared, "a.txt", b"hi").await,
            "file in a folder inside" => {
                let folder = self.owner.folder_in(shared, "inside").await;
                self.owner.upload_into(&folder, "a.txt", b"hi").await
            }
            "file inside, in the trash" => {
                let file = self.owner.upload_into(shared, "a.txt", b"hi").await;
                self.owner.trash(&file).await.document(200);
                file
            }
            "file outside" => self.owner.upload("a.txt", b"hi").await,
            "public file of another user" => {
                let file = self.other.upload("a.txt", b"hi").await;
                self.other.publish(&file).await;
                file
            }
            "file for uploads" => self.owner.upload_into(inbox, "a.txt", b"hi").await,
            thing => nobodys(thing),
        }
    }

    /// Makes an object of this kind, and returns its id.
    async fn make(&self, thing: &str) -> String {
        let (of, folder) = self.place(thing).await;
        let Some((visibility @ ("private" | "public"), kind)) = of.split_once(' ') else { return nobodys(of) };
        let is_public = visibility == "public";
        let mut body = match kind {
            "folder" => json!({ "name": "a", "type": "folder", "isPublic": is_public }),
            "upload" => json!({ "name": "a", "type": "file", "isPublic": is_public, "size": 200 << 20 }),
            kind => json!({ "name": "a.jpg", "type": kind, "isPublic": is_public, "data": "aGk=" }),
        };
        body["parentId"] = json!(folder);
        let made = id(&self.owner.create(body).await.document(201));
        self.leave(thing, &made, folder).await;
        made
    }

    /// The kind of the object, and a folder for it if that is to go.
    async fn place<'a>(&self, thing: &'a str) -> (&'a str, Option<String>) {
        match thing.strip_suffix(GONE).or_else(|| thing.strip_suffix(BELOW_TRASHED)) {
            Some(of) => (of, Some(self.owner.folder("going").await)),
            None => (thing.strip_suffix(TRASHED).unwrap_or(thing), None),
        }
    }

    /// Deletes or trashes the object or its folder, if the object is of such a kind.
    async fn leave(&self, thing: &str, made: &str, folder: Option<String>) {
        match folder {
            Some(folder) if thing.ends_with(GONE) => self.owner.discard(&folder).await,
            Some(folder) => drop(self.owner.trash(&folder).await.document(200)),
            None if thing.ends_with(TRASHED) => drop(self.owner.trash(made).await.document(200)),
            None => {}
        }
    }

    /// Makes a file with a version, and returns the end of the version's path.
    async fn version(&self, thing: &str) -> String {
        let (thing, version) = thing.split_once(", ").unwrap_or((thing, "its version"));
        if thing == "unknown id" {
            return format!("{}/versions/{}", nobodys(thing), nobodys(thing));
        }
        let (of, place) = self.place(thing).await;
        let is_public = of.starts_with("public");
        // A folder of its own, so that lines that are asked at the same time do not replace each other's files.
        let folder = match &place {
            Some(folder) => folder.clone(),
            None => self.owner.folder("versions").await,
        };
        let replaced = async |name: &str| {
            let mut file = String::new();
            for data in ["b25l", "dHdv"] {
                let body = json!({
                    "name": name, "type": "file", "isPublic": is_public, "parentId": folder, "data": data,
                    "onConflict": "replace",
                });
                file = id(&self.owner.create(body).await.document(201));
            }
            let version = id(&self.owner.versions(&file).await[0]);
            (file, version)
        };
        let (file, its) = replaced("a.txt").await;
        let (_, other) = replaced("b.txt").await;
        self.leave(thing, &file, place).await;
        let version = match version {
            "another file's version" => other,
            "unknown version" => nobodys("unknown id"),
            "malformed version" => nobodys("malformed id"),
            _ => its,
        };
        format!("{file}/versions/{version}")
    }

    async fn zip_answer(&self, line: Line<'_>, client: &Client) -> Answer {
        let (method, path, thing) = line;
        if path == "/zips" {
            let answer = client.post(path, json!({ "ids": [self.object(line).await] })).await;
            // A user may have a few ZIPs at a time.
            if answer.status == 202 {
                zips::done(&self.owner, &answer.json()).await;
            }
            return answer;
        }
        client.request(method, &path.replace("{id}", &self.zip(thing).await)).send().await
    }

    /// The id of a ZIP. Each kind of ZIP is made once: a user may have a few at a time.
    async fn zip(&self, thing: &str) -> String {
        let kinds = ["the owner's ZIP", "ZIP that is being made", "ZIP of a user who left", "ZIP of the link"];
        match kinds.iter().position(|kind| *kind == thing) {
            Some(kind) => self.zips[kind].get_or_init(|| self.make_zip(thing)).await.clone(),
            None => nobodys(thing),
        }
    }

    async fn make_zip(&self, thing: &str) -> String {
        match thing {
            "ZIP of the link" => {
                let link = format!("/shared/{}/zips", self.links[0][0]);
                let zip = id(&self.stack.anyone().post(&link, json!({})).await.json());
                eventually("the ZIP of the link", Duration::from_mins(1), async || {
                    let shown = self.stack.anyone().get(&format!("{link}/{zip}")).await.json();
                    (shown["state"] == "ready").then_some(())
                })
                .await;
                zip
            }
            "the owner's ZIP" => {
                let file = self.make("private file").await;
                let zip = zips::done(&self.owner, &zips::ask(&self.owner, &[&file]).await).await;
                id(&zip)
            }
            "ZIP that is being made" => self.stack.plant_zip(self.owner.object_id()).await,
            "ZIP of a user who left" => {
                let leaving = self.stack.user("leaving").await;
                let zip = self.stack.plant_zip(leaving.object_id()).await;
                let left = leaving.request("DELETE", "/users/me").json(json!({ "password": PASSWORD })).send().await;
                assert_eq!(left.status, 204, "{left}");
                zip
            }
            thing => nobodys(thing),
        }
    }

    /// The id of an object for requests that only read it. Images have thumbnails.
    async fn shared(&self, thing: &str) -> String {
        match thing {
            "private image" => self.images[0].clone(),
            "public image" => self.images[1].clone(),
            thing => {
                // A user may have a thousand incomplete uploads.
                let kept = Arc::clone(self.shared.lock().unwrap().entry(thing.to_owned()).or_default());
                kept.get_or_init(|| self.make(thing)).await.clone()
            }
        }
    }

    async fn sign_answer(&self, line: Line<'_>, client: &Client) -> Answer {
        let (_, path, thing) = line;
        let body = match thing.split_once(' ').unwrap() {
            ("into", place) => {
                let place = self.kept(line, async || self.make(place).await).await;
                json!({ "method": "PUT", "key": "new", "parentId": place })
            }
            (_, of) => {
                let thing = of.trim_start_matches("of ");
                let make = async || match thing.split_once(' ').unwrap() {
                    (_, kind) if kind.starts_with("upload") => self.sign(thing).await,
                    ("malformed", _) => "files/../x".into(),
                    _ => format!("uploads/{}/{}", self.make(thing).await, "a".repeat(32)),
                };
                json!({ "method": "GET", "key": self.kept(line, make).await, "uploadId": "x" })
            }
        };
        client.post(path, body).await
    }

    /// The key of an upload that was created by signed requests.
    async fn sign(&self, thing: &str) -> String {
        let (of, folder) = self.place(thing).await;
        let is_public = of.starts_with("public");
        let body = json!({ "method": "POST", "key": "a.bin", "isPublic": is_public, "parentId": folder });
        let signed = self.owner.post("/uploads/sign", body).await;
        assert_eq!(signed.status, 200, "{signed}");
        self.leave(thing, "", folder).await;
        signed.json()["key"].as_str().unwrap().to_owned()
    }

    async fn ticket(&self, of: &User) -> String {
        self.ticket_for(of, json!({})).await
    }

    async fn ticket_for(&self, of: &User, scope: Value) -> String {
        let issued = of.post("/uploads/tickets", scope).await;
        assert_eq!(issued.status, 201, "{issued}");
        issued.json()["ticket"].as_str().unwrap().to_owned()
    }

    /// A ticket in the form in which the owner revokes it.
    async fn called(&self, thing: &str) -> String {
        match thing {
            "the owner's ticket" => self.ticket(&self.owner).await,
            "id of the owner's ticket" => {
                // Other lines issue tickets at the same time, so the id must be the one with which this ticket begins.
                let ticket = self.ticket(&self.owner).await;
                let begins: [u8; 12] = URL_SAFE_NO_PAD.decode(&ticket[..16]).unwrap().try_into().unwrap();
                let listed = self.owner.get("/uploads/tickets").await.json();
                let mut ids = listed.as_array().unwrap().iter().map(id);
                ids.find(|id| *id == ObjectId::from_bytes(begins).to_hex()).unwrap()
            }
            "unknown ticket" => "a".repeat(64),
            "malformed ticket" => "malformed".into(),
            thing => nobodys(thing),
        }
    }

    async fn companion(&self, (method, path): (&str, &str), thing: &str, asking: Asking) -> Answer {
        let client = self.as_seen_by(asking);
        let (token, begun) = if method == "DELETE" {
            self.ticketed(thing).await
        } else {
            // Requests that change nothing share tickets and uploads: one user may have a thousand incomplete uploads, and
            // the sweeper of all tests would remove them.
            let kept = Arc::clone(self.tickets.lock().unwrap().entry(thing.to_owned()).or_default());
            kept.get_or_init(|| self.ticketed(thing)).await.clone()
        };
        let text = |key: &str| begun[key].as_str().unwrap_or_default().replace('/', "%2F");
        let path = path.replace("{ticket}", &token).replace("{upload}", &text("uploadId")).replace("{part}", "1");
        let path = format!("{path}?filename=a&key={}&partNumbers=1", text("key"));
        let request = client.request(method, &path);
        if method == "POST" {
            request.json(json!({ "filename": "a", "parts": [] })).send().await
        } else {
            request.send().await
        }
    }

    /// A ticket, and an upload that it began.
    async fn ticketed(&self, thing: &str) -> Ticketed {
        let (ticket, upload) = thing.split_once(", ").unwrap_or((thing, ""));
        let owner =
            if ticket == "ticket of a user who left" { &self.stack.user("leaving").await } else { &self.issuer };
        let token = match ticket {
            "unknown ticket" => "a".repeat(64),
            // Enough time to create the upload on a busy machine.
            "expired ticket" => self.ticket_for(owner, json!({ "expiresIn": 3 })).await,
            _ => self.ticket(owner).await,
        };
        let begun = match (ticket, upload) {
            ("unknown ticket", _) | (_, "unknown upload") => {
                json!({ "key": format!("uploads/{}/{}", ObjectId::new().to_hex(), "a".repeat(32)), "uploadId": "unknown" })
            }
            (_, "") => Value::Null,
            (_, "another's upload") => self.begin(&self.ticket(&self.other).await).await,
            _ => self.begin(&token).await,
        };
        match ticket {
            "revoked ticket" => {
                assert_eq!(owner.request("DELETE", &format!("/uploads/tickets/{token}")).send().await.status, 204);
            }
            "expired ticket" => {
                let params = format!("/uploads/{token}/s3/params?filename=a");
                eventually("an expired ticket", Duration::from_secs(20), async || {
                    (self.stack.anyone().get(&params).await.status == 401).then_some(())
                })
                .await;
            }
            "ticket of a user who left" => {
                let left = owner.request("DELETE", "/users/me").json(json!({ "password": PASSWORD })).send().await;
                assert_eq!(left.status, 204, "{left}");
            }
            _ => {}
        }
        (token, begun)
    }

    /// Creates a multipart upload with the ticket.
    async fn begin(&self, ticket: &str) -> Value {
        let begun =
            self.stack.anyone().post(&format!("/uploads/{ticket}/s3/multipart"), json!({ "filename": "a" })).await;
        assert_eq!(begun.status, 200, "{begun}");
        begun.json()
    }
}

impl Asking {
    fn has_key(&self) -> bool {
        matches!(self, Self::WithAKey(_) | Self::WithAKeyOfAFolder)
    }
}

fn key_of_line((method, path, thing): Line<'_>) -> String {
    format!("{method} {path} {thing}")
}

fn a_key(scope: &str) -> Value {
    json!({ "name": scope, "scopes": [scope] })
}

/// A client with a key of this user.
async fn key_of(stack: &Stack, user: &User, asking: Asking) -> Client {
    let body = match asking {
        Asking::WithAKey(scope) => a_key(scope),
        _ => json!({ "name": "all", "scopes": ["read", "upload", "write"], "parentId": user.folder("empty").await }),
    };
    let key = user.post("/users/me/keys", body).await.json();
    stack.anyone().with_token(key["key"].as_str().unwrap())
}

fn nobodys(thing: &str) -> String {
    match thing {
        "the root" => "0".into(),
        "unknown id" => ObjectId::new().to_hex(),
        "malformed id" => "malformed".into(),
        other => panic!("what is {other}?"),
    }
}

fn id(document: &Value) -> String {
    document["id"].as_str().unwrap_or_else(|| panic!("{document} has no id")).to_owned()
}
