//! `cargo local cost` computes the cost of an idle stack from its template, and the cost of requests from the resources
//! that they use. The command fails if a resource costs money while the stack is idle, or if a README has other numbers.

mod idle;
mod prices;
mod requests;

use std::fs;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::process::Command;

use self::idle::Idle;
use self::requests::{Bench, Measurements, Month};
use crate::progress::line;
use crate::tools::Sam;
use crate::{Project, subprocess};

const MEASUREMENTS: &str = "tests/local/cost.json";
const README: &str = "functions/README.md";

/// The short README, which has some of the amounts of [`README`].
const SUMMARY: &str = "README.md";

/// The file that `cargo local bench api` writes.
const BENCH: &str = "measurements/bench-api.json";

/// The output of the command stands between these lines of [`README`].
const BEGIN: &str = "<!-- `cargo local cost --write` writes this. -->\n";
const END: &str = "<!-- So far from `cargo local cost`. -->\n";

/// The use of [`README`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Readme {
    Compare,
    /// Takes over the measurements of the last bench, then writes the file.
    Write,
}

pub async fn cost(project: &Project, readme: Readme) -> Result<ExitCode> {
    let sam = Sam::install(project).await?;
    let mut expand = Command::new(sam.program("python"));
    expand.arg(project.path("tests/local/expand_template.py")).arg(project.path("template.yaml"));
    let template: Value = serde_json::from_str(&subprocess::output(&mut expand).await?)?;
    let measurements = measurements(project, readme)?;
    let idle = Idle::of(&template)?;
    let text = text(&template, &idle, &measurements)?;
    line(format!("\n{}\n{text}", idle.types()));

    let path = project.path(README);
    let old = fs::read_to_string(&path).with_context(|| format!("cannot read {README}"))?;
    let new = with(&old, &text)?;
    if readme == Readme::Write {
        fs::write(&path, new).with_context(|| format!("cannot write {README}"))?;
    } else {
        ensure!(old == new, "{README} says something else: `cargo local cost --write` writes it anew");
    }
    let summary = fs::read_to_string(project.path(SUMMARY)).with_context(|| format!("cannot read {SUMMARY}"))?;
    let known = amounts(&text);
    for amount in amounts(&summary) {
        ensure!(known.contains(&amount), "{SUMMARY} says ${amount}, which is no amount in {README}");
    }
    Ok(ExitCode::SUCCESS)
}

fn measurements(project: &Project, readme: Readme) -> Result<Measurements> {
    let path = project.path(MEASUREMENTS);
    let measurements = fs::read(&path).with_context(|| format!("cannot read {MEASUREMENTS}"))?;
    let mut measurements: Measurements =
        serde_json::from_slice(&measurements).with_context(|| format!("cannot read {MEASUREMENTS}"))?;
    if readme == Readme::Write
        && let Ok(bench) = fs::read(project.local(BENCH))
    {
        let bench: Bench = serde_json::from_slice(&bench).with_context(|| format!("cannot read .local/{BENCH}"))?;
        let taken = measurements.take_over(&bench);
        line(format!(
            "  {taken} measurements from .local/{BENCH}; set date and machine in {MEASUREMENTS} if they are others"
        ));
        fs::write(&path, serde_json::to_string_pretty(&measurements)? + "\n")?;
    }
    Ok(measurements)
}

/// The text that [`README`] has.
fn text(template: &Value, idle: &Idle, measurements: &Measurements) -> Result<String> {
    let month = Month::of(template, idle, measurements)?;
    let tables = [idle.table(), month.table(), month.comparison(), Month::assumptions(measurements)];
    Ok(tables.join("\n"))
}

/// The README with this text between its two lines.
fn with(readme: &str, text: &str) -> Result<String> {
    let (before, rest) = readme.split_once(BEGIN).with_context(|| format!("{README} has no line {BEGIN}"))?;
    let (_, after) = rest.split_once(END).with_context(|| format!("{README} has no line {END}"))?;
    Ok(format!("{before}{BEGIN}\n{text}\n{END}{after}"))
}

/// The numbers after each dollar sign. The dollar sign of a shell's variable has none.
fn amounts(text: &str) -> Vec<&str> {
    let end = |rest: &str| rest.find(|character: char| !character.is_ascii_digit() && character != '.');
    let amounts = text.split('$').skip(1).map(|rest| rest[..end(rest).unwrap_or(rest.len())].trim_end_matches('.'));
    amounts.filter(|amount| !amount.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_lines_of_the_readme_changes() {
        let readme = format!("a\n{BEGIN}old\n{END}b\n");
        let new = with(&readme, "new").unwrap();
        assert_eq!(new, format!("a\n{BEGIN}\nnew\n{END}b\n"));
        assert_eq!(with(&new, "new").unwrap(), new);
        assert!(with("a\n", "new").is_err());
    }

    #[test]
    fn amounts_are_the_numbers_after_dollar_signs() {
        assert_eq!(amounts("Of $2.42 or $25.00; $TOKEN, $(date), $0. And $7"), ["2.42", "25.00", "0", "7"]);
    }
}
