//! The prices of AWS and others in US dollars, in us-east-1 and on x86-64, without taxes, on [`DATE`]. Each number is
//! from the page that is named beside it.

/// The date on which the prices were looked up.
pub const DATE: &str = "2026-11-24";

/// The hours of a month, as in AWS's calculator.
pub const HOURS: f64 = 730.0;

/// An HTTP API: <https://aws.amazon.com/api-gateway/pricing/>. Each 512 KB of a request or of its answer count as one.
pub const GATEWAY_REQUEST: f64 = 1.00 / 1e6;
pub const GATEWAY_UNIT: f64 = 512.0 * 1024.0;

/// Lambda: <https://aws.amazon.com/lambda/pricing/>. Durations are rounded up to a millisecond.
pub const LAMBDA_REQUEST: f64 = 0.20 / 1e6;
pub const LAMBDA_GB_SECOND: f64 = 0.000_016_666_7;

/// S3 Standard: <https://aws.amazon.com/s3/pricing/>. PUT, COPY, POST and LIST have one price, GET another, DELETE none.
pub const S3_PUT: f64 = 0.005 / 1e3;
pub const S3_GET: f64 = 0.0004 / 1e3;
pub const S3_GB_MONTH: f64 = 0.023;

/// A custom metric of CloudWatch that is sent in each hour of a month: <https://aws.amazon.com/cloudwatch/pricing/>.
pub const METRIC_MONTH: f64 = 0.3;

/// SQS: <https://aws.amazon.com/sqs/pricing/>.
pub const SQS_REQUEST: f64 = 0.40 / 1e6;

/// `CloudWatch`: <https://aws.amazon.com/cloudwatch/pricing/>. Logs by the gigabyte that comes in.
pub const LOGS_GB: f64 = 0.50;

/// Data out to the internet, by the gigabyte: <https://aws.amazon.com/ec2/pricing/on-demand/>.
pub const OUT_GB: f64 = 0.09;

/// The amounts that an account has for nothing every month, without an end: <https://aws.amazon.com/free/> and the
/// pages above.
pub mod free {
    pub const LAMBDA_REQUESTS: f64 = 1e6;
    pub const LAMBDA_GB_SECONDS: f64 = 400_000.0;
    pub const SQS_REQUESTS: f64 = 1e6;
    pub const LOGS_GB: f64 = 5.0;
    pub const ALARMS: f64 = 10.0;
    pub const DASHBOARDS: f64 = 3.0;
    pub const METRICS: f64 = 10.0;
    /// <https://aws.amazon.com/eventbridge/pricing/>
    pub const SCHEDULES: f64 = 14e6;
    /// Requests to keys that AWS manages: <https://aws.amazon.com/kms/pricing/>
    pub const KMS_REQUESTS: f64 = 20_000.0;
    /// <https://aws.amazon.com/sns/pricing/>
    pub const SNS_EMAILS: f64 = 1_000.0;
    pub const OUT_GB: f64 = 100.0;
}

/// The smallest task of Fargate, and the resources that an HTTP service in it needs besides.
pub mod fargate {
    /// <https://aws.amazon.com/fargate/pricing/>
    pub const VCPU_HOUR: f64 = 0.040_48;
    pub const GB_HOUR: f64 = 0.004_445;
    pub const VCPUS: f64 = 0.25;
    pub const GB: f64 = 0.5;
    /// <https://aws.amazon.com/elasticloadbalancing/pricing/>
    pub const BALANCER_HOUR: f64 = 0.0225;
    pub const BALANCER_UNIT_HOUR: f64 = 0.008;
    /// One unit is 25 new connections a second.
    pub const BALANCER_UNIT: f64 = 25.0;
    /// <https://aws.amazon.com/vpc/pricing/>: the task has one address, and the balancer has one in each of two zones.
    pub const ADDRESS_HOUR: f64 = 0.005;
    pub const ADDRESSES: f64 = 3.0;
}

/// Supabase's plan Pro, a month: <https://supabase.com/pricing>
pub const SUPABASE_PRO: f64 = 25.0;

/// The types of resources that this template must not have, because each costs money while idle, with their prices.
pub const BY_THE_HOUR: [(&str, &str); 14] = [
    ("AWS::EC2::NatGateway", "$0.045 an hour"),
    ("AWS::EC2::EIP", "$0.005 an hour"),
    ("AWS::EC2::Instance", "by the hour"),
    ("AWS::EC2::VPCEndpoint", "$0.01 an hour and zone"),
    ("AWS::ElasticLoadBalancingV2::LoadBalancer", "$0.0225 an hour"),
    ("AWS::ECS::Service", "$0.0123 an hour for the smallest task of Fargate"),
    ("AWS::ElastiCache::ReplicationGroup", "by the hour"),
    ("AWS::ElastiCache::ServerlessCache", "by the hour"),
    ("AWS::RDS::DBInstance", "by the hour"),
    ("AWS::DocDB::DBInstance", "by the hour"),
    ("AWS::SecretsManager::Secret", "$0.40 a month"),
    ("AWS::KMS::Key", "$1 a month"),
    ("AWS::Route53::HostedZone", "$0.50 a month"),
    ("AWS::WAFv2::WebACL", "$5 a month"),
];
