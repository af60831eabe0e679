//! The cost of the expanded template's resources while the stack is idle.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use serde_json::Value;

use super::prices::{BY_THE_HOUR, free};

/// A month of 30 days, in seconds.
const MONTH: f64 = 30.0 * 24.0 * 3600.0;

/// Lambda polls a queue with two to five requests at once. Each waits up to 20 s for a message:
/// <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html>. Five pollers were measured as 15 requests
/// a minute in <https://github.com/getlift/lift/issues/132>.
const POLLERS: (f64, f64) = (2.0, 5.0);
const POLL_SECONDS: f64 = 20.0;

/// The longest billed duration of a run of the sweeper that finds nothing, with its cold start, in seconds.
const SWEEP_SECONDS: f64 = 1.0;

/// The largest size of the log of one run, in gigabytes: three lines of Lambda and one of the sweeper.
const SWEEP_LOG_GB: f64 = 2e-6;

/// The number of secrets that a cold start decrypts: the URLs of MongoDB and Redis. Every run of the sweeper is a cold
/// start.
const SECRETS: f64 = 2.0;

/// Settings that make a resource cost money by the hour or the month, or keep Lambda from polling a queue less often.
const SETTINGS: [&str; 11] = [
    "FileSystemConfigs",
    "KMSMasterKeyID",
    "KmsKeyArn",
    "KmsKeyId",
    "KmsMasterKeyId",
    "MaximumConcurrency",
    "ProvisionedConcurrencyConfig",
    "ProvisionedPollerConfig",
    "ScalingConfig",
    "SnapStart",
    "VpcConfig",
];

/// The meters that an idle stack uses. AWS gives a part of each for nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Meter {
    SqsRequests,
    LambdaRequests,
    LambdaGbSeconds,
    Schedules,
    KmsRequests,
    LogsGb,
    Alarms,
    Dashboards,
    SnsEmails,
}

impl Meter {
    const ALL: [Self; 9] = [
        Self::SqsRequests,
        Self::LambdaRequests,
        Self::LambdaGbSeconds,
        Self::Schedules,
        Self::KmsRequests,
        Self::LogsGb,
        Self::Alarms,
        Self::Dashboards,
        Self::SnsEmails,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::SqsRequests => "requests to SQS, by which Lambda asks for jobs",
            Self::LambdaRequests => "runs of the sweeper",
            Self::LambdaGbSeconds => "GB-seconds of the sweeper",
            Self::Schedules => "invocations by the scheduler",
            Self::KmsRequests => "decryptions of the stores' URLs",
            Self::LogsGb => "GB of logs",
            Self::Alarms => "alarms",
            Self::Dashboards => "dashboards",
            Self::SnsEmails => "e-mails of the alarm",
        }
    }

    fn free(self) -> f64 {
        match self {
            Self::SqsRequests => free::SQS_REQUESTS,
            Self::LambdaRequests => free::LAMBDA_REQUESTS,
            Self::LambdaGbSeconds => free::LAMBDA_GB_SECONDS,
            Self::Schedules => free::SCHEDULES,
            Self::KmsRequests => free::KMS_REQUESTS,
            Self::LogsGb => free::LOGS_GB,
            Self::Alarms => free::ALARMS,
            Self::Dashboards => free::DASHBOARDS,
            Self::SnsEmails => free::SNS_EMAILS,
        }
    }
}

/// One month of an idle stack.
#[derive(Default)]
pub struct Idle {
    /// The number of resources of each type, and the price of one.
    types: BTreeMap<String, (usize, &'static str)>,
    /// The least and the most of each meter.
    used: BTreeMap<Meter, (f64, f64)>,
}

impl Idle {
    /// # Errors
    ///
    /// A resource costs money while idle or has an unknown type, or a meter is above what AWS gives for nothing.
    pub fn of(template: &Value) -> Result<Self> {
        let mut idle = Self::default();
        let Some(resources) = template["Resources"].as_object().filter(|resources| !resources.is_empty()) else {
            bail!("the template has no resources");
        };
        for (name, resource) in resources {
            idle.add(name, resource, template)?;
        }
        for meter in Meter::ALL {
            let (_, most) = idle.used(meter);
            if most > meter.free() {
                bail!("{most} {} a month are more than AWS gives for nothing: {}", meter.name(), meter.free());
            }
        }
        Ok(idle)
    }

