//! `cargo local bench zips` makes ZIPs of many small files and of ten large ones, as on Lambda, opens each, and compares
//! every entry with its file. It prints the time from the request until the ZIP is ready, and the peak memory of function
//! `archives`. The emulator keeps objects in memory: for files of 1 GiB it needs some 25 GiB.

#![forbid(unsafe_code)]

use std::{
    collections::BTreeMap,
    env,
    fs::{self, File},
    io::Write,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use e2e::{
    Stack, User,
    faults::{peak, processes},
    id_of, ledger, unique,
    zips::{ask, bytes, files, open_file, sha256},
};
use futures_util::{StreamExt, stream};
use mongodb::bson::{doc, oid::ObjectId};
use serde_json::Value;

/// The contract: 10,000 files of 100 kB in less than three minutes, ten files of 1 GiB in less than 30 s from the second
/// time on, both with less than 512 MB.
const SMALL: usize = 100_000;
const MAX_SMALL: Duration = Duration::from_mins(3);
const LARGE: usize = 10;
const MAX_LARGE: Duration = Duration::from_secs(30);
const MAX_MEMORY_MB: u64 = 512;

/// The longest time of any ZIP here.
const PATIENCE: Duration = Duration::from_mins(30);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode> {
    let numbers = env::args().skip(1).map(|number| number.parse()).collect::<Result<Vec<usize>, _>>()?;
    let [count, mib] = numbers[..] else { bail!("zips FILES MIB") };
    let bench = Bench { stack: Stack::running().await, broken: Vec::new() };
    let broken = bench.measure(count, mib).await?;
    if broken.is_empty() { Ok(ExitCode::SUCCESS) } else { bail!("{}", broken.join("; ")) }
}

struct Bench {
    stack: Stack,
    broken: Vec<String>,
}

impl Bench {
    async fn measure(mut self, count: usize, mib: usize) -> Result<Vec<String>> {
        println!("| ZIP | size | until it is ready | peak memory of archives |\n|---|---:|---:|---:|");
        let (user, folder, digests) = self.small_files(count).await?;
        self.zip(&format!("{count} files of 100 kB"), &user, &folder, &digests, MAX_SMALL).await?;
        let (user, folder, digests) = self.large_files(mib).await?;
        self.zip(&format!("{LARGE} files of {mib} MiB, read once"), &user, &folder, &digests, MAX_SMALL).await?;
        self.zip(&format!("{LARGE} files of {mib} MiB, copied"), &user, &folder, &digests, MAX_LARGE).await?;
        Ok(self.broken)
    }

    /// A folder with files that all differ, and the digests of the entries.
    async fn small_files(&self, count: usize) -> Result<(User, String, BTreeMap<String, String>)> {
        let user = self.stack.user("zips").await;
        let folder = user.folder("small").await;
        let (mut rows, mut digests) = (Vec::new(), BTreeMap::new());
        let numbers = (0..u32::try_from(count)?).map(|number| (number, format!("files/{}", unique("bench"))));
        let mut stored = stream::iter(numbers)
            .map(|(number, key)| async move {
                let content = bytes(number, SMALL);
                let digest = sha256(&content);
                self.stack.put_object(&key, content).await;
                (number, key, digest)
            })
            .buffered(16);
        while let Some((number, key, digest)) = stored.next().await {
            let name = format!("{number}.bin");
            rows.push(row(&user, &folder, &name, &key, SMALL)?);
            digests.insert(format!("small/{name}"), digest);
        }
        self.stack.plant(user.object_id(), rows).await;
        Ok((user, folder, digests))
    }

    /// A folder with files that share one object.
    async fn large_files(&self, mib: usize) -> Result<(User, String, BTreeMap<String, String>)> {
        let user = self.stack.user("zips").await;
        let folder = user.folder("large").await;
        let some = bytes(7, 1 << 20);
        let content = some.repeat(mib);
        let (digest, size, key) = (sha256(&content), content.len(), format!("files/{}", unique("bench")));
        self.stack.put_object(&key, content).await;
        let names: Vec<String> = (0..LARGE).map(|number| format!("{number}.bin")).collect();
        let rows = names.iter().map(|name| row(&user, &folder, name, &key, size)).collect::<Result<Vec<_>>>()?;
        self.stack.plant(user.object_id(), rows).await;
        let digests = names.iter().map(|name| (format!("large/{name}"), digest.clone())).collect();
        Ok((user, folder, digests))
    }

    async fn zip(
        &mut self,
        name: &str,
        user: &User,
        folder: &str,
        digests: &BTreeMap<String, String>,
        limit: Duration,
    ) -> Result<()> {
        let started = Instant::now();
        let zip = ask(user, &[folder]).await;
        let path = format!("/zips/{}", id_of(&zip));
        let mut memory = 0;
        let zip = loop {
            let found = processes(&self.stack, "archives").into_iter().filter_map(peak).max();
            memory = memory.max(found.unwrap_or_default());
            let shown = user.get(&path).await.json();
            if shown["state"] != "due" {
                break shown;
            }
            ensure!(started.elapsed() < PATIENCE, "{name} takes too long: {shown}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        let took = started.elapsed();
        ensure!(zip["state"] == "ready", "{name}: {zip}");
        let (megabytes, memory) = (zip["bytes"].as_u64().context("a size")? / 1_000_000, memory / 1000);
        println!("| {name} | {megabytes} MB | {:.1} s | {memory} MB |", took.as_secs_f64());
        if took > limit {
            self.broken.push(format!("{name} took {:.1} s", took.as_secs_f64()));
        }
        if memory >= MAX_MEMORY_MB {
            self.broken.push(format!("{name} took {memory} MB of memory"));
        }
        self.compare(user, &zip, digests).await.with_context(|| name.to_owned())
    }

    /// Downloads a ZIP, and compares each entry.
    async fn compare(&self, user: &User, zip: &Value, digests: &BTreeMap<String, String>) -> Result<()> {
        let answer = user.get(&format!("/zips/{}/data", id_of(zip))).await;
        let path = env::temp_dir().join(format!("{}.zip", unique("bench")));
        // Without the timeout of the tests' client.
        let client = reqwest::Client::builder().build()?;
        let mut sent = client.get(answer.header("location")).send().await?.error_for_status()?;
        let mut file = File::create(&path)?;
        while let Some(some) = sent.chunk().await? {
            file.write_all(&some)?;
        }
        let entries = open_file(&path);
        fs::remove_file(&path)?;
        let found: BTreeMap<String, String> =
            files(&entries).into_iter().map(|(name, digest)| (name.to_owned(), digest.to_owned())).collect();
        ensure!(found == *digests, "an entry is not its file");
        Ok(())
    }
}

fn row(user: &User, folder: &str, name: &str, key: &str, size: usize) -> Result<mongodb::bson::Document> {
    let row = doc! {
        "_id": ObjectId::new(), "userId": user.object_id(), "name": name, "type": "file", "isPublic": false,
        "parentId": folder.parse::<ObjectId>()?,
    };
    Ok(ledger::with(row, ledger::object(key, size.try_into()?)))
}
