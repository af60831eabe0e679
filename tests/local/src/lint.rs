//! `cargo local lint` checks `template.yaml`, as it is and as AWS expands it, and the licences, sources and versions of
//! all dependencies.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::process::Command;

use crate::tools::{Sam, linters};
use crate::{Project, progress, subprocess};

pub async fn lint(project: &Project) -> Result<ExitCode> {
    let sam = Sam::install(project).await?;
    let linters = linters(project).await?;
    let log = project.local("lint.log");
    fs::write(&log, "").context("cannot write into .local")?;
    let result = check(project, &sam, &linters, &log).await;
    if result.is_err() {
        progress::notice(fs::read_to_string(&log).unwrap_or_default());
    }
    result.map(|()| ExitCode::SUCCESS)
}

async fn check(project: &Project, sam: &Sam, linters: &Path, log: &Path) -> Result<()> {
    let template = project.path("template.yaml");
    let step = "Template (sam validate --lint)";
    progress::step(step, async {
        let mut sam = Command::new(sam.program("sam"));
        sam.args(["validate", "--lint", "--region", "us-east-1", "--template-file"]).arg(&template);
        subprocess::run(sam.env("SAM_CLI_TELEMETRY", "0"), step, log).await
    })
    .await?;
    let expanded = project.local("expanded.json");
    let step = "Expanded template (cfn-lint)";
    progress::step(step, async {
        let mut expand = Command::new(sam.program("python"));
        let output =
            subprocess::output(expand.arg(project.path("tests/local/expand_template.py")).arg(&template)).await?;
        fs::write(&expanded, output).context("cannot write into .local")?;
        let mut lint = Command::new(sam.program("cfn-lint"));
        lint.args(["--regions", "us-east-1", "--template"]).arg(&expanded);
        subprocess::run(&mut lint, step, log).await
    })
    .await?;
    let step = "Expanded template (checkov)";
    progress::step(step, async {
        let report = project.local("checkov.json");
        let mut checkov = Command::new(linters.join("checkov"));
        checkov.arg("--config-file").arg(project.path("tests/local/checkov.yaml")).arg("--file").arg(&expanded);
        checkov.args(["--output", "cli", "--output", "json", "--output-file-path"]);
        checkov.arg(format!("console,{}", report.display()));
        subprocess::run(&mut checkov, step, log).await?;
        // checkov passes a file that it does not recognise as a template.
        let report = fs::read(&report).context("checkov wrote no report")?;
        let report: Value = serde_json::from_slice(&report).context("cannot read checkov's report")?;
        let passed = report["summary"]["passed"].as_u64().unwrap_or_default();
        ensure!(passed > 0, "checkov found nothing to check in {}", expanded.display());
        Ok(())
    })
    .await?;
    let step = "Dependencies (cargo-deny)";
    progress::step(step, async {
        let mut deny = Command::new(linters.join("cargo-deny"));
        deny.args(["--locked", "--color", "never", "check", "--hide-inclusion-graph", "--deny", "warnings"]);
        deny.args(["bans", "licenses", "sources"]).current_dir(project.path(""));
        subprocess::run(&mut deny, step, log).await
    })
    .await
}
