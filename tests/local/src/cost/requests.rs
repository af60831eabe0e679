//! The cost of requests: the resources that one request of each kind uses, by the code's calls to the stores and the
//! measured CPU time, and the price of a month of requests.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::idle::{Idle, Meter, thousands};
use super::prices::{self, fargate, free};

/// The usual time in which the stores of one Region answer over TLS, in milliseconds. These are assumptions: nothing
/// was measured on AWS.
mod answers_in {
    pub const MONGODB: f64 = 2.0;
    pub const REDIS: f64 = 1.0;
    pub const S3_READ: f64 = 20.0;
    pub const S3_WRITE: f64 = 30.0;
    pub const SQS: f64 = 10.0;
}

/// The memory, in MB, with which a function has one CPU. With less memory it has a share of one:
/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html>
const ONE_CPU: f64 = 1769.0;

/// The size of the log of one request, in gigabytes: Lambda's three lines and ours.
const LOG_GB: f64 = 0.7e-6;

/// A kind of request of a client, or the job that follows from one.
struct Kind {
    name: &'static str,
    /// The method and path of the request, as the bench names them. A job of the worker has none.
    asked: Option<(&'static str, &'static str)>,
    function: &'static str,
    /// The calls of the function to the stores, one after the other.
    mongodb: f64,
    redis: f64,
    s3_reads: f64,
    s3_writes: f64,
    sqs: f64,
    /// The calls of others: a client with a presigned URL of S3, S3 with the queue, Lambda with the queue.
    client_reads: f64,
    client_writes: f64,
    queue: f64,
    /// The larger of the sizes of the request and its answer, in bytes, as API Gateway sees them.
    bytes: f64,
    /// The share of this kind in a hundred requests of a month: see [`Month`].
    share: f64,
}

const NONE: Kind = Kind {
    name: "",
    asked: None,
    function: "",
    mongodb: 0.0,
    redis: 0.0,
    s3_reads: 0.0,
    s3_writes: 0.0,
    sqs: 0.0,
    client_reads: 0.0,
    client_writes: 0.0,
    queue: 0.0,
    bytes: 1024.0,
    share: 0.0,
};

/// A request with a token first costs a call of each store.
const WITH_TOKEN: Kind = Kind { mongodb: 1.0, redis: 1.0, ..NONE };

/// The size of a file that travels inside a request or an answer, for the table.
const INLINE_BYTES: f64 = 100_000.0;

const KINDS: [Kind; 15] = [
    Kind {
        name: "log in",
        asked: Some(("GET", "/connect")),
        function: "auth",
        mongodb: 2.0,
        redis: 3.0,
        share: 1.0,
        ..NONE
    },
    Kind { name: "who am I", asked: Some(("GET", "/users/me")), function: "users", share: 5.0, ..WITH_TOKEN },
    Kind {
        name: "list a folder",
        asked: Some(("GET", "/files")),
        function: "files",
        mongodb: 2.0,
        bytes: 6_000.0,
        share: 25.0,
        ..WITH_TOKEN
    },
    Kind {
        name: "show a document",
        asked: Some(("GET", "/files/{id}")),
        function: "files",
        mongodb: 1.0,
        share: 10.0,
        ..WITH_TOKEN
    },
    Kind {
        name: "make a folder",
        asked: Some(("POST", "/files")),
        function: "files",
        mongodb: 2.0,
        share: 1.0,
        ..WITH_TOKEN
    },
    Kind {
        name: "upload 100 kB inside JSON",
        asked: Some(("POST", "/files")),
        function: "files",
        mongodb: 3.0,
        s3_writes: 1.0,
        bytes: INLINE_BYTES * 4.0 / 3.0,
        share: 3.0,
        ..WITH_TOKEN
    },
    Kind {
        name: "begin an upload to S3",
        asked: Some(("POST", "/files")),
        function: "files",
        mongodb: 2.0,
        client_writes: 1.0,
        share: 2.0,
        ..WITH_TOKEN
    },
    Kind {
        name: "read 100 kB",
        asked: Some(("GET", "/files/{id}/data")),
        function: "content",
        mongodb: 1.0,
        s3_reads: 1.0,
        bytes: INLINE_BYTES,
        share: 30.0,
        ..WITH_TOKEN
    },
    Kind {
        name: "read what has not changed (304)",
        asked: Some(("GET", "/files/{id}/data")),
        function: "content",
        mongodb: 1.0,
        share: 15.0,
        ..WITH_TOKEN
    },
    Kind {
        name: "read more than 4 MiB (302 to S3)",
        asked: Some(("GET", "/files/{id}/data")),
        function: "content",
        mongodb: 1.0,
        client_reads: 1.0,
        share: 5.0,
        ..WITH_TOKEN
    },
    Kind {
        name: "publish",
        asked: Some(("PUT", "/files/{id}/publish")),
        function: "files",
        mongodb: 2.0,
        share: 1.0,
        ..WITH_TOKEN
    },
    Kind {
        name: "delete",
        asked: Some(("DELETE", "/files/{id}")),
        function: "files",
        mongodb: 3.0,
        share: 2.0,
        ..WITH_TOKEN
    },
    // Of a visit of the web app: its page, where the browser has the files already, and the token of its session. The rest
    // of a visit is requests as above.
    Kind { name: "open the web app (304)", asked: Some(("GET", "/")), function: "web", ..NONE },
    Kind {
        name: "go on with its session",
        asked: Some(("POST", "/web/session/refresh")),
        function: "web",
        redis: 3.0,
        ..NONE
    },
    // The job's message comes from the function or from S3. The worker lists the object to know its size.
    Kind {
        name: "three thumbnails of 12 megapixels",
        function: "thumbnails",
        mongodb: 4.0,
        s3_reads: 1.0,
        s3_writes: 4.0,
        queue: 3.0,
        share: 5.0,
        ..NONE
    },
];

