//! Runs random workloads of several people while the services are killed, stopped and disconnected, and checks the
//! state in the end. A seed decides the operations of each person, and the faults and their order.

#![forbid(unsafe_code)]

mod checker;
mod model;
mod mutations;
mod nemesis;
mod workload;

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    fmt,
    time::{Duration, Instant},
};

use anyhow::Result;
use e2e::{
    Stack,
    faults::{environment, visibility_timeout},
};
use fastrand::Rng;
use futures_util::future::join_all;

pub use mutations::Mutation;
pub use nemesis::any_seed;
use workload::Person;
pub use workload::{ACKNOWLEDGED, INDETERMINATE};

/// The parameters of one run.
#[derive(Clone)]
pub struct Plan {
    pub seed: u64,
    /// The run ends after this number of acknowledged writes.
    pub writes: usize,
    /// The run ends after this time in any case.
    pub patience: Duration,
    pub outages: Outages,
    pub mutation: Option<Mutation>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Outages {
    All,
    None,
}

/// The quota of each person, in bytes. All use the product at the same time; each has an account. The quotas are so
/// small that they are reached.
const QUOTAS: [Option<i64>; 8] = [None, None, None, None, None, None, Some(400_000), Some(60_000)];

/// The kinds of wrong states and answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anomaly {
    /// An acknowledged write is missing.
    Lost,
    /// The bytes or the properties differ from the acknowledged ones.
    Altered,
    /// A deleted entry exists.
    Resurrected,
    /// An entry exists that was refused or never requested.
    Unrequested,
    /// One repeated request made two entries.
    Duplicated,
    /// The object of a visible row is missing or has another size.
    MissingObject,
    /// An object, or parts of one, has no row.
    Orphan,
    /// An image has neither three correct thumbnails nor a reason for a failure.
    WrongThumbnails,
    /// The folders above a row do not lead to the root: they are in a circle, or one does not exist.
    Cycle,
    /// What is counted for a person is not what the person's rows add up to, or is above the person's quota.
    WrongQuota,
    /// A link has given its file to more visitors than it may, or has counted others than those who asked.
    WrongDownloads,
    /// The system does not settle.
    NotSettled,
    /// No known fault explains the answer.
    Unexplained,
}

#[derive(Clone, Debug)]
pub struct Violation {
    pub anomaly: Anomaly,
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{:?}: {}", self.anomaly, self.what)
    }
}

/// Counters of operations and faults.
#[derive(Default)]
pub struct Tally {
    counts: RefCell<BTreeMap<&'static str, usize>>,
    faults: RefCell<BTreeMap<String, usize>>,
}

impl Tally {
    fn count(&self, what: &'static str) {
        *self.counts.borrow_mut().entry(what).or_default() += 1;
    }

    fn fault(&self, what: String) {
        *self.faults.borrow_mut().entry(what).or_default() += 1;
    }

    fn has_faults(&self) -> bool {
        !self.faults.borrow().is_empty()
    }

    fn of(&self, what: &str) -> usize {
        self.counts.borrow().get(what).copied().unwrap_or_default()
    }
}

/// A run in progress.
pub struct Run<'a> {
    stack: &'a Stack,
    plan: &'a Plan,
    ends: Instant,
    tally: Tally,
    /// Counts the deaths of Redis. Each ends all sessions, because this Redis saves nothing.
    redis_deaths: Cell<u64>,
    /// The time at which a client last had no answer, or a failure. The attempt may run for as long as a function may.
    last_unanswered: Cell<Option<Instant>>,
    planted: Cell<usize>,
    violations: RefCell<Vec<Violation>>,
}

impl Run<'_> {
    fn is_over(&self) -> bool {
        self.tally.of(ACKNOWLEDGED) >= self.plan.writes || Instant::now() >= self.ends
    }

    fn violated(&self, anomaly: Anomaly, what: impl Into<String>) {
        self.violations.borrow_mut().push(Violation { anomaly, what: what.into() });
    }
}

/// The result of a run.
pub struct Report {
    pub seed: u64,
    pub took: Duration,
    pub counts: BTreeMap<&'static str, usize>,
    pub faults: BTreeMap<String, usize>,
    /// The number of times that the mutation was planted.
    pub planted: usize,
    pub violations: Vec<Violation>,
}

impl Report {
    pub fn count(&self, what: &str) -> usize {
        self.counts.get(what).copied().unwrap_or_default()
    }

    pub fn acknowledged(&self) -> usize {
        self.count(ACKNOWLEDGED)
    }

    /// The number of acknowledged writes that are missing or differ.
    pub fn lost(&self) -> usize {
        let is_loss = |violation: &&Violation| {
            matches!(violation.anomaly, Anomaly::Lost | Anomaly::Altered | Anomaly::MissingObject)
        };
        self.violations.iter().filter(is_loss).count()
    }

    /// The number of violations of one kind.
    pub fn of(&self, anomaly: Anomaly) -> usize {
        self.violations.iter().filter(|violation| violation.anomaly == anomaly).count()
    }

    pub fn has(&self, anomaly: Anomaly) -> bool {
        self.of(anomaly) > 0
    }
}

/// Runs one workload with faults, and checks the state in the end.
///
/// # Errors
/// The stack cannot be used.
pub async fn run(stack: &Stack, plan: &Plan) -> Result<Report> {
    let started = Instant::now();
    // Short times: with AWS's times a run would wait long for the messages of a killed worker.
    let _undo = [visibility_timeout(stack, 10).await, environment(stack, "thumbnails", "JOB_RETRY", "3").await];
    // Old messages of the dead-letter queue do not belong to this run.
    stack.sqs.purge_queue().queue_url(&stack.dead_letter_queue_url).send().await?;
    let earlier_orphans = checker::orphans(stack).await?;
    let run = Run {
        stack,
        plan,
        ends: started + plan.patience,
        tally: Tally::default(),
        redis_deaths: Cell::new(0),
        last_unanswered: Cell::default(),
        planted: Cell::new(0),
        violations: RefCell::default(),
    };
    let mut seeds = Rng::with_seed(plan.seed);
    let mut people = Vec::new();
    for (number, quota) in (0..).zip(QUOTAS) {
        people.push(Person::join(&run, number, quota, seeds.fork()).await?);
    }
    let (sweeps, outages) = (seeds.fork(), seeds.fork());
    let others = async {
        let outages = async {
            match plan.outages {
                Outages::All => nemesis::go_on(&run, outages).await,
                Outages::None => std::future::pending().await,
            }
        };
        futures_util::future::join(outages, nemesis::sweep_often(stack, sweeps)).await
    };
    tokio::select! {
        _ = join_all(people.iter_mut().map(Person::live)) => {}
        // The nemesis and the sweeps never end by themselves.
        _ = others => {}
    }
    checker::check(&run, &mut people, &earlier_orphans).await?;
    if plan.mutation.is_some() {
        let people: Vec<_> = people.iter().map(|person| person.id).collect();
        mutations::clean_up(stack, &people, &earlier_orphans).await?;
    }
    drop(people);
    Ok(Report {
        seed: plan.seed,
        took: started.elapsed(),
        counts: run.tally.counts.into_inner(),
        faults: run.tally.faults.into_inner(),
        planted: run.planted.get(),
        violations: run.violations.into_inner(),
    })
}
