//! The indexes that came with the file manager.
//!
//! A database of an earlier release gets them by itself: from the sweeper, or from the first request that needs one. No
//! other request waits for them. `MongoDB` goes on building an index if nobody waits for it any more.

use tokio::time::sleep;

use super::{
    ledger::Files,
    row::{filter, search, sorted},
};
use crate::{
    Error, Result, limits,
    stores::mongo::{is_missing_index, run, run_within},
};

impl Files {
    /// Creates the indexes, and waits until they are built.
    pub async fn build_indexes(&self) -> Result<()> {
        run_within(limits::INDEX_BUILD_TIMEOUT, self.rows.create_indexes(indexes())).await?;
        Ok(())
    }

    /// Runs a query that names one of these indexes. If there is no such index, creates all of them and tries again: more
    /// than once, because a `MongoDB` that is killed may lose an index that it has just created, and because a query may
    /// not find an index that another request is creating.
    ///
    /// # Errors
    /// `Unavailable` if the indexes are not built in time.
    pub(super) async fn with_indexes<T, Q>(&self, query: impl Fn() -> Q) -> Result<T>
    where
        Q: Future<Output = Result<T>>,
    {
        for attempt in 0..limits::INDEX_ATTEMPTS {
            match query().await {
                Err(error) if is_missing_index(&error) => {}
                answer => return answer,
            }
            sleep(limits::INDEX_RETRY_DELAY * attempt).await;
            run(self.rows.create_indexes(indexes())).await.map_err(|error| match error {
                Error::Internal(cause) => Error::Unavailable(cause),
                other => other,
            })?;
        }
        Err(Error::Unavailable(anyhow::anyhow!("the indexes are not there")))
    }
}

fn indexes() -> Vec<mongodb::IndexModel> {
    [sorted::indexes(), search::indexes(), filter::later_indexes()].concat()
}
