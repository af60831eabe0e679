//! The program, run on a folder and documents as the original leaves them, beside the running stack.
#![allow(clippy::unwrap_used, reason = "what is not there fails the test")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use e2e::{Stack, eventually, fixtures, unique};
use mongodb::{
    Collection,
    bson::{Bson, Document, doc, oid::ObjectId},
};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Command;

/// A folder, a database and its documents, all deleted with the test.
struct Original {
    stack: Stack,
    folder: PathBuf,
    uri: String,
    documents: Collection<Document>,
    bucket: String,
}

impl Original {
    /// A database and a bucket of its own, for a test that counts what is there.
    async fn alone() -> Self {
        let stack = Stack::running().await;
        let name = unique("adopt");
        stack.s3.create_bucket().bucket(&name).send().await.unwrap();
        let (server, _) = stack.mongodb_uri.rsplit_once('/').expect("the URI names a database");
        let uri = format!("{server}/{name}");
        let documents = stack.files.client().database(&name).collection("files");
        Self::of(stack, uri, documents, name)
    }

    /// The database and the bucket of the stack, for a test of what its API shows.
    async fn beside_the_stack() -> Self {
        let stack = Stack::running().await;
        let (uri, documents, bucket) = (stack.mongodb_uri.clone(), stack.files.clone(), stack.bucket.clone());
        Self::of(stack, uri, documents, bucket)
    }

    fn of(stack: Stack, uri: String, documents: Collection<Document>, bucket: String) -> Self {
        let folder = std::env::temp_dir().join(unique("files_manager"));
        fs::create_dir(&folder).unwrap();
        Self { stack, folder, uri, documents, bucket }
    }

    /// Stores a file as the original does: the bytes under a new name in the folder, and the document with the path.
    async fn store(&self, fields: Document, bytes: &[u8]) -> ObjectId {
        let path = self.folder.join(unique("file"));
        fs::write(&path, bytes).unwrap();
        self.insert(doc! { "localPath": path.to_str().unwrap() }, fields).await
    }

    async fn insert(&self, mut document: Document, fields: Document) -> ObjectId {
        let id = ObjectId::new();
        document.insert("_id", id);
        document.extend(fields);
        self.documents.insert_one(document).await.unwrap();
        id
    }

    fn program(&self, folder: &Path, more: &[&str]) -> Command {
        let mut program = Command::new(env!("CARGO_BIN_EXE_adopt"));
        program.arg("--folder").arg(folder).args(more).kill_on_drop(true);
        program
            .env("MONGODB_URI", &self.uri)
            .env("BUCKET", &self.bucket)
            .env("AWS_REGION", &self.stack.region)
            .env("AWS_ENDPOINT_URL", &self.stack.aws_endpoint)
            .env("AWS_ACCESS_KEY_ID", self.stack.credentials.access_key_id())
            .env("AWS_SECRET_ACCESS_KEY", self.stack.credentials.secret_access_key());
        program
    }

    /// The output of the program, and its exit code.
    async fn run(&self, more: &[&str]) -> (String, i32) {
        let output = self.program(&self.folder, more).output().await.unwrap();
        let printed = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
        (printed, output.status.code().unwrap())
    }

    async fn document(&self, id: impl Into<Bson>) -> Document {
        self.documents.find_one(doc! { "_id": id.into() }).await.unwrap().unwrap()
    }

    async fn bytes(&self, id: ObjectId) -> Vec<u8> {
        let document = self.document(id).await;
        let get = self.stack.s3.get_object().bucket(&self.bucket).key(document.get_str("key").unwrap());
        let bytes = get.send().await.unwrap().body.collect().await.unwrap().to_vec();
        assert_eq!(document.get_i64("size").unwrap(), i64::try_from(bytes.len()).unwrap());
        bytes
    }

    /// The keys of the bucket, sorted.
    async fn objects(&self) -> Vec<String> {
        let mut pages = self.stack.s3.list_objects_v2().bucket(&self.bucket).into_paginator().send();
        let mut keys = Vec::new();
        while let Some(page) = pages.next().await {
            keys.extend(page.unwrap().contents.unwrap_or_default().into_iter().map(|object| object.key.unwrap()));
        }
        keys.sort();
        keys
    }

    /// Removes the database and the bucket of a test that has its own.
    async fn forget(self) {
        for key in self.objects().await {
            self.stack.s3.delete_object().bucket(&self.bucket).key(key).send().await.unwrap();
        }
        self.stack.s3.delete_bucket().bucket(&self.bucket).send().await.unwrap();
        self.documents.client().database(&self.documents.namespace().db).drop().await.unwrap();
        fs::remove_dir_all(&self.folder).unwrap();
    }
}

fn file(name: impl Into<Bson>) -> Document {
    doc! { "userId": ObjectId::new(), "name": name.into(), "type": "file", "isPublic": false, "parentId": "0" }
}

