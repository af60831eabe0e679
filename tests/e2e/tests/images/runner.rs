//! A process that makes thumbnails, one picture after the other, until one of them ends it.

use std::{
    env,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use serde::Deserialize;
use serde_json::json;

/// After that it hangs. Longer than any picture may take, so that it is the picture's own time that is judged.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Runner {
    process: Child,
    answers: Receiver<String>,
}

/// What a picture did to the process.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub wall_ms: f64,
    /// The most memory that the process has had so far, and what it had before this picture.
    pub peak_kb: u64,
    pub idle_kb: u64,
    /// Why there are no thumbnails.
    pub error: Option<String>,
    /// Sizes of the thumbnails.
    pub bytes: Vec<usize>,
}

impl Runner {
    pub fn start() -> Self {
        let program = env::var_os("FILES_MANAGER_PICTURES");
        let program = program.expect("FILES_MANAGER_PICTURES names the program, as `cargo local test` does");
        let mut command = Command::new(&program);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the program starts");
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let (sender, answers) = channel();
        thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { process, answers }
    }

    /// The thumbnails of a file, written to `out`.
    ///
    /// # Errors
    /// How the process has ended, if it has. Nothing more can be done with it.
    pub fn make(&mut self, source: &Path, out: Option<&Path>) -> Result<Report, String> {
        let job = json!({ "source": source, "out": out });
        let told = writeln!(self.process.stdin.as_mut().unwrap(), "{job}");
        if told.is_ok()
            && let Ok(answer) = self.answers.recv_timeout(PATIENCE)
        {
            return Ok(serde_json::from_str(&answer).unwrap());
        }
        match self.process.try_wait().unwrap() {
            Some(status) => Err(format!("the process is dead: {status}")),
            // It closes its output a moment before.
            None if told.is_err() => Err(format!("the process is dead: {}", self.process.wait().unwrap())),
            None => Err(format!("no answer in {PATIENCE:?}")),
        }
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        // Dead already is as good.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