/// The measurements of `tests/local/cost.json`.
#[derive(Serialize, Deserialize)]
pub struct Measurements {
    pub date: String,
    pub machine: String,
    /// The CPU time by the name of the kind, in milliseconds of one core.
    pub cpu_ms: BTreeMap<String, f64>,
}

/// The part of `.local/measurements/bench-api.json`, which `cargo local bench api` writes, that is used here.
#[derive(Deserialize)]
pub struct Bench {
    routes: Vec<BenchRoute>,
}

#[derive(Deserialize)]
struct BenchRoute {
    name: String,
    method: String,
    path: String,
    ours_cpu_ms: f64,
}

impl Measurements {
    /// Takes over the measurements of the bench, by the name of the kind or by a route that only one kind has. Returns
    /// the number of kinds.
    pub fn take_over(&mut self, bench: &Bench) -> usize {
        let mut taken = 0;
        for route in &bench.routes {
            let asked = Some((route.method.as_str(), route.path.as_str()));
            let mut of_route = KINDS.iter().filter(|kind| kind.asked == asked);
            let only = of_route.next().filter(|_| of_route.next().is_none());
            if let Some(kind) = KINDS.iter().find(|kind| kind.name == route.name).or(only) {
                self.cpu_ms.insert(kind.name.to_owned(), route.ours_cpu_ms);
                taken += 1;
            }
        }
        taken
    }
}

/// The billed resources that one request uses.
#[derive(Clone, Copy, Default)]
struct Used {
    gateway: f64,
    runs: f64,
    gb_seconds: f64,
    s3_puts: f64,
    s3_gets: f64,
    sqs: f64,
    logs_gb: f64,
}

impl Used {
    fn of(kind: &Kind, milliseconds: f64, memory: f64) -> Self {
        Self {
            gateway: if kind.asked.is_some() { (kind.bytes / prices::GATEWAY_UNIT).ceil() } else { 0.0 },
            runs: 1.0,
            gb_seconds: milliseconds / 1e3 * memory / 1024.0,
            s3_puts: kind.s3_writes + kind.client_writes,
            s3_gets: kind.s3_reads + kind.client_reads,
            sqs: kind.sqs + kind.queue,
            logs_gb: LOG_GB,
        }
    }

    fn plus(self, other: Self, times: f64) -> Self {
        Self {
            gateway: self.gateway + other.gateway * times,
            runs: self.runs + other.runs * times,
            gb_seconds: self.gb_seconds + other.gb_seconds * times,
            s3_puts: self.s3_puts + other.s3_puts * times,
            s3_gets: self.s3_gets + other.s3_gets * times,
            sqs: self.sqs + other.sqs * times,
            logs_gb: self.logs_gb + other.logs_gb * times,
        }
    }

    fn lambda(self) -> f64 {
        self.runs * prices::LAMBDA_REQUEST + self.gb_seconds * prices::LAMBDA_GB_SECOND
    }

