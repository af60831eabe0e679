//! The sample account of `cargo local up --demo`: folders, documents, photographs, versions, a link and a trash, made
//! through the API. The photographs are drawn here, because no other picture of the project is free to be shown often.

mod pictures;

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::Method;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::http::{self, Answer};

pub const EMAIL: &str = "demo@example.com";
pub const PASSWORD: &str = "a-demo-of-files";

/// The file that is made last: an account with this file is complete.
const WELCOME: &str = "Welcome.md";

/// The photographs of each folder of `Photos`.
const ALBUMS: [(&str, u32); 5] =
    [("Alps in May", 18), ("Baltic Sea", 16), ("Desert", 12), ("Evenings", 14), ("Northern lights", 8)];

/// The folders of text files, with the number and the names of their files.
const PAPERS: [(&str, &[&str], u32); 8] = [
    ("Documents/Invoices 2024", &["Invoice 2024-", ".txt"], 36),
    ("Documents/Invoices 2025", &["Invoice 2025-", ".txt"], 36),
    ("Documents/Minutes", &["Minutes of week ", ".md"], 30),
    ("Documents/Recipes", &["Recipe ", ".md"], 24),
    ("Projects/Garden", &["Bed ", ".csv"], 12),
    ("Projects/Website", &["page-", ".html"], 12),
    ("Projects/Website/styles", &["part-", ".css"], 8),
    ("Projects/Measurements", &["series ", ".json"], 20),
];

/// The first bytes of a JPEG file.
const JPEG: &[u8] = &[0xff, 0xd8, 0xff];

/// What was made: the answer is for the user.
pub enum Filled {
    /// So many files.
    Made(usize),
    /// It was there already.
    Before,
}

/// Signs the account up, if it is not there, and fills it. A call that was interrupted is continued by the next.
pub async fn fill(api: &str) -> Result<Filled> {
    let mut demo = Demo::sign_in(api).await?;
    let root = demo.get("/files?limit=1000").await?;
    if named(&root, WELCOME).is_some() {
        return Ok(Filled::Before);
    }
    demo.albums().await?;
    demo.papers().await?;
    demo.other_things().await?;
    let text = "# Welcome\n\nThis account is a sample: do with it what you like.\n`cargo local up --fresh --demo` makes it anew.\n";
    demo.file(None, WELCOME, text.as_bytes()).await?;
    Ok(Filled::Made(demo.files))
}

/// The account, and what is made in it.
struct Demo {
    api: String,
    token: String,
    files: usize,
}

impl Demo {
    async fn sign_in(api: &str) -> Result<Self> {
        let mut demo = Self { api: api.to_owned(), token: String::new(), files: 0 };
        let account = json!({ "email": EMAIL, "password": PASSWORD });
        let answer = demo.answer(Method::POST, "/users", &[], Some(&account)).await?;
        // 400 for an account that is there.
        ensure!([201, 400].contains(&answer.status), "POST /users: {answer}");
        let basic = format!("Basic {}", STANDARD.encode(format!("{EMAIL}:{PASSWORD}")));
        let answer = demo.answer(Method::GET, "/connect", &[("authorization", &basic)], None).await?;
        if answer.status == 401 {
            bail!("{EMAIL} has another password; `cargo local up --fresh --demo` begins anew");
        }
        answer.json()?["token"].as_str().context("no token")?.clone_into(&mut demo.token);
        Ok(demo)
    }

    async fn answer(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Answer> {
        let token = [("x-token", self.token.as_str())];
        let headers = headers.iter().chain(token.iter().filter(|(_, token)| !token.is_empty()));
        http::ask(method, &format!("{}{path}", self.api), headers.copied(), body).await
    }

    /// Sends a request that must succeed.
    async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        self.answer(method, path, &[], body).await?.json().with_context(|| format!("{path} failed"))
    }

    async fn get(&self, path: &str) -> Result<Value> {
        self.send(Method::GET, path, None).await
    }

    /// Makes a folder or a file once, whatever was made by a call that was interrupted. Returns its id.
    async fn once(&self, key: &str, body: &Value) -> Result<String> {
        // A header has no characters beyond ASCII.
        let key = [("idempotency-key", &*format!("demo/{key}"))];
        let made = self.answer(Method::POST, "/files", &key, Some(body)).await?.json();
        let made = made.with_context(|| format!("{} was not made", body["name"]))?;
        Ok(made["id"].as_str().context("no id")?.to_owned())
    }

    /// Makes the folders of a path, and returns the id of the last.
    async fn folder(&self, path: &str) -> Result<String> {
        let (mut parent, mut so_far) = (None::<String>, String::new());
        for name in path.split('/') {
            so_far = format!("{so_far}/{name}");
            let body = json!({ "name": name, "type": "folder", "parentId": parent });
            parent = Some(self.once(&so_far, &body).await?);
        }
        parent.context("a path has a name")
    }