#[tokio::test]
async fn files_of_the_original_are_served_and_get_thumbnails() {
    let original = Original::beside_the_stack().await;
    let bob = original.stack.user("bob").await;
    let owned = |fields: Document| {
        let mut fields = fields;
        fields.insert("userId", bob.object_id());
        fields
    };
    let text = original.store(owned(file("notes.txt")), b"hello").await;
    let photo = fixtures::jpeg(600, 400);
    let image = original.store(owned(doc! { "name": "photo.jpg", "type": "image", "parentId": 0 }), &photo).await;
    bob.get(&format!("/files/{}/data", text.to_hex())).await.fails(404, "Not found");
    let before = original.document(text).await;

    let (printed, _) = original.run(&["--dry-run"]).await;
    assert!(printed.contains(" would be adopted, "), "{printed}");
    assert_eq!(original.document(text).await, before);

    original.run(&[]).await;
    let served = bob.get(&format!("/files/{}/data", text.to_hex())).await;
    assert_eq!((served.status, &served.body[..]), (200, &b"hello"[..]));
    assert_eq!(bob.get(&format!("/files/{}/data", image.to_hex())).await.body, photo);
    // The original still serves the file.
    let mut after = original.document(text).await;
    for new in ["key", "size"] {
        assert!(after.remove(new).is_some(), "{new}");
    }
    assert_eq!(after, before);

    original.stack.invoke("sweeper", &serde_json::json!({})).await;
    let image = image.to_hex();
    eventually("the thumbnails of the adopted image", Duration::from_secs(30), async || {
        let document = bob.get(&format!("/files/{image}")).await.document(200);
        (document["thumbnails"] == "ready").then_some(())
    })
    .await;
    assert_eq!(bob.get(&format!("/files/{image}/data?size=250")).await.status, 200);
    fs::remove_dir_all(&original.folder).unwrap();
}

#[tokio::test]
async fn odd_documents_are_adopted_as_far_as_they_can_be() {
    let original = Original::alone().await;
    let plain = original.store(file("a.txt"), b"a").await;
    let odd = [
        doc! { "name": 5, "type": "file", "isPublic": "yes" },
        doc! { "name": { "a": 1 }, "type": "image", "isPublic": Bson::Null, "parentId": "elsewhere" },
        doc! { "userId": "nobody", "size": "large" },
        doc! {},
    ];
    let mut ids = vec![plain];
    for (n, fields) in odd.into_iter().enumerate() {
        ids.push(original.store(fields, format!("odd {n}").as_bytes()).await);
    }
    // Only the last name of a path of another machine counts, and it leads nowhere outside of the folder.
    fs::write(original.folder.join("moved"), b"moved").unwrap();
    let moved = original.insert(doc! { "localPath": "/srv/elsewhere/moved" }, file("m.bin")).await;
    let windows = original.insert(doc! { "localPath": r"C:\files\moved" }, file("w.bin")).await;
    let outside = fs::canonicalize("/etc/hostname").unwrap();
    std::os::unix::fs::symlink(&outside, original.folder.join("link")).unwrap();
    fs::create_dir(original.folder.join("directory")).unwrap();
    let mut missing = Vec::new();
    for path in ["/tmp/gone", "..", "/tmp/..", "", "/", "link", "directory", "a\0b", "x\r\ny", &"n".repeat(4_000)] {
        missing.push(original.insert(doc! { "localPath": path }, file("gone.txt")).await);
    }
    original.documents.insert_one(doc! { "_id": "text", "localPath": "/tmp/x", "type": "file" }).await.unwrap();
    let number = original.insert(doc! { "localPath": 7 }, file("n.txt")).await;
    // These documents have no bytes to be adopted.
    let folder = original.insert(doc! { "localPath": "/tmp/moved", "type": "folder" }, doc! { "name": "f" }).await;
    let without_path = original.insert(doc! {}, file("p.txt")).await;
    let deleted =
        original.insert(doc! { "localPath": "moved", "state": "deleted" }, doc! { "name": "d", "type": "file" }).await;
    let untouched: Vec<ObjectId> = [missing.clone(), vec![number, folder, without_path, deleted]].concat();
    let mut before = Vec::new();
    for id in &untouched {
        before.push(original.document(*id).await);
    }

    for _ in 0..2 {
        let (printed, code) = original.run(&["--dry-run"]).await;
        assert!(printed.contains("7 files of") && printed.contains("7 would be adopted"), "{printed}");
        assert!(printed.contains("10 missing") && printed.contains("2 unreadable"), "{printed}");
        assert_eq!(code, 1, "{printed}");
    }
    let (printed, code) = original.run(&[]).await;
    assert!(printed.contains("7 adopted, ") && printed.contains("10 missing"), "{printed}");
    assert!(printed.contains("2 unreadable") && !printed.contains("meanwhile"), "{printed}");
    // A path cannot break a line of the report.
    assert!(printed.contains(r"x\r\ny") && printed.contains(r"a\0b"), "{printed}");
    assert_eq!(code, 1);
    assert_eq!(original.bytes(plain).await, b"a");
    for (n, id) in ids[1..].iter().enumerate() {
        assert_eq!(original.bytes(*id).await, format!("odd {n}").as_bytes());
    }
    assert_eq!((original.bytes(moved).await, original.bytes(windows).await), (b"moved".to_vec(), b"moved".to_vec()));
    for (id, before) in untouched.iter().zip(&before) {
        assert_eq!(original.document(*id).await, *before);
    }

    // A second run has nothing left to do.
    let (printed, _) = original.run(&[]).await;
    assert!(printed.starts_with("0 files of") && printed.contains("0 adopted, "), "{printed}");
    original.forget().await;
}

