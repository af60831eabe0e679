//! `cargo local fsck` invokes the sweeper's function to compare the ledger with the bucket and with the counters of the
//! quota, and prints the report.

use std::fmt::{self, Display, Formatter};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::json;
use tokio::time::sleep;

use crate::progress::{line, notice};
use crate::stack::Record;
use crate::{Project, http};

/// The longest time until everything that the tests started is finished: messages in the queue, and rows that expire
/// late.
const REST: Duration = Duration::from_mins(1);

pub async fn fsck(project: &Project) -> Result<ExitCode> {
    let record = Record::in_use(&project.local("up")).context("no `cargo local up` runs; start one, then try again")?;
    ensure!(!record.functions.is_empty(), "`cargo local up` is still starting; try again when it says that it answers");
    let report = compare(&record).await?;
    line(&report);
    Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The ledger and the bucket that the tests or the workloads with faults leave behind must agree, whether a test
/// changed them through the API or directly.
pub async fn afterwards(record: &Record) -> Result<ExitCode> {
    let deadline = Instant::now() + REST;
    loop {
        http::invoke(&record.aws_endpoint, sweeper(record)?, &json!({})).await?;
        let report = compare(record).await?;
        // Tests plant and remove rows that no request has counted, so `usage` says nothing after them. Tests of the quota and
        // the random workloads compare the counters of their own users.
        if report.agrees() {
            line(&report);
            return Ok(ExitCode::SUCCESS);
        }
        if Instant::now() >= deadline {
            notice(&report);
            notice("error: all went well, but what was left in the ledger and the bucket does not agree");
            return Ok(ExitCode::FAILURE);
        }
        sleep(Duration::from_secs(1)).await;
    }
}

async fn compare(record: &Record) -> Result<Report> {
    let report = http::invoke(&record.aws_endpoint, sweeper(record)?, &json!({ "fsck": true })).await?;
    Report::deserialize(&report).with_context(|| format!("the sweeper returned {report}"))
}

fn sweeper(record: &Record) -> Result<&str> {
    record.functions.get("sweeper").map(String::as_str).context("the stack has no sweeper")
}

/// The report that the sweeper returns.
#[derive(Deserialize)]
struct Report {
    orphans: Findings<Orphan>,
    dangling: Findings<Dangling>,
    stale: Findings<Stale>,
    usage: Findings<Usage>,
    complete: bool,
}

#[derive(Deserialize)]
struct Findings<T> {
    count: usize,
    first: Vec<T>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Orphan {
    key: String,
    upload_id: Option<String>,
}

#[derive(Deserialize)]
struct Dangling {
    id: String,
    key: String,
    size: Option<u64>,
    found: Option<u64>,
}

#[derive(Deserialize)]
struct Stale {
    id: String,
}

/// A user whose counters differ from the sum of the user's rows.
#[derive(Deserialize)]
struct Usage {
    user: String,
    counted: Stored,
    found: Stored,
}

#[derive(Deserialize)]
struct Stored {
    bytes: i64,
    files: i64,
}

impl Report {
    fn is_clean(&self) -> bool {
        self.agrees() && self.usage.count == 0
    }

    /// True if the ledger and the bucket agree.
    fn agrees(&self) -> bool {
        self.complete && self.orphans.count + self.dangling.count + self.stale.count == 0
    }
}

/// One line for the report, and one for each finding.
impl Display for Report {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        let Self { orphans, dangling, stale, usage, complete } = self;
        let count = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        let orphan = count(orphans.count, "orphan");
        write!(f, "{orphan}, {}, {}", count(dangling.count, "dangling row"), count(stale.count, "stale pending"))?;
        write!(f, ", {}", count(usage.count, "wrong usage"))?;
        if !complete {
            write!(f, ", and not all was compared before the function's time was over")?;
        }
        orphans.list(f)?;
        dangling.list(f)?;
        stale.list(f)?;
        usage.list(f)
    }
}

impl<T: Display> Findings<T> {
    fn list(&self, f: &mut Formatter) -> fmt::Result {
        for finding in &self.first {
            write!(f, "\n  {finding}")?;
        }
        match self.count - self.first.len().min(self.count) {
            0 => Ok(()),
            more => write!(f, "\n  … and {more} more of this kind"),
        }
    }
}

impl Display for Orphan {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        match &self.upload_id {
            None => write!(f, "orphan {}", printable(&self.key)),
            Some(id) => write!(f, "orphan {}, multipart upload {id}", printable(&self.key)),
        }
    }
}

impl Display for Dangling {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        let bytes = |size: Option<u64>| size.map_or("no size".to_owned(), |size| format!("{size} bytes"));
        write!(f, "dangling row {}: {} ", self.id, printable(&self.key))?;
        match self.found {
            None => write!(f, "is not there"),
            Some(_) => write!(f, "has {}, the row says {}", bytes(self.found), bytes(self.size)),
        }
    }
}

impl Display for Stale {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        write!(f, "stale pending {}", self.id)
    }
}

impl Display for Usage {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        let Self { user, counted, found } = self;
        write!(f, "wrong usage of {user}: {counted} counted, {found} found")
    }
}

impl Display for Stored {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        write!(f, "{} bytes in {} files", self.bytes, self.files)
    }
}

/// The key with control characters escaped: the name of an object must not control the terminal.
fn printable(key: &str) -> impl Display {
    key.escape_debug()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(report: serde_json::Value) -> (bool, String) {
        let report: Report = serde_json::from_value(report).unwrap();
        (report.is_clean(), report.to_string())
    }

    #[test]
    fn a_report_without_findings_is_one_line() {
        let nothing = json!({ "count": 0, "first": [] });
        let mut report =
            json!({ "orphans": nothing, "dangling": nothing, "stale": nothing, "usage": nothing, "complete": true });
        let expected = "0 orphans, 0 dangling rows, 0 stale pendings, 0 wrong usages";
        assert_eq!(printed(report.clone()), (true, expected.into()));
        report["complete"] = false.into();
        let (clean, text) = printed(report);
        assert!(!clean && text.ends_with(", and not all was compared before the function's time was over"), "{text}");
    }

    #[test]
    fn each_finding_has_a_line() {
        let (clean, text) = printed(json!({
            "orphans": { "count": 3, "first": [{ "key": "files/ä\u{1b}" }, { "key": "uploads/y", "uploadId": "z" }] },
            "dangling": { "count": 2, "first": [
                { "id": "1", "key": "files/a", "size": 5, "found": null },
                { "id": "2", "key": "files/b", "size": 5, "found": 3 },
            ] },
            "stale": { "count": 1, "first": [{ "id": "3" }] },
            "usage": { "count": 1, "first": [
                { "user": "4", "counted": { "bytes": 5, "files": 1 }, "found": { "bytes": 3, "files": 2 } },
            ] },
            "complete": true,
        }));
        let expected = "3 orphans, 2 dangling rows, 1 stale pending, 1 wrong usage
  orphan files/ä\\u{1b}
  orphan uploads/y, multipart upload z
  … and 1 more of this kind
  dangling row 1: files/a is not there
  dangling row 2: files/b has 3 bytes, the row says 5 bytes
  stale pending 3
  wrong usage of 4: 5 bytes in 1 files counted, 3 bytes in 2 files found";
        assert_eq!((clean, text.as_str()), (false, expected));
    }
}
