//! What a function needs at its start.

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

/// So many functions start in an account at once that SSM answers none of this one's calls for so long.
const BURST: Duration = Duration::from_secs(5);

/// What Lambda gives a cold start.
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
    // A call every other second at most, in the end.
    let refused = refused.load(Ordering::Relaxed);
    assert!((3..40).contains(&refused), "{refused} calls were refused");
    let answer = instance.request("GET", "/openapi.json", None, &Value::Null).await.answer;
    assert_eq!(answer.status, 200, "{answer}");
}

/// What SSM answers above 40 calls a second.
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
