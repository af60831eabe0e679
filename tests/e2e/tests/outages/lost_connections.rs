//! Connections that the network drops while they are idle, without a message to either end.

use std::time::Duration;

use e2e::{
    Answer, Stack, encoded, eventually,
    fixtures::jpeg,
    instance::{Environment, Instance, deployed, stores_of},
    ledger::{ready, with},
    tcp_proxy::TcpProxy,
    thumbnails::SOON,
    unique,
};
use futures_util::future::join3;
use mongodb::bson::doc;
use serde_json::{Value, json};

use crate::alone;

/// A typical pause between two events.
const PAUSE: Duration = Duration::from_secs(61);

/// The longest delay of a request by a lost connection: a second, and half a second for a busy machine.
const DELAY: Duration = Duration::from_millis(1500);

/// The proxies between the instances and all their stores.
struct Network {
    mongodb: TcpProxy,
    redis: TcpProxy,
    aws: TcpProxy,
    environment: Environment,
}

impl Network {
    async fn of(stack: &Stack) -> Self {
        let mongodb = TcpProxy::to(&stack.mongodb_uri).await;
        let redis = TcpProxy::to(&stack.redis_url).await;
        let aws = TcpProxy::to(&stack.aws_endpoint).await;
        let mut environment = stores_of(stack);
        environment.insert("MONGODB_URI", mongodb.url(&stack.mongodb_uri));
        environment.insert("REDIS_URL", redis.url(&stack.redis_url));
        environment.insert("AWS_ENDPOINT_URL", aws.url(&stack.aws_endpoint));
        Self { mongodb, redis, aws, environment }
    }

    async fn start(&self, function: &str) -> Instance {
        Instance::start(&deployed(function), &self.environment).await.unwrap()
    }
}

#[tokio::test]
async fn connections_that_were_lost_in_a_pause_cost_a_request_a_second_at_most() {
    let (_alone, stack) = alone().await;
    let bob = stack.user("bob").await;
    let network = Network::of(&stack).await;
    let (status, files, content) =
        (network.start("status").await, network.start("files").await, network.start("content").await);
    let text = bob.upload("notes.txt", b"hi").await;
    let (path, name) = (format!("/files/{text}/data"), unique("photo"));
    let image = json!({ "name": name, "type": "image", "data": encoded(&jpeg(60, 40)) });

    // The request uses Redis, MongoDB, S3 and SQS, before the pause and after it.
    let ask = async || {
        let asked = join3(
            status.request("GET", "/status", None, &Value::Null),
            files.request("POST", "/files", Some(&bob.token), &image),
            content.request("GET", &path, Some(&bob.token), &Value::Null),
        );
        let (status, created, read) = asked.await;
        status.answer.is(200, json!({ "redis": true, "db": true }));
        created.answer.document(201);
        read.answer.is_content("text/plain; charset=utf-8", b"hi");
        [status.answer.took, created.answer.took, read.answer.took]
    };
    ask().await;
    let instances = [&status, &files, &content];
    for instance in instances {
        instance.freeze();
    }
    for proxy in [&network.mongodb, &network.redis, &network.aws] {
        proxy.lose_connections();
    }
    tokio::time::sleep(PAUSE).await;
    for instance in instances {
        instance.thaw();
    }
    let took = ask().await;
    assert!(took.iter().all(|took| *took < DELAY), "{took:?}");

    // No operation was executed twice.
    let images = stack.count_rows(doc! { "name": &name }).await;
    assert_eq!(images, 2);
    eventually("thumbnails of both", SOON, async || {
        (stack.count_rows(with(doc! { "name": &name }, ready())).await == 2).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_connection_to_redis_or_s3_that_was_just_lost_costs_a_second_at_most() {
    let (_alone, stack) = alone().await;
    let bob = stack.user("bob").await;
    let network = Network::of(&stack).await;
    let content = network.start("content").await;
    let path = format!("/files/{}/data", bob.upload("notes.txt", b"hi").await);
    let read = async || -> Answer { content.request("GET", &path, Some(&bob.token), &Value::Null).await.answer };
    for proxy in [&network.redis, &network.aws] {
        read().await.is_content("text/plain; charset=utf-8", b"hi");
        proxy.lose_connections();
        let answer = read().await;
        answer.is_content("text/plain; charset=utf-8", b"hi");
        assert!(answer.took < DELAY, "it took {:?}", answer.took);
    }
}
