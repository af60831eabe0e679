//! The AWS clients, all from one set of credentials and one connector. Lambda provides their settings in environment
//! variables, so no credentials or region are looked up.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_sdk_s3::{
    config::{
        BehaviorVersion, ConfigBag, RuntimeComponents, RuntimeComponentsBuilder,
        retry::{RetryConfig, RetryPartition, TokenBucket},
        timeout::TimeoutConfig,
    },
    error::BoxError,
};
use aws_smithy_http_client::{
    Connector,
    tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::client::http::{HttpClient, HttpConnectorSettings, SharedHttpConnector};
use aws_types::{SdkConfig, region::Region};

use super::certificates::Authorities;
use crate::{
    config::{self, AwsSettings},
    limits,
};

pub struct Aws {
    connections: Connections,
    shared: SdkConfig,
    pub(super) region: String,
    pub(super) credentials: Credentials,
    /// The endpoint of the services that have none of their own.
    pub(super) endpoint: Option<String>,
    pub(super) s3_endpoint: Option<String>,
    sqs_endpoint: Option<String>,
    pub(super) lambda_endpoint: Option<String>,
}

impl Aws {
    /// The clients for a program that needs no other configuration.
    ///
    /// # Errors
    /// Names the variable that is missing or malformed.
    pub fn from_environment() -> anyhow::Result<Self> {
        let authorities = Authorities::from_environment()?;
        Self::new(config::aws_settings()?, authorities.as_ref())
    }

    /// The clients trust these authorities in addition to those of the system.
    pub(super) fn new(settings: AwsSettings, authorities: Option<&Authorities>) -> anyhow::Result<Self> {
        let connections = Connections::new(authorities)?;
        // Retries are quick, to fit into a request. The timeout of each client's operations ends them.
        let retries = RetryConfig::standard()
            .with_max_attempts(limits::AWS_ATTEMPTS)
            .with_initial_backoff(Duration::from_millis(50))
            .with_max_backoff(Duration::from_millis(200));
        let shared = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(settings.region.clone()))
            .credentials_provider(SharedCredentialsProvider::new(settings.credentials.clone()))
            .http_client(connections.clone())
            .retry_config(retries);
        Ok(Self {
            connections,
            region: settings.region,
            credentials: settings.credentials,
            s3_endpoint: settings.s3_endpoint.or_else(|| settings.endpoint.clone()),
            sqs_endpoint: settings.sqs_endpoint.or_else(|| settings.endpoint.clone()),
            lambda_endpoint: settings.lambda_endpoint.or_else(|| settings.endpoint.clone()),
            shared: match &settings.endpoint {
                Some(url) => shared.endpoint_url(url).build(),
                None => shared.build(),
            },
            endpoint: settings.endpoint,
        })
    }

    /// The origin of a bucket, without the rules of the SDK for all kinds of endpoints, which are large.
    pub(super) fn bucket_origin(&self, bucket: &str) -> String {
        match &self.s3_endpoint {
            Some(endpoint) => config::origin(endpoint).to_owned(),
            None => format!("https://{bucket}.s3.{}.{}", self.region, domain(&self.region)),
        }
    }

    /// `timeout` limits one operation, all attempts together.
    pub fn s3(&self, timeout: Duration) -> aws_sdk_s3::Client {
        let mut config = aws_sdk_s3::config::Builder::from(&self.shared).timeout_config(within(timeout));
        // One outage would use up the SDK's own quota of retries, and every failure after it would reach a client. Here
        // the timeout limits the retries: an instance serves one request at a time.
        let always = RetryPartition::custom("s3").token_bucket(TokenBucket::unlimited()).build();
        config.set_retry_partition(Some(always));
        config.set_endpoint_url(self.s3_endpoint.clone());
        aws_sdk_s3::Client::from_conf(config.build())
    }

    pub fn sqs(&self) -> aws_sdk_sqs::Client {
        let timeouts =
            within(limits::SQS_TIMEOUT).to_builder().operation_attempt_timeout(limits::AWS_ATTEMPT_TIMEOUT).build();
        let mut config = aws_sdk_sqs::config::Builder::from(&self.shared).timeout_config(timeouts);
        config.set_endpoint_url(self.sqs_endpoint.clone());
        aws_sdk_sqs::Client::from_conf(config.build())
    }

    /// The connections of the SDKs, for requests that are sent without an SDK.
    pub(super) fn connections(&self) -> Connections {
        self.connections.clone()
    }

    /// Drops all connections, so that the next request of each client is sent on a new connection.
    pub(super) fn forget_connections(&self) {
        self.connections.forget();
    }
}

