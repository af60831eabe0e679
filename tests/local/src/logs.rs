//! `cargo local logs` prints the log lines of the functions of the running `cargo local up`.

use std::collections::HashSet;
use std::fmt::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::progress::line;
use crate::stack::Record;
use crate::{Project, deploy, http};

/// The age and the number of the lines that are printed first.
const RECENT: Duration = Duration::from_mins(15);
const SHOWN: usize = 200;

/// The interval at which new lines are read.
const FOLLOWING: Duration = Duration::from_millis(500);

/// The lines that Lambda writes before and after the lines of a function.
const PLATFORM: [&str; 3] = ["START RequestId", "END RequestId", "REPORT RequestId"];

#[derive(Debug, PartialEq)]
pub struct Options {
    /// Only the lines of this function are printed.
    pub function: Option<String>,
    /// New lines are printed until Ctrl-C.
    pub follow: bool,
}

pub async fn logs(project: &Project, options: &Options) -> Result<()> {
    let record = Record::in_use(&project.local("up")).context("no `cargo local up` runs; start one, then try again")?;
    if let Some(name) = &options.function {
        let known = project.functions()?;
        ensure!(known.contains(name), "there is no function {name}; the functions are {}", known.join(", "));
    }
    let start = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(RECENT);
    let (mut since, mut seen) = (u64::try_from(start.as_millis())?, HashSet::new());
    let mut is_first = true;
    loop {
        let mut lines = Vec::new();
        for (timestamp, message) in events(&record, since).await? {
            if timestamp > since {
                since = timestamp;
                seen.clear();
            }
            // Two answers may have events of the same millisecond.
            if seen.insert(message.clone()) {
                lines.extend(format_line(&message, options.function.as_deref()));
            }
        }
        let skipped = if is_first { lines.len().saturating_sub(SHOWN) } else { 0 };
        lines.iter().skip(skipped).for_each(line);
        if !options.follow {
            return Ok(());
        }
        is_first = false;
        sleep(FOLLOWING).await;
    }
}

/// The events of this time, in milliseconds since 1970, and later, oldest first.
async fn events(record: &Record, since: u64) -> Result<Vec<(u64, String)>> {
    let query = json!({ "logGroupName": format!("/aws/lambda/{}", deploy::STACK_NAME), "startTime": since });
    let found = http::query(&record.aws_endpoint, "logs", "Logs_20140328.FilterLogEvents", &query).await?;
    let events = found["events"].as_array().context("the emulator names no log events")?;
    let event = |event: &Value| Some((event["timestamp"].as_u64()?, event["message"].as_str()?.trim_end().to_owned()));
    Ok(events.iter().filter_map(event).collect())
}

/// A line in the form in which it is printed. `None` if it is a line of the platform or of another function.
fn format_line(message: &str, function: Option<&str>) -> Option<String> {
    if PLATFORM.iter().any(|platform| message.starts_with(platform)) {
        return None;
    }
    let Ok(Value::Object(mut fields)) = serde_json::from_str(message) else {
        // A function that fails to start logs plain text without its name.
        return function.is_none().then(|| message.to_owned());
    };
    if function.is_some_and(|function| fields["function"] != function) {
        return None;
    }
    let mut text = String::new();
    for name in ["timestamp", "level", "function", "message", "method", "route", "outcome", "status"] {
        match fields.remove(name) {
            Some(Value::String(value)) => write!(text, "{value} ").ok()?,
            Some(Value::Null) | None => {}
            Some(value) => write!(text, "{value} ").ok()?,
        }
    }
    fields.remove("_aws");
    for (name, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
        match (name.as_str(), value.as_f64(), value.as_str()) {
            ("duration_ms", Some(milliseconds), _) => write!(text, "{milliseconds:.1} ms ").ok()?,
            (_, _, Some(value)) => write!(text, "{name}={value} ").ok()?,
            _ => write!(text, "{name}={value} ").ok()?,
        }
    }
    Some(text.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_shown_as_a_person_reads_it() {
        let request = r#"{"timestamp":"2026-11-24T10:00:00Z","level":"INFO","function":"files","request_id":"r1",
            "method":"GET","route":"/files/{id}","status":404,"duration_ms":1.234,"user":null,"message":"request",
            "_aws":{"Timestamp":1}}"#;
        let expected = "2026-11-24T10:00:00Z INFO files request GET /files/{id} 404 1.2 ms request_id=r1";
        assert_eq!(format_line(request, None).unwrap(), expected);
        assert_eq!(format_line(request, Some("files")).unwrap(), expected);
        assert_eq!(format_line(request, Some("auth")), None);
    }

    #[test]
    fn lines_of_the_platform_are_left_out_and_plain_lines_are_kept() {
        assert_eq!(format_line("START RequestId: r1 Version: $LATEST", None), None);
        assert_eq!(format_line("Error: BUCKET is not set", None).unwrap(), "Error: BUCKET is not set");
        assert_eq!(format_line("Error: BUCKET is not set", Some("files")), None);
    }
}
