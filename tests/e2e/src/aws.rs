//! The few calls to AWS that need no SDK: invoking functions, reading logs.

use std::time::{Duration, SystemTime};

use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use serde_json::{Value, json};

use crate::{PASSWORD, Stack, encoded, eventually};

impl Stack {
    /// Invokes a function and returns its result.
    ///
    /// # Panics
    /// The function fails.
    pub async fn invoke(&self, function: &str, event: &Value) -> Value {
        self.try_invoke(function, event).await.unwrap_or_else(|failure| panic!("{failure}"))
    }

    /// Invokes a function that may fail, and returns its result or the reason of its failure.
    pub async fn try_invoke(&self, function: &str, event: &Value) -> Result<Value, String> {
        let path = format!("/2015-03-31/functions/{}/invocations", self.function(function));
        let response = self.aws("POST", "lambda", &path, None, event).await;
        let failed = response.headers().contains_key("x-amz-function-error");
        let (status, returned) = (response.status(), response.text().await.map_err(|error| error.to_string())?);
        if status != 200 || failed {
            return Err(format!("{function} failed: {status} {returned}"));
        }
        serde_json::from_str(&returned).map_err(|error| format!("{error} in {returned}"))
    }

    /// Invokes the sweeper until the probe has a result after a sweep that succeeded, and returns the result. Another
    /// test's sweep may take a row first, and may still be at work when its own ends. On a busy machine a sweep may find
    /// that a store is too slow.
    pub async fn sweep_until<T>(&self, what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
        eventually(what, Duration::from_mins(1), async || {
            self.try_invoke("sweeper", &json!({})).await.ok()?;
            probe().await
        })
        .await
    }

    /// A function's own answer to a request in the gateway's event format, before the gateway adds anything.
    pub async fn invoke_http(&self, function: &str, method: &str, path: &str, headers: Value) -> Value {
        self.invoke_http_from("127.0.0.1", function, method, path, headers).await
    }

    /// The same for a request from another address.
    pub async fn invoke_http_from(
        &self,
        source_ip: &str,
        function: &str,
        method: &str,
        path: &str,
        headers: Value,
    ) -> Value {
        self.invoke(function, &gateway_event(source_ip, method, path, &headers)).await
    }

    /// The answer to a login from this address.
    pub async fn connect_from(&self, source_ip: &str, email: &str, password: &str) -> Value {
        let authorization = format!("Basic {}", encoded(format!("{email}:{password}").as_bytes()));
        self.invoke_http_from(source_ip, "auth", "GET", "/connect", json!({ "authorization": authorization })).await
    }

    /// The answer to a sign-up from this address.
    pub async fn sign_up_from(&self, source_ip: &str, email: &str, headers: Value) -> Value {
        let mut event = gateway_event(source_ip, "POST", "/users", &headers);
        event["body"] = json!({ "email": email, "password": PASSWORD }).to_string().into();
        self.invoke("users", &event).await
    }

    /// A function's environment.
    pub async fn environment(&self, function: &str) -> Value {
        let path = format!("/2015-03-31/functions/{}/configuration", self.function(function));
        let mut configuration = ok(self.aws("GET", "lambda", &path, None, &Value::Null).await).await;
        configuration["Environment"]["Variables"].take()
    }

    pub async fn set_environment(&self, function: &str, variables: &Value) {
        let path = format!("/2015-03-31/functions/{}/configuration", self.function(function));
        let change = json!({ "Environment": { "Variables": variables } });
        ok(self.aws("PUT", "lambda", &path, None, &change).await).await;
    }

    /// The alarms of the deployed template.
    pub async fn alarms(&self) -> Vec<Value> {
        let target = Some("GraniteServiceVersion20100801.DescribeAlarms");
        let mut found = ok(self.aws("POST", "monitoring", "/", target, &json!({})).await).await;
        serde_json::from_value(found["MetricAlarms"].take()).expect("alarms")
    }

    /// All log lines of the functions since this time, oldest first.
    pub async fn log_lines(&self, since: SystemTime) -> Vec<String> {
        let since = since.duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_millis();
        let groups = self.logs("DescribeLogGroups", &json!({ "logGroupNamePrefix": "/aws/lambda/" })).await;
        let mut lines = Vec::new();
        for group in groups["logGroups"].as_array().expect("log groups") {
            let query = json!({ "logGroupName": group["logGroupName"], "startTime": since });
            let found = self.logs("FilterLogEvents", &query).await;
            let events = found["events"].as_array().expect("log events");
            assert!(events.len() < 10_000 && found["nextToken"].is_null(), "more lines than one answer holds");
            lines.extend(events.iter().map(|event| event["message"].as_str().expect("a line").trim_end().to_owned()));
        }
        lines
    }

    async fn logs(&self, action: &str, query: &Value) -> Value {
        let target = format!("Logs_20140328.{action}");
        eventually("an answer about the logs", Duration::from_secs(10), async || {
            let response = self.aws("POST", "logs", "/", Some(&target), query).await;
            // The emulator fails with a 500 if a log stream begins while it reads.
            if response.status() == 500 { None } else { Some(ok(response).await) }
        })
        .await
    }

    async fn aws(
        &self,
        method: &str,
        service: &str,
        path: &str,
        target: Option<&str>,
        body: &Value,
    ) -> reqwest::Response {
        let url = format!("{}{path}", self.aws_endpoint.trim_end_matches('/'));
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let mut headers = vec![("content-type", "application/x-amz-json-1.1")];
        headers.extend(target.map(|target| ("x-amz-target", target)));

        let identity = self.credentials.clone().into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(service)
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .expect("all that a signature needs");
        let signable =
            SignableRequest::new(method, &url, headers.iter().copied(), SignableBody::Bytes(body.as_bytes()));
        let (signature, _) = sign(signable.expect("a request"), &params.into()).expect("a signature").into_parts();

        let mut request = self.http.request(method.parse().expect("a method"), &url);
        for (name, value) in headers.into_iter().chain(signature.headers()) {
            request = request.header(name, value);
        }
        request.body(body).send().await.expect("the emulator answers")
    }
}

/// The gateway's event for a request without a body.
pub(crate) fn gateway_event(source_ip: &str, method: &str, path: &str, headers: &Value) -> Value {
    let route = format!("ANY {path}");
    json!({
        "version": "2.0", "routeKey": route, "rawPath": path, "rawQueryString": "", "headers": headers,
        "isBase64Encoded": false,
        "requestContext": {
            "accountId": "000000000000", "apiId": "api", "domainName": "localhost", "domainPrefix": "api",
            "requestId": "id", "routeKey": route, "stage": "$default", "time": "", "timeEpoch": 0,
            "http": { "method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": source_ip, "userAgent": "" },
        },
    })
}

async fn ok(response: reqwest::Response) -> Value {
    let (status, body) = (response.status(), response.text().await.expect("a body"));
    assert!(status.is_success(), "{status} {body}");
    serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error} in {body}"))
}
