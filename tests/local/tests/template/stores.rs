//! The bucket, which is private, and the queue, which loses no message.

use serde_json::{Value, json};

use crate::{ORIGIN, list, template, text, texts};

/// The number of failures after which a job goes to the dead-letter queue.
const RECEIVES: u64 = 5;

const FOURTEEN_DAYS: u64 = 14 * 24 * 60 * 60;

#[test]
fn s21_nobody_can_open_the_bucket_to_the_public() {
    let bucket = template().only("AWS::S3::Bucket");
    let blocked = json!({
        "BlockPublicAcls": true, "BlockPublicPolicy": true, "IgnorePublicAcls": true, "RestrictPublicBuckets": true,
    });
    assert_eq!(bucket["PublicAccessBlockConfiguration"], blocked);
    assert_eq!(bucket["OwnershipControls"], json!({ "Rules": [{ "ObjectOwnership": "BucketOwnerEnforced" }] }));
    assert_eq!(bucket.get("AccessControl"), None);
    assert_eq!(bucket.get("WebsiteConfiguration"), None);
}

#[test]
fn s21_the_bucket_encrypts_what_it_stores() {
    let rules = &template().only("AWS::S3::Bucket")["BucketEncryption"]["ServerSideEncryptionConfiguration"];
    assert_eq!(rules, &json!([{ "ServerSideEncryptionByDefault": { "SSEAlgorithm": "AES256" } }]));
}

#[test]
fn s21_the_bucket_refuses_whoever_does_not_encrypt_the_connection() {
    let policy = template().only("AWS::S3::BucketPolicy");
    assert_eq!(text(&policy["Bucket"]), "${Bucket}");
    let [statement] = list(&policy["PolicyDocument"]["Statement"]) else {
        panic!("the bucket's policy allows nothing")
    };
    for (key, value) in [
        ("Effect", json!("Deny")),
        ("Principal", json!("*")),
        ("Action", json!("s3:*")),
        ("Condition", json!({ "Bool": { "aws:SecureTransport": "false" } })),
    ] {
        assert_eq!(statement[key], value, "{key}");
    }
    assert_eq!(texts(&statement["Resource"]), ["${Bucket.Arn}", "${Bucket.Arn}/*"]);
}

#[test]
fn s21_an_abandoned_multipart_upload_ends_after_a_week() {
    let rules = template().only("AWS::S3::Bucket")["LifecycleConfiguration"]["Rules"].as_array().unwrap();
    let ends = |rule: &Value| {
        rule["Status"] == "Enabled"
            && rule["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] == 7
            // The rule is for all keys.
            && ["Prefix", "Filter", "TagFilters"].iter().all(|key| rule.get(key).is_none())
    };
    assert!(rules.iter().any(ends), "{rules:?}");
    // Only the sweeper deletes what users have stored, by its rows.
    let deletes = |rule: &&Value| rule.get("ExpirationInDays").is_some();
    assert!(rules.iter().filter(deletes).all(|rule| rule["Prefix"] == "zips/"), "{rules:?}");
}

#[test]
fn s21_the_origins_that_may_upload_are_a_parameter() {
    let rules = template().only("AWS::S3::Bucket")["CorsConfiguration"]["CorsRules"].as_array().unwrap();
    for rule in rules {
        let methods = texts(&rule["AllowedMethods"]);
        let only_reads = methods.iter().all(|method| ["GET", "HEAD"].contains(&method.as_str()));
        let of_the_pages_of_links = "https://*.execute-api.${AWS::Region}.${AWS::URLSuffix}";
        let origins = if only_reads { &["*"][..] } else { &["${AllowedOrigin}", of_the_pages_of_links] };
        assert_eq!(texts(&rule["AllowedOrigins"]), origins, "of {methods:?}");
    }
    let writes = |method| rules.iter().any(|rule| texts(&rule["AllowedMethods"]).iter().any(|of| of == method));
    assert!(writes("PUT") && writes("POST"));
    let api = &template().only("AWS::ApiGatewayV2::Api")["Body"]["x-amazon-apigateway-cors"];
    assert_eq!(texts(&api["allowOrigins"]), [ORIGIN]);
    assert_eq!(api.get("allowCredentials"), None);
}

#[test]
fn the_bucket_outlives_its_stack_but_not_a_deployment_that_failed() {
    let bucket = &template().0["Resources"]["Bucket"];
    assert_eq!(bucket["DeletionPolicy"], "RetainExceptOnCreate");
    assert_eq!(bucket["UpdateReplacePolicy"], "Retain");
}

#[test]
fn s22_the_queues_encrypt_what_they_hold() {
    let queues: Vec<_> = template().of("AWS::SQS::Queue").collect();
    let names: Vec<_> = queues.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["DeadLetterQueue", "Queue"]);
    for (name, queue) in queues {
        assert_eq!(queue["SqsManagedSseEnabled"], true, "{name}");
    }
}

