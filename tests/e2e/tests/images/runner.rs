//! A process that makes the thumbnails of one image after the other, until an image ends it.

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

/// The process hangs if it takes longer. This is longer than any image may take, so that the image's own time limit is
/// tested.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Runner {
    process: Child,
    answers: Receiver<String>,
}

/// The effect of an image on the process.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// True if the codec is built as it ships.
    pub is_release: bool,
    pub wall_ms: f64,
    /// The peak memory of the process so far, and the peak before this image.
    pub peak_kb: u64,
    pub idle_kb: u64,
    /// The reason why there are no thumbnails.
    pub error: Option<String>,
    /// The sizes of the thumbnails.
    pub bytes: Vec<usize>,
}

impl Runner {
    pub fn start() -> Self {
        let program = env::var_os("FILES_MANAGER_IMAGES");
        let program = program.expect("FILES_MANAGER_IMAGES names the program, as `cargo local test` does");
        let mut command = Command::new(&program);
        command.envs(stack::ALLOCATOR);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the program starts");
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let (sender, answers) = channel();
        thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { process, answers }
    }

    /// Makes the thumbnails of a file, and writes them to `out`.
    ///
    /// # Errors
    /// The exit status of a process that has ended. It cannot be used any more.
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
            // The process closes its output shortly before it ends.
            None if told.is_err() => Err(format!("the process is dead: {}", self.process.wait().unwrap())),
            None => Err(format!("no answer in {PATIENCE:?}")),
        }
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        // An error is no problem: the process may have ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
