//! The AWS clients, all from one set of credentials and one connector. Lambda gives what they need in
//! environment variables, so nothing is looked up on the way.

use std::time::Duration;

use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_sdk_s3::config::{
    BehaviorVersion,
    retry::{RetryConfig, RetryPartition, TokenBucket},
    timeout::TimeoutConfig,
};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_types::{SdkConfig, region::Region};

use crate::{limits, objects::Signer};

/// The standard variables of the SDKs, as [`crate::Config`] reads them.
pub struct Settings {
    /// `AWS_REGION`.
    pub region: String,
    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`: fixed for the life of an instance.
    pub credentials: Credentials,
    /// `AWS_ENDPOINT_URL`, and its forms for one service, which win.
    pub endpoint: Option<String>,
    pub s3_endpoint: Option<String>,
    pub sqs_endpoint: Option<String>,
}

pub struct Aws {
    shared: SdkConfig,
    region: String,
    credentials: Credentials,
    s3_endpoint: Option<String>,
    sqs_endpoint: Option<String>,
}

impl Aws {
    pub fn new(settings: Settings) -> Self {
        let connector = aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring));
        // Retries are quick, to fit into a request; the timeout of each client's operations ends them.
        let retries = RetryConfig::standard()
            .with_max_attempts(limits::AWS_ATTEMPTS)
            .with_initial_backoff(Duration::from_millis(50))
            .with_max_backoff(Duration::from_millis(200));
        let shared = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(settings.region.clone()))
            .credentials_provider(SharedCredentialsProvider::new(settings.credentials.clone()))
            .http_client(connector.build_https())
            .retry_config(retries);
        Self {
            region: settings.region,
            credentials: settings.credentials,
            s3_endpoint: settings.s3_endpoint.or_else(|| settings.endpoint.clone()),
            sqs_endpoint: settings.sqs_endpoint.or_else(|| settings.endpoint.clone()),
            shared: match settings.endpoint {
                Some(url) => shared.endpoint_url(url).build(),
                None => shared.build(),
            },
        }
    }

    /// `timeout` is for one operation, all attempts together.
    pub fn s3(&self, timeout: Duration) -> aws_sdk_s3::Client {
        let mut config = aws_sdk_s3::config::Builder::from(&self.shared).timeout_config(within(timeout));
        // The SDK's own quota would be used up by one outage, and every failure after it would show. What bounds retries here
        // is the timeout: an instance serves one request at a time.
        let always = RetryPartition::custom("s3").token_bucket(TokenBucket::unlimited()).build();
        config.set_retry_partition(Some(always));
        config.set_endpoint_url(self.s3_endpoint.clone());
        aws_sdk_s3::Client::from_conf(config.build())
    }

    /// Signs requests to S3 that somebody else sends.
    pub fn signer(&self, bucket: &str) -> Signer {
        Signer::new(&self.credentials, &self.region, self.s3_endpoint.as_deref(), bucket)
    }

    pub fn sqs(&self) -> aws_sdk_sqs::Client {
        let mut config = aws_sdk_sqs::config::Builder::from(&self.shared).timeout_config(within(limits::SQS));
        config.set_endpoint_url(self.sqs_endpoint.clone());
        aws_sdk_sqs::Client::from_conf(config.build())
    }

    pub fn ssm(&self) -> aws_sdk_ssm::Client {
        let config = aws_sdk_ssm::config::Builder::from(&self.shared).timeout_config(within(limits::SSM));
        aws_sdk_ssm::Client::from_conf(config.build())
    }
}

fn within(total: Duration) -> TimeoutConfig {
    TimeoutConfig::builder().connect_timeout(limits::AWS_CONNECT).operation_timeout(total).build()
}
