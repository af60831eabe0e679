//! Builds and deploys after an edit, while the stack runs: for `up --watch` and `test --keep`.

use std::time::{Duration, Instant};

use ::stack::tail;
use anyhow::Result;
use tokio::time::sleep;

use crate::build::{LOG, Profile, Scope, build, fingerprint};
use crate::progress::{line, notice, seconds};
use crate::stack::Stack;
use crate::tools::Tools;
use crate::{Project, deploy};

/// The interval at which the sources are looked at, and the time for which they must stay the same before a build: an
/// editor may write several files.
const POLL: Duration = Duration::from_millis(200);

/// The lines of a failed build that are shown.
const SHOWN: usize = 60;

/// A stack that gets each edit.
pub struct Watch<'a> {
    pub project: &'a Project,
    pub tools: &'a Tools,
    pub stack: &'a Stack,
    pub profile: Profile,
    pub parameters: &'a [&'a str],
}

impl Watch<'_> {
    /// Builds and deploys after each edit. `deployed` is the fingerprint of the sources that the stack runs, so that an edit
    /// from before this call counts too.
    pub async fn deploy_edits(&self, mut deployed: String) -> Result<()> {
        let mut last = deployed.clone();
        loop {
            sleep(POLL).await;
            // A file that an editor is replacing cannot be read for a moment.
            let Ok(now) = fingerprint(self.project, self.profile) else { continue };
            let is_still = now == last;
            last = now;
            if last == deployed || !is_still {
                continue;
            }
            deployed.clone_from(&last);
            let started = Instant::now();
            match self.deploy().await {
                Ok(()) => line(format!("  Live after {}.", seconds(started.elapsed()))),
                Err(error) => notice(format!("{}\n{error:#}", output_of_build(self.project))),
            }
        }
    }

    async fn deploy(&self) -> Result<()> {
        let build = build(self.project, self.profile, Scope::Functions).await?;
        deploy::deploy(self.project, self.tools, &build, self.parameters, self.stack).await.map(drop)
    }
}

/// The errors of the compiler.
fn output_of_build(project: &Project) -> String {
    let lines = tail(&project.local(LOG), SHOWN);
    let lines: Vec<_> = lines.into_iter().filter(|line| !line.trim_start().starts_with("Compiling ")).collect();
    lines.join("\n")
}
