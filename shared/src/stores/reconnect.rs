//! Detection of connections that were lost without a notice.
//!
//! Lambda freezes an instance between two events. Meanwhile the network between the instance and a store, or AWS
//! itself, may drop its connections without telling either end. A request on such a connection gets no answer, not even
//! a reset. So after an idle time no request is sent on a connection that is not known to work.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use tokio::sync::Mutex;

use super::Stores;
use crate::limits;

/// A value with connections to the stores, which is created again if these connections were lost.
pub struct Reconnecting<'a, T, F> {
    stores: &'a Stores,
    connect: F,
    current: Mutex<Current<T>>,
}

struct Current<T> {
    value: Arc<T>,
    /// The time of the last event.
    used: Clocks,
}

impl<'a, T, F, Connecting> Reconnecting<'a, T, F>
where
    F: Fn(&'a Stores) -> Connecting,
    Connecting: Future<Output = anyhow::Result<T>>,
{
    /// # Errors
    /// The errors of `connect`.
    pub async fn new(stores: &'a Stores, connect: F) -> anyhow::Result<Self> {
        let value = Arc::new(connect(stores).await?);
        Ok(Self { stores, connect, current: Mutex::new(Current { value, used: Clocks::now() }) })
    }

    /// Returns the value, with working connections. Call this once for each event, before anything else.
    pub async fn get(&self) -> Arc<T> {
        let mut current = self.current.lock().await;
        let silence = Clocks::now().since(&current.used);
        if silence >= limits::IDLE_BEFORE_PROBE {
            self.stores.aws.forget_connections();
            if !self.stores.mongodb.is_connected().await {
                tracing::warn!(silence_s = silence.as_secs(), "MongoDB is silent: everything is connected anew");
                match (self.connect)(self.stores).await {
                    Ok(value) => current.value = Arc::new(value),
                    Err(error) => tracing::error!(error = format!("{error:#}"), "the old connections are kept"),
                }
            }
        }
        current.used = Clocks::now();
        Arc::clone(&current.value)
    }
}

/// A time by two clocks: the monotonic clock may stand still while the instance is frozen, and the wall clock may be
/// set back.
struct Clocks {
    monotonic: Instant,
    wall: SystemTime,
}

impl Clocks {
    fn now() -> Self {
        Self { monotonic: Instant::now(), wall: SystemTime::now() }
    }

    /// The longer of the two elapsed times.
    fn since(&self, earlier: &Self) -> Duration {
        let wall = self.wall.duration_since(earlier.wall).unwrap_or_default();
        wall.max(self.monotonic.saturating_duration_since(earlier.monotonic))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silence_is_as_long_as_either_clock_says() {
        const MINUTE: Duration = Duration::from_mins(1);
        let now = Clocks::now();
        for (monotonic, wall, silence) in [
            (now.monotonic, now.wall, Duration::ZERO),
            // Frozen, with the monotonic clock and without it.
            (now.monotonic, now.wall + MINUTE, MINUTE),
            (now.monotonic + MINUTE, now.wall + MINUTE, MINUTE),
            // Set back meanwhile.
            (now.monotonic + MINUTE, now.wall - MINUTE, MINUTE),
            (now.monotonic, now.wall - MINUTE, Duration::ZERO),
        ] {
            assert_eq!(Clocks { monotonic, wall }.since(&now), silence);
        }
    }
}
