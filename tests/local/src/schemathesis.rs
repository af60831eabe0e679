//! `cargo local schemathesis` tests whether every answer agrees with the description of the API. Schemathesis generates
//! valid and invalid requests from the description: half of the time without a token, half of the time with one.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::process::Command;

use crate::progress::line;
use crate::stack::{Record, Stack};
use crate::subprocess::{self, ProcessGroup};
use crate::{Project, path_with};

/// The number of answers by operation and status.
type Seen = BTreeMap<String, BTreeMap<u16, u64>>;

pub async fn run(project: &Project, folder: &Path, stack: &Stack, record: &Record, time: Duration) -> Result<ExitCode> {
    let client = project.path("tests/local/schemathesis/client.py");
    let token = subprocess::output(Command::new(folder.join("python")).arg(client).arg(&record.api)).await?;
    for token in [None, Some(token.trim())] {
        let seen = stack.path("seen.json");
        let mut schemathesis = Command::new(folder.join("schemathesis"));
        schemathesis
            .arg("--config-file")
            .arg(project.path("tests/local/schemathesis/schemathesis.toml"))
            .args(["run", "--checks", "all", "--max-time"])
            .arg((time / 2).as_secs().to_string())
            .arg(format!("{}/openapi.json", record.api))
            .current_dir(stack.path("tmp"))
            .env("PATH", path_with(folder))
            .env("HOOKS", project.path("tests/local/schemathesis/hooks.py"))
            .env("API", &record.api)
            .env("SEEN", &seen)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .envs(token.map(|token| ("TOKEN", token)));
        line(format!(
            "\n{} a token, for {} seconds:",
            if token.is_some() { "With" } else { "Without" },
            time.as_secs() / 2
        ));
        let status = ProcessGroup::spawn(&mut schemathesis)?.wait().await?;
        let seen = fs::read(&seen).context("schemathesis does not say what it has seen")?;
        print_summary(&serde_json::from_slice(&seen)?, token.is_some())?;
        if !status.success() {
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints the requests and checks that they were useful: with a token most operations must succeed at least once.
fn print_summary(seen: &Seen, with_token: bool) -> Result<()> {
    let requests: u64 = seen.values().flat_map(BTreeMap::values).sum();
    let done = |statuses: &&BTreeMap<u16, u64>| statuses.keys().any(|status| (200..400).contains(status));
    let (all, done) = (seen.len(), seen.values().filter(done).count());
    for (operation, statuses) in seen {
        let statuses: Vec<_> = statuses.iter().map(|(status, times)| format!("{status} × {times}")).collect();
        line(format!("  {operation}: {}", statuses.join(", ")));
    }
    line(format!("{requests} requests of {all} operations, {done} of which did what they are for"));
    ensure!(!with_token || done * 4 >= all * 3, "too few operations did what they are for");
    Ok(())
}
