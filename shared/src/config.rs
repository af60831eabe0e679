//! The configuration, read completely, once, at a cold start. Nothing else reads the environment.

use std::{env, path::PathBuf, str::FromStr, sync::Arc, time::Duration};

use anyhow::{Context, Result, anyhow, bail};
use aws_credential_types::Credentials;
use tracing::level_filters::LevelFilter;

use crate::limits;

/// The configuration of a function. Not `Debug`, because it holds secrets.
pub struct Config {
    /// The connection string of `MongoDB`: `MONGODB_URI`, or the SSM parameter that `MONGODB_URI_PARAMETER` names.
    pub mongodb_uri: String,
    /// Redis URL: `REDIS_URL`, or the SSM parameter that `REDIS_URL_PARAMETER` names.
    pub redis_url: String,
    /// Name of the S3 bucket: `BUCKET`.
    pub bucket: String,
    /// URL of the job queue: `QUEUE_URL`.
    pub queue_url: String,
    /// The form in which new passwords are stored: `PASSWORD_HASH`, `argon2id` (default) or `sha1`.
    pub password_hash: Scheme,
    /// Failed logins a minute from one network after which it may only log in to accounts that it logged in to before:
    /// `FAILURES_PER_ADDRESS`, default 100.
    pub failures_per_address: u32,
    /// Sign-ups an hour from one network: `SIGN_UPS_PER_ADDRESS`, default 100.
    pub sign_ups_per_address: u32,
    pub log: LogConfig,
    /// The time that an upload may stay pending before the sweeper removes it: `UPLOAD_GRACE`, seconds, default 900.
    pub upload_grace: Duration,
    /// The time that a direct upload may stay pending: `DIRECT_UPLOAD_GRACE`, seconds, default 86400. After that S3
    /// aborts its multipart upload as well.
    pub direct_upload_grace: Duration,
    /// The time that thumbnails may be due before the sweeper sends their job again: `THUMBNAIL_GRACE`, seconds,
    /// default 900; longer than the queue's own retries take to begin.
    pub thumbnail_grace: Duration,
    /// The time after which a job comes again that failed, or whose worker died, counted from when the worker received
    /// it: `JOB_RETRY`, seconds, default 40; longer than the worker runs.
    pub job_retry: Duration,
    /// The widths of new thumbnails in pixels, largest first: `THUMBNAIL_WIDTHS`, default `500,250,100`. The contract's
    /// widths are always among them.
    pub thumbnail_widths: ThumbnailWidths,
    /// Whether HEIC pictures have thumbnails: `HEIC`, `on` (default) or `off`.
    pub heic: bool,
    /// The time that a document stays in the trash: `TRASH_DAYS`, default 30.
    pub trash_period: Duration,
    /// The time that an earlier content of a document is kept: `VERSION_DAYS`, default 30.
    pub version_period: Duration,
    /// The number of earlier contents that a document keeps: `VERSIONS_KEPT`, default 10.
    pub versions_kept: usize,
    /// The bytes that a user may store who has no quota of their own: `QUOTA_BYTES`, default 0 for any number.
    pub quota_bytes: u64,
    /// The name of the function that builds ZIPs, for the functions that start it: `ARCHIVES_FUNCTION`, or Lambda's own
    /// `AWS_LAMBDA_FUNCTION_NAME`, because that function starts itself again.
    pub archives_function: Option<String>,
    /// The key that signs tickets, for the function that issues and accepts them: `TICKET_KEY`, or the SSM parameter
    /// that `TICKET_KEY_PARAMETER` names.
    pub ticket_key: Option<String>,
}

impl Config {
    /// Reads the environment and, if it names SSM parameters, these parameters: `parameters` returns their names and
    /// values, and is called once at most.
    ///
    /// # Errors
    /// Names the variable that is missing or malformed, or says why SSM did not answer.
    pub(crate) async fn load(
        parameters: impl AsyncFnOnce(Vec<String>) -> Result<Vec<(String, String)>>,
    ) -> Result<Self> {
        let secrets = [Source::of("MONGODB_URI")?, Source::of("REDIS_URL")?, Source::find("TICKET_KEY")];
        let [mongodb_uri, redis_url, ticket_key] = read(secrets, parameters).await?;
        Ok(Self {
            mongodb_uri,
            redis_url,
            bucket: required("BUCKET")?,
            queue_url: required("QUEUE_URL")?,
            password_hash: parsed("PASSWORD_HASH", Scheme::Argon2id)?,
            failures_per_address: at_least_one("FAILURES_PER_ADDRESS", limits::FAILURES_PER_ADDRESS)?,
            sign_ups_per_address: at_least_one("SIGN_UPS_PER_ADDRESS", limits::SIGN_UPS_PER_ADDRESS)?,
            log: LogConfig::load()?,
            upload_grace: seconds("UPLOAD_GRACE", 900)?,
            direct_upload_grace: seconds("DIRECT_UPLOAD_GRACE", 86_400)?,
            thumbnail_grace: seconds("THUMBNAIL_GRACE", 900)?,
            job_retry: seconds("JOB_RETRY", 40)?,
            thumbnail_widths: parsed("THUMBNAIL_WIDTHS", ThumbnailWidths(limits::THUMBNAIL_WIDTHS.into()))?,
            heic: optional("HEIC").as_deref() != Some("off"),
            trash_period: days("TRASH_DAYS", 30)?,
            version_period: days("VERSION_DAYS", 30)?,
            versions_kept: parsed("VERSIONS_KEPT", 10)?,
            quota_bytes: parsed("QUOTA_BYTES", 0)?,
            archives_function: optional("ARCHIVES_FUNCTION").or_else(|| optional("AWS_LAMBDA_FUNCTION_NAME")),
            ticket_key: Some(ticket_key).filter(|key| !key.is_empty()),
        })
    }
}

