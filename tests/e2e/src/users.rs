//! The users of the API in the tests.

use std::ops::Deref;

use base64::{Engine, engine::general_purpose::STANDARD};
use mongodb::bson::oid::ObjectId;
use serde_json::{Value, json};

use crate::{Answer, Client, unique};

/// The password of every user.
pub const PASSWORD: &str = "toto1234!";

/// The password as the original stores it.
pub const SHA1_OF_PASSWORD: &str = "89cad29e3ebc1035b29b1478a8e70854f25fa2b2";

/// A user with an account and an open session.
pub struct User {
    pub id: String,
    pub email: String,
    pub token: String,
    client: Client,
}

impl User {
    pub(crate) async fn join(anyone: Client, name: &str) -> Self {
        let email = format!("{}@example.org", unique(name));
        let account = anyone.sign_up(&email, PASSWORD).await;
        assert_eq!(account.status, 201, "of {account}");
        let id = text(&account.json(), "id");
        let session = anyone.connect(&email, PASSWORD).await;
        assert_eq!(session.status, 200, "of {session}");
        let token = text(&session.json(), "token");
        Self { id, email, client: anyone.with_token(&token), token }
    }

    pub fn object_id(&self) -> ObjectId {
        self.id.parse().expect("an id is an ObjectId")
    }

    pub async fn create(&self, file: Value) -> Answer {
        self.post("/files", file).await
    }

    /// Uploads a file into the root, and returns its id.
    pub async fn upload(&self, name: &str, bytes: &[u8]) -> String {
        let file = json!({ "name": name, "type": "file", "data": encoded(bytes) });
        text(&self.create(file).await.document(201), "id")
    }

    /// Uploads a file into a folder, and returns its id.
    pub async fn upload_into(&self, folder: &str, name: &str, bytes: &[u8]) -> String {
        let file = json!({ "name": name, "type": "file", "parentId": folder, "data": encoded(bytes) });
        id_of(&self.create(file).await.document(201))
    }

    /// Uploads an image into the root, and returns its id.
    pub async fn upload_image(&self, name: &str, bytes: &[u8]) -> String {
        let image = json!({ "name": name, "type": "image", "data": encoded(bytes) });
        text(&self.create(image).await.document(201), "id")
    }

    /// Makes a folder in the root, and returns its id.
    pub async fn folder(&self, name: &str) -> String {
        text(&self.create(json!({ "name": name, "type": "folder" })).await.document(201), "id")
    }

    /// Makes a folder in a folder, and returns its id.
    pub async fn folder_in(&self, folder: &str, name: &str) -> String {
        let made = self.create(json!({ "name": name, "type": "folder", "parentId": folder })).await;
        id_of(&made.document(201))
    }

    pub async fn show(&self, id: &str) -> Answer {
        self.get(&format!("/files/{id}")).await
    }

    /// Changes the name or the place of a document.
    pub async fn change(&self, id: &str, change: Value) -> Answer {
        self.patch(&format!("/files/{id}"), change).await
    }

    pub async fn copy(&self, id: &str, to: Value) -> Answer {
        self.post(&format!("/files/{id}/copy"), to).await
    }

    /// Gives a document a preview.
    pub async fn set_preview(&self, id: &str, bytes: &[u8]) -> Answer {
        let body = json!({ "data": encoded(bytes) });
        self.request("PUT", &format!("/files/{id}/preview")).json(body).send().await
    }

    pub async fn trash(&self, id: &str) -> Answer {
        self.put(&format!("/files/{id}/trash")).await
    }

    pub async fn restore(&self, id: &str, to: Value) -> Answer {
        self.request("PUT", &format!("/files/{id}/restore")).json(to).send().await
    }

    /// Deletes a document for good.
    pub async fn discard(&self, id: &str) {
        self.delete(&format!("/files/{id}")).await.is_empty(204);
    }

    /// The content of a small file.
    pub async fn content(&self, id: &str) -> Vec<u8> {
        let answer = self.get(&format!("/files/{id}/data")).await;
        assert_eq!(answer.status, 200, "of {answer}");
        answer.body
    }

    /// The contents that a file had before, the newest first.
    pub async fn versions(&self, id: &str) -> Vec<Value> {
        let answer = self.get(&format!("/files/{id}/versions")).await;
        assert_eq!(answer.status, 200, "of {answer}");
        serde_json::from_value(answer.json()).expect("an array")
    }

    /// The bytes that a user has, with those that are in the trash, and of versions.
    pub async fn used_bytes(&self) -> u64 {
        let answer = self.get("/users/me/usage").await;
        assert_eq!(answer.status, 200, "of {answer}");
        answer.json()["bytes"].as_u64().expect("a number")
    }

    pub async fn publish(&self, id: &str) {
        assert_eq!(self.put(&format!("/files/{id}/publish")).await.document(200)["isPublic"], true);
    }

    /// Opens another session; the first stays open.
    pub async fn another_token(&self) -> String {
        text(&self.connect(&self.email, PASSWORD).await.json(), "token")
    }
}

impl Deref for User {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

/// A document with the six keys of the original, in the API's format.
pub fn document(id: &str, owner: &str, name: &str, r#type: &str, is_public: bool, parent: impl Into<Value>) -> Value {
    let parent: Value = parent.into();
    json!({ "id": id, "userId": owner, "name": name, "type": r#type, "isPublic": is_public, "parentId": parent })
}

/// The id of a document.
///
/// # Panics
/// The document has no id.
pub fn id_of(document: &Value) -> String {
    text(document, "id")
}

pub fn encoded(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The bytes of an [encoded] text.
///
/// # Panics
/// The text is no base64.
pub fn decoded(text: &str) -> Vec<u8> {
    STANDARD.decode(text).expect("base64")
}

fn text(object: &Value, key: &str) -> String {
    object[key].as_str().unwrap_or_else(|| panic!("{key} is a string in {object}")).to_owned()
}
