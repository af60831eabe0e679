//! The nemesis injects faults. The seed decides their order: each kind once, then each kind again. A fault ends before
//! the next begins.

use std::time::{Duration, SystemTime};

use e2e::{
    Stack,
    faults::{Outage, Undo, processes, s3},
};
use fastrand::Rng;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::Run;

#[derive(Clone, Debug)]
enum Fault {
    Kill(&'static str),
    Stop(&'static str),
    KillFunction(&'static str),
    StopFunction(&'static str),
    /// All sessions in Redis are deleted.
    Flush,
    /// A rule of the fault proxy between S3 and its users (functions and clients), and between the functions and SQS.
    Proxy(&'static str, Value),
}

impl Fault {
    fn name(&self) -> String {
        match self {
            Self::Kill(part) | Self::KillFunction(part) => format!("kill -9 {part}"),
            Self::Stop(part) | Self::StopFunction(part) => format!("SIGSTOP {part}"),
            Self::Flush => "Redis flushed".to_owned(),
            Self::Proxy(name, _) => (*name).to_owned(),
        }
    }
}

fn every_kind() -> Vec<Fault> {
    use Fault::{Flush, Kill, KillFunction, Proxy, Stop, StopFunction};
    let error = |code: &str, status: u16| json!({ "service": "s3", "error": { "code": code, "status": status } });
    let with = |mut rule: Value, more: Value| {
        rule.as_object_mut().into_iter().zip(more.as_object()).for_each(|(rule, more)| rule.extend(more.clone()));
        rule
    };
    // One byte of the answer is missing. The request was executed.
    let cut_off = |service: &str, operation: &str, sequence: Value| {
        let cut_off = json!({ "set_headers": { "content-length": "1" } });
        json!({ "service": service, "operation": operation, "response": cut_off, "sequence": sequence })
    };
    vec![
        Kill("mongodb"),
        Kill("mongodb"),
        Kill("redis"),
        Flush,
        Stop("mongodb"),
        Stop("redis"),
        Stop("faults"),
        KillFunction("files"),
        KillFunction("files"),
        KillFunction("files"),
        KillFunction("uploads"),
        KillFunction("thumbnails"),
        KillFunction("thumbnails"),
        KillFunction("content"),
        KillFunction("links"),
        KillFunction("sweeper"),
        StopFunction("files"),
        StopFunction("uploads"),
        StopFunction("thumbnails"),
        StopFunction("sweeper"),
        Proxy("S3 503", error("ServiceUnavailable", 503)),
        Proxy("S3 500", with(error("InternalError", 500), json!({ "sequence": { "fail": 5, "pass": 5 } }))),
        Proxy("S3 SlowDown", with(error("SlowDown", 503), json!({ "sequence": { "fail": 3, "pass": 7 } }))),
        Proxy("S3 resets", json!({ "service": "s3", "reset": true, "sequence": { "fail": 4, "pass": 6 } })),
        Proxy("S3 hangs", json!({ "service": "s3", "timeout_ms": 60_000, "sequence": { "fail": 1, "pass": 4 } })),
        Proxy("S3 cuts off PutObject", cut_off("s3", "PutObject", json!({ "fail": 6, "pass": 4 }))),
        Proxy("S3 cuts off DeleteObjects", cut_off("s3", "DeleteObjects", json!({ "fail": 1, "pass": 1 }))),
        Proxy("SQS cuts off SendMessage", cut_off("sqs", "SendMessage", json!({ "fail": 1, "pass": 1 }))),
        Proxy("SQS fails", json!({ "service": "sqs", "error": { "code": "ServiceUnavailable", "status": 503 } })),
    ]
}

fn millis(rng: &mut Rng, range: std::ops::Range<u64>) -> Duration {
    Duration::from_millis(rng.u64(range))
}

/// Injects one fault after the other until it is dropped.
pub async fn go_on(run: &Run<'_>, mut rng: Rng) {
    loop {
        let mut faults = every_kind();
        rng.shuffle(&mut faults);
        for fault in faults {
            sleep(millis(&mut rng, 50..400)).await;
            inject(run, &fault, &mut rng).await;
            run.tally.fault(fault.name());
        }
    }
}

async fn inject(run: &Run<'_>, fault: &Fault, rng: &mut Rng) {
    let stack = run.stack;
    // The counter changes before and after the fault, because a session may begin shortly before the end.
    let sessions_end = || run.redis_deaths.set(run.redis_deaths.get() + 1);
    let (short, long) = (millis(rng, 100..1000), millis(rng, 800..4000));
    match fault {
        Fault::Kill(store) => {
            if *store == "redis" {
                sessions_end();
            }
            let undo = Outage::Crash.of(stack, store).await;
            if *store == "redis" {
                sessions_end();
            }
            sleep(short).await;
            undone(undo).await;
        }
        Fault::Stop(part) => {
            let undo = Outage::Hang.of(stack, part).await;
            sleep(long).await;
            undone(undo).await;
        }
        Fault::KillFunction(function) => {
            for _ in 0..rng.u8(2..6) {
                sleep(millis(rng, 50..400)).await;
                send(&processes(stack, function), Signal::KILL);
            }
        }
        Fault::StopFunction(function) => {
            let stopped = processes(stack, function);
            send(&stopped, Signal::STOP);
            let undo = Undo::by(async move || send(&stopped, Signal::CONT));
            sleep(long).await;
            undone(undo).await;
        }
        Fault::Flush => {
            sessions_end();
            stack.forget_sessions().await;
            sessions_end();
        }
        Fault::Proxy(_, rule) => {
            let undo = s3(stack, rule.clone()).await;
            sleep(long).await;
            undone(undo).await;
        }
    }
}

fn send(processes: &[Pid], signal: Signal) {
    for process in processes {
        // The emulator may have ended the process in the meantime.
        let _ = kill_process(*process, signal);
    }
}

/// Undoes a fault on another thread: it waits for the service, and the clients must continue.
async fn undone(undo: Undo) {
    let undoing = tokio::task::spawn_blocking(move || drop(undo)).await;
    assert!(undoing.is_ok(), "a fault could not be undone");
}

/// Runs the sweeper more often than its schedule, so that it meets unfinished operations.
pub async fn sweep_often(stack: &Stack, mut rng: Rng) {
    loop {
        sleep(millis(&mut rng, 1000..4000)).await;
        // An error is ignored: the nemesis may have killed the sweeper.
        let _ = stack.try_invoke("sweeper", &json!({})).await;
    }
}

/// A seed that differs in every run.
pub fn any_seed() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(1, |since| since.as_secs())
}