/// The domain of the services in a Region.
pub(super) fn domain(region: &str) -> &'static str {
    if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" }
}

/// The configuration of one small operation of S3: an attempt that takes longer than [`limits::AWS_ATTEMPT_TIMEOUT`] is
/// repeated.
pub(super) fn in_quick_attempts() -> aws_sdk_s3::config::Builder {
    let attempts = TimeoutConfig::builder().operation_attempt_timeout(limits::AWS_ATTEMPT_TIMEOUT).build();
    aws_sdk_s3::Config::builder().timeout_config(attempts)
}

fn within(total: Duration) -> TimeoutConfig {
    TimeoutConfig::builder().connect_timeout(limits::AWS_CONNECT_TIMEOUT).operation_timeout(total).build()
}

/// The HTTP client of all SDK clients, and of the requests to S3 that are sent without an SDK. The client owns their
/// connections, and can drop them.
#[derive(Clone, Debug)]
pub(super) struct Connections {
    trusted: TlsContext,
    /// The connector, created for the first client because it loads the system's authorities: a function without a
    /// client does not wait for these.
    current: Arc<Mutex<Option<SharedHttpConnector>>>,
}

impl Connections {
    fn new(authorities: Option<&Authorities>) -> anyhow::Result<Self> {
        let mut store = TrustStore::default();
        if let Some(authorities) = authorities {
            store.add_pem_certificate(authorities.pem.clone());
        }
        Ok(Self { trusted: TlsContext::builder().with_trust_store(store).build()?, current: Arc::default() })
    }

    fn forget(&self) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The current connector. Call this for each request, so that no request is sent on a dropped connection.
    pub(super) fn connector(&self) -> SharedHttpConnector {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.get_or_insert_with(|| connector(&self.trusted)).clone()
    }
}

fn connector(trusted: &TlsContext) -> SharedHttpConnector {
    let settings = HttpConnectorSettings::builder().connect_timeout(limits::AWS_CONNECT_TIMEOUT).build();
    let connector = Connector::builder().connector_settings(settings).enable_tcp_nodelay(true);
    let connector = connector.tls_provider(Provider::Rustls(CryptoMode::Ring)).tls_context(trusted.clone());
    SharedHttpConnector::new(connector.build())
}

impl HttpClient for Connections {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        self.connector()
    }

    fn validate_base_client_config(&self, _: &RuntimeComponentsBuilder, _: &ConfigBag) -> Result<(), BoxError> {
        // Loads the system's authorities now, so that the first request does not wait for them.
        self.connector();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stores::s3::Objects;

    #[tokio::test]
    async fn the_origin_of_a_bucket_is_that_of_the_urls_that_are_signed() {
        const BUCKET: &str = "files-manager-123456789012-us-east-1";
        for region in ["us-east-1", "eu-central-1", "cn-north-1", "us-gov-west-1", "ap-south-2"] {
            for endpoint in [None, Some("http://127.0.0.1:4566"), Some("http://127.0.0.1:4566/")] {
                let settings = AwsSettings {
                    region: region.into(),
                    credentials: Credentials::new("AKIDEXAMPLE", "secret", None, None, "test"),
                    endpoint: None,
                    s3_endpoint: endpoint.map(str::to_owned),
                    sqs_endpoint: None,
                    lambda_endpoint: None,
                };
                let aws = Aws::new(settings, None).unwrap();
                let objects = Objects::of(&aws, BUCKET.into(), limits::S3_INLINE_TIMEOUT);
                assert_eq!(aws.bucket_origin(BUCKET), objects.origin().await.unwrap(), "{region} {endpoint:?}");
            }
        }
    }
}
