//! The log: one line of JSON for each request or job, without user input. A line also carries CloudWatch's metrics, in
//! the embedded metric format: CloudWatch reads them from the log, so that no call and no agent sends them.

use std::{
    fmt,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use serde::{
    Serialize,
    ser::{SerializeMap, Serializer},
};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_serde::{AsSerde, SerdeMapVisitor};
use tracing_subscriber::{
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::Writer,
        time::{FormatTime, SystemTime as Clock},
    },
    registry::LookupSpan,
};

use crate::config::LogConfig;

/// Logs to standard output, which Lambda keeps. Each line names the function, because all functions of a stack share a
/// log group.
pub fn init(function: &'static str, config: &LogConfig) {
    tracing_subscriber::fmt()
        .event_format(Line { function, namespace: config.metrics_namespace.clone() })
        .with_max_level(config.level)
        .init();
    // Replaces the default message of a panic, which is no JSON and may contain user input.
    std::panic::set_hook(Box::new(|panic| {
        tracing::error!(at = panic.location().map(ToString::to_string), "panic");
    }));
}

/// Logs at the level `debug` that a store answered a call, or did not. The functions that ship have no such lines: they are
/// compiled without the level `debug`.
pub fn log_call<T, E>(store: &'static str, operation: &'static str, started: Instant, answer: &Result<T, E>) {
    // Evaluated only if the line is written.
    tracing::debug!(
        store,
        operation,
        duration_ms = started.elapsed().as_secs_f64() * 1000.0,
        is_ok = answer.is_ok(),
        "call"
    );
}

/// The format of an event.
struct Line {
    function: &'static str,
    /// CloudWatch's namespace of the metrics; no metrics without one.
    namespace: Option<String>,
}

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'lookup> LookupSpan<'lookup>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        // A dependency logs more at the level `debug` than anybody reads.
        let is_ours =
            || ["shared", self.function].contains(&event.metadata().target().split("::").next().unwrap_or(""));
        if cfg!(debug_assertions) && *event.metadata().level() > Level::INFO && !is_ours() {
            return Ok(());
        }
        let mut timestamp = String::new();
        Clock.format_time(&mut Writer::new(&mut timestamp))?;
        let write = || {
            let mut line = Vec::with_capacity(512);
            let mut serializer = serde_json::Serializer::new(&mut line);
            let mut map = serializer.serialize_map(None)?;
            map.serialize_entry("timestamp", &timestamp)?;
            map.serialize_entry("level", &event.metadata().level().as_serde())?;
            map.serialize_entry("function", self.function)?;
            let mut fields = SerdeMapVisitor::new(map);
            event.record(&mut fields);
            let mut map = fields.take_serializer()?;
            if let Some(namespace) = &self.namespace {
                Measured::of(event).write(namespace, &mut map)?;
            }
            map.end()?;
            Ok::<_, serde_json::Error>(line)
        };
        let line = write().map_err(|_| fmt::Error)?;
        writeln!(writer, "{}", str::from_utf8(&line).map_err(|_| fmt::Error)?)
    }
}

/// The fields of an event that decide which metrics its line carries.
#[derive(Default)]
struct Measured {
    message: String,
    method: String,
    has_route: bool,
    has_format: bool,
    has_counts: bool,
    status: u64,
}

/// A metric has the name of the field with its value.
type Metric = (&'static str, &'static str);

/// Methods that a route may have. A client may send any other method, and each would become a metric of its own, which
/// AWS bills.
const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];

impl Measured {
    fn of(event: &Event<'_>) -> Self {
        let mut measured = Self::default();
        event.record(&mut measured);
        measured
    }

    /// Adds the metrics, and the fields that only they need.
    fn write<M: SerializeMap>(&self, namespace: &str, map: &mut M) -> Result<(), M::Error> {
        let mut directives: Vec<(&[&str], Vec<Metric>)> = Vec::new();
        match self.message.as_str() {
            "request" => {
                if self.has_route && METHODS.contains(&self.method.as_str()) {
                    // The number of requests is CloudWatch's SampleCount of the durations.
                    let mut metrics = vec![("duration_ms", "Milliseconds")];
                    if self.status >= 500 {
                        map.serialize_entry("errors", &1)?;
                        metrics.push(("errors", "Count"));
                    }
                    directives.push((&["method", "route"], metrics));
                }
                if self.status == 429 {
                    map.serialize_entry("throttled", &1)?;
                    directives.push((&[], vec![("throttled", "Count")]));
                }
            }
            "job" if self.has_format => {
                directives.push((&["outcome", "format"], vec![("duration_ms", "Milliseconds")]));
            }
            "sweep" if self.has_counts => directives.push((&[], vec![("expired", "Count"), ("overdue", "Count")])),
            _ => {}
        }
        if directives.is_empty() { Ok(()) } else { map.serialize_entry("_aws", &Embedded { namespace, directives }) }
    }
}

impl Visit for Measured {
    fn record_u64(&mut self, field: &Field, value: u64) {
        match field.name() {
            "status" => self.status = value,
            // A sweep that finds nothing sends no metrics, so that an unused stack has none to pay for.
            "expired" | "overdue" => self.has_counts |= value > 0,
            _ => {}
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "method" => value.clone_into(&mut self.method),
            "route" => self.has_route = true,
            "format" => self.has_format = true,
            _ => {}
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        }
    }
}

