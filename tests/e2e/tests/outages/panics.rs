//! Panics in a function that is built for deployment.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use e2e::{
    Answer,
    instance::{Instance, deployed, functions, without_stores},
};
use serde_json::{Value, json};

/// A text that only one of the two panic runtimes has.
const ABORTING: &str = "library/panic_abort/";
const UNWINDING: &str = "Rust panics must be rethrown";

#[tokio::test]
async fn r24_a_panic_ends_one_request_and_the_same_process_serves_the_next() {
    let program = env::var_os("FILES_MANAGER_PANICS");
    let program = program.expect("FILES_MANAGER_PANICS names the program, as `cargo local test` does");
    let instance = Instance::start(Path::new(&program), &without_stores()).await.unwrap();
    let process = instance.pid();
    for _ in 0..2 {
        let (id, answer) = get(&instance, "/panic").await;
        answer.fails(500, "Internal server error");
        let lines = instance.printed();
        let line = lines.iter().find(|line| line.contains(&id)).expect("a line of the request");
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!((&line["request_id"], &line["status"]), (&json!(id), &json!(500)), "{line}");

        let (_, answer) = get(&instance, "/panic/elsewhere").await;
        assert_eq!(answer.status, 200, "{answer}");
        assert!(answer.text().starts_with("damaged image: "), "{answer}");

        let (_, answer) = get(&instance, "/docs/start.js").await;
        assert_eq!(answer.status, 200, "{answer}");
        assert_eq!(instance.pid(), process);
    }
    // The log has the location of the panic and not its message, which may have a client's input.
    let lines = instance.printed();
    let panics = lines.iter().filter(|line| line.contains(r#""message":"panic""#) && line.contains("src/main.rs"));
    assert_eq!(panics.count(), 4, "{lines:?}");
}

/// Sends a GET. Returns the id of the request, which the answer has too, and the answer.
async fn get(instance: &Instance, path: &str) -> (String, Answer) {
    let handled = instance.request("GET", path, None, &Value::Null).await;
    assert_eq!(handled.answer.header("x-request-id"), handled.request_id, "{}", handled.answer);
    (handled.request_id, handled.answer)
}

#[test]
fn r24_no_function_is_built_to_abort_on_a_panic() {
    let panics = env::var_os("FILES_MANAGER_PANICS").expect("as above");
    let mut programs: Vec<PathBuf> = functions().iter().map(|function| deployed(function)).collect();
    assert!(programs.len() >= 8, "{programs:?}");
    programs.push(panics.into());
    for program in programs {
        let bytes = fs::read(&program).unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let has = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(!has(ABORTING), "{} aborts", program.display());
        assert!(has(UNWINDING), "{} does not unwind", program.display());
    }
}