#[test]
fn s22_a_job_that_fails_five_times_is_kept_for_fourteen_days() {
    let redrive = &template().named("Queue")["RedrivePolicy"];
    assert_eq!(redrive["maxReceiveCount"], RECEIVES);
    assert_eq!(text(&redrive["deadLetterTargetArn"]), "${DeadLetterQueue.Arn}");
    assert_eq!(template().named("DeadLetterQueue")["MessageRetentionPeriod"], FOURTEEN_DAYS);
}

#[test]
fn s22_a_job_does_not_come_again_while_it_is_being_done() {
    let worker = template().named("thumbnails")["Timeout"].as_u64().unwrap();
    let visibility = template().named("Queue")["VisibilityTimeout"].as_u64().unwrap();
    assert!(visibility >= 6 * worker, "{visibility} s, and the worker may take {worker} s");
}

#[test]
fn s22_a_failed_job_comes_again_in_a_minute_but_after_its_worker_ended() {
    let worker = template().named("thumbnails")["Timeout"].as_u64().unwrap();
    let retry = template().0["Parameters"]["JobRetrySeconds"]["Default"].as_u64().unwrap();
    // The last job of a batch is received 8 s after the first, and a poll takes a moment.
    assert!(worker < retry && retry + 8 < 55, "{retry} s, and the worker may take {worker} s");
    let variable = &template().named("thumbnails")["Environment"]["Variables"]["JOB_RETRY"];
    assert_eq!(text(variable), "${JobRetrySeconds}");
}

#[test]
fn s22_a_job_fails_without_its_neighbours() {
    let source = template().only("AWS::Lambda::EventSourceMapping");
    assert_eq!(text(&source["EventSourceArn"]), "${Queue.Arn}");
    assert_eq!(text(&source["FunctionName"]), "${thumbnails}");
    assert_eq!(source["FunctionResponseTypes"], json!(["ReportBatchItemFailures"]));
    assert!(source["BatchSize"].as_u64().unwrap() <= 5);
    assert_ne!(source["Enabled"], false);
}

#[test]
fn s22_an_alarm_tells_of_the_first_job_that_failed_for_good() {
    let alarm = template().only("AWS::CloudWatch::Alarm");
    for (key, value) in [
        ("Namespace", json!("AWS/SQS")),
        ("MetricName", json!("ApproximateNumberOfMessagesVisible")),
        ("Statistic", json!("Maximum")),
        ("Threshold", json!(0)),
        ("ComparisonOperator", json!("GreaterThanThreshold")),
        ("EvaluationPeriods", json!(1)),
    ] {
        assert_eq!(alarm[key], value, "{key}");
    }
    let [dimension] = list(&alarm["Dimensions"]) else { panic!("of one queue") };
    assert_eq!(dimension["Name"], "QueueName");
    assert_eq!(text(&dimension["Value"]), "${DeadLetterQueue.QueueName}");
}

#[test]
fn the_alarm_tells_whom_a_parameter_names_and_nobody_without_it() {
    let parameter = &template().0["Parameters"]["AlarmEmail"];
    assert_eq!(parameter["Default"], "");
    let is_given = "SomebodyHearsAlarms";
    let condition = json!({ "Fn::Not": [{ "Fn::Equals": [{ "Ref": "AlarmEmail" }, ""] }] });
    assert_eq!(template().0["Conditions"][is_given], condition);
    for name in ["AlarmTopic", "AlarmTopicPolicy"] {
        assert_eq!(template().0["Resources"][name]["Condition"], is_given, "{name}");
    }
    let subscription = &template().named("AlarmTopic")["Subscription"];
    assert_eq!(subscription, &json!([{ "Protocol": "email", "Endpoint": { "Ref": "AlarmEmail" } }]));
    let actions = &template().only("AWS::CloudWatch::Alarm")["AlarmActions"];
    assert_eq!(actions, &json!({ "Fn::If": [is_given, [{ "Ref": "AlarmTopic" }], { "Ref": "AWS::NoValue" }] }));
}
