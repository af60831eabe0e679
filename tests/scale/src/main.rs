//! `cargo local bench scale` measures folders of a thousand, of a hundred thousand and of a million files: pages,
//! searches, and what happens to a folder of ten thousand. The function `files` runs as on Lambda, and gets its events
//! without a gateway. Its address of S3 leads nowhere, so each of these requests works without S3.

#![forbid(unsafe_code)]

mod load;

use std::{
    collections::BTreeMap,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use e2e::{
    Answer, Stack, User,
    instance::{Instance, deployed, stores_of},
    ledger,
};
use mongodb::bson::doc;
use serde_json::{Value, json};

/// The folders, from the smallest.
const FOLDERS: [(&str, u32); 3] = [("1 k", 1_000), ("100 k", 100_000), ("1 M", 1_000_000)];

/// The time that all of it may take, with the rows that are written first.
const MAX_TIME: Duration = Duration::from_mins(3);

/// Requests of each kind for each folder. The folders take turns, so that a disturbance of the machine affects all. Of
/// the times the lower quartile counts, because a disturbance only adds.
const ROUNDS: usize = 24;

/// Documents of a page.
const PAGE: u32 = 100;

/// The largest time of a page of the largest folder, as a multiple of that of the first page of the smallest.
const MAX_RATIO: f64 = 1.2;

/// The most keys and rows that a page examines.
const MAX_KEYS: i64 = 2 * PAGE as i64;

/// The time of a search whose longest word matches few names, and of any search.
const MAX_SEARCH: f64 = 100.0;
const MAX_ANY_SEARCH: f64 = 2500.0;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode> {
    let started = Instant::now();
    let bench = Bench::start().await?;
    let mut broken = bench.folders().await?;
    broken.extend(bench.trees().await?);
    let took = started.elapsed();
    println!("\nIn all {:.0} s.", took.as_secs_f64());
    if took > MAX_TIME {
        broken.push(format!("it took {:.0} s", took.as_secs_f64()));
    }
    if broken.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    bail!("{}", broken.join("; "))
}

struct Bench {
    stack: Stack,
    files: Instance,
    columns: Vec<Column>,
}

/// A folder with its user.
struct Column {
    name: &'static str,
    rows: u32,
    user: User,
    folder: String,
}

/// A kind of request.
struct Kind {
    name: String,
    /// The path for each folder.
    paths: Vec<String>,
    limit: Limit,
}

#[derive(Clone, Copy)]
enum Limit {
    /// At most [`MAX_KEYS`], and [`MAX_RATIO`] of the first page of the smallest folder in this order.
    Page(&'static str),
    /// At most [`MAX_KEYS`], and [`MAX_RATIO`] of the smallest folder.
    Flat,
    /// At most so many milliseconds.
    Within(f64),
    /// What a listing of today costs grows with the page.
    None,
}

impl Bench {
    async fn start() -> Result<Self> {
        let stack = Stack::running().await;
        let mut environment = stores_of(&stack);
        environment.insert("AWS_ENDPOINT_URL", "http://127.0.0.1:1".to_owned());
        let files = Instance::start(&deployed("files"), &environment).await;
        let files = files.map_err(|printed| anyhow::anyhow!("files does not start: {printed}"))?;
        let mut columns = Vec::new();
        let started = Instant::now();
        for (name, rows) in FOLDERS {
            // The first upload makes the indexes of the first release.
            let user = stack.user("scale").await;
            let folder = user.folder("many").await;
            load::fill(&stack, &user, folder.parse()?, rows).await?;
            columns.push(Column { name, rows, user, folder });
        }
        println!("Rows are written after {:.0} s.", started.elapsed().as_secs_f64());
        println!("The indexes are built in {:.0} s.", load::build_indexes(&stack).await?);
        Ok(Self { stack, files, columns })
    }

    async fn ask(&self, user: &User, method: &str, path: &str, body: &Value) -> Result<Answer> {
        let answer = self.files.request(method, path, Some(&user.token), body).await.answer;
        ensure!((200..300).contains(&answer.status), "{method} {path}: {answer}");
        Ok(answer)
    }

    /// Pages and searches in the folders. Returns the broken limits.
    async fn folders(&self) -> Result<Vec<String>> {
        let mut kinds = Vec::new();
        for sort in ["name", "size", "date"] {
            let paths = self.columns.iter().map(|column| column.listing(sort));
            kinds.push(Kind {
                name: format!("first page by {sort}"),
                paths: paths.collect(),
                limit: Limit::Page(sort),
            });
        }
        for sort in ["name", "size", "date"] {
            let place = if sort == "name" { ", amid equal names" } else { "" };
            let (full, rest) = (self.before_the_end(3 * PAGE, sort).await?, self.before_the_end(PAGE, sort).await?);
            kinds.push(Kind {
                name: format!("page at the end by {sort}{place}"),
                paths: full,
                limit: Limit::Page(sort),
            });
            // Only the last page asks for documents of other forms, too.
            kinds.push(Kind { name: format!("last page by {sort}{place}"), paths: rest, limit: Limit::Flat });
        }
        let same = |name: &str, path: &str, limit| Kind {
            name: name.to_owned(),
            paths: vec![path.to_owned(); self.columns.len()],
            limit,
        };
        let number = load::number(7);
        kinds.extend([
            same("search: one name", &format!("/search?q=img%20{number}"), Limit::Within(MAX_SEARCH)),
            same("search: no name", "/search?q=img%20zebra", Limit::Within(MAX_SEARCH)),
            same("search: nine names of ten", "/search?q=img", Limit::Within(MAX_ANY_SEARCH)),
            same("search: two words that never meet", "/search?q=img%20same", Limit::Within(MAX_ANY_SEARCH)),
        ]);
        let todays = |column: &Column| format!("/files?parentId={}&page={}", column.folder, column.rows / 20 - 1);
        let paths = self.columns.iter().map(todays).collect();
        kinds.push(Kind { name: "today's last page".to_owned(), paths, limit: Limit::None });

        let names = self.columns.iter().map(|column| format!(" {} ms | keys |", column.name));
        println!("\n| |{} ratio |", names.collect::<String>());
        println!("|---|{}---:|", "---:|---:|".repeat(self.columns.len()));
        let (mut broken, mut first) = (Vec::new(), BTreeMap::new());
        for kind in &kinds {
            broken.extend(self.measure(kind, &mut first).await.with_context(|| kind.name.clone())?);
        }
        println!(
            "\nThe lower quartile of {ROUNDS}, in turn; the keys of indexes that MongoDB examined for one request; 1 M \
             beside 1 k, and for a page at the end beside the first page of 1 k."
        );
        Ok(broken)
    }

    /// Prints the line of a kind, and returns its broken limits. `first` has the times of the first pages of the
    /// smallest folder by their orders.
    async fn measure(&self, kind: &Kind, first: &mut BTreeMap<&'static str, f64>) -> Result<Vec<String>> {
        let mut times = vec![Vec::new(); self.columns.len()];
        for _ in 0..ROUNDS {
            for ((column, path), times) in self.columns.iter().zip(&kind.paths).zip(&mut times) {
                times.push(self.ask(&column.user, "GET", path, &Value::Null).await?.took.as_secs_f64() * 1e3);
            }
        }
        let times: Vec<f64> = times.into_iter().map(lower_quartile).collect();
        let (mut line, mut broken) = (format!("| {} |", kind.name), Vec::new());
        let mut check = |good: bool, what: String| {
            if !good {
                broken.push(format!("{}: {what}", kind.name));
            }
        };
        for ((column, path), time) in self.columns.iter().zip(&kind.paths).zip(&times) {
            let keys = self.keys(column, path).await?;
            line = format!("{line} {time:.1} | {keys} |");
            match kind.limit {
                Limit::Page(_) | Limit::Flat => check(keys <= MAX_KEYS, format!("{keys} keys of {}", column.name)),
                Limit::Within(most) => check(*time <= most, format!("{time:.1} ms of {}", column.name)),
                Limit::None => {}
            }
        }
        let (smallest, largest) = (*times.first().context("a folder")?, *times.last().context("a folder")?);
        let beside = match kind.limit {
            Limit::Page(sort) => *first.entry(sort).or_insert(smallest),
            Limit::Flat | Limit::Within(_) | Limit::None => smallest,
        };
        let ratio = largest / beside;
        println!("{line} {ratio:.2} |");
        if matches!(kind.limit, Limit::Page(_) | Limit::Flat) {
            check(ratio <= MAX_RATIO, format!("{ratio:.2} times as long in the largest folder"));
        }
        Ok(broken)
    }

    /// The keys that `MongoDB` examines for one request.
    async fn keys(&self, column: &Column, path: &str) -> Result<i64> {
        let mut answer = None;
        let queries = self
            .stack
            .queries_of(column.user.object_id(), async || {
                answer = Some(self.ask(&column.user, "GET", path, &Value::Null).await);
            })
            .await;
        answer.context("an answer")??;
        Ok(queries.iter().map(|query| query.keys_examined).sum())
    }

    /// The paths of the pages that begin so many files before the end.
    async fn before_the_end(&self, files: u32, sort: &str) -> Result<Vec<String>> {
        let mut paths = Vec::new();
        for column in &self.columns {
            paths.push(self.page_before_the_end(column, files, sort).await?);
        }
        Ok(paths)
    }

    /// A walk to the end of a million files would take minutes, so a file near the end goes to the front for a moment.
    /// A cursor that lacks a value reads the value from the row: the cursor of the front leads to the end when the file
    /// is back.
    async fn page_before_the_end(&self, column: &Column, files: u32, sort: &str) -> Result<String> {
        let backward = column.listing(sort).replace(&format!("limit={PAGE}"), &format!("order=desc&limit={files}"));
        let last = self.ask(&column.user, "GET", &backward, &Value::Null).await?.json();
        let last = last.as_array().and_then(|files| files.last()).context("files")?;
        let id = last["id"].as_str().context("an id")?;
        let (row, front) = (self.stack.row(id).await, ledger::in_front(sort));
        let (field, _) = front.iter().next().context("a field")?;
        let back = doc! { field: row.get(field).context("a value")?.clone() };

        self.stack.set_row(id, front.clone()).await;
        let first = column.listing(sort).replace(&format!("limit={PAGE}"), "limit=1");
        let answer = self.ask(&column.user, "GET", &first, &Value::Null).await?;
        self.stack.set_row(id, back).await;
        ensure!(answer.json()[0]["id"] == id, "{id} is not in front by {sort}");
        let (_, next) = answer.header("link").split_once("/files?").context("a link")?;
        let (next, _) = next.split_once('>').context("a link")?;
        let path = format!("/files?{next}").replace("limit=1&", &format!("limit={PAGE}&"));
        let listed = self.ask(&column.user, "GET", &path, &Value::Null).await?;
        let expected = PAGE.min(files - 1) as usize;
        ensure!(listed.json().as_array().is_some_and(|listed| listed.len() == expected), "{listed}");
        ensure!(listed.header("link").is_empty() == (files <= PAGE), "{listed}");
        Ok(path)
    }

    /// What happens to a folder of ten thousand files in a hundred folders. Returns the broken limits.
    async fn trees(&self) -> Result<Vec<String>> {
        let user = &self.columns.first().context("a folder")?.user;
        let tree = load::tree(&self.stack, user, "tree", 100, 100).await?;
        let target = user.folder("target").await;
        let path = format!("/files/{tree}");
        let mut steps = Steps { bench: self, user, broken: Vec::new() };
        println!("\n| a folder of 10,000 files in 100 folders | ms | at most |");
        println!("|---|---:|---:|");
        let usage = steps.step("usage", "GET", &format!("{path}/usage"), json!(null), 2000.0).await?;
        ensure!(usage["files"] == 10_000 && usage["folders"] == 100 && usage["complete"] == true, "{usage}");
        steps.step("move", "PATCH", &path, json!({ "parentId": target }), 1000.0).await?;
        let copy = steps.step("copy", "POST", &format!("{path}/copy"), json!({}), 5000.0).await?;
        steps.step("trash", "PUT", &format!("{path}/trash"), json!(null), 1000.0).await?;
        steps.step("restore", "PUT", &format!("{path}/restore"), json!(null), 1000.0).await?;
        let copied = copy["id"].as_str().context("an id of the copy")?;
        let usage =
            steps.step("usage of the copy", "GET", &format!("/files/{copied}/usage"), json!(null), 2000.0).await?;
        ensure!(usage["files"] == 10_000 && usage["folders"] == 100, "the copy has {usage}");
        Ok(steps.broken)
    }
}

impl Column {
    fn listing(&self, sort: &str) -> String {
        format!("/files?parentId={}&sort={sort}&limit={PAGE}", self.folder)
    }
}

/// Requests that are measured once, because each changes the folder.
struct Steps<'a> {
    bench: &'a Bench,
    user: &'a User,
    broken: Vec<String>,
}

impl Steps<'_> {
    /// Prints the line of a step, and returns its answer.
    async fn step(&mut self, name: &str, method: &str, path: &str, body: Value, most: f64) -> Result<Value> {
        let answer = self.bench.ask(self.user, method, path, &body).await.with_context(|| name.to_owned())?;
        let took = answer.took.as_secs_f64() * 1e3;
        println!("| {name} | {took:.1} | {most:.0} |");
        if took > most {
            self.broken.push(format!("{name}: {took:.1} ms"));
        }
        Ok(answer.json())
    }
}

fn lower_quartile(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 4]
}
