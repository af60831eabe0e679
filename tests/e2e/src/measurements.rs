//! The measurements of a run about the promises, for the table in `tests/PROMISES.md`.

use std::{
    env,
    fmt::{self, Display},
    fs,
    path::PathBuf,
    time::Duration,
};

/// Records a measurement about a promise, such as `R12` or `S13`. A later run replaces a measurement of the same name.
///
/// # Panics
/// The variable `FILES_MANAGER_MEASUREMENTS` names no folder: `cargo local test` sets it.
pub fn record_measurement(promise: &str, name: &str, value: impl Display) {
    let folder =
        env::var_os("FILES_MANAGER_MEASUREMENTS").map(PathBuf::from).expect("run the tests with `cargo local test`");
    fs::write(folder.join(format!("{promise} {name}")), value.to_string()).expect("a figure can be written");
}

/// The durations of answers.
#[derive(Default)]
pub struct Times(Vec<Duration>);

impl Times {
    pub fn push(&mut self, took: Duration) {
        self.0.push(took);
    }

    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The quantile of the durations: `share` is from 0 to 1.
    ///
    /// # Panics
    /// There are no durations.
    pub fn within(&self, share: f64) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "counts"
        )]
        let at = (sorted.len() as f64 * share) as usize;
        sorted[at.min(sorted.len() - 1)]
    }

    pub fn median(&self) -> Duration {
        self.within(0.5)
    }
}

impl FromIterator<Duration> for Times {
    fn from_iter<I: IntoIterator<Item = Duration>>(times: I) -> Self {
        Self(times.into_iter().collect())
    }
}

impl Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let milliseconds = |share| self.within(share).as_millis();
        write!(f, "p50 {} ms, p99 {} ms of {} answers", milliseconds(0.5), milliseconds(0.99), self.count())
    }
}
