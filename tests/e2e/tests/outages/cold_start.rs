//! Calls of a function at its start.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use e2e::instance::{Instance, Served, deployed, serve, served_json, without_stores};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// The time for which SSM refuses all calls, because many functions start in the account at once.
const BURST: Duration = Duration::from_secs(5);

/// Lambda's time limit for a cold start.
const INIT: Duration = Duration::from_secs(10);

#[tokio::test]
async fn while_ssm_is_throttled_a_function_waits_and_then_starts() {
    let ssm = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut environment = without_stores();
    environment.insert("AWS_ENDPOINT_URL", format!("http://{}", ssm.local_addr().unwrap()));
    for name in ["MONGODB_URI", "REDIS_URL"] {
        environment.remove(name);
    }
    environment.insert("MONGODB_URI_PARAMETER", "/mongodb".to_owned());
    environment.insert("REDIS_URL_PARAMETER", "/redis".to_owned());
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

/// SSM's answer above 40 calls a second.
fn throttled() -> Served {
    let error = json!({ "__type": "ThrottlingException", "message": "Rate exceeded" });
    served_json(400, &error)
}

fn parameters() -> Served {
    let parameter = |name: &str, value: &str| json!({ "Name": name, "Value": value, "Type": "SecureString" });
    let parameters =
        [parameter("/mongodb", "mongodb://127.0.0.1:1/files_manager"), parameter("/redis", "redis://127.0.0.1:1")];
    served_json(200, &json!({ "Parameters": parameters, "InvalidParameters": [] }))
}