#[tokio::test]
async fn a_run_that_is_killed_is_repeated_and_loses_nothing() {
    const FILES: usize = 300;
    let original = Original::alone().await;
    let bytes = |n: usize| vec![u8::try_from(n % 251).unwrap(); 20_000 + n];
    let mut ids = Vec::new();
    for n in 0..FILES {
        ids.push(original.store(file(format!("{n}.bin")), &bytes(n)).await);
    }
    let adopted = async || original.documents.count_documents(doc! { "key": { "$exists": true } }).await.unwrap();
    let mut killed = 0;
    for at_least in [20, 80, 160] {
        let mut program = original.program(&original.folder, &[]);
        let mut running = program.stdout(Stdio::null()).spawn().unwrap();
        eventually("some files are adopted", Duration::from_mins(1), async || {
            (adopted().await >= at_least || running.try_wait().unwrap().is_some()).then_some(())
        })
        .await;
        running.kill().await.unwrap();
        killed += u32::from(adopted().await < FILES as u64);
    }
    assert!(killed > 0, "every run was finished before it was killed");
    // Two programs run at once, and one document is deleted meanwhile.
    let mut first = original.program(&original.folder, &[]);
    let (first, (printed, _)) = tokio::join!(first.output(), original.run(&[]));
    assert!(first.unwrap().status.success() && printed.contains("adopted, "), "{printed}");
    for (n, id) in ids.iter().enumerate() {
        assert_eq!(original.bytes(*id).await, bytes(n), "{n}");
    }
    assert_eq!(original.documents.distinct("key", doc! {}).await.unwrap().len(), FILES);
    assert_eq!(original.objects().await.len(), FILES);
    original.forget().await;
}

#[tokio::test]
async fn a_document_deleted_meanwhile_leaves_no_object() {
    let original = Original::alone().await;
    for n in 0..400 {
        original.store(file(format!("{n}.bin")), &vec![7; 50_000]).await;
    }
    let mut program = original.program(&original.folder, &[]);
    let running = program.stdout(Stdio::piped()).spawn().unwrap();
    let pid = Pid::from_raw(running.id().unwrap().try_into().unwrap()).unwrap();
    let with_object = doc! { "key": { "$exists": true } };
    eventually("some files are adopted", Duration::from_mins(1), async || {
        (original.documents.count_documents(with_object.clone()).await.unwrap() > 20).then_some(())
    })
    .await;
    // The program has read all documents by now. While it is stopped, the documents without an object are deleted.
    kill_process(pid, Signal::STOP).unwrap();
    let without = doc! { "key": { "$exists": false } };
    let some = original.documents.find_one(without.clone()).await.unwrap().unwrap().get_object_id("_id").unwrap();
    let deleted = doc! { "$set": { "state": "deleted" } };
    original.documents.update_one(doc! { "_id": some }, deleted).await.unwrap();
    let mut others = without;
    others.insert("_id", doc! { "$ne": some });
    original.documents.delete_many(others).await.unwrap();
    kill_process(pid, Signal::CONT).unwrap();

    let output = running.wait_with_output().await.unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(printed.contains(" changed meanwhile"), "{printed}");
    let mut keys: Vec<String> = Vec::new();
    for key in original.documents.distinct("key", with_object).await.unwrap() {
        keys.push(key.as_str().unwrap().to_owned());
    }
    keys.sort();
    assert!(keys.len() < 400 && printed.contains(&format!("{} adopted, ", keys.len())), "{printed}");
    assert_eq!(original.objects().await, keys);
    original.forget().await;
}

#[tokio::test]
async fn what_is_missing_is_said_before_anything_is_done() {
    let run = async |arguments: &[&str]| {
        let mut program = Command::new(env!("CARGO_BIN_EXE_adopt"));
        program.args(arguments).env_remove("MONGODB_URI").env_remove("BUCKET");
        let output = program.output().await.unwrap();
        (String::from_utf8(output.stderr).unwrap(), output.status.code().unwrap())
    };
    for arguments in [&[][..], &["--folder"], &["--dry-run"], &["--folder", "/tmp", "--force"]] {
        let (said, code) = run(arguments).await;
        assert!(said.contains("--folder FOLDER_PATH") && code == 2, "{arguments:?}: {said}");
    }
    let (said, code) = run(&["--folder", "/no/such/folder"]).await;
    assert!(said.contains("FOLDER_PATH") && code == 1, "{said}");
    let (said, code) = run(&["--folder", "/tmp"]).await;
    assert!(said.contains("MONGODB_URI") && code == 1, "{said}");
}