    fn stores(self) -> f64 {
        self.s3_puts * prices::S3_PUT + self.s3_gets * prices::S3_GET + self.sqs * prices::SQS_REQUEST
    }

    fn dollars(self) -> f64 {
        self.gateway * prices::GATEWAY_REQUEST + self.lambda() + self.stores() + self.logs_gb * prices::LOGS_GB
    }

    /// The resources beyond the free tier.
    fn beyond_free(self) -> Self {
        Self {
            runs: (self.runs - free::LAMBDA_REQUESTS).max(0.0),
            gb_seconds: (self.gb_seconds - free::LAMBDA_GB_SECONDS).max(0.0),
            sqs: (self.sqs - free::SQS_REQUESTS).max(0.0),
            logs_gb: (self.logs_gb - free::LOGS_GB).max(0.0),
            ..self
        }
    }
}

/// The billed duration of a function for a request, in milliseconds: its CPU time at its share of a CPU, plus the
/// answers of the stores, one after the other.
fn billed(kind: &Kind, cpu_ms: f64, memory: f64) -> f64 {
    let waits = kind.mongodb * answers_in::MONGODB
        + kind.redis * answers_in::REDIS
        + kind.s3_reads * answers_in::S3_READ
        + kind.s3_writes * answers_in::S3_WRITE
        + kind.sqs * answers_in::SQS;
    (cpu_ms / (memory / ONE_CPU).min(1.0) + waits).ceil()
}

/// The requests of a month.
pub struct Month {
    /// The average request, with the worker's job that follows from it.
    each: Used,
    idle: Used,
    rows: Vec<(&'static str, f64, Used)>,
}

impl Month {
    pub fn of(template: &Value, idle: &Idle, measurements: &Measurements) -> Result<Self> {
        let mut each = Used::default();
        let mut rows = Vec::new();
        for kind in &KINDS {
            let memory = template["Resources"][kind.function]["Properties"]["MemorySize"].as_f64();
            let memory = memory.with_context(|| format!("the template has no function {}", kind.function))?;
            let cpu_ms = measurements.cpu_ms.get(kind.name);
            let cpu_ms = cpu_ms.with_context(|| format!("tests/local/cost.json has no figure of {:?}", kind.name))?;
            let milliseconds = billed(kind, *cpu_ms, memory);
            let used = Used::of(kind, milliseconds, memory);
            each = each.plus(used, kind.share / 100.0);
            rows.push((kind.name, milliseconds, used));
        }
        let most = |meter| idle.used(meter).1;
        let idle = Used {
            runs: most(Meter::LambdaRequests),
            gb_seconds: most(Meter::LambdaGbSeconds),
            sqs: most(Meter::SqsRequests),
            logs_gb: most(Meter::LogsGb),
            ..Used::default()
        };
        Ok(Self { each, idle, rows })
    }

    /// The table of the dollars for a million requests of each kind.
    pub fn table(&self) -> String {
        let mut table = "| a million of | billed | API Gateway | Lambda | S3, SQS | logs | dollars |\n\
                         |---|---:|---:|---:|---:|---:|---:|\n"
            .to_owned();
        for (name, milliseconds, used) in &self.rows {
            let million = Used::default().plus(*used, 1e6);
            let (gateway, logs) = (million.gateway * prices::GATEWAY_REQUEST, million.logs_gb * prices::LOGS_GB);
            // Writing to a String cannot fail.
            let _ = writeln!(
                table,
                "| {name} | {milliseconds:.0} ms | {gateway:.2} | {:.2} | {:.2} | {logs:.2} | {:.2} |",
                million.lambda(),
                million.stores(),
                million.dollars(),
            );
        }
        // A function sends the data, or S3 by its URL.
        let _ = writeln!(table, "| a TB of data out | | | | | | {:.2} |", prices::OUT_GB * 1000.0);
        table
    }

    fn ours(&self, requests: f64) -> f64 {
        self.idle.plus(self.each, requests).beyond_free().dollars()
    }

