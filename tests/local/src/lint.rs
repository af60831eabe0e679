//! `cargo local lint`: is `template.yaml` good as it stands, and as AWS will expand it?

use std::fs;
use std::process::ExitCode;

use anyhow::{Context, Result};
use tokio::process::Command;

use crate::tools::Tools;
use crate::{Project, command, progress};

pub async fn lint(project: &Project) -> Result<ExitCode> {
    let tools = Tools::install(project).await?;
    let log = project.local("lint.log");
    fs::write(&log, "").context("cannot write into .local")?;
    let result = check(project, &tools).await;
    if result.is_err() {
        progress::notice(fs::read_to_string(&log).unwrap_or_default());
    }
    result.map(|()| ExitCode::SUCCESS)
}

async fn check(project: &Project, tools: &Tools) -> Result<()> {
    let log = project.local("lint.log");
    let template = project.path("template.yaml");
    let step = "Template (sam validate --lint)";
    progress::step(step, async {
        let mut sam = Command::new(tools.sam("sam"));
        sam.args(["validate", "--lint", "--region", "us-east-1", "--template-file"]).arg(&template);
        command::run(sam.env("SAM_CLI_TELEMETRY", "0"), step, &log).await
    })
    .await?;
    let step = "Expanded template (cfn-lint)";
    progress::step(step, async {
        let mut expand = Command::new(tools.sam("python"));
        let expanded = command::output(expand.arg(project.path("tests/local/expand.py")).arg(&template)).await?;
        let file = project.local("expanded.yaml");
        fs::write(&file, expanded).context("cannot write into .local")?;
        let mut lint = Command::new(tools.sam("cfn-lint"));
        lint.args(["--regions", "us-east-1", "--template"]).arg(&file);
        command::run(&mut lint, step, &log).await
    })
    .await
}
