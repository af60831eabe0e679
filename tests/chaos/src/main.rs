//! `cargo local chaos` makes one random run after the other on the same stack, and prints the result of each.

#![forbid(unsafe_code)]

use std::{collections::BTreeMap, ffi::OsString, process::ExitCode, time::Duration};

use anyhow::{Context, Result};
use chaos::{ACKNOWLEDGED, Anomaly, INDETERMINATE, Mutation, Outages, Plan, Report, any_seed, run};
use e2e::{Stack, record_measurement};
use lexopt::{Arg, ValueExt};

/// The number of violations that are printed for one run. The first ones tell most.
const PRINTED: usize = 20;

const USAGE: &str = "usage: cargo local chaos [--seed N] [--seeds COUNT] [--writes N] [--mutation NAME]";

#[derive(Debug, PartialEq)]
struct Options {
    seed: u64,
    seeds: u64,
    writes: usize,
    mutation: Option<Mutation>,
}

impl Options {
    /// `None` if the arguments ask for the usage.
    fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Option<Self>, lexopt::Error> {
        let mut parser = lexopt::Parser::from_args(args);
        let mut options = Self { seed: any_seed(), seeds: 1, writes: 1000, mutation: None };
        while let Some(arg) = parser.next()? {
            match arg {
                Arg::Long("seed") => options.seed = parser.value()?.parse()?,
                Arg::Long("seeds") => options.seeds = parser.value()?.parse()?,
                Arg::Long("writes") => options.writes = parser.value()?.parse()?,
                Arg::Long("mutation") => options.mutation = Some(parser.value()?.parse()?),
                Arg::Long("help") | Arg::Short('h') => return Ok(None),
                _ => return Err(arg.unexpected()),
            }
        }
        Ok(Some(options))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode> {
    match Options::parse(std::env::args_os().skip(1)) {
        Ok(Some(options)) => run_all(&options).await,
        Ok(None) => {
            println!("{USAGE}");
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            eprintln!("error: {error}\n{USAGE}");
            Ok(ExitCode::from(2))
        }
    }
}

async fn run_all(options: &Options) -> Result<ExitCode> {
    let stack = Stack::running().await;
    let mut total = Total::default();
    for seed in options.seed..options.seed.saturating_add(options.seeds) {
        let plan = Plan {
            seed,
            writes: options.writes,
            patience: Duration::from_mins(5),
            outages: Outages::All,
            mutation: options.mutation,
        };
        let report = run(&stack, &plan).await.with_context(|| format!("seed {seed}"))?;
        print(&report, options);
        total.add(&report);
    }
    total.print();
    if options.mutation.is_none() {
        total.note();
    }
    Ok(if total.found.violations == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print(report: &Report, options: &Options) {
    let Report { seed, took, counts, faults, violations, .. } = report;
    let (sum, took) = (summary(counts, &Found::of(report)), took.as_secs());
    println!("seed {seed}, {took} s: {sum}; faults: {}", in_words(faults));
    for violation in violations.iter().take(PRINTED) {
        println!("  {violation}");
    }
    if violations.len() > PRINTED {
        println!("  and {} more", violations.len() - PRINTED);
    }
    match options.mutation {
        Some(mutation) => {
            let caught = if report.has(mutation.anomaly()) { "caught" } else { "not caught" };
            println!("  {} was planted {} times, and {caught}", mutation.name(), report.planted);
        }
        None if !violations.is_empty() => {
            println!("  again: cargo local chaos --seed {seed} --writes {}", options.writes);
        }
        None => {}
    }
}

/// The numbers of wrong things.
#[derive(Clone, Copy, Default)]
struct Found {
    lost: usize,
    cycles: usize,
    orphans: usize,
    wrong_quotas: usize,
    violations: usize,
}

impl Found {
    fn of(report: &Report) -> Self {
        Self {
            lost: report.lost(),
            cycles: report.of(Anomaly::Cycle),
            orphans: report.of(Anomaly::Orphan),
            wrong_quotas: report.of(Anomaly::WrongQuota),
            violations: report.violations.len(),
        }
    }

    fn add(&mut self, other: Self) {
        self.lost += other.lost;
        self.cycles += other.cycles;
        self.orphans += other.orphans;
        self.wrong_quotas += other.wrong_quotas;
        self.violations += other.violations;
    }
}

#[derive(Default)]
struct Total {
    seeds: usize,
    found: Found,
    counts: BTreeMap<&'static str, usize>,
    faults: BTreeMap<String, usize>,
}

impl Total {
    fn add(&mut self, report: &Report) {
        self.seeds += 1;
        self.found.add(Found::of(report));
        for (what, count) in &report.counts {
            *self.counts.entry(what).or_default() += count;
        }
        for (fault, count) in &report.faults {
            *self.faults.entry(fault.clone()).or_default() += count;
        }
    }

    /// Records the measurement for the table of promises.
    fn note(&self) {
        let (seeds, lost) = (self.seeds, self.found.lost);
        let writes = self.counts.get(ACKNOWLEDGED).copied().unwrap_or_default();
        let faults: usize = self.faults.values().sum();
        for promise in ["R6", "R7"] {
            let value = format_args!("{seeds} seeds, {writes} {ACKNOWLEDGED}, {lost} lost under {faults} faults");
            record_measurement(promise, "cargo local chaos", value);
        }
    }

    fn print(&self) {
        println!("seeds: {}, {}", self.seeds, summary(&self.counts, &self.found));
        println!("faults: {}", in_words(&self.faults));
    }
}

/// The most important counts first, then the details.
fn summary(counts: &BTreeMap<&'static str, usize>, found: &Found) -> String {
    let mut others = counts.clone();
    let mut count = |what| others.remove(what).unwrap_or_default();
    let (writes, indeterminate) = (count(ACKNOWLEDGED), count(INDETERMINATE));
    let others = in_words(&others);
    let Found { lost, cycles, orphans, wrong_quotas, violations } = found;
    format!(
        "{writes} {ACKNOWLEDGED}, {indeterminate} {INDETERMINATE}, {lost} lost, {cycles} cycles, {orphans} orphans, \
         {wrong_quotas} wrong quotas, {violations} violations ({others})"
    )
}

fn in_words(counts: &BTreeMap<impl AsRef<str>, usize>) -> String {
    let words: Vec<_> = counts.iter().map(|(what, count)| format!("{count} {}", what.as_ref())).collect();
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Option<Options>, String> {
        Options::parse(line.split_whitespace().map(OsString::from)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_run_understands_its_options_and_no_others() {
        let options = Options { seed: 7, seeds: 2, writes: 9, mutation: Some(Mutation::NoFlipCheck) };
        assert_eq!(parsed("--seed=7 --seeds 2 --writes 9 --mutation no-flip-check"), Ok(Some(options)));
        assert_eq!(parsed("--help"), Ok(None));
        assert!(parsed("").is_ok_and(|options| options.unwrap().writes == 1000));
        for wrong in ["--seed", "--seed seven", "--bug no-flip-check", "7"] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
        let error = parsed("--mutation none").unwrap_err();
        assert!(error.contains("ack-before-put, no-flip-check"), "{error}");
    }
}
