//! Injected faults, each with a guard that undoes it.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "what is not there fails the test")]

use std::{fs, path::Path, thread, time::Duration};

use ::stack::{Record, ServiceProcess, memory_kb};
use aws_sdk_sqs::types::QueueAttributeName;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::{Stack, eventually, tcp_proxy::server_of};

/// Undoes a fault when it is dropped, also when the test fails.
#[must_use]
pub struct Undo(Option<Box<dyn FnOnce() + Send>>);

impl Undo {
    pub fn by(undo: impl AsyncFnOnce() + Send + 'static) -> Self {
        Self(Some(Box::new(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(undo());
        })))
    }
}

impl Drop for Undo {
    fn drop(&mut self) {
        let undo = self.0.take().expect("an Undo is dropped once");
        // A new thread is needed, because a runtime cannot be entered from within another.
        let undone = thread::spawn(undo).join();
        assert!(undone.is_ok() || thread::panicking(), "the fault could not be undone");
    }
}

/// The way in which a store stops.
#[derive(Clone, Copy)]
pub enum Outage {
    /// The store accepts connections and never answers.
    Hang,
    /// The store is killed, and started again in the end.
    Crash,
}

impl Outage {
    pub async fn of(self, stack: &Stack, store: &'static str) -> Undo {
        let record = Record::read(&stack.path).unwrap();
        let process = record.process(store).unwrap().clone();
        match self {
            Self::Hang => {
                process.kill(Signal::STOP).unwrap();
                Undo::by(async move || process.kill(Signal::CONT).unwrap())
            }
            Self::Crash => {
                let url = if store == "redis" { &stack.redis_url } else { &stack.mongodb_uri };
                let address = server_of(url).to_owned();
                process.kill(Signal::KILL).unwrap();
                let undo = Undo::by({
                    let (path, address) = (stack.path.clone(), address.clone());
                    async move || {
                        death(&address).await;
                        start_again(&path, store);
                        eventually("it runs again", Duration::from_secs(30), async || {
                            TcpStream::connect(&address).await.ok()
                        })
                        .await;
                    }
                });
                death(&address).await;
                undo
            }
        }
    }
}

/// Waits until nothing listens at this address.
async fn death(address: &str) {
    let is_dead = async || TcpStream::connect(address).await.is_err().then_some(());
    eventually("it is dead", Duration::from_secs(10), is_dead).await;
}

/// Sets the queue's visibility timeout: the queue delivers a message again after this time, unless it was deleted.
pub async fn visibility_timeout(stack: &Stack, seconds: u32) -> Undo {
    use QueueAttributeName::VisibilityTimeout;
    let set = async |stack: &Stack, seconds: &str| {
        let change = stack.sqs.set_queue_attributes().queue_url(&stack.queue_url);
        change.attributes(VisibilityTimeout, seconds).send().await.unwrap();
    };
    let query = stack.sqs.get_queue_attributes().queue_url(&stack.queue_url).attribute_names(VisibilityTimeout);
    let before = query.send().await.unwrap().attributes.unwrap()[&VisibilityTimeout].clone();
    let undo = Undo::by(async move || set(&Stack::running().await, &before).await);
    set(stack, &seconds.to_string()).await;
    undo
}

/// Changes one variable of a function's environment.
pub async fn environment(stack: &Stack, function: &'static str, variable: &str, value: &str) -> Undo {
    let before = stack.environment(function).await;
    let mut changed = before.clone();
    changed[variable] = json!(value);
    let undo = Undo::by(async move || Stack::running().await.set_environment(function, &before).await);
    stack.set_environment(function, &changed).await;
    undo
}

/// The processes in which the stack runs a function, as the emulator has started them.
pub fn processes(stack: &Stack, function: &str) -> Vec<Pid> {
    let marks = [
        format!("AWS_LAMBDA_FUNCTION_NAME={}", stack.function(function)),
        format!("AWS_ENDPOINT_URL={}", stack.aws_endpoint),
    ];
    let pids = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid: &i32| {
        // A process of another user, or one that has ended, is not one of these.
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        marks.iter().all(|mark| environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes()))
    })
    .filter_map(Pid::from_raw)
    .collect()
}

/// Kills all processes of a function.
pub fn kill(stack: &Stack, function: &str) {
    for process in processes(stack, function) {
        // The emulator may have ended the process in the meantime.
        let _ = kill_process(process, Signal::KILL);
    }
}

/// The peak memory of a process, in kB; `None` if the process has ended.
pub fn peak(pid: Pid) -> Option<u64> {
    memory_kb(pid.as_raw_nonzero().get().cast_unsigned(), "VmHWM")
}

/// Makes S3 fail for the functions only.
pub async fn s3(stack: &Stack, rule: Value) -> Undo {
    let proxy = stack.fault_proxy.clone();
    let undo = Undo::by({
        let proxy = proxy.clone();
        async move || assert_eq!(set_rules(&proxy, &json!([])).await, json!([]))
    });
    let echo = set_rules(&proxy, &json!([rule])).await;
    // The proxy ignores the keys that it does not know.
    for (key, value) in rule.as_object().unwrap() {
        let same = echo[0][key] == *value || echo[0][key].as_f64().is_some_and(|number| Some(number) == value.as_f64());
        assert!(same, "the fault proxy did not take {key}: {echo}");
    }
    undo
}

/// The number of requests that the current rule has matched.
pub async fn met(stack: &Stack) -> u64 {
    let rules = reqwest::get(format!("{}/_microburst/rules", stack.fault_proxy)).await.unwrap().bytes().await.unwrap();
    let rules: Value = serde_json::from_slice(&rules).unwrap();
    rules[0]["fired_count"].as_u64().unwrap()
}

async fn set_rules(proxy: &str, rules: &Value) -> Value {
    let request = reqwest::Client::new().post(format!("{proxy}/_microburst/rules")).body(rules.to_string());
    let response = request.header("Content-Type", "application/json").send().await.unwrap();
    serde_json::from_slice(&response.bytes().await.unwrap()).unwrap()
}

/// Starts a store with the stack's command, and records its new process so that the stack can be stopped.
fn start_again(path: &Path, store: &str) {
    let mut record = Record::read(path).unwrap();
    let program = record.process(store).unwrap().program.clone();
    record.processes.insert(store.to_owned(), ServiceProcess::start(program).unwrap());
    record.write(path).unwrap();
}
