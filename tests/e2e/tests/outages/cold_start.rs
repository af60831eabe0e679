//! Calls of a function at its start.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use e2e::instance::{Environment, Instance, Served, deployed, serve, served_json, without_stores};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// The time for which SSM refuses all calls, because many functions start in the account at once.
const BURST: Duration = Duration::from_secs(5);

/// Lambda's time limit for a cold start.
const INIT: Duration = Duration::from_secs(10);

#[tokio::test]
async fn while_ssm_is_throttled_a_function_waits_and_then_starts() {
    let (ssm, environment) = secrets_in_ssm().await;
    let (started, refused) = (Instant::now(), Arc::new(AtomicU32::new(0)));
    serve(ssm, {
        let refused = refused.clone();
        move |_| {
            let is_throttled = started.elapsed() < BURST;
            if is_throttled {
                refused.fetch_add(1, Ordering::Relaxed);
            }
            async move { if is_throttled { throttled() } else { parameters() } }
        }
    });
    let instance = Instance::start(&deployed("status"), &environment).await.unwrap();
    assert!((BURST..INIT).contains(&started.elapsed()), "it started in {:?}", started.elapsed());
    // The retries end at one call in two seconds.
    let refused = refused.load(Ordering::Relaxed);
    assert!((3..40).contains(&refused), "{refused} calls were refused");
    let answer = instance.request("GET", "/openapi.json", None, &Value::Null).await.answer;
    assert_eq!(answer.status, 200, "{answer}");
}

#[tokio::test]
async fn a_function_that_ssm_refuses_ends_at_once_and_says_why() {
    let (ssm, environment) = secrets_in_ssm().await;
    let calls = Arc::new(AtomicU32::new(0));
    serve(ssm, {
        let calls = calls.clone();
        move |_| {
            calls.fetch_add(1, Ordering::Relaxed);
            async {
                served_json(400, &json!({ "__type": "com.amazonaws.ssm#AccessDeniedException", "Message": "No role" }))
            }
        }
    });
    let ended = Instance::start(&deployed("status"), &environment).await.err().expect("it does not start");
    assert!(ended.contains("SSM answered 400 AccessDeniedException: No role"), "{ended}");
    assert_eq!(calls.load(Ordering::Relaxed), 1, "another call would be refused too");
}

#[tokio::test]
async fn a_function_asks_ssm_again_after_an_error_and_names_a_missing_parameter() {
    let (ssm, environment) = secrets_in_ssm().await;
    let calls = Arc::new(AtomicU32::new(0));
    serve(ssm, {
        let calls = calls.clone();
        move |_| {
            let call = calls.fetch_add(1, Ordering::Relaxed);
            async move {
                match call {
                    0 => served_json(500, &json!({ "__type": "InternalServerError" })),
                    1 => served_json(503, &json!("no object")),
                    _ => served_json(200, &json!({ "Parameters": [parameter("/redis", "redis://127.0.0.1:1")] })),
                }
            }
        }
    });
    let ended = Instance::start(&deployed("status"), &environment).await.err().expect("it does not start");
    assert!(ended.contains("SSM has no parameter /mongodb in this region: create it"), "{ended}");
    assert_eq!(calls.load(Ordering::Relaxed), 3);
}

/// The place of an SSM, and the environment of a function that reads the URLs of its stores there.
async fn secrets_in_ssm() -> (TcpListener, Environment) {
    let ssm = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut environment = without_stores();
    environment.insert("AWS_ENDPOINT_URL", format!("http://{}", ssm.local_addr().unwrap()));
    for name in ["MONGODB_URI", "REDIS_URL"] {
        environment.remove(name);
    }
    environment.insert("MONGODB_URI_PARAMETER", "/mongodb".to_owned());
    environment.insert("REDIS_URL_PARAMETER", "/redis".to_owned());
    (ssm, environment)
}

/// SSM's answer above 40 calls a second.
fn throttled() -> Served {
    let error = json!({ "__type": "ThrottlingException", "message": "Rate exceeded" });
    served_json(400, &error)
}

fn parameter(name: &str, value: &str) -> Value {
    json!({ "Name": name, "Value": value, "Type": "SecureString" })
}

fn parameters() -> Served {
    let parameters =
        [parameter("/mongodb", "mongodb://127.0.0.1:1/files_manager"), parameter("/redis", "redis://127.0.0.1:1")];
    served_json(200, &json!({ "Parameters": parameters, "InvalidParameters": [] }))
}
