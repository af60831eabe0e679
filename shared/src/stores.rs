//! The four stores, `MongoDB`, Redis, S3 and SQS, and the start of another function.

pub mod aws;
pub mod certificates;
pub mod lambda;
pub mod mongo;
pub(crate) mod paginate;
pub mod queue;
pub mod reconnect;
pub mod redis;
pub mod s3;
mod signed;
mod ssm;

use anyhow::Result;

use crate::config::{self, Config, RedisConfig};
use aws::Aws;
use certificates::Authorities;
use mongo::Mongodb;

/// The configuration, and the clients that live as long as the instance. Not `Debug`, because it holds secrets.
pub struct Stores {
    pub config: Config,
    pub mongodb: Mongodb,
    aws: Aws,
    /// The certificate authorities of the stores, if they are not public ones.
    authorities: Option<Authorities>,
}

impl Stores {
    /// Reads the configuration. The clients connect when first used.
    ///
    /// # Errors
    /// Names the variable that is missing or malformed, or says why SSM did not answer.
    pub async fn load() -> Result<Self> {
        let authorities = Authorities::from_environment()?;
        let aws = Aws::new(config::aws_settings()?, authorities.as_ref())?;
        let config = Config::load(async |names| ssm::parameters(&aws, names).await).await?;
        let mongodb = Mongodb::new(config.mongodb_uri.clone(), authorities.as_ref());
        Ok(Self { config, mongodb, aws, authorities })
    }
}

/// The store of a function that uses Redis and no other, so that the function links no other client.
pub struct OnlyRedis {
    pub config: RedisConfig,
    /// The origin of the bucket, to which browsers send uploads and from which they read content.
    pub bucket_origin: String,
    authorities: Option<Authorities>,
}

impl OnlyRedis {
    /// Reads the configuration.
    ///
    /// # Errors
    /// The errors of [`Stores::load`].
    pub async fn load() -> Result<Self> {
        let authorities = Authorities::from_environment()?;
        let aws = Aws::new(config::aws_settings()?, authorities.as_ref())?;
        let config = RedisConfig::load(async |names| ssm::parameters(&aws, names).await).await?;
        let bucket_origin = aws.bucket_origin(&config.bucket);
        Ok(Self { config, bucket_origin, authorities })
    }
}