/// The configuration of the log.
pub struct LogConfig {
    /// The lowest level that is logged: `LOG_LEVEL`, default `info`; a level below that is not compiled in.
    pub level: LevelFilter,
    /// CloudWatch's namespace of the metrics in the log lines: `METRICS_NAMESPACE`; no metrics without one, or where
    /// `METRICS` is `off`.
    pub metrics_namespace: Option<String>,
}

impl LogConfig {
    fn load() -> Result<Self> {
        Ok(Self {
            level: parsed("LOG_LEVEL", LevelFilter::INFO)?,
            metrics_namespace: optional("METRICS_NAMESPACE").filter(|_| optional("METRICS").as_deref() != Some("off")),
        })
    }
}

/// The configuration of a function that uses Redis and no other store. Not `Debug`, because it holds a secret.
pub struct RedisConfig {
    /// As [`Config::redis_url`].
    pub redis_url: String,
    /// As [`Config::bucket`].
    pub bucket: String,
    pub log: LogConfig,
}

impl RedisConfig {
    /// As [`Config::load`].
    pub(crate) async fn load(
        parameters: impl AsyncFnOnce(Vec<String>) -> Result<Vec<(String, String)>>,
    ) -> Result<Self> {
        let [redis_url] = read([Source::of("REDIS_URL")?], parameters).await?;
        Ok(Self { redis_url, bucket: required("BUCKET")?, log: LogConfig::load()? })
    }
}

/// The scheme and the host of a URL.
pub fn origin(url: &str) -> &str {
    let host = url.find("://").map_or(0, |scheme| scheme + 3);
    url[host..].find('/').map_or(url, |path| &url[..host + path])
}

/// Reads only `MONGODB_URI`.
///
/// # Errors
/// The variable is not set.
pub fn mongodb_uri() -> Result<String> {
    required("MONGODB_URI")
}

/// Reads only `BUCKET`.
///
/// # Errors
/// The variable is not set.
pub fn bucket() -> Result<String> {
    required("BUCKET")
}

/// The PEM file with the certificate authorities of the stores in addition to the public ones: `TLS_CA_FILE`.
pub fn tls_ca_file() -> Option<PathBuf> {
    optional("TLS_CA_FILE").map(PathBuf::from)
}