    fn add(&mut self, name: &str, resource: &Value, template: &Value) -> Result<()> {
        let (kind, of) = (resource["Type"].as_str().unwrap_or_default(), &resource["Properties"]);
        if let Some((_, price)) = BY_THE_HOUR.iter().find(|(costly, _)| *costly == kind) {
            bail!("{name} is {kind}, which costs {price}, used or not");
        }
        if let Some(setting) = SETTINGS.iter().find(|setting| has(resource, setting)) {
            bail!("{name} has {setting}, which costs while nobody uses it");
        }
        let cost = match kind {
            "AWS::ApiGatewayV2::Api" | "AWS::ApiGatewayV2::Stage" | "AWS::SQS::Queue" => "by the request",
            "AWS::IAM::Role"
            | "AWS::IAM::Policy"
            | "AWS::Lambda::Permission"
            | "AWS::S3::BucketPolicy"
            | "AWS::SNS::TopicPolicy"
            | "AWS::SQS::QueuePolicy" => "nothing",
            "AWS::Lambda::Function" => "by the request and the GB-second",
            "AWS::S3::Bucket" => "by the request and the stored gigabyte",
            "AWS::Logs::LogGroup" => "by the gigabyte",
            "AWS::Lambda::EventSourceMapping" => {
                let requests = |pollers| pollers * MONTH / POLL_SECONDS;
                self.count(Meter::SqsRequests, requests(POLLERS.0), requests(POLLERS.1));
                "the requests to the queue"
            }
            "AWS::Scheduler::Schedule" => {
                let Some(runs) = of["ScheduleExpression"].as_str().and_then(runs_a_month) else {
                    bail!("{name} runs by {}, which is not understood", of["ScheduleExpression"]);
                };
                let memory = memory_of(&of["Target"]["Arn"], template).unwrap_or(f64::INFINITY);
                for (meter, each) in [
                    (Meter::Schedules, 1.0),
                    (Meter::LambdaRequests, 1.0),
                    (Meter::LambdaGbSeconds, SWEEP_SECONDS * memory / 1024.0),
                    (Meter::KmsRequests, SECRETS),
                    (Meter::LogsGb, SWEEP_LOG_GB),
                ] {
                    self.count(meter, runs * each, runs * each);
                }
                "the invocations"
            }
            "AWS::CloudWatch::Alarm" => {
                if of["Period"].as_u64().is_none_or(|seconds| seconds < 60) {
                    bail!("{name} looks more than once a minute, which costs $0.30 a month");
                }
                self.count(Meter::Alarms, 1.0, 1.0);
                "ten are free"
            }
            "AWS::CloudWatch::Dashboard" => {
                self.count(Meter::Dashboards, 1.0, 1.0);
                "three are free"
            }
            "AWS::SNS::Topic" => {
                self.count(Meter::SnsEmails, 0.0, 0.0);
                "by the e-mail"
            }
            _ => bail!("{name} is {kind}, of which `cargo local cost` does not know what it costs"),
        };
        self.types.entry(kind.to_owned()).or_insert((0, cost)).0 += 1;
        Ok(())
    }

    fn count(&mut self, meter: Meter, least: f64, most: f64) {
        let so_far = self.used.entry(meter).or_default();
        *so_far = (so_far.0 + least, so_far.1 + most);
    }

    /// The least and the most of a meter in a month.
    pub fn used(&self, meter: Meter) -> (f64, f64) {
        self.used.get(&meter).copied().unwrap_or_default()
    }

    /// The price of each type of resource.
    pub fn types(&self) -> String {
        let rows = self.types.iter().map(|(kind, (count, cost))| format!("| {kind} | {count} | {cost} |\n"));
        format!("| resources | | costs |\n|---|---:|---|\n{}", rows.collect::<String>())
    }