    async fn file(&mut self, folder: Option<&str>, name: &str, bytes: &[u8]) -> Result<String> {
        self.files += 1;
        let kind = if bytes.starts_with(JPEG) { "image" } else { "file" };
        let body = json!({ "name": name, "type": kind, "parentId": folder, "data": STANDARD.encode(bytes) });
        self.once(&format!("{}/{name}", folder.unwrap_or_default()), &body).await
    }

    async fn albums(&mut self) -> Result<()> {
        for (album, (name, number)) in (0..).zip(ALBUMS) {
            let folder = self.folder(&format!("Photos/{name}")).await?;
            for picture in 1..=number {
                let bytes = pictures::landscape(album, picture)?;
                self.file(Some(&folder), &format!("IMG_{:04}.jpg", 1000 * (album + 1) + picture), &bytes).await?;
                // The API answers others meanwhile, and thumbnails are made.
                sleep(Duration::from_millis(1)).await;
            }
        }
        Ok(())
    }

    async fn papers(&mut self) -> Result<()> {
        for (path, affixes, number) in PAPERS {
            let folder = self.folder(path).await?;
            let [before, after] = affixes else { bail!("a name has a beginning and an end") };
            for paper in 1..=number {
                self.file(Some(&folder), &format!("{before}{paper:02}{after}"), text(after, paper).as_bytes()).await?;
            }
        }
        Ok(())
    }

    /// Something of everything else that an account may have.
    async fn other_things(&mut self) -> Result<()> {
        let documents = self.folder("Documents").await?;
        let photo = include_bytes!("../../photo.jpg");
        self.file(None, "photo.jpg", photo).await?;
        self.file(Some(&documents), "Letter.pdf", &pictures::pdf("A letter of one page")).await?;
        for draft in 1..=4 {
            let body = json!({
                "name": "Novel.md", "type": "file", "parentId": documents, "onConflict": "replace",
                "data": STANDARD.encode(text(".md", 20 * draft)),
            });
            self.once(&format!("Novel of draft {draft}"), &body).await?;
        }
        self.files += 1;
        let inbox = self.folder("Inbox").await?;
        if self.get(&format!("/links?fileId={inbox}")).await?.as_array().is_none_or(Vec::is_empty) {
            let album = self.folder("Photos/Baltic Sea").await?;
            for link in [json!({ "fileId": album }), json!({ "fileId": inbox, "kind": "upload" })] {
                self.send(Method::POST, "/links", Some(&link)).await?;
            }
        }
        for name in ["Old notes.txt", "Duplicate.txt", "Screenshot list.csv"] {
            let file = self.file(None, name, text(".txt", 3).as_bytes()).await?;
            self.send(Method::PUT, &format!("/files/{file}/trash"), None).await?;
        }
        Ok(())
    }
}

fn named<'a>(listed: &'a Value, name: &str) -> Option<&'a Value> {
    listed.as_array().into_iter().flatten().find(|file| file["name"] == name)
}

/// The text of a file with this extension, of another length for each number.
fn text(extension: &str, number: u32) -> String {
    let lines = 1..=number * 3;
    let listed = |head: &str, line: &dyn Fn(u32) -> String| {
        let lines: Vec<String> = std::iter::once(head.to_owned()).chain(lines.clone().map(line)).collect();
        lines.join("\n") + "\n"
    };
    match extension {
        ".csv" => listed("day,plant,litres", &|day| {
            let plant = if day % 2 == 0 { "bean" } else { "rose" };
            format!("{day},{plant},{}", day % 7)
        }),
        ".json" => json!({ "series": number, "values": lines.map(|x| x * x % 97).collect::<Vec<_>>() }).to_string(),
        ".css" => format!(".part-{number} {{\n  margin: {number}px;\n}}\n"),
        ".html" => format!("<!doctype html>\n<title>Page {number}</title>\n<h1>Page {number}</h1>\n"),
        ".md" => listed(&format!("# Number {number}\n"), &|line| format!("- Point {line}: agreed.")),
        _ => listed(&format!("Number {number}\n"), &|line| format!("Item {line:>3}    {:>8}.00", line * number)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_has_a_few_hundred_files() {
        let pictures: u32 = ALBUMS.iter().map(|(_, number)| number).sum();
        let papers: u32 = PAPERS.iter().map(|(.., number)| number).sum();
        assert!((200..400).contains(&(pictures + papers)), "{pictures} and {papers}");
    }

    #[test]
    fn each_kind_of_file_has_its_text() {
        for extension in [".csv", ".json", ".css", ".html", ".md", ".txt"] {
            assert!(text(extension, 2).len() > 20 && text(extension, 2) != text(extension, 3), "{extension}");
        }
    }
}
