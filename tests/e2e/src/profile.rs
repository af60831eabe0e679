//! The queries that `MongoDB` has run for one user, from its profiler.

use futures_util::TryStreamExt;
use mongodb::bson::{Bson, Document, doc, oid::ObjectId};
use tokio::sync::Mutex;

use crate::Stack;

/// A database has one profiler.
static PROFILER: Mutex<()> = Mutex::const_new(());

/// A query, as the profiler has recorded it.
#[derive(Debug)]
pub struct Query {
    /// The stages of the plan with their indexes: `IXSCAN { userId: 1, parentId: 1, _id: 1 }`.
    pub plan: String,
    /// The index that the query names.
    pub hint: Option<Bson>,
    pub keys_examined: i64,
    pub rows_examined: i64,
    pub has_sorted_in_memory: bool,
}

impl From<Document> for Query {
    fn from(recorded: Document) -> Self {
        let number = |field: &str| match recorded.get(field) {
            Some(Bson::Int32(number)) => i64::from(*number),
            Some(Bson::Int64(number)) => *number,
            _ => 0,
        };
        Self {
            plan: recorded.get_str("planSummary").unwrap_or_default().to_owned(),
            hint: recorded.get_document("command").ok().and_then(|command| command.get("hint").cloned()),
            keys_examined: number("keysExamined"),
            rows_examined: number("docsExamined"),
            has_sorted_in_memory: recorded.get_bool("hasSortStage").unwrap_or_default(),
        }
    }
}

impl Stack {
    /// The queries of this user's rows that begin during the task. Queries of other users do not count, so that other
    /// tests may run meanwhile.
    ///
    /// # Panics
    /// There is no query.
    pub async fn queries_of(&self, owner: ObjectId, task: impl AsyncFnOnce()) -> Vec<Query> {
        let _alone = PROFILER.lock().await;
        let filter = doc! {
            "ns": self.files.namespace().to_string(),
            "$or": [{ "command.filter.userId": owner }, { "originatingCommand.filter.userId": owner }],
        };
        let profile = async |command: Document| self.database.run_command(command).await.expect("MongoDB profiles");
        let profiled = self.database.collection::<Document>("system.profile");
        profile(doc! { "profile": 0, "filter": "unset" }).await;
        profiled.drop().await.expect("MongoDB forgets");
        profile(doc! { "profile": 1, "filter": filter }).await;
        task().await;
        profile(doc! { "profile": 0, "filter": "unset" }).await;
        let recorded = async { profiled.find(doc! {}).await?.try_collect::<Vec<_>>().await };
        let queries: Vec<Query> = recorded.await.expect("MongoDB remembers").into_iter().map(Query::from).collect();
        assert!(!queries.is_empty(), "no query was profiled");
        queries
    }
}