/// The member `_aws` of a line, by the specification of CloudWatch's embedded metric format.
struct Embedded<'a> {
    namespace: &'a str,
    /// Sets of dimensions, each with its metrics.
    directives: Vec<(&'a [&'a str], Vec<Metric>)>,
}

impl Serialize for Embedded<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "PascalCase")]
        struct Directive<'a> {
            namespace: &'a str,
            dimensions: [&'a [&'a str]; 1],
            metrics: Vec<Definition>,
        }
        #[derive(Serialize)]
        #[serde(rename_all = "PascalCase")]
        struct Definition {
            name: &'static str,
            unit: &'static str,
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let directives = self.directives.iter().map(|(dimensions, metrics)| Directive {
            namespace: self.namespace,
            dimensions: [dimensions],
            metrics: metrics.iter().map(|&(name, unit)| Definition { name, unit }).collect(),
        });
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("Timestamp", &u64::try_from(now).unwrap_or(u64::MAX))?;
        map.serialize_entry("CloudWatchMetrics", &directives.collect::<Vec<_>>())?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use serde_json::{Value, json};

    use super::*;

    /// The lines that are written while `log` runs.
    fn logged(namespace: Option<&str>, log: impl FnOnce()) -> Vec<Value> {
        #[derive(Clone, Default)]
        struct Lines(Arc<Mutex<Vec<u8>>>);
        impl io::Write for Lines {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.lock().unwrap().write(bytes)
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (lines, line) = (Lines::default(), Line { function: "test", namespace: namespace.map(Into::into) });
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt().event_format(line).with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(subscriber, log);
        let written = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        written.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn metrics(line: &Value) -> Vec<(Value, Vec<&str>)> {
        let directives = line["_aws"]["CloudWatchMetrics"].as_array().map_or(&[][..], Vec::as_slice);
        let names = |directive: &'_ Value| -> Vec<String> {
            let metrics = directive["Metrics"].as_array().unwrap();
            metrics.iter().map(|metric| metric["Name"].as_str().unwrap().to_owned()).collect()
        };
        directives
            .iter()
            .map(|directive| {
                let names = names(directive);
                for name in &names {
                    assert!(line[name].is_number(), "{name} in {line}");
                }
                let known = ["duration_ms", "errors", "throttled", "expired", "overdue"];
                (
                    directive["Dimensions"][0].clone(),
                    known.into_iter().filter(|known| names.iter().any(|name| name == known)).collect(),
                )
            })
            .collect()
    }

    #[test]
    fn a_line_of_a_request_carries_its_metrics() {
        let request = |method: &str, route: Option<&str>, status: u16| {
            let lines = logged(Some("stack"), || {
                tracing::info!(method, route, status, duration_ms = 1.5, user = None::<&str>, "request");
            });
            lines[0].clone()
        };
        let line = request("GET", Some("/files/{id}"), 200);
        assert_eq!(
            (&line["level"], &line["message"], &line["status"]),
            (&json!("INFO"), &json!("request"), &json!(200))
        );
        assert_eq!(line["_aws"]["CloudWatchMetrics"][0]["Namespace"], "stack");
        assert_eq!(
            line["_aws"]["CloudWatchMetrics"][0]["Metrics"],
            json!([{ "Name": "duration_ms", "Unit": "Milliseconds" }])
        );
        assert!(line["_aws"]["Timestamp"].as_u64().unwrap() > 1_700_000_000_000);
        let by_route = json!(["method", "route"]);
        assert_eq!(metrics(&line), [(by_route.clone(), vec!["duration_ms"])]);
        let failed = request("POST", Some("/files"), 503);
        assert_eq!(metrics(&failed), [(by_route.clone(), vec!["duration_ms", "errors"])]);
        let throttled = request("GET", Some("/connect"), 429);
        assert_eq!(metrics(&throttled), [(by_route, vec!["duration_ms"]), (json!([]), vec!["throttled"])]);
    }

    #[test]
    fn a_client_cannot_make_metrics_of_its_own() {
        for (method, route) in [("BREW", Some("/files")), ("get", Some("/files")), ("GET", None)] {
            let lines = logged(Some("stack"), || {
                tracing::info!(method, route, status = 405_u16, duration_ms = 1.5, "request");
            });
            assert!(lines[0]["_aws"].is_null(), "{method} {route:?}: {}", lines[0]);
        }
    }

    #[test]
    fn jobs_and_sweeps_carry_metrics_and_other_lines_none() {
        let lines = logged(Some("stack"), || {
            tracing::info!(outcome = "ready", format = "jpeg", duration_ms = 12.0, "job");
            tracing::info!(outcome = "ignored", format = None::<&str>, duration_ms = 0.1, "job");
            tracing::info!(expired = 3_usize, overdue = 0_usize, "sweep");
            tracing::error!(error = "MongoDB", "sweep");
            tracing::info!(expired = 0_usize, overdue = 0_usize, "sweep");
            tracing::warn!("something else");
        });
        assert_eq!(metrics(&lines[0]), [(json!(["outcome", "format"]), vec!["duration_ms"])]);
        assert_eq!(metrics(&lines[2]), [(json!([]), vec!["expired", "overdue"])]);
        for line in [&lines[1], &lines[3], &lines[4], &lines[5]] {
            assert!(line["_aws"].is_null(), "{line}");
        }
        let without = logged(None, || tracing::info!(expired = 3_usize, overdue = 0_usize, "sweep"));
        assert!(without[0]["_aws"].is_null() && without[0]["expired"] == 3, "{}", without[0]);
    }
}
