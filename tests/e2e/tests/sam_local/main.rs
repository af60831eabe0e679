//! SAM local: the build for AWS also answers from a container. Skipped without Docker.
#![allow(clippy::unwrap_used, reason = "what is not there fails the test")]

use std::{
    fs,
    io::{self, Write},
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use e2e::{
    Stack, eventually,
    ledger::{object, thumbnails_due, with},
    unique,
};
use mongodb::bson::{DateTime, doc, oid::ObjectId};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    sync::{Mutex, MutexGuard},
};

/// The image of SAM's containers.
const IMAGE: &str = "public.ecr.aws/lambda/provided:al2023-x86_64";

#[tokio::test]
async fn sam_local_start_api_answers_from_a_container() {
    let Some(sam) = Sam::with_docker().await else { return };
    let port = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let _api = sam.start(&["start-api", "--port", &port.to_string()]);
    let url = format!("http://127.0.0.1:{port}");
    eventually("SAM listens", Duration::from_mins(1), async || TcpStream::connect(("127.0.0.1", port)).await.ok())
        .await;

    let status = reqwest::get(format!("{url}/status")).await.unwrap();
    assert_eq!((status.status().as_u16(), json(status).await), (200, json!({ "redis": true, "db": true })));
    let me = reqwest::get(format!("{url}/users/me")).await.unwrap();
    assert_eq!((me.status().as_u16(), json(me).await), (401, json!({ "error": "Unauthorized" })));
}

#[tokio::test]
async fn sam_local_invoke_makes_thumbnails_in_a_container() {
    let Some(sam) = Sam::with_docker().await else { return };
    let (user, file, key) = (ObjectId::new(), ObjectId::new(), format!("files/{}", unique("planted")));
    let (png, size) = (png(), i64::try_from(png().len()).unwrap());
    sam.stack.put_object(&key, png).await;
    let row = doc! {
        "_id": file, "userId": user, "name": "photo.png", "type": "image", "isPublic": true, "parentId": 0,
    };
    let row = with(with(row, object(&key, size)), thumbnails_due(DateTime::MAX));
    sam.stack.files.insert_one(row).await.unwrap();
    let body = json!({ "userId": user.to_hex(), "fileId": file.to_hex() }).to_string();
    let event = json!({ "Records": [{ "messageId": "1", "body": body, "eventSource": "aws:sqs" }] });
    let path = sam.folder.join("event.json");
    fs::write(&path, event.to_string()).unwrap();

    let invoked = sam.start(&["invoke", "thumbnails", "--event", path.to_str().unwrap()]);
    let output = invoked.finish().await;
    assert_eq!(serde_json::from_str::<Value>(&output).unwrap(), json!({ "batchItemFailures": [] }), "{output}");
    for width in [500, 250, 100] {
        let thumbnail = sam.stack.anyone().get(&format!("/files/{file}/data?size={width}")).await;
        assert_eq!((thumbnail.status, thumbnail.header("content-type")), (200, "image/png"), "{thumbnail}");
    }
}

/// SAM, with the stack's stores at addresses that containers reach.
struct Sam {
    stack: Stack,
    /// A copy of the build, with this test's environment.
    folder: PathBuf,
    skip_pull: bool,
    _alone: MutexGuard<'static, ()>,
}

/// Two runs at once would build the same image.
static ALONE: Mutex<()> = Mutex::const_new(());

impl Sam {
    /// `None`, with a printed note, if there is no Docker, or if the functions are linked for this machine alone.
    #[expect(clippy::explicit_write, reason = "the harness hides what a passing test prints with a macro")]
    async fn with_docker() -> Option<Self> {
        let stack = Stack::running().await;
        if !stack.is_release {
            writeln!(io::stderr(), "SKIPPED: SAM local runs what ships, with `cargo local test --release`").unwrap();
            return None;
        }
        let Some(network) = docker(&["network", "inspect", "bridge", "--format", "{{json .IPAM.Config}}"]).await else {
            writeln!(io::stderr(), "SKIPPED: there is no Docker here, so SAM local was not tried").unwrap();
            return None;
        };
        let alone = ALONE.lock().await;
        let bridge = gateway(&serde_json::from_str(&network).unwrap());
        let at_bridge = async |url: &str| forward(bridge, url).await;
        let environment = json!({
            "MONGODB_URI": at_bridge(&stack.mongodb_uri).await,
            "REDIS_URL": at_bridge(&stack.redis_url).await,
            "AWS_ENDPOINT_URL": at_bridge(&stack.aws_endpoint).await,
            "BUCKET": stack.bucket,
            "QUEUE_URL": stack.queue_url,
        });
        let folder = stack.path.with_file_name(unique("sam-local"));
        copy(&stack.build, &folder);
        // SAM passes on only variables that the template declares.
        let mut template = fs::read_to_string(folder.join("template.yaml")).unwrap();
        for name in ["MONGODB_URI", "REDIS_URL", "AWS_ENDPOINT_URL"] {
            template = template.replacen("      Variables:\n", &format!("      Variables:\n        {name}: ''\n"), 1);
        }
        fs::write(folder.join("template.yaml"), template).unwrap();
        fs::write(folder.join("environment.json"), json!({ "Parameters": environment }).to_string()).unwrap();
        let skip_pull = docker(&["image", "inspect", IMAGE]).await.is_some();
        Some(Self { stack, folder, skip_pull, _alone: alone })
    }

