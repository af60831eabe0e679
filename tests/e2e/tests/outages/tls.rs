//! The stores over TLS, as on AWS. A proxy in front of each has a certificate of an authority that no client knows.

use e2e::{
    encoded,
    instance::{Environment, Instance, deployed, stores_of},
    tcp_proxy::{Authority, TcpProxy},
    unique,
};
use serde_json::{Value, json};

use crate::{alone, is_unavailable};

/// The variable with the URL of each store, and the URL's scheme without and with TLS.
const URLS: [(&str, &str, &str); 3] = [
    ("MONGODB_URI", "mongodb://", "mongodb://"),
    ("REDIS_URL", "redis://", "rediss://"),
    ("AWS_ENDPOINT_URL", "http://", "https://"),
];

/// Puts a TLS proxy in front of a store, and its URL into the environment.
async fn over_tls(environment: &mut Environment, variable: &'static str, authority: &Authority) -> TcpProxy {
    let (_, plain, encrypted) = URLS.into_iter().find(|(name, ..)| *name == variable).unwrap();
    let url = &environment[variable];
    let proxy = TcpProxy::with_tls(url, authority).await;
    let mut url = proxy.url(url).replacen(plain, encrypted, 1);
    if variable == "MONGODB_URI" {
        url.push_str("?tls=true");
    }
    environment.insert(variable, url);
    proxy
}

#[tokio::test]
async fn every_store_is_used_over_tls_where_its_authority_is_trusted() {
    let (_alone, stack) = alone().await;
    let (bob, authority, mut environment) = (stack.user("bob").await, Authority::new(&stack), stores_of(&stack));
    let mut proxies = Vec::new();
    for (variable, ..) in URLS {
        proxies.push(over_tls(&mut environment, variable, &authority).await);
    }
    environment.insert("TLS_CA_FILE", authority.file.display().to_string());
    // The ticket key comes from SSM, over TLS too.
    environment.insert("TICKET_KEY_PARAMETER", "/files-manager/ticket-key".to_owned());
    let files = Instance::start(&deployed("files"), &environment).await.unwrap();
    let content = Instance::start(&deployed("content"), &environment).await.unwrap();
    // An image, so that a job is sent to SQS.
    let image = json!({ "name": unique("image"), "type": "image", "data": encoded(b"no image") });
    let created = files.request("POST", "/files", Some(&bob.token), &image).await.answer.document(201);
    let path = format!("/files/{}/data", created["id"].as_str().unwrap());
    let read = content.request("GET", &path, Some(&bob.token), &Value::Null).await.answer;
    assert_eq!((read.status, &read.body[..]), (200, &b"no image"[..]), "{read}");
    let lines = [files.printed(), content.printed()].concat();
    assert!(lines.iter().all(|line| !line.contains("error")), "{lines:?}");
}

#[tokio::test]
async fn a_store_whose_authority_is_unknown_is_unavailable_and_the_log_says_why() {
    let (_alone, stack) = alone().await;
    let (bob, authority) = (stack.user("bob").await, Authority::new(&stack));
    let path = format!("/files/{}/data", bob.upload("notes.txt", b"hi").await);
    for (variable, ..) in URLS {
        let mut environment = stores_of(&stack);
        let _proxy = over_tls(&mut environment, variable, &authority).await;
        let content = Instance::start(&deployed("content"), &environment).await.unwrap();
        let answer = content.request("GET", &path, Some(&bob.token), &Value::Null).await.answer;
        is_unavailable(variable, &answer);
        is_said_in(variable, &content.printed().join("\n"));
    }
}

#[tokio::test]
async fn a_function_does_not_start_with_the_secrets_of_an_unknown_ssm() {
    let (_alone, stack) = alone().await;
    let (authority, mut environment) = (Authority::new(&stack), stores_of(&stack));
    let _proxy = over_tls(&mut environment, "AWS_ENDPOINT_URL", &authority).await;
    environment.remove("REDIS_URL");
    environment.insert("REDIS_URL_PARAMETER", "/files-manager/redis-url".to_owned());
    let ended = Instance::start(&deployed("status"), &environment).await.err().expect("it does not start");
    is_said_in("SSM", &ended);
}

#[tokio::test]
async fn a_file_without_an_authority_in_it_is_named() {
    let (_alone, stack) = alone().await;
    let mut environment = stores_of(&stack);
    for (file, said) in [("/nowhere", "cannot read /nowhere"), ("/dev/null", "/dev/null has no certificate")] {
        environment.insert("TLS_CA_FILE", file.to_owned());
        let ended = Instance::start(&deployed("status"), &environment).await.err().expect("it does not start");
        assert!(ended.contains("TLS_CA_FILE") && ended.contains(said), "{ended}");
    }
}

#[track_caller]
fn is_said_in(of: &str, printed: &str) {
    assert!(printed.contains("UnknownIssuer"), "of {of}: {printed}");
}
