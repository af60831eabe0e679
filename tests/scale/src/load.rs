//! Writes rows straight into `MongoDB`, because through the API a million would take hours.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use e2e::{Stack, User, ledger};
use futures_util::{StreamExt, TryStreamExt, stream};
use mongodb::{
    bson::{RawDocumentBuf, oid::ObjectId},
    options::{Acknowledgment, WriteConcern},
};

/// Rows of one command. `MongoDB` takes 48 MB at once.
const BATCH: u32 = 10_000;

/// Commands at the same time.
const AT_ONCE: usize = 4;

/// One name in ten, the last in the order of names, is the same.
pub const EQUAL_NAMES: u32 = 10;

/// The number in the name of a row.
pub fn number(row: u32) -> String {
    format!("{row:07}")
}

/// Fills a folder with this many files. They come in another order than that of their names, sizes and dates.
pub async fn fill(stack: &Stack, owner: &User, folder: ObjectId, rows: u32) -> Result<()> {
    let batches = (0..rows).step_by(BATCH as usize).map(|first| {
        let some = (first..rows.min(first + BATCH)).map(|row| file(owner, folder, scattered(row, rows), rows));
        insert(stack, some.collect())
    });
    stream::iter(batches).buffer_unordered(AT_ONCE).try_collect::<Vec<()>>().await?;
    Ok(())
}

/// A folder with this many folders of this many files each; its id.
pub async fn tree(stack: &Stack, owner: &User, name: &str, folders: u32, files: u32) -> Result<String> {
    let root = owner.folder(name).await;
    let (above, rows) = (root.parse::<ObjectId>()?, folders * files);
    let mut all = Vec::new();
    for n in 0..folders {
        let id = ObjectId::new();
        let name = format!("folder {n}");
        let words = ["folder".to_owned(), n.to_string()];
        all.push(ledger::loaded_folder(id, owner.object_id(), above, &name, &words));
        all.extend((0..files).map(|row| file(owner, id, n * files + row, rows)));
    }
    insert(stack, all).await?;
    Ok(root)
}

async fn insert(stack: &Stack, rows: Vec<RawDocumentBuf>) -> Result<()> {
    let quick = WriteConcern::builder().w(Acknowledgment::Nodes(1)).journal(false).build();
    let collection = stack.files.clone_with_type::<RawDocumentBuf>();
    collection.insert_many(rows).ordered(false).write_concern(quick).await.context("MongoDB stores rows")?;
    Ok(())
}

fn file(owner: &User, folder: ObjectId, row: u32, rows: u32) -> RawDocumentBuf {
    let number = number(row);
    let (name, words) = if row >= rows - rows / EQUAL_NAMES {
        ("same.txt".to_owned(), vec!["same".to_owned(), "txt".to_owned()])
    } else {
        (format!("IMG_{number}.jpg"), vec!["img".to_owned(), number, "jpg".to_owned()])
    };
    let (size, minutes) = (i64::from(scattered(row, 99_991)), i64::from(scattered(row, 1_000_003)));
    ledger::loaded_file(owner.object_id(), folder, &name, size, minutes, &words)
}

/// The number at another place among `all`: a prime steps through all of them.
fn scattered(number: u32, all: u32) -> u32 {
    const PRIME: u64 = 2_654_435_761;
    u32::try_from(u64::from(number) * PRIME % u64::from(all)).unwrap_or_default()
}

/// The time in which the indexes must be there.
const MAX_BUILD: Duration = Duration::from_mins(2);

/// Builds the indexes that no request has needed yet. A sweep fails while they are built, and the next goes on.
pub async fn build_indexes(stack: &Stack) -> Result<f64> {
    let started = Instant::now();
    let names = loop {
        match stack.try_invoke("sweeper", &serde_json::json!({})).await {
            Ok(names) => break names,
            Err(error) => anyhow::ensure!(started.elapsed() < MAX_BUILD, "the indexes are not built: {error}"),
        }
    };
    anyhow::ensure!(names["indexed"] == 0, "the rows have no words: {names}");
    Ok(started.elapsed().as_secs_f64())
}