    fn start(&self, args: &[&str]) -> Running {
        let sam = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.local/sam/bin/sam");
        let child = Command::new(sam)
            .arg("local")
            .args(args)
            .args(self.skip_pull.then_some("--skip-pull-image"))
            .arg("--template-file")
            .arg(self.folder.join("template.yaml"))
            .arg("--env-vars")
            .arg(self.folder.join("environment.json"))
            .env("SAM_CLI_TELEMETRY", "0")
            .env("AWS_REGION", &self.stack.region)
            .env("AWS_ACCESS_KEY_ID", self.stack.credentials.access_key_id())
            .env("AWS_SECRET_ACCESS_KEY", self.stack.credentials.secret_access_key())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(self.folder.join("log")).unwrap())
            .process_group(0)
            .spawn()
            .unwrap();
        Running(child)
    }
}

impl Drop for Sam {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", fs::read_to_string(self.folder.join("log")).unwrap_or_default());
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A run of SAM. It is ended with SIGINT, so that it removes its containers.
struct Running(Child);

impl Running {
    /// The output of SAM.
    async fn finish(mut self) -> String {
        let mut stdout = self.0.stdout.take().unwrap();
        let mut output = String::new();
        tokio::io::AsyncReadExt::read_to_string(&mut stdout, &mut output).await.unwrap();
        assert!(self.0.wait().await.unwrap().success(), "SAM failed: {output}");
        output
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(pid) = self.0.id() {
            let _ = kill_process_group(Pid::from_raw(pid.cast_signed()).unwrap(), Signal::INT);
            while self.0.try_wait().is_ok_and(|ended| ended.is_none()) {
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    }
}

/// The address of the host for containers: Docker's gateway, or else the first address of their network.
fn gateway(network: &Value) -> Ipv4Addr {
    let first = || {
        let (network, _) = network[0]["Subnet"].as_str()?.split_once('/')?;
        Some(Ipv4Addr::from_bits(network.parse::<Ipv4Addr>().ok()?.to_bits() + 1))
    };
    let said = network[0]["Gateway"].as_str().and_then(|address| address.parse().ok());
    said.or_else(first).expect("Docker's bridge has an IPv4 network")
}

/// The URL with a port of the bridge that forwards to it.
async fn forward(bridge: Ipv4Addr, url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap();
    let address = rest.split('/').next().unwrap().to_owned();
    let listener = TcpListener::bind((bridge, 0)).await.unwrap();
    let forwarded = format!("{scheme}://{}{}", listener.local_addr().unwrap(), &rest[address.len()..]);
    tokio::spawn(async move {
        while let Ok((mut inner, _)) = listener.accept().await {
            let address = address.clone();
            tokio::spawn(async move {
                let mut outer = TcpStream::connect(address).await?;
                tokio::io::copy_bidirectional(&mut inner, &mut outer).await
            });
        }
    });
    forwarded
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() { copy(&from, &to) } else { fs::copy(from, to).map(drop).unwrap() }
    }
}

/// The output of a Docker command, if it succeeds.
async fn docker(args: &[&str]) -> Option<String> {
    let output = Command::new("docker").args(args).stdin(Stdio::null()).output().await.ok()?;
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
}

async fn json(response: reqwest::Response) -> Value {
    serde_json::from_slice(&response.bytes().await.unwrap()).unwrap()
}

fn png() -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image::RgbaImage::new(600, 400).write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}
