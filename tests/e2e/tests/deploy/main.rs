//! Runs the commands of the READMEs for AWS against the emulator, in an account of its own. Only the URLs of the stores
//! are replaced, and the build is left out, because it exists.
#![allow(clippy::unwrap_used, reason = "what is not there fails the test")]

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use e2e::{Client, PASSWORD, Stack, encoded, eventually, fixtures::jpeg, thumbnails::thumbnail};
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use tokio::process::Command;

/// The comment before each block of commands that this test runs.
const RUN: &str = "<!-- tests/e2e/tests/deploy runs these commands. -->\n```sh\n";

/// The account id and the access key id of its root user: the emulator takes an access key id of twelve digits as the
/// account.
const ACCOUNT: &str = "210987654321";

/// The credential scope of a request. The emulator checks no signature if the route needs none.
const CREDENTIAL: &str = "210987654321/20260101/us-east-1/execute-api/aws4_request";

/// The time limit for a cold start of a new function and its job, while other tests run.
const SOON: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_stack_that_is_deleted_and_made_again_takes_its_bucket_over() {
    let readmes = ["README.md", "functions/README.md"].map(|path| fs::read_to_string(project(path)).unwrap());
    let blocks = readmes.iter().flat_map(|readme| readme.split(RUN).skip(1));
    let blocks: Vec<&str> = blocks.map(|rest| rest.split("```").next().unwrap()).collect();
    let [deploy, again, fsck] = blocks[..] else { panic!("{} blocks of commands", blocks.len()) };
    let account = Account::new(Stack::running().await);

    account.run(&account.with_stores(deploy)).await;
    assert_eq!(account.alarm_topics().await, json!([]));
    let anyone = account.anyone().await;
    let token = token(&anyone).await;
    let bob = anyone.with_token(&token);
    let bytes = jpeg(600, 400);
    let image = json!({ "name": "photo.jpg", "type": "image", "data": encoded(&bytes) });
    let image = bob.post("/files", image).await.document(201);
    let image = image["id"].as_str().unwrap();
    for width in [500, 250, 100] {
        thumbnail(&bob, image, width).await;
    }
    let objects = account.objects().await;
    assert_eq!(objects.len(), 4, "an image and its thumbnails: {objects:?}");

    // The emulator's JSON has spaces, AWS's has none.
    let found: String = account.run(fsck).await.split_whitespace().collect();
    assert!(found.contains(r#""orphans":{"count":0,"first":[]}"#) && found.contains(r#""complete":true"#), "{found}");

    account.run("sam delete --no-prompts").await;
    assert_eq!(account.objects().await, objects);
    let refused = account.try_run(&account.built(again.lines().last().unwrap())).await.unwrap_err();
    assert!(refused.contains("VALIDATION_FAILED"), "{refused}");
    account.run("sam delete --no-prompts").await;
    assert_eq!(account.objects().await, objects);

    account.run(&format!("{} --parameter-overrides AlarmEmail=bob@example.org", account.built(again).trim_end())).await;
    assert_eq!(account.alarm_topics().await, account.topics_of("bob@example.org").await);
    let bob = account.anyone().await.with_token(token);
    bob.get(&format!("/files/{image}/data")).await.is_content("image/jpeg", &bytes);
    // S3's message reaches the queue of the new stack.
    let upload = json!({ "name": "direct.jpg", "type": "image", "size": bytes.len() });
    let begun = bob.post("/files", upload).await.json();
    let mut request = account.stack.http.put(begun["upload"]["url"].as_str().unwrap());
    for (name, value) in begun["upload"]["headers"].as_object().unwrap() {
        request = request.header(name, value.as_str().unwrap());
    }
    assert_eq!(request.body(bytes.clone()).send().await.unwrap().status(), 200);
    let direct = begun["id"].as_str().unwrap();
    eventually("S3's message makes the file visible", SOON, async || {
        (bob.get(&format!("/files/{direct}")).await.status == 200).then_some(())
    })
    .await;
    thumbnail(&bob, direct, 100).await;

    account.run("sam delete --no-prompts").await;
    account.remove().await;
}

/// Another account in the emulator, with a database of its own, beside the stack of the tests.
struct Account {
    stack: Stack,
    mongodb_uri: String,
    redis_url: String,
}

impl Account {
    fn new(stack: Stack) -> Self {
        let mongodb_uri = stack.mongodb_uri.replace("/files_manager", "/deployed_again");
        let redis_url = format!("{}/1", stack.redis_url);
        Self { stack, mongodb_uri, redis_url }
    }

    /// The commands without the build: they deploy what `cargo local test` has built.
    fn built(&self, commands: &str) -> String {
        assert!(commands.contains("sam build && sam deploy"), "{commands}");
        let (template, config) = (self.stack.build.join("template.yaml"), project("samconfig.toml"));
        let deploy = format!("sam deploy --template-file {} --config-file {}", template.display(), config.display());
        commands.replace("sam build && sam deploy", &deploy)
    }

    /// The commands with the URLs of this stack's stores in place of the examples.
    fn with_stores(&self, commands: &str) -> String {
        let (mongodb, redis) = ("mongodb+srv://…", "rediss://…");
        assert!(commands.contains(mongodb) && commands.contains(redis), "{commands}");
        self.built(&commands.replace(mongodb, &self.mongodb_uri).replace(redis, &self.redis_url))
    }

    async fn run(&self, commands: &str) -> String {
        self.try_run(commands).await.unwrap_or_else(|output| panic!("{commands}\n{output}"))
    }

    /// The output of the commands in a shell. If a command fails, the error is the whole output.
    async fn try_run(&self, commands: &str) -> Result<String, String> {
        let mut shell = Command::new("bash");
        shell.args(["-euo", "pipefail", "-c", commands]).current_dir(project(""));
        let output = self.as_aws(&mut shell).output().await.unwrap();
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            Ok(printed)
        } else {
            Err(format!("{printed}{}", String::from_utf8_lossy(&output.stderr)))
        }
    }

    /// Makes a program use the emulator as AWS, whatever the AWS configuration of this machine is.
    fn as_aws<'a>(&self, program: &'a mut Command) -> &'a mut Command {
        for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AWS_")) {
            program.env_remove(name);
        }
        let mut path = project(".local/sam/bin").into_os_string();
        path.push(":");
        path.push(env::var_os("PATH").unwrap());
        program
            .env("PATH", path)
            .env("AWS_ENDPOINT_URL", &self.stack.aws_endpoint)
            .env("AWS_ACCESS_KEY_ID", ACCOUNT)
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("AWS_DEFAULT_REGION", &self.stack.region)
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .env("SAM_CLI_TELEMETRY", "0")
            .env("SAM_CLI_POLL_DELAY", "0.2")
            .stdin(Stdio::null())
    }

    /// A client of the stack's API, with the routes that the emulator does not create by itself.
    async fn anyone(&self) -> Client {
        let scripts = "for script in routes stack_outputs; do \
                       .local/aws/bin/python tests/local/$script.py files-manager; done";
        let described: Value = serde_json::from_str(&self.run(scripts).await).unwrap();
        let path = format!("_aws/execute-api/{}/$default", described["api"].as_str().unwrap());
        // The emulator finds the API of an account by the credential of the request. AWS needs none.
        let mut headers = HeaderMap::new();
        headers.insert("Authorization", format!("AWS4-HMAC-SHA256 Credential={CREDENTIAL}").parse().unwrap());
        let http = reqwest::Client::builder().default_headers(headers).build().unwrap();
        Client::new(http, format!("{}/{path}", self.stack.aws_endpoint))
    }

    /// The keys in the stack's bucket.
    async fn objects(&self) -> Vec<String> {
        let list = format!("aws s3api list-objects-v2 --bucket {} --query Contents[].Key", self.bucket());
        serde_json::from_str(&self.run(&list).await).unwrap()
    }

    /// The topics that the alarm notifies.
    async fn alarm_topics(&self) -> Value {
        let alarms = self.run("aws cloudwatch describe-alarms --query 'MetricAlarms[].AlarmActions[]'").await;
        serde_json::from_str(&alarms).unwrap()
    }

    /// The topics with a subscription of this address.
    async fn topics_of(&self, email: &str) -> Value {
        let query = format!("Subscriptions[?Endpoint=='{email}' && Protocol=='email'].TopicArn");
        let topics: Value =
            serde_json::from_str(&self.run(&format!("aws sns list-subscriptions --query \"{query}\"")).await).unwrap();
        assert_eq!(topics.as_array().map(Vec::len), Some(1), "{topics}");
        topics
    }

    fn bucket(&self) -> String {
        format!("files-manager-{ACCOUNT}-{}", self.stack.region)
    }

    /// Removes the bucket and the database, which the deletion of the stack leaves.
    async fn remove(&self) {
        self.run(&format!("aws s3 rb --force s3://{}", self.bucket())).await;
        let mongodb = mongodb::Client::with_uri_str(&self.mongodb_uri).await.unwrap();
        mongodb.default_database().unwrap().drop().await.unwrap();
    }
}

/// Signs a user up, and returns the token of a new session.
async fn token(anyone: &Client) -> String {
    let email = "bob@example.org";
    let account = anyone.sign_up(email, PASSWORD).await;
    assert_eq!(account.status, 201, "of {account}");
    let password = format!("Basic {}", encoded(format!("{email}:{PASSWORD}").as_bytes()));
    let connect = anyone.request("GET", &format!("/connect?X-Amz-Credential={CREDENTIAL}"));
    connect.header("Authorization", &password).send().await.json()["token"].as_str().unwrap().to_owned()
}

fn project(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(relative)
}
