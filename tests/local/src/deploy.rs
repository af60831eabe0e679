//! Deploys the product into a running emulator: writes its secrets to SSM, deploys the template that AWS gets, by
//! `sam deploy` if the functions are those that ship, and creates the routes of the API.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::process::Command;

use crate::build::Build;
use crate::stack::{ACCESS_KEY_ID, REGION, Record, SECRET_ACCESS_KEY, Stack, write_whole};
use crate::tools::Tools;
use crate::{Project, http, subprocess};

pub const STACK_NAME: &str = "files-manager";
/// The bucket into which `sam deploy` puts the packed functions.
pub const ARTIFACTS: &str = "files-manager-artifacts";
/// This key is no secret, because the loopback of this machine cannot be reached from outside. It is constant so that
/// tickets outlive a restart.
const TICKET_KEY: &str = "tickets of cargo local are signed with this";
pub const STEP: &str = "Deployment";

/// The result of a deployment. It is kept beside the data, so that the next start needs no deployment.
#[derive(Serialize, Deserialize)]
pub struct Deployment {
    fingerprint: String,
    parameters: Vec<String>,
    /// The emulator's address at that time. It is part of the queue's URL, which is a variable of the functions.
    endpoint: String,
    pub api: String,
    outputs: Outputs,
    /// The functions' names by logical id, which is the name of the folder.
    functions: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Outputs {
    bucket: String,
    queue_url: String,
    dead_letter_queue_url: String,
}

/// The output of `stack_outputs.py`.
#[derive(Deserialize)]
struct Description {
    api: String,
    outputs: Outputs,
    functions: BTreeMap<String, String>,
}

impl Deployment {
    /// Relative to the stack's folder.
    pub const FILE: &str = "deployed.json";

    pub fn read(stack: &Stack) -> Option<Self> {
        serde_json::from_slice(&fs::read(stack.path(Self::FILE)).ok()?).ok()
    }

    pub fn write(&self, stack: &Stack) -> Result<()> {
        write_whole(&stack.path(Self::FILE), &serde_json::to_vec_pretty(self)?)
    }

    pub fn is_at(&self, endpoint: &str) -> bool {
        self.endpoint == endpoint
    }

    pub fn is_of(&self, build: &Build, parameters: &[&str]) -> bool {
        self.fingerprint == build.fingerprint && self.parameters == parameters
    }

    pub fn bucket(&self) -> &str {
        &self.outputs.bucket
    }

    pub fn add_to(&self, record: &mut Record) {
        record.bucket.clone_from(&self.outputs.bucket);
        record.queue_url.clone_from(&self.outputs.queue_url);
        record.dead_letter_queue_url.clone_from(&self.outputs.dead_letter_queue_url);
        record.functions.clone_from(&self.functions);
    }
}

/// Writes the secrets, which the functions read at each cold start.
pub async fn put_secrets(record: &Record) -> Result<()> {
    for (name, value) in [
        ("/files-manager/mongodb-uri", record.mongodb_uri.as_str()),
        ("/files-manager/redis-url", &record.redis_url),
        ("/files-manager/ticket-key", TICKET_KEY),
    ] {
        let parameter = json!({ "Name": name, "Value": value, "Type": "SecureString", "Overwrite": true });
        http::call(&record.aws_endpoint, "ssm", "AmazonSSM.PutParameter", &parameter).await?;
    }
    Ok(())
}

pub async fn deploy(
    project: &Project,
    tools: &Tools,
    build: &Build,
    parameters: &[&str],
    stack: &Stack,
) -> Result<Deployment> {
    let endpoint = stack.record().aws_endpoint;
    let log = stack.log("deploy");
    http::create_bucket(&endpoint, ARTIFACTS).await?;
    let mut deploy = if let Some(sam) = &build.sam {
        let mut deploy = aws(&sam.program("sam"), &endpoint);
        deploy
            .args(["deploy", "--stack-name", STACK_NAME, "--no-resolve-s3", "--s3-bucket", ARTIFACTS])
            .args(["--no-confirm-changeset", "--no-fail-on-empty-changeset", "--no-progressbar"])
            .args(["--capabilities", "CAPABILITY_IAM", "--region", REGION, "--template-file"])
            .arg(build.template())
            .env("SAM_CLI_TELEMETRY", "0")
            .env("SAM_CLI_POLL_DELAY", "0.2");
        if !parameters.is_empty() {
            deploy.arg("--parameter-overrides");
        }
        deploy
    } else {
        let mut deploy = aws(&tools.python(), &endpoint);
        deploy.arg(project.path("tests/local/deploy.py")).arg(STACK_NAME).arg(build.template()).arg(ARTIFACTS);
        deploy
    };
    subprocess::run(deploy.args(parameters).current_dir(project.path("")), STEP, &log).await?;
    let mut routes = aws(&tools.python(), &endpoint);
    subprocess::run(routes.arg(project.path("tests/local/routes.py")).arg(STACK_NAME), STEP, &log).await?;
    let mut describe = aws(&tools.python(), &endpoint);
    let printed =
        subprocess::output(describe.arg(project.path("tests/local/stack_outputs.py")).arg(STACK_NAME)).await?;
    let Description { api, outputs, functions } =
        serde_json::from_str(&printed).with_context(|| format!("cannot read the stack's description: {printed}"))?;
    let parameters = parameters.iter().map(ToString::to_string).collect();
    Ok(Deployment { fingerprint: build.fingerprint.clone(), parameters, endpoint, api, outputs, functions })
}

/// A program that uses the emulator as AWS, whatever the user's own configuration of AWS is.
fn aws(program: &Path, endpoint: &str) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AWS_")) {
        command.env_remove(name);
    }
    command
        .env("AWS_ENDPOINT_URL", endpoint)
        .env("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID)
        .env("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY)
        .env("AWS_DEFAULT_REGION", REGION)
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
    command
}
