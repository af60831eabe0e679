//! Requests to services of AWS that need one kind of request only. The request is signed and sent here, so that the SDK
//! of the service is left out, which would be larger than everything that uses it.

use anyhow::{Result, anyhow};
use aws_credential_types::Credentials;
use aws_sdk_s3::primitives::SdkBody;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use aws_smithy_runtime_api::client::{
    http::HttpConnector,
    orchestrator::{HttpRequest, HttpResponse},
};

use super::aws::{Aws, Connections, domain};
use crate::time::Timestamp;

/// A service of AWS in one Region.
#[derive(Clone)]
pub(super) struct Service {
    /// The name that is in a signature and in the host: `lambda`, `ssm`.
    name: &'static str,
    connections: Connections,
    credentials: Credentials,
    region: String,
    /// The URL of the service, without a slash at its end.
    endpoint: String,
}

impl Service {
    /// `endpoint` is used in place of the Region's own.
    pub(super) fn new(name: &'static str, aws: &Aws, endpoint: Option<&str>) -> Self {
        let region = aws.region.clone();
        let endpoint = match endpoint {
            Some(endpoint) => endpoint.trim_end_matches('/').to_owned(),
            None => format!("https://{name}.{region}.{}", domain(&region)),
        };
        Self { name, connections: aws.connections(), credentials: aws.credentials.clone(), region, endpoint }
    }

    /// Sends a `POST` with these headers once. The caller limits the time.
    ///
    /// # Errors
    /// The service does not answer. A status of 400 or above is no error.
    pub(super) async fn post(&self, path: &str, headers: &[(&'static str, &str)], body: &[u8]) -> Result<HttpResponse> {
        let url = format!("{}{path}", self.endpoint);
        let identity = self.credentials.clone().into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(self.name)
            .time(Timestamp::now().into())
            .settings(SigningSettings::default())
            .build()?;
        let signable = SignableRequest::new("POST", &url, headers.iter().copied(), SignableBody::Bytes(body))?;
        let (signature, _) = sign(signable, &params.into())?.into_parts().0.into_parts();

        let malformed = |error: &dyn ToString| anyhow!("no request to {}: {}", self.name, error.to_string());
        let mut request = HttpRequest::new(SdkBody::from(body));
        request.set_method("POST").map_err(|error| malformed(&error))?;
        request.set_uri(url).map_err(|error| malformed(&error))?;
        let signature = signature.iter().map(|header| (header.name().to_owned(), header.value().to_owned()));
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        for (name, value) in signature.chain(headers) {
            request.headers_mut().try_insert(name, value).map_err(|error| malformed(&error))?;
        }
        Ok(self.connections.connector().call(request).await?)
    }
}
