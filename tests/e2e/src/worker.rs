//! Invokes the worker with messages directly, and reads its results and logs.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "what is not there fails the test")]

use std::time::{Duration, SystemTime};

use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::{Value, json};

use crate::{Stack, eventually, unique};

/// The body of a job's message.
pub fn job(user: &str, file: &str) -> String {
    json!({ "userId": user, "fileId": file }).to_string()
}

/// Invokes the worker with a batch, each body with a message id of its own. Returns the failures that it reports, and
/// the ids.
pub async fn run_worker(stack: &Stack, bodies: &[String]) -> (Value, Vec<String>) {
    run_worker_at_receive(stack, 1, bodies).await
}

/// The same for messages that the queue delivers for the `receives`th time.
pub async fn run_worker_at_receive(stack: &Stack, receives: u32, bodies: &[String]) -> (Value, Vec<String>) {
    let (batch, ids) = batch(stack, receives, bodies);
    let returned = stack.invoke("thumbnails", &batch).await;
    (returned["batchItemFailures"].clone(), ids)
}

/// The same for a worker that the batch may kill.
pub async fn try_run_worker_at_receive(stack: &Stack, receives: u32, bodies: &[String]) -> Result<Value, String> {
    let returned = stack.try_invoke("thumbnails", &batch(stack, receives, bodies).0).await;
    returned.map(|returned| returned["batchItemFailures"].clone())
}

fn batch(stack: &Stack, receives: u32, bodies: &[String]) -> (Value, Vec<String>) {
    let ids: Vec<String> = bodies.iter().map(|_| unique("message")).collect();
    let records: Vec<Value> = bodies
        .iter()
        .zip(&ids)
        .map(|(body, id)| {
            json!({
                "messageId": id, "receiptHandle": id, "body": body, "md5OfBody": "",
                "attributes": { "ApproximateReceiveCount": receives.to_string() }, "messageAttributes": {},
                "eventSource": "aws:sqs", "eventSourceARN": "arn:aws:sqs:::jobs", "awsRegion": stack.region,
            })
        })
        .collect();
    (json!({ "Records": records }), ids)
}

/// Waits for the log line of a message.
pub async fn logged(stack: &Stack, since: SystemTime, message: &str) -> Value {
    eventually(&format!("a log line of {message}"), Duration::from_secs(10), async || {
        let lines = stack.log_lines(since).await;
        lines.iter().find(|line| line.contains(message)).map(|line| serde_json::from_str(line).unwrap())
    })
    .await
}

/// The number of messages of a queue that wait, are in flight, or are delayed.
pub async fn messages(stack: &Stack, queue_url: &str) -> u32 {
    use QueueAttributeName::{
        ApproximateNumberOfMessages as Waiting, ApproximateNumberOfMessagesDelayed as Delayed,
        ApproximateNumberOfMessagesNotVisible as Taken,
    };
    let counts = [Waiting, Delayed, Taken];
    let query = stack.sqs.get_queue_attributes().queue_url(queue_url).set_attribute_names(Some(counts.to_vec()));
    let attributes = query.send().await.unwrap().attributes.unwrap();
    counts.iter().map(|count| attributes[count].parse::<u32>().unwrap()).sum()
}