/// The standard variables of AWS's SDKs.
pub struct AwsSettings {
    /// `AWS_REGION`.
    pub region: String,
    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`: fixed for the life of an instance.
    pub credentials: Credentials,
    /// `AWS_ENDPOINT_URL`, and its variants for one service, which take precedence.
    pub endpoint: Option<String>,
    pub s3_endpoint: Option<String>,
    pub sqs_endpoint: Option<String>,
    pub lambda_endpoint: Option<String>,
}

/// # Errors
/// Names the variable that is missing.
pub fn aws_settings() -> Result<AwsSettings> {
    Ok(AwsSettings {
        region: required("AWS_REGION")?,
        credentials: Credentials::new(
            required("AWS_ACCESS_KEY_ID")?,
            required("AWS_SECRET_ACCESS_KEY")?,
            optional("AWS_SESSION_TOKEN"),
            None,
            "environment",
        ),
        endpoint: optional("AWS_ENDPOINT_URL"),
        s3_endpoint: optional("AWS_ENDPOINT_URL_S3"),
        sqs_endpoint: optional("AWS_ENDPOINT_URL_SQS"),
        lambda_endpoint: optional("AWS_ENDPOINT_URL_LAMBDA"),
    })
}

/// The form in which new passwords are stored.
#[derive(Clone, Copy, PartialEq)]
pub enum Scheme {
    /// A PHC string, with the least parameters that OWASP's Password Storage Cheat Sheet names for `p=1`, `t=3`.
    Argon2id,
    /// Bare hex as the original writes it, for a database that the original still reads.
    Sha1,
}

impl FromStr for Scheme {
    type Err = ();

    fn from_str(name: &str) -> std::result::Result<Self, ()> {
        match name {
            "argon2id" => Ok(Self::Argon2id),
            "sha1" => Ok(Self::Sha1),
            _ => Err(()),
        }
    }
}

/// Widths among [`limits::POSSIBLE_THUMBNAIL_WIDTHS`], in their order, with all of the contract.
#[derive(Debug, PartialEq)]
pub struct ThumbnailWidths(pub Arc<[u32]>);

impl FromStr for ThumbnailWidths {
    type Err = ();

    fn from_str(widths: &str) -> std::result::Result<Self, ()> {
        let widths: Vec<u32> =
            widths.split(',').map(|width| width.trim().parse().map_err(drop)).collect::<Result<_, _>>()?;
        let is_wanted = |width: &u32| widths.contains(width);
        let possible: Vec<u32> = limits::POSSIBLE_THUMBNAIL_WIDTHS.into_iter().filter(is_wanted).collect();
        let is_complete = limits::THUMBNAIL_WIDTHS.iter().all(is_wanted);
        if is_complete && possible.len() == widths.len() { Ok(Self(possible.into())) } else { Err(()) }
    }
}

/// The source of a secret: the environment itself, or a parameter in SSM.
enum Source {
    Value(String),
    Parameter(String),
}

impl Source {
    fn of(name: &str) -> Result<Self> {
        match Self::find(name) {
            Self::Value(value) if value.is_empty() => {
                bail!("set {name}, or {name}_PARAMETER to the name of an SSM parameter that holds it")
            }
            source => Ok(source),
        }
    }

    /// The source of the secret; an empty value if there is none.
    fn find(name: &str) -> Self {
        match (optional(name), optional(&format!("{name}_PARAMETER"))) {
            (None, Some(parameter)) => Self::Parameter(parameter),
            (value, _) => Self::Value(value.unwrap_or_default()),
        }
    }
}

async fn read<const N: usize>(
    sources: [Source; N],
    parameters: impl AsyncFnOnce(Vec<String>) -> Result<Vec<(String, String)>>,
) -> Result<[String; N]> {
    let names: Vec<String> = sources
        .iter()
        .filter_map(|source| match source {
            Source::Parameter(name) => Some(name.clone()),
            Source::Value(_) => None,
        })
        .collect();
    let mut found = if names.is_empty() { Vec::new() } else { parameters(names).await? };
    let mut values = Vec::with_capacity(N);
    for source in sources {
        values.push(match source {
            Source::Value(value) => value,
            Source::Parameter(name) => {
                let at = found.iter().position(|(found, _)| *found == name);
                let at = at.with_context(|| format!("SSM has no parameter {name} in this region: create it"))?;
                found.swap_remove(at).1
            }
        });
    }
    values.try_into().map_err(|_| anyhow!("as many values as sources"))
}

fn optional(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn required(name: &str) -> Result<String> {
    optional(name).with_context(|| format!("the environment variable {name} is not set"))
}

fn parsed<T: FromStr>(name: &str, default: T) -> Result<T> {
    match optional(name) {
        None => Ok(default),
        Some(value) => value.parse().map_err(|_| anyhow!("{name} has no meaning as {value:?}")),
    }
}

fn at_least_one(name: &str, default: u32) -> Result<u32> {
    let number = parsed(name, default)?;
    if number == 0 {
        bail!("{name} is a number, at least 1");
    }
    Ok(number)
}

fn days(name: &str, default: u32) -> Result<Duration> {
    Ok(Duration::from_hours(u64::from(at_least_one(name, default)?) * 24))
}

fn seconds(name: &str, default: u32) -> Result<Duration> {
    Ok(Duration::from_secs(at_least_one(name, default)?.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_are_those_of_the_contract_and_perhaps_1600() {
        for (text, widths) in [
            ("500,250,100", Some(&[500, 250, 100][..])),
            ("1600, 500, 250, 100", Some(&[1600, 500, 250, 100])),
            ("100,250,500,1600", Some(&[1600, 500, 250, 100])),
            ("1600", None),
            ("500,250", None),
            ("500,250,100,99", None),
            ("500,500,250,100", None),
            ("500,250,100,", None),
            ("wide", None),
        ] {
            let expected = widths.map(|widths| ThumbnailWidths(widths.into())).ok_or(());
            assert_eq!(text.parse::<ThumbnailWidths>(), expected, "{text}");
        }
    }
}
