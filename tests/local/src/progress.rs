//! The output for the user: one line for each step, with its duration. A closed terminal must not stop the end of a
//! stack, so an output that cannot be written is no error and no panic.

use std::fmt::Display;
use std::io::{IsTerminal, Write, stderr, stdout};
use std::time::{Duration, Instant};

use anyhow::Result;

const WIDTH: usize = 42;

/// Runs one step and prints its name and its duration.
pub async fn step<T>(what: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
    print(&format!("  {what:WIDTH$}"));
    let started = Instant::now();
    let result = work.await;
    if stdout().is_terminal() {
        print(&format!("\r\x1b[K  {what:WIDTH$}"));
    }
    match &result {
        Ok(_) => line(format!("{:>8}", seconds(started.elapsed()))),
        Err(_) => line("  failed"),
    }
    result
}

/// Prints a step that had nothing to do.
pub fn skipped(what: &str, why: &str) {
    line(format!("  {what:WIDTH$}{why:>8}"));
}

/// The last line of a long step's output. It is shown after the step's name, and only on a terminal.
pub fn note(step: &str, note: &str) {
    if stdout().is_terminal() {
        let note: String = note.trim().chars().take(32).collect();
        print(&format!("\r\x1b[K  {step:WIDTH$}  {note}"));
    }
}

pub fn line(text: impl Display) {
    print(&format!("{text}\n"));
}

/// Prints an important message on stderr.
pub fn notice(text: impl Display) {
    let _ = writeln!(stderr(), "{text}");
}

pub fn seconds(duration: Duration) -> String {
    if duration < Duration::from_mins(1) {
        format!("{:.1} s", duration.as_secs_f64())
    } else {
        format!("{} min {} s", duration.as_secs() / 60, duration.as_secs() % 60)
    }
}

fn print(text: &str) {
    let mut stdout = stdout();
    let _ = stdout.write_all(text.as_bytes());
    let _ = stdout.flush();
}