    /// The cost of the same requests to one smallest task of Fargate that always runs, with the same S3 and logs of the
    /// same size.
    fn fargate(&self, requests: f64) -> f64 {
        let compute = fargate::VCPUS * fargate::VCPU_HOUR + fargate::GB * fargate::GB_HOUR;
        let balancer_units = requests / (prices::HOURS * 3600.0) / fargate::BALANCER_UNIT;
        let balancer = fargate::BALANCER_HOUR + balancer_units * fargate::BALANCER_UNIT_HOUR;
        let hour = compute + balancer + fargate::ADDRESSES * fargate::ADDRESS_HOUR;
        let used = Used::default().plus(self.each, requests).beyond_free();
        let s3 = Used { s3_puts: used.s3_puts, s3_gets: used.s3_gets, ..Used::default() };
        hour * prices::HOURS + s3.stores() + used.logs_gb * prices::LOGS_GB
    }

    /// The table of the cost of months of different sizes on each platform, with the sizes at which their costs are
    /// equal.
    pub fn comparison(&self) -> String {
        let mut table =
            "| requests a month | Files Manager | Express on Fargate | Supabase Pro |\n|---:|---:|---:|---:|\n"
                .to_owned();
        for requests in [0.0, 1e5, 1e6, 1e7, 3e7] {
            // Writing to a String cannot fail.
            let _ = writeln!(
                table,
                "| {} | ${:.2} | ${:.2} | ${:.2} |",
                thousands(requests),
                self.ours(requests),
                self.fargate(requests),
                prices::SUPABASE_PRO
            );
        }
        let fargate = crossing(|requests| self.ours(requests) - self.fargate(requests));
        let supabase = crossing(|requests| self.ours(requests) - prices::SUPABASE_PRO);
        let million = |requests: f64| format!("{:.1} million", requests / 1e6);
        let _ = write!(
            table,
            "\nThe task of Fargate is cheaper from {} requests a month, Supabase Pro from {}.\n",
            million(fargate),
            million(supabase)
        );
        table
    }

