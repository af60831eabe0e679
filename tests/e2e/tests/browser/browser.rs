//! Runs the programs of the folder `js`, which drive a browser.

use std::{
    env, fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use e2e::{Stack, unique};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;
use tokio::{
    io::AsyncReadExt,
    process::{Child, Command},
    sync::{Mutex, MutexGuard},
    time::timeout,
};

/// A time limit above that of the longest program on a slow machine.
const LIMIT: Duration = Duration::from_mins(10);

/// The lines of a failed program's log that a failure shows.
const LOGGED_LINES: usize = 50;

pub struct Browser {
    pub stack: Stack,
    packages: PathBuf,
    /// The folder of the browser's profile and of the program's error output.
    folder: PathBuf,
    _alone: MutexGuard<'static, ()>,
}

/// Two uploads of 200 MiB at once would disturb tests that measure time.
static ALONE: Mutex<()> = Mutex::const_new(());

impl Browser {
    /// `None`, with a printed note, if there is no browser.
    #[expect(clippy::explicit_write, reason = "the harness hides what a passing test prints with a macro")]
    pub async fn here() -> Option<Self> {
        let Some(packages) = env::var_os("FILES_MANAGER_BROWSER").map(PathBuf::from) else {
            let reason = "there is no Node.js 20.9 with npm or no chromium here, so nothing was tried in a browser";
            writeln!(io::stderr(), "SKIPPED: {reason}").unwrap();
            return None;
        };
        let alone = ALONE.lock().await;
        let stack = Stack::running().await;
        let folder = stack.path.with_file_name(unique("browser"));
        fs::create_dir(&folder).unwrap();
        Some(Self { stack, packages, folder, _alone: alone })
    }

    /// The output of a program.
    pub async fn run(&self, program: &str, argument: &Value) -> String {
        let mut running = self.start(program, argument);
        let mut stdout = running.child.stdout.take().unwrap();
        let mut output = String::new();
        let ended = timeout(LIMIT, async {
            stdout.read_to_string(&mut output).await.unwrap();
            running.child.wait().await.unwrap()
        });
        let ended = ended.await.unwrap_or_else(|_| panic!("{program}: not within {LIMIT:?}\n{}", self.log()));
        assert!(ended.success(), "{program}: {ended} after {output}\n{}", self.log());
        output
    }

    /// The end of what the last program wrote to its standard error.
    fn log(&self) -> String {
        let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOGGED_LINES)..].join("\n")
    }

    fn start(&self, program: &str, argument: &Value) -> Running {
        let child = Command::new("node")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/js").join(program))
            .arg(argument.to_string())
            .env("NODE_PATH", &self.packages)
            .env("PROFILE", self.folder.join("profile"))
            // The program ends when its standard input is closed, which is when this process ends.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(self.folder.join("log")).unwrap())
            .process_group(0)
            .spawn()
            .unwrap();
        let group = Pid::from_raw(child.id().unwrap().cast_signed()).unwrap();
        Running { child, group }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The program and its browser, which end when this is dropped.
struct Running {
    child: Child,
    group: Pid,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = kill_process_group(self.group, Signal::KILL);
    }
}
