//! A short run with every kind of fault, and one for each mutation that the checker must find. These tests have the
//! stack for themselves: Cargo runs one test binary after the other.
#![allow(clippy::unwrap_used, reason = "what is not there fails the test")]

use std::time::Duration;

use chaos::{Mutation, Outages, Plan, run};
use e2e::Stack;
use tokio::sync::Mutex;

static ALONE: Mutex<()> = Mutex::const_new(());

fn plan(seed: u64, writes: usize) -> Plan {
    Plan { seed, writes, patience: Duration::from_secs(45), outages: Outages::All, mutation: None }
}

/// The number of seeds with which a mistake is planted until it is noticed.
const ROUNDS: u64 = 4;

#[tokio::test]
async fn r06_r07_acknowledged_writes_survive_every_fault() {
    let _alone = ALONE.lock().await;
    let stack = Stack::running().await;
    let report = run(&stack, &plan(1, 400)).await.unwrap();
    assert!(report.violations.is_empty(), "seed 1: {:#?}", report.violations);
    assert!(report.acknowledged() > 0 && !report.faults.is_empty());
}

#[tokio::test]
async fn r06_r07_the_checker_finds_each_mutation() {
    let _alone = ALONE.lock().await;
    let stack = Stack::running().await;
    for mutation in Mutation::ALL {
        let mut reports = Vec::new();
        // A person may delete what a mistake was planted in, and then nobody can notice it.
        for seed in 2..2 + ROUNDS {
            let plan = Plan { outages: Outages::None, mutation: Some(mutation), ..plan(seed, 40) };
            let report = run(&stack, &plan).await.unwrap();
            println!(
                "{}: planted {} times, {:?}, {:#?}",
                mutation.name(),
                report.planted,
                report.took,
                report.violations
            );
            let is_noticed = report.has(mutation.anomaly());
            reports.push(report);
            if is_noticed {
                break;
            }
        }
        assert!(reports.iter().any(|report| report.planted > 0), "{} was not planted", mutation.name());
        let is_noticed = reports.iter().any(|report| report.has(mutation.anomaly()));
        let violations: Vec<_> = reports.iter().flat_map(|report| &report.violations).collect();
        assert!(is_noticed, "{} was not noticed: {violations:#?}", mutation.name());
    }
}

#[tokio::test]
async fn without_faults_and_mistakes_nothing_is_wrong() {
    let _alone = ALONE.lock().await;
    let stack = Stack::running().await;
    let report = run(&stack, &Plan { outages: Outages::None, ..plan(3, 40) }).await.unwrap();
    assert!(report.violations.is_empty(), "{:#?}", report.violations);
}
