//! The output for the user: one line for each finished step, with its duration. While steps run, a terminal shows them
//! in its last line; without a terminal, each prints a line every 20 seconds. A closed terminal must not stop the end of
//! a stack, so an output that cannot be written is no error and no panic.

use std::fmt::Display;
use std::io::{IsTerminal, Write, stderr, stdout};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::time::{MissedTickBehavior, interval};

const WIDTH: usize = 42;

/// The width of the last line of a terminal, which must not wrap.
const TERMINAL: usize = 79;

/// The intervals at which the running steps are shown on a terminal, and without one.
const REDRAW: Duration = Duration::from_millis(250);
const REMINDER: Duration = Duration::from_secs(20);

/// The steps that run now. Some run at the same time: tools are installed while the functions are compiled.
static RUNNING: Mutex<Vec<Running>> = Mutex::new(Vec::new());

struct Running {
    what: String,
    started: Instant,
    note: String,
}

/// Runs one step, shows it while it runs, and prints its name and its duration when it ends.
pub async fn step<T>(what: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
    let started = Instant::now();
    let _running = Shown::new(what, started);
    let mut ticks = interval(if stdout().is_terminal() { REDRAW } else { REMINDER });
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    // The first tick comes at once.
    let mut is_first = !stdout().is_terminal();
    let mut work = std::pin::pin!(work);
    let result = loop {
        tokio::select! {
            result = &mut work => break result,
            _ = ticks.tick() => {
                if !std::mem::take(&mut is_first) {
                    show(what);
                }
            }
        }
    };
    let took = match &result {
        Ok(_) => seconds(started.elapsed()),
        Err(_) => "failed".to_owned(),
    };
    line(format!("  {what:WIDTH$}{took:>12}"));
    result
}

/// Prints a step that had nothing to do.
pub fn skipped(what: &str, why: &str) {
    line(format!("  {what:WIDTH$}{why:>12}"));
}

/// Notes how far a running step is.
pub fn note(step: &str, note: String) {
    if let Ok(mut running) = RUNNING.lock()
        && let Some(step) = running.iter_mut().find(|running| running.what == step)
    {
        step.note = note;
    }
}

pub fn line(text: impl Display) {
    let clear = if stdout().is_terminal() { "\r\x1b[K" } else { "" };
    print(&format!("{clear}{text}\n"));
}

/// Prints an important message on stderr.
pub fn notice(text: impl Display) {
    let clear = if stderr().is_terminal() { "\r\x1b[K" } else { "" };
    let _ = writeln!(stderr(), "{clear}{text}");
}

pub fn seconds(duration: Duration) -> String {
    if duration < Duration::from_mins(1) {
        format!("{:.1} s", duration.as_secs_f64())
    } else {
        format!("{} min {} s", duration.as_secs() / 60, duration.as_secs() % 60)
    }
}

/// A step in the list of those that run. An interrupted step leaves the list too.
struct Shown {
    what: String,
}

impl Shown {
    fn new(what: &str, started: Instant) -> Self {
        if let Ok(mut running) = RUNNING.lock() {
            running.push(Running { what: what.to_owned(), started, note: String::new() });
        }
        Self { what: what.to_owned() }
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        if let Ok(mut running) = RUNNING.lock() {
            running.retain(|running| running.what != self.what);
        }
    }
}

/// On a terminal, all running steps in its last line; otherwise a line about this step.
fn show(what: &str) {
    let Ok(running) = RUNNING.lock() else { return };
    if stdout().is_terminal() {
        let steps: Vec<String> = running.iter().map(Running::to_string).collect();
        let text: String = format!("  {}", steps.join(" · ")).chars().take(TERMINAL).collect();
        print(&format!("\r\x1b[K{text}"));
    } else if let Some(step) = running.iter().find(|running| running.what == what) {
        print(&format!("  … {step}\n"));
    }
}

impl Display for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let elapsed = self.started.elapsed().as_secs();
        write!(f, "{} {}:{:02}", self.what, elapsed / 60, elapsed % 60)?;
        if self.note.is_empty() { Ok(()) } else { write!(f, " {}", self.note) }
    }
}

fn print(text: &str) {
    let mut stdout = stdout();
    let _ = stdout.write_all(text.as_bytes());
    let _ = stdout.flush();
}
