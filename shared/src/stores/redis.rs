//! The connection to Redis.

use std::{sync::Arc, time::Instant};

use anyhow::Context;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, FromRedisValue, IntoConnectionInfo, Pipeline, RedisError,
    RedisResult, TlsCertificates, aio::MultiplexedConnection, pipe,
};
use tokio::{sync::Mutex, time::timeout};

use super::{OnlyRedis, Stores, certificates::Authorities};
use crate::{Error, Result, limits, logging::log_call};

/// The connection to Redis, which connects when first used, and again whenever the connection broke.
#[derive(Clone)]
pub struct Redis {
    client: Client,
    settings: AsyncConnectionConfig,
    /// The last connection that answered.
    connection: Arc<Mutex<Option<MultiplexedConnection>>>,
}

impl Redis {
    /// # Errors
    /// The URL is malformed.
    pub fn connect(stores: &Stores) -> anyhow::Result<Self> {
        Self::at(&stores.config.redis_url, stores.authorities.as_ref())
    }

    /// # Errors
    /// The URL is malformed.
    pub fn alone(stores: &OnlyRedis) -> anyhow::Result<Self> {
        Self::at(&stores.config.redis_url, stores.authorities.as_ref())
    }

    fn at(url: &str, authorities: Option<&Authorities>) -> anyhow::Result<Self> {
        let settings = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(limits::REDIS_TIMEOUT))
            .set_response_timeout(Some(limits::REDIS_TIMEOUT));
        let url = url.into_connection_info().context("REDIS_URL")?;
        let client = match (url.addr(), authorities) {
            (ConnectionAddr::TcpTls { .. }, Some(authorities)) => {
                let root_cert = Some(authorities.pem.clone());
                Client::build_with_tls(url, TlsCertificates { client_tls: None, root_cert })
            }
            _ => Client::open(url),
        };
        Ok(Self { client: client.context("REDIS_URL")?, settings, connection: Arc::default() })
    }

    /// Returns whether Redis answers.
    pub async fn ping(&self) -> bool {
        matches!(
            timeout(limits::STATUS_TIMEOUT, self.with_retry::<(String,)>(pipe().add_command(Cmd::ping()))).await,
            Ok(Ok(_))
        )
    }

    pub(crate) async fn query<T: FromRedisValue>(&self, command: Cmd) -> Result<T> {
        let (answer,) = self.query_all(pipe().add_command(command)).await?;
        Ok(answer)
    }

    /// Sends several commands in one round trip.
    pub(crate) async fn query_all<T: FromRedisValue>(&self, commands: &Pipeline) -> Result<T> {
        let started = Instant::now();
        let answer = match timeout(limits::REDIS_TIMEOUT, self.with_retry(commands)).await {
            Ok(answer) => answer.map_err(Error::from),
            Err(_) => Err(Error::timeout("Redis")),
        };
        log_call("Redis", std::any::type_name::<T>(), started, &answer);
        answer
    }

    /// A connection that was lost while this instance slept is found dead only by using it: it breaks, or no answer
    /// comes. Then the commands are sent again on a new connection. All of our commands may be sent twice.
    async fn with_retry<T: FromRedisValue>(&self, commands: &Pipeline) -> RedisResult<T> {
        let before = self.connection.lock().await.clone();
        if let Some(connection) = before {
            match timeout(limits::REDIS_ATTEMPT_TIMEOUT, self.once(commands, connection)).await {
                Ok(outcome) if !is_lost(&outcome) => return outcome,
                _ => *self.connection.lock().await = None,
            }
        }
        let connection = self.client.get_multiplexed_async_connection_with_config(&self.settings).await?;
        self.once(commands, connection).await
    }

    /// Sends the commands once. A connection that works is kept for the next commands.
    async fn once<T: FromRedisValue>(
        &self,
        commands: &Pipeline,
        mut connection: MultiplexedConnection,
    ) -> RedisResult<T> {
        let outcome = commands.query_async(&mut connection).await;
        if !is_lost(&outcome) {
            *self.connection.lock().await = Some(connection);
        }
        outcome
    }
}

/// True if there was no answer, not even an error of Redis.
fn is_lost<T>(outcome: &RedisResult<T>) -> bool {
    outcome.as_ref().is_err_and(RedisError::is_io_error)
}
