//! The services of a stack: the command that starts each of them, and the check that it is ready.

use std::collections::BTreeMap;

use ::stack::{Program, ServiceProcess};
use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::stack::{ACCESS_KEY_ID, Record, SECRET_ACCESS_KEY, Stack};
use crate::subprocess::NICE;
use crate::tools::Tools;
use crate::{Project, bucket_backup, http};

pub const MONGODB: &str = "mongodb";
pub const REDIS: &str = "redis";
pub const EMULATOR: &str = "emulator";
pub const FAULT_PROXY: &str = "faults";

/// The purpose of a stack decides what it keeps and how strict it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// For `up`: data is kept.
    Use,
    /// For a benchmark: nothing is kept, and no proxy is between the stack and the stores.
    Bench,
    /// For the tests: nothing is kept, IAM is enforced, and faults can be injected between the functions and S3 or SQS.
    Test,
}

pub fn mongodb(stack: &Stack, tools: &Tools, port: u16) -> Result<Program> {
    stack.ensure("data/mongodb")?;
    let mut argv = words(&[&tools.mongod()?.display().to_string(), "--dbpath", &path(stack, "data/mongodb")]);
    argv.extend(words(&["--bind_ip", "127.0.0.1", "--port", &port.to_string(), "--nounixsocket"]));
    argv.extend(words(&["--wiredTigerCacheSizeGB", "0.25"]));
    Ok(Program { argv, env: environment(stack), log: stack.log(MONGODB) })
}

pub async fn mongodb_is_ready(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).await.is_ok()
}

pub fn redis(stack: &Stack, tools: &Tools, port: u16, purpose: Purpose) -> Result<Program> {
    stack.ensure("data/redis")?;
    let keep = if purpose == Purpose::Use { "yes" } else { "no" };
    let mut argv = words(&[&tools.redis()?.display().to_string(), "--bind", "127.0.0.1", "--port", &port.to_string()]);
    argv.extend(words(&["--dir", &path(stack, "data/redis"), "--appendonly", keep, "--save", ""]));
    Ok(Program { argv, env: environment(stack), log: stack.log(REDIS) })
}

/// Redis accepts connections while it still loads its data, but answers a PING only after that.
pub async fn redis_is_ready(port: u16) -> bool {
    let ping = async {
        let mut redis = TcpStream::connect(("127.0.0.1", port)).await?;
        redis.write_all(b"PING\r\n").await?;
        let mut answer = [0; 5];
        redis.read_exact(&mut answer).await?;
        std::io::Result::Ok(answer == *b"+PONG")
    };
    ping.await.unwrap_or(false)
}

/// `proxy` is the URL of S3 and SQS for the functions, if it is not the emulator's own.
pub fn emulator(
    project: &Project,
    stack: &Stack,
    tools: &Tools,
    port: u16,
    purpose: Purpose,
    proxy: Option<&str>,
) -> Program {
    let mut env = environment(stack);
    let mut set = |name: &str, value: &str| env.insert(name.to_owned(), value.to_owned());
    set("GATEWAY_PORT", &port.to_string());
    set("BIND_HOST", "127.0.0.1");
    set("LOG_LEVEL", "INFO");
    set("IOT_MTLS_ENABLED", "0");
    // The emulator must not use the Docker of this machine.
    set("DOCKER_HOST", "unix:///nonexistent");
    // The functions inherit these variables. Without them they would call the real AWS.
    set("AWS_ENDPOINT_URL", &format!("http://127.0.0.1:{port}"));
    set("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID);
    set("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY);
    if let Some(proxy) = proxy {
        set("AWS_ENDPOINT_URL_S3", proxy);
        set("AWS_ENDPOINT_URL_SQS", proxy);
    }
    match purpose {
        Purpose::Use => {
            set("PERSIST_STATE", "1");
            set("STATE_DIR", &path(stack, bucket_backup::STATE));
            set("S3_PERSIST", "1");
            set("S3_DATA_DIR", &path(stack, bucket_backup::OBJECTS));
        }
        Purpose::Bench => {}
        Purpose::Test => {
            set("AUTH", "true");
        }
    }
    let argv = script(project, tools, "emulator.py");
    Program { argv, env, log: stack.log(EMULATOR) }
}

pub async fn emulator_is_ready(port: u16) -> bool {
    http::get(&format!("http://127.0.0.1:{port}/_ministack/ready")).await.is_ok_and(|status| status.is_success())
}

pub fn fault_proxy(project: &Project, stack: &Stack, tools: &Tools, port: u16, emulator: u16) -> Program {
    let mut argv = script(project, tools, "fault_proxy.py");
    argv.extend(words(&["--host", "127.0.0.1", "--port", &port.to_string()]));
    argv.extend(words(&["--upstream", &format!("http://127.0.0.1:{emulator}")]));
    Program { argv, env: environment(stack), log: stack.log(FAULT_PROXY) }
}

/// The proxy loads its data about S3 at its first request for S3, which takes seconds. This request does it before the
/// tests. The status of the answer does not matter.
pub async fn fault_proxy_is_ready(port: u16) -> bool {
    http::get(&format!("http://127.0.0.1:{port}/no-bucket")).await.is_ok()
}

/// Starts a service and records it at once.
pub fn start(stack: &Stack, record: &mut Record, name: &str, mut program: Program) -> Result<()> {
    if stack.is_nice {
        program.argv.splice(..0, words(&NICE));
    }
    let process = ServiceProcess::start(program).with_context(|| format!("cannot start {name}"))?;
    record.processes.insert(name.to_owned(), process);
    stack.write(record)
}

fn environment(stack: &Stack) -> BTreeMap<String, String> {
    let path_of = |name| std::env::var(name).unwrap_or_default();
    let tmp = path(stack, "tmp");
    [("PATH", path_of("PATH")), ("HOME", tmp.clone()), ("TMPDIR", tmp), ("LANG", "C.UTF-8".to_owned())]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
}

fn path(stack: &Stack, relative: &str) -> String {
    stack.path(relative).display().to_string()
}

/// A script of tests/local, run by the emulator's Python.
fn script(project: &Project, tools: &Tools, name: &str) -> Vec<String> {
    vec![tools.python().display().to_string(), project.path("tests/local").join(name).display().to_string()]
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// The port of a URL of the loopback.
pub fn port_of(url: &str) -> Option<u16> {
    let (_, rest) = url.split_once("127.0.0.1:")?;
    rest.split(|character: char| !character.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::port_of;

    #[test]
    fn a_port_is_found_whatever_comes_around_it() {
        assert_eq!(port_of("mongodb://127.0.0.1:27018/files_manager"), Some(27018));
        assert_eq!(port_of("http://127.0.0.1:5000"), Some(5000));
        assert_eq!(port_of("mongodb+srv://cluster.example.net/files_manager"), None);
        assert_eq!(port_of(""), None);
    }
}