    /// The table of the meters, with their share of what AWS gives for nothing.
    pub fn table(&self) -> String {
        let rows = self.used.iter().map(|(meter, (least, most))| {
            let (least, most, free) = (*least, *most, meter.free());
            let both = |text: &dyn Fn(f64) -> String| match (text(least), text(most)) {
                (least, most) if least == most => most,
                (least, most) => format!("{least} to {most}"),
            };
            let (used, share) = (both(&quantity), both(&|used| percent(used / free)));
            format!("| {} | {used} | {} | {share} |\n", meter.name(), quantity(free))
        });
        format!("| a month, unused | | free | share |\n|---|---:|---:|---:|\n{}", rows.collect::<String>())
    }
}

/// True if the resource has this setting anywhere.
fn has(value: &Value, setting: &str) -> bool {
    match value {
        Value::Object(object) => object.iter().any(|(key, value)| key == setting || has(value, setting)),
        Value::Array(array) => array.iter().any(|value| has(value, setting)),
        _ => false,
    }
}

/// The runs a month of a schedule such as `rate(15 minutes)`, the only form that the template uses.
fn runs_a_month(expression: &str) -> Option<f64> {
    let (count, unit) = expression.strip_prefix("rate(")?.strip_suffix(')')?.split_once(' ')?;
    let seconds = match unit.trim_end_matches('s') {
        "minute" => 60.0,
        "hour" => 3600.0,
        "day" => 86_400.0,
        _ => return None,
    };
    Some(MONTH / (count.parse::<f64>().ok().filter(|count| *count > 0.0)? * seconds))
}

/// The memory of the function that `!GetAtt` names, in MB.
fn memory_of(arn: &Value, template: &Value) -> Option<f64> {
    let name = arn["Fn::GetAtt"][0].as_str()?;
    template["Resources"][name]["Properties"]["MemorySize"].as_f64()
}

fn quantity(number: f64) -> String {
    if number <= 0.0 || number >= 1.0 { thousands(number) } else { format!("{number:.3}") }
}

fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent > 0.0 && percent < 0.1 { "< 0.1 %".to_owned() } else { format!("{percent:.1} %") }
}

/// A whole number with a comma before each three digits.
pub fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refusal(kind: &str, properties: &Value) -> String {
        let template = json!({ "Resources": { "Thing": { "Type": kind, "Properties": properties } } });
        Idle::of(&template).map(|_| ()).unwrap_err().to_string()
    }

    #[test]
    fn a_resource_with_an_hourly_or_monthly_price_is_refused() {
        for (kind, price) in BY_THE_HOUR {
            let refusal = refusal(kind, &json!({}));
            assert!(refusal.contains(price) && refusal.contains("Thing"), "{refusal}");
        }
        for (kind, properties) in [
            ("AWS::Lambda::Function", json!({ "VpcConfig": { "SubnetIds": ["x"] } })),
            ("AWS::Lambda::Alias", json!({ "ProvisionedConcurrencyConfig": { "ProvisionedConcurrentExecutions": 1 } })),
            ("AWS::Lambda::EventSourceMapping", json!({ "ProvisionedPollerConfig": { "MinimumPollers": 1 } })),
            ("AWS::Lambda::EventSourceMapping", json!({ "ScalingConfig": { "MaximumConcurrency": 2 } })),
            ("AWS::SQS::Queue", json!({ "KmsMasterKeyId": "alias/mine" })),
            ("AWS::CloudWatch::Alarm", json!({ "Period": 10 })),
        ] {
            assert!(refusal(kind, &properties).contains("cost"), "{kind}");
        }
    }

    #[test]
    fn a_resource_of_an_unknown_type_is_refused() {
        for kind in ["AWS::Braket::QuantumTask", "AWS::Lambda::Version", ""] {
            assert!(refusal(kind, &json!({})).contains("does not know"), "{kind}");
        }
        assert!(Idle::of(&json!({ "Resources": {} })).is_err());
    }

    #[test]
    fn more_than_aws_gives_for_nothing_is_refused() {
        let alarms = |count: usize| {
            let alarm = json!({ "Type": "AWS::CloudWatch::Alarm", "Properties": { "Period": 300 } });
            let resources: serde_json::Map<_, _> = (0..count).map(|n| (format!("Alarm{n}"), alarm.clone())).collect();
            Idle::of(&json!({ "Resources": resources }))
        };
        assert!(alarms(10).is_ok());
        assert!(alarms(11).is_err());
        let schedule = |rate: &str| {
            Idle::of(&json!({ "Resources": {
                "Sweep": { "Type": "AWS::Lambda::Function", "Properties": { "MemorySize": 256 } },
                "Schedule": { "Type": "AWS::Scheduler::Schedule", "Properties": {
                    "ScheduleExpression": rate, "Target": { "Arn": { "Fn::GetAtt": ["Sweep", "Arn"] } },
                } },
            } }))
        };
        assert_eq!(schedule("rate(15 minutes)").unwrap().used(Meter::Schedules), (2880.0, 2880.0));
        // 43,200 runs decrypt 86,400 secrets.
        assert!(schedule("rate(1 minute)").is_err());
        assert!(schedule("cron(0 0 * * ? *)").is_err());
    }

    #[test]
    fn lambda_asks_a_queue_as_often_as_its_pollers_do() {
        let template = json!({ "Resources": { "Jobs": { "Type": "AWS::Lambda::EventSourceMapping" } } });
        assert_eq!(Idle::of(&template).unwrap().used(Meter::SqsRequests), (259_200.0, 648_000.0));
    }
}
