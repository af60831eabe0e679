//! ZIPs: asks for them, waits for them, and opens them with the programs that people use.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "what is not there fails the test")]

use std::{collections::BTreeMap, fs, path::PathBuf, process::Command, time::Duration};

use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{Stack, User, eventually, id_of, unique};

/// The longest time for a ZIP in the tests.
const SOON: Duration = Duration::from_mins(2);

/// An entry as Python's `zipfile` reads it.
#[derive(Debug, Deserialize)]
pub struct Entry {
    pub name: String,
    pub size: u64,
    pub sha256: String,
    /// The permissions and the type, as Unix has them.
    pub mode: u32,
    /// Seconds since 1970, of the extra field.
    pub modified: Option<i64>,
}

/// Asks for a ZIP, and returns its document.
pub async fn ask(user: &User, ids: &[&str]) -> Value {
    let asked = user.post("/zips", json!({ "ids": ids })).await;
    assert_eq!(asked.status, 202, "{asked}");
    asked.json()
}

/// Waits until a ZIP is made, or is known to be impossible.
pub async fn done(user: &User, zip: &Value) -> Value {
    let path = format!("/zips/{}", id_of(zip));
    eventually("the ZIP is made", SOON, async || {
        let shown = user.get(&path).await;
        (shown.status == 200 && shown.json()["state"] != "due").then(|| shown.json())
    })
    .await
}

/// The bytes of a ZIP.
pub async fn download(stack: &Stack, user: &User, zip: &Value) -> Vec<u8> {
    let answer = user.get(&format!("/zips/{}/data", id_of(zip))).await;
    assert_eq!(answer.status, 302, "of {answer}");
    let sent = stack.http.get(answer.header("location")).send().await.unwrap();
    assert_eq!(sent.status(), 200);
    sent.bytes().await.unwrap().to_vec()
}

/// Asks for a ZIP, and opens it.
pub async fn zipped(stack: &Stack, user: &User, ids: &[&str]) -> Vec<Entry> {
    let zip = done(user, &ask(user, ids).await).await;
    assert_eq!(zip["state"], "ready", "{zip}");
    let bytes = download(stack, user, &zip).await;
    assert_eq!((&zip["bytes"], &zip["done"]), (&json!(bytes.len()), &json!(bytes.len())), "{zip}");
    let entries = open(&bytes);
    assert_eq!(zip["entries"], entries.len(), "{zip}");
    entries
}

/// Opens a ZIP: with Python, and with `unzip` and 7-Zip where these are installed.
pub fn open(bytes: &[u8]) -> Vec<Entry> {
    let path = std::env::temp_dir().join(format!("{}.zip", unique("files-manager")));
    fs::write(&path, bytes).unwrap();
    let entries = open_file(&path);
    fs::remove_file(&path).unwrap();
    entries
}

/// The same for a file.
pub fn open_file(path: &PathBuf) -> Vec<Entry> {
    for (program, arguments) in [("unzip", &["-tq"][..]), ("7zz", &["t"]), ("7z", &["t"])] {
        // A program that is not installed is left out.
        if let Ok(tested) = Command::new(program).args(arguments).arg(path).output() {
            let printed = String::from_utf8_lossy(&tested.stdout);
            assert!(tested.status.success(), "{program}: {printed}");
        }
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/src/read_zip.py");
    let read = Command::new("python3").arg(script).arg(path).output().unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    let entries: Vec<Entry> = serde_json::from_slice(&read.stdout).unwrap();
    entries
}

/// The digests of the files among these entries, by their paths.
pub fn files(entries: &[Entry]) -> BTreeMap<&str, &str> {
    let files = entries.iter().filter(|entry| !entry.name.ends_with('/'));
    files.map(|entry| (entry.name.as_str(), entry.sha256.as_str())).collect()
}

pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}

/// Bytes that differ from those of every other seed.
pub fn bytes(seed: u32, size: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9) | 1;
    let words = std::iter::repeat_with(|| {
        state = state.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
        (state ^ state >> 15).to_le_bytes()
    });
    words.flatten().take(size).collect()
}
