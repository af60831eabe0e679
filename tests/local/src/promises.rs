//! The table of promises, `tests/PROMISES.md`: the names of the tests that prove each promise, and the measurements of
//! the last run.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};

use crate::Project;
use crate::progress::line;

const TABLE: &str = "tests/PROMISES.md";

/// A file with this name is written beside the measurements when every test has passed.
const PASSED: &str = "passed";

/// Writes the measurements of the last `cargo local test --release` and of the last `cargo local chaos` into the table.
pub fn promises(project: &Project) -> Result<ExitCode> {
    let measurements = project.local("measurements");
    ensure!(
        measurements.join(PASSED).exists(),
        "it is not known that what ships passes every test: run `cargo local test --release` first"
    );
    let path = project.path(TABLE);
    let table = fs::read_to_string(&path).with_context(|| format!("cannot read {TABLE}"))?;
    fs::write(&path, with(&table, &tests(project)?, Some(&measurements_in(&measurements)?))?)?;
    line(format!("{TABLE} says what was measured."));
    Ok(ExitCode::SUCCESS)
}

pub fn clear_passed(project: &Project) {
    fs::remove_file(project.local("measurements").join(PASSED)).ok();
}

pub fn mark_passed(project: &Project) -> Result<()> {
    Ok(fs::write(project.local("measurements").join(PASSED), "")?)
}

/// The entries of one column by promise, sorted.
type Column = BTreeMap<String, Vec<String>>;

/// The table with these tests, and with these measurements or, if there are none, the table's own.
fn with(table: &str, tests: &Column, measurements: Option<&Column>) -> Result<String> {
    let mut rows = Vec::new();
    for row in table.lines() {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        rows.push(match cells[..] {
            [promise, text, _, measured] if is_promise(promise) => {
                let tests = tests.get(promise).with_context(|| format!("no test shows {promise}"))?;
                let tests: Vec<String> = tests.iter().map(|test| format!("`{test}`")).collect();
                let measurements = measurements
                    .map(|measurements| measurements.get(promise).map_or(String::new(), |all| all.join("<br>")));
                let measured = measurements.as_deref().unwrap_or(measured);
                format!("| {promise} | {text} | {} | {measured} |", tests.join("<br>"))
            }
            _ => row.to_owned(),
        });
    }
    let written = rows.join("\n") + "\n";
    for promise in tests.keys() {
        ensure!(written.contains(&format!("\n| {promise} |")), "{promise} has tests, but no line in {TABLE}");
    }
    Ok(written)
}

fn is_promise(text: &str) -> bool {
    let mut letters = text.chars();
    matches!(letters.next(), Some('R' | 'S')) && letters.as_str().parse::<u8>().is_ok()
}

/// The measurements of a folder, each in a file. The file's name is the promise and the subject, the content is the
/// value.
fn measurements_in(folder: &Path) -> Result<Column> {
    let mut measurements = Column::new();
    for file in fs::read_dir(folder)? {
        let path = file?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if let Some((promise, what)) = name.split_once(' ') {
            let measurement = format!("{what}: {}", fs::read_to_string(&path)?);
            measurements.entry(promise.to_owned()).or_default().push(measurement);
        }
    }
    for of in measurements.values_mut() {
        of.sort();
    }
    Ok(measurements)
}

/// The tests by promise. The name of a test begins with its promises: `r06_…`, or `s17_s24_…` for two.
fn tests(project: &Project) -> Result<Column> {
    let mut tests = Column::new();
    for folder in ["functions", "shared", "tests"] {
        collect(&project.path(folder), &mut tests)?;
    }
    for of in tests.values_mut() {
        of.sort();
    }
    Ok(tests)
}

fn collect(folder: &Path, tests: &mut Column) -> Result<()> {
    let mut names = Vec::new();
    collect_names(folder, &mut names)?;
    for name in names {
        for promise in shown_by(&name) {
            tests.entry(promise).or_default().push(name.clone());
        }
    }
    Ok(())
}

/// The names of all functions without arguments. Tests have none.
fn collect_names(folder: &Path, names: &mut Vec<String>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.ends_with("node_modules") {
            continue;
        }
        if path.is_dir() {
            collect_names(&path, names)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = fs::read_to_string(&path)?;
            let functions = source.split("fn ").skip(1).filter_map(|rest| rest.split_once('('));
            let tests = functions.filter(|(_, arguments)| arguments.starts_with(')'));
            names.extend(tests.map(|(name, _)| name.to_owned()));
        }
    }
    Ok(())
}

fn shown_by(name: &str) -> Vec<String> {
    numbers(name, &["r", "s"])
}

/// The numbers with one of these letters that a name begins with.
fn numbers(mut name: &str, letters: &[&str]) -> Vec<String> {
    let mut promises = Vec::new();
    while let Some((number, rest)) = name.split_once('_')
        && let Some((letter, digits)) = number.split_at_checked(1)
        && letters.contains(&letter)
        && digits.len() == 2
        && let Ok(number) = digits.parse::<u8>()
    {
        promises.push(format!("{}{number}", letter.to_uppercase()));
        name = rest;
    }
    promises
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_names_the_tests_that_there_are() {
        let project = Project::here();
        let table = fs::read_to_string(project.path(TABLE)).unwrap();
        let expected = with(&table, &tests(&project).unwrap(), None).unwrap();
        assert_eq!(table, expected, "`cargo local promises` writes it, after `cargo local test`");
    }

    /// A longer name is hard to read in the output of `cargo test`.
    #[test]
    fn no_name_of_a_test_is_longer_than_70_characters() {
        let project = Project::here();
        let mut long = Vec::new();
        for folder in ["functions", "shared", "tests"] {
            let mut names = Vec::new();
            collect_names(&project.path(folder), &mut names).unwrap();
            long.extend(names.into_iter().filter(|name| name.len() > 70));
        }
        assert!(long.is_empty(), "{long:#?}");
    }

    /// tests/README.md says what the lines are about.
    #[test]
    fn every_line_of_the_contract_of_the_file_manager_has_a_test() {
        let mut names = Vec::new();
        collect_names(&Project::here().path("tests/e2e/tests"), &mut names).unwrap();
        let tested: Vec<String> = names.iter().flat_map(|name| numbers(name, &["f"])).collect();
        let missing: Vec<String> =
            (1..=58).chain([61]).map(|line| format!("F{line}")).filter(|line| !tested.contains(line)).collect();
        assert!(missing.is_empty(), "no test shows {missing:?}");
    }

    #[test]
    fn a_test_shows_what_its_name_begins_with() {
        assert_eq!(shown_by("r06_acknowledged_uploads_survive"), ["R6"]);
        assert_eq!(shown_by("s17_s24_no_line_has_a_token"), ["S17", "S24"]);
        assert!(shown_by("read_the_rest").is_empty() && shown_by("s3_is_down").is_empty());
    }
}
