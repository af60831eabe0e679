//! Exact counts, which other tests in the stack would change.

use e2e::{
    PASSWORD, Stack, encoded,
    ledger::{self, all_of, pending, tombstone, visible, with},
    unique,
};
use futures_util::TryStreamExt;
use mongodb::bson::{Bson, Document, doc};
use redis::AsyncCommands;

use crate::alone;

async fn stats(stack: &Stack) -> [u64; 2] {
    let stats = stack.anyone().get("/stats").await.json();
    ["users", "files"].map(|key| stats[key].as_u64().unwrap())
}

#[tokio::test]
async fn stats_counts_every_account_and_every_visible_file_without_delay() {
    let (_alone, stack) = alone().await;
    // After a crash, for example in another test, MongoDB's own count is wrong until a validation.
    for collection in ["users", "files"] {
        stack.database.run_command(doc! { "validate": collection }).await.unwrap();
    }
    let [users, files] = stats(&stack).await;
    assert_eq!(users, stack.users.count_documents(doc! {}).await.unwrap());
    assert_eq!(files, stack.count_rows(visible()).await);

    let bob = stack.user("bob").await;
    assert_eq!(stats(&stack).await, [users + 1, files]);
    bob.folder("photos").await;
    assert_eq!(stats(&stack).await, [users + 1, files + 1]);
    let file = bob.upload("notes.txt", b"hi").await;
    assert_eq!(stats(&stack).await, [users + 1, files + 2]);

    let unfinished = doc! { "userId": bob.object_id(), "name": "x", "type": "file", "parentId": 0 };
    let unfinished = with(unfinished, pending());
    stack.files.insert_one(unfinished.clone()).await.unwrap();
    assert_eq!(stats(&stack).await, [users + 1, files + 2]);
    stack.files.delete_many(unfinished).await.unwrap();
    stack.remove(&file).await;
    stack.files.delete_many(all_of(bob.object_id())).await.unwrap();
    stack.users.delete_one(doc! { "_id": bob.object_id() }).await.unwrap();
    assert_eq!(stats(&stack).await, [users, files]);
}

#[tokio::test]
async fn a_failed_login_writes_nothing_to_redis_but_that_it_failed() {
    let (_alone, stack) = alone().await;
    let (email, nobody) = (unique("bob"), unique("nobody"));
    assert_eq!(stack.anyone().sign_up(&email, PASSWORD).await.status, 201);
    let mut redis = stack.redis().await;
    let all_but_failures = async |redis: &mut redis::aio::MultiplexedConnection| {
        let mut keys: Vec<String> = redis.keys("*").await.unwrap();
        keys.retain(|key| !key.starts_with("rate_"));
        keys.sort();
        keys
    };
    let before = all_but_failures(&mut redis).await;
    for (email, password) in [(&*email, "wrong"), (&nobody, PASSWORD), (&email, ""), ("", "")] {
        stack.anyone().connect(email, password).await.fails(401, "Unauthorized");
    }
    let no_colon = format!("Basic {}", encoded(email.as_bytes()));
    for authorization in [&*no_colon, "Basic !", "Bearer x"] {
        let request = stack.anyone().request("GET", "/connect").header("Authorization", authorization);
        request.send().await.fails(401, "Unauthorized");
    }
    stack.anyone().get("/connect").await.fails(401, "Unauthorized");
    assert_eq!(all_but_failures(&mut redis).await, before);

    assert_eq!(stack.anyone().connect(&email, PASSWORD).await.status, 200);
    // The new keys: a session, the list of sessions, and the account's known networks.
    assert_eq!(all_but_failures(&mut redis).await.len(), before.len() + 3);
}