    /// The assumptions of the numbers.
    pub fn assumptions(measurements: &Measurements) -> String {
        let of_a_month = KINDS.iter().filter(|kind| kind.share > 0.0);
        let shares: Vec<String> = of_a_month.map(|kind| format!("{} × {}", kind.share, kind.name)).collect();
        let text = format!(
            "Prices are those of us-east-1 and x86-64 on {}; [prices.rs](../tests/local/src/cost/prices.rs) has their \
             sources. Lambda bills a function for its CPU time, which was measured on {} on {}, at the share of a CPU that its \
             memory brings, and for its waiting for the stores. The stores are assumed to answer in {} ms (MongoDB), {} ms \
             (Redis), {} ms (S3, to read) and {} ms (S3, to write). The start of a new instance is billed for some 0.1 s.\n\n\
             A hundred requests of a month are {}. The free tier is subtracted. The task of Fargate has {} CPU and {} GB, a \
             load balancer and public addresses; it needs the same S3, and nothing answers while it is replaced. Storage \
             (${} per GB and month), data out (free up to {} GB a month), MongoDB and Redis cost extra, but Supabase's price \
             contains a database, 100 GB of storage and 250 GB of data out. CloudWatch's metrics by route cost extra, too: ${} \
             a month for each that is sent all month beyond the first {}; `Metrics=off` sends none.",
            prices::DATE,
            measurements.date,
            measurements.machine,
            answers_in::MONGODB,
            answers_in::REDIS,
            answers_in::S3_READ,
            answers_in::S3_WRITE,
            shares.join(", "),
            fargate::VCPUS,
            fargate::GB,
            prices::S3_GB_MONTH,
            free::OUT_GB,
            prices::METRIC_MONTH,
            free::METRICS,
        );
        text.split("\n\n").map(wrapped).collect::<Vec<_>>().join("\n")
    }
}

/// A paragraph in lines of up to 120 characters.
fn wrapped(paragraph: &str) -> String {
    let (mut text, mut length) = (String::new(), 0);
    for word in paragraph.split_whitespace() {
        let width = word.chars().count();
        if length > 0 && length + 1 + width > 120 {
            text.push('\n');
            length = 0;
        } else if length > 0 {
            text.push(' ');
            length += 1;
        }
        text.push_str(word);
        length += width;
    }
    text + "\n"
}

/// The point at which a growing line crosses zero, between no and a thousand million requests.
fn crossing(line: impl Fn(f64) -> f64) -> f64 {
    let (mut below, mut above) = (0.0, 1e9);
    for _ in 0..60 {
        let middle = f64::midpoint(below, above);
        if line(middle) < 0.0 {
            below = middle;
        } else {
            above = middle;
        }
    }
    above
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn measurements() -> Measurements {
        let cpu_ms = KINDS.iter().map(|kind| (kind.name.to_owned(), 1.0)).collect();
        Measurements { date: "2026-11-24".into(), machine: "two cores".into(), cpu_ms }
    }

    fn template() -> Value {
        let function = json!({ "Type": "AWS::Lambda::Function", "Properties": { "MemorySize": 1024 } });
        let functions: serde_json::Map<_, _> =
            KINDS.iter().map(|kind| (kind.function.to_owned(), function.clone())).collect();
        json!({ "Resources": functions })
    }

    fn month() -> Month {
        let template = template();
        Month::of(&template, &Idle::of(&template).unwrap(), &measurements()).unwrap()
    }

    #[test]
    fn a_function_is_billed_for_its_share_of_a_cpu_and_for_waiting() {
        let kind = Kind { mongodb: 2.0, redis: 1.0, s3_reads: 1.0, ..NONE };
        // The stores take 2 × 2, 1 and 20 ms; one thread has no use for a second CPU.
        for (memory, milliseconds) in [(ONE_CPU, 35.0), (ONE_CPU / 2.0, 45.0), (ONE_CPU * 2.0, 35.0)] {
            assert!((billed(&kind, 10.0, memory) - milliseconds).abs() < 1e-9, "{memory} MB");
        }
    }

    #[test]
    fn a_million_requests_cost_what_the_prices_say() {
        let kind = Kind { asked: Some(("GET", "/")), s3_reads: 1.0, client_writes: 1.0, ..NONE };
        let million = Used::default().plus(Used::of(&kind, 100.0, 1024.0), 1e6);
        let expected = 1.00 + 0.20 + 100_000.0 * prices::LAMBDA_GB_SECOND + 0.40 + 5.00 + 0.7 * 0.50;
        assert!((million.dollars() - expected).abs() < 1e-6, "{} and {expected}", million.dollars());
        // 1.3 MB are three requests to API Gateway.
        assert!((Used::of(&Kind { bytes: 1.3e6, ..kind }, 1.0, 1024.0).gateway - 3.0).abs() < 1e-9);
    }

    #[test]
    fn a_month_without_requests_is_free_but_on_fargate() {
        let month = month();
        assert!(month.ours(0.0).abs() < 1e-9);
        // $9.01 for the task, $16.43 for the balancer, $10.95 for the addresses.
        assert!((month.fargate(0.0) - 36.39).abs() < 0.01, "{}", month.fargate(0.0));
        assert!(month.ours(1e8) > month.fargate(1e8));
        let cross = crossing(|requests| month.ours(requests) - month.fargate(requests));
        assert!((month.ours(cross) - month.fargate(cross)).abs() < 0.01);
    }

    #[test]
    fn the_requests_of_a_month_are_a_hundred_and_their_thumbnails() {
        let asked = KINDS.iter().filter(|kind| kind.asked.is_some());
        let share: f64 = asked.map(|kind| kind.share).sum();
        assert!((share - 100.0).abs() < 1e-9, "{share}");
    }

    #[test]
    fn bench_results_are_taken_over_by_name_or_by_route() {
        let route = |name: &str, method: &str, path: &str| {
            json!({
                "name": name, "method": method, "path": path, "ours_cpu_ms": 7.0, "ours_wall_ms": 9.0,
            })
        };
        let bench = json!({ "routes": [
            route("read 100 kB", "GET", "/files/{id}/data"),
            route("login", "GET", "/connect"),
            // Several kinds have this route.
            route("something", "POST", "/files"),
        ] });
        let mut measurements = measurements();
        assert_eq!(measurements.take_over(&serde_json::from_value(bench).unwrap()), 2);
        for (name, cpu_ms) in [("read 100 kB", 7.0), ("log in", 7.0), ("make a folder", 1.0)] {
            assert!((measurements.cpu_ms[name] - cpu_ms).abs() < 1e-9, "{name}");
        }
    }

    #[test]
    fn a_function_or_a_figure_that_is_missing_is_named() {
        let mut measurements = measurements();
        let idle = Idle::of(&template()).unwrap();
        let nothing = json!({ "Resources": {} });
        assert!(Month::of(&nothing, &idle, &measurements).err().unwrap().to_string().contains("auth"));
        measurements.cpu_ms.remove("log in");
        assert!(Month::of(&template(), &idle, &measurements).err().unwrap().to_string().contains("log in"));
    }
}
