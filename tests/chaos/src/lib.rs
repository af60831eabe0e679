//! Random histories of several people who use the product while its parts are killed, stopped and cut off from each other,
//! and a checker of what is there in the end. A seed decides who does what, and which faults come in which order.

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

/// What one history is to be.
#[derive(Clone)]
pub struct Plan {
    pub seed: u64,
    /// Acknowledged writes after which it ends.
    pub writes: usize,
    /// After which it ends in any case.
    pub patience: Duration,
    pub outages: Outages,
    pub mutation: Option<Mutation>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Outages {
    All,
    None,
}

/// Whoever uses the product at the same time. Each has an account of their own.
const PEOPLE: u64 = 8;

/// What is wrong in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anomaly {
    /// Acknowledged and not there.
    Lost,
    /// There with other bytes, or with other properties than were acknowledged.
    Altered,
    /// Deleted and there.
    Resurrected,
    /// Refused, or never sent, and there.
    Unrequested,
    /// Made twice by one request that was repeated.
    Duplicated,
    /// A visible row whose object is missing or has another size.
    MissingObject,
    /// An object, or parts of one, that no row knows.
    Orphan,
    /// An image with neither three right thumbnails nor a reason why not.
    WrongThumbnails,
    /// It does not come to rest.
    NotSettled,
    /// An answer that nothing explains.
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

/// What happened, counted.
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

/// A history while it goes on.
pub struct Run<'a> {
    stack: &'a Stack,
    plan: &'a Plan,
    ends: Instant,
    tally: Tally,
    /// Sessions end with Redis, which keeps nothing here.
    redis_deaths: Cell<u64>,
    /// An attempt that nobody waited for may be under way for as long as a function runs.
    last_impatient: Cell<Instant>,
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

/// What came of a history.
pub struct Report {
    pub seed: u64,
    pub took: Duration,
    pub counts: BTreeMap<&'static str, usize>,
    pub faults: BTreeMap<String, usize>,
    /// How often the mutation was planted.
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

    /// What was acknowledged and is not there, or not as it was acknowledged.
    pub fn lost(&self) -> usize {
        let is_loss = |violation: &&Violation| {
            matches!(violation.anomaly, Anomaly::Lost | Anomaly::Altered | Anomaly::MissingObject)
        };
        self.violations.iter().filter(is_loss).count()
    }

    pub fn has(&self, anomaly: Anomaly) -> bool {
        self.violations.iter().any(|violation| violation.anomaly == anomaly)
    }
}

/// One history from its beginning to the check of its end.
///
/// # Errors
/// A stack that cannot be used.
pub async fn run(stack: &Stack, plan: &Plan) -> Result<Report> {
    let started = Instant::now();
    // As long as on AWS, nobody would wait for what a dead worker had taken.
    let _undo = [visibility_timeout(stack, 10).await, environment(stack, "thumbnails", "JOB_RETRY", "3").await];
    // What it holds from before says nothing of this history.
    stack.sqs.purge_queue().queue_url(&stack.dead_letter_queue_url).send().await?;
    let strangers = checker::orphans(stack).await?;
    let run = Run {
        stack,
        plan,
        ends: started + plan.patience,
        tally: Tally::default(),
        redis_deaths: Cell::new(0),
        last_impatient: Cell::new(started),
        planted: Cell::new(0),
        violations: RefCell::default(),
    };
    let mut seeds = Rng::with_seed(plan.seed);
    let mut people = Vec::new();
    for number in 0..PEOPLE {
        people.push(Person::join(&run, number, seeds.fork()).await);
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
        // Which end only with the history.
        _ = others => {}
    }
    checker::check(&run, &mut people, &strangers).await?;
    if plan.mutation.is_some() {
        let people: Vec<_> = people.iter().map(|person| person.id).collect();
        mutations::clean_up(stack, &people, &strangers).await?;
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