#[tokio::test]
async fn r15_redis_flushed_is_a_401_and_a_new_login_works() {
    let (_alone, stack) = alone().await;
    let bob = stack.user("bob").await;
    let () = stack.redis().await.flushall().await.unwrap();
    bob.get("/users/me").await.fails(401, "Unauthorized");
    let again = stack.anyone().with_token(bob.another_token().await);
    assert_eq!(again.get("/users/me").await.status, 200);
    assert_eq!(again.get("/users/me/sessions").await.json().as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_queries_have_their_indexes() {
    let (_alone, stack) = alone().await;
    let bob = stack.user("bob").await;
    bob.folder("photos").await;
    // The sweeper builds the indexes that no request has needed yet.
    stack.sweep_until("there is an index", async || Some(())).await;
    assert!(stack.users.list_index_names().await.unwrap().contains(&"email_1".to_owned()));
    let email = doc! { "find": "users", "filter": { "email": "x" } };
    for query in ledger::queries().into_iter().chain([email]) {
        let plan = plan(&stack, &query).await;
        assert!(plan.contains("IXSCAN") && !plan.contains("COLLSCAN"), "{query}: {plan}");
    }
    // The whole ledger is read in the order of an index, so that nothing is sorted in memory.
    for query in ledger::scans() {
        let plan = plan(&stack, &query).await;
        assert!(plan.contains("IXSCAN") && !plan.contains("COLLSCAN") && !plan.contains("\"SORT"), "{plan}");
    }
    // The sweeper reads only as many rows as it takes, however many wait.
    let plan = plan(&stack, &ledger::sweep()).await;
    assert!(plan.contains("\"SORT_MERGE\"") && !plan.contains("\"SORT\""), "{plan}");
}

/// Any client may request the counts, and there may be very many deleted files.
#[tokio::test]
async fn invisible_rows_are_counted_without_being_read() {
    let (_alone, stack) = alone().await;
    let bob = stack.user("bob").await;
    bob.folder("photos").await;
    let rows = (0..2000).map(|n| {
        let state = if n % 2 == 0 { pending() } else { tombstone() };
        with(doc! { "userId": bob.object_id(), "parentId": 0 }, state)
    });
    let before = stats(&stack).await;
    stack.files.insert_many(rows).await.unwrap();
    // A row whose state is null is visible.
    let row = doc! { "userId": bob.object_id(), "name": "a", "type": "file", "parentId": 0 };
    stack.files.insert_one(with(row, visible())).await.unwrap();
    let profiled = profile(&stack, async || assert_eq!(stats(&stack).await, [before[0], before[1] + 1])).await;
    assert!(!profiled.is_empty(), "nothing was counted");
    for operation in profiled {
        let plan = operation.get_str("planSummary").unwrap_or_default();
        assert!(["COUNT_SCAN", "RECORD_STORE_FAST_COUNT"].iter().any(|cheap| plan.starts_with(cheap)), "{operation}");
        assert_eq!(number(&operation, "docsExamined"), 0, "{operation}");
    }
    stack.files.delete_many(all_of(bob.object_id())).await.unwrap();
}

/// The operations of `MongoDB` in the collection `files` during the task.
async fn profile(stack: &Stack, work: impl AsyncFnOnce()) -> Vec<Document> {
    let database = &stack.database;
    let profile = async |level: i32| database.run_command(doc! { "profile": level }).await.unwrap();
    profile(0).await;
    let profiled = database.collection::<Document>("system.profile");
    profiled.drop().await.unwrap();
    profile(2).await;
    work().await;
    profile(0).await;
    let operations = profiled.find(doc! { "ns": stack.files.namespace().to_string() }).await.unwrap();
    operations.try_collect().await.unwrap()
}

fn number(operation: &Document, field: &str) -> i64 {
    match operation.get(field) {
        Some(Bson::Int32(number)) => (*number).into(),
        Some(Bson::Int64(number)) => *number,
        _ => 0,
    }
}

/// MongoDB's plan of a query.
async fn plan(stack: &Stack, query: &Document) -> String {
    let plan = doc! { "explain": query, "verbosity": "queryPlanner" };
    let plan = stack.database.run_command(plan).await.unwrap();
    plan.get_document("queryPlanner").unwrap().get_document("winningPlan").unwrap().to_string()
}
