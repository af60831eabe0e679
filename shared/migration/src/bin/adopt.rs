//! For operators who migrate from the original: brings the files that the original keeps in a folder on its disk into
//! the bucket, so that `GET /files/{id}/data` finds them and images get thumbnails. Nothing is removed from the folder
//! or from a document. The program may be ended and started again at any time, also twice at once, while both systems
//! run.

#![forbid(unsafe_code)]

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use futures_util::{StreamExt, stream};
use mongodb::bson::Bson;
use shared::{
    Error, config,
    files::adoption::{Adoption, Outcome, Unadopted},
    limits,
    stores::{aws::Aws, mongo, s3::Objects},
};

const USAGE: &str = "\
Brings the files that the original service keeps on its disk into the bucket.

  adopt --folder FOLDER_PATH [--dry-run]

  --folder   the original's FOLDER_PATH (its default is /tmp/files_manager), or a copy of that folder
  --dry-run  say what would be done, and change nothing

The environment names the stores: MONGODB_URI, BUCKET, AWS_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, with
temporary credentials, AWS_SESSION_TOKEN.";

/// The interval of progress lines.
const PROGRESS: Duration = Duration::from_secs(5);

struct Arguments {
    folder: PathBuf,
    is_dry_run: bool,
}

impl Arguments {
    fn parse(given: impl Iterator<Item = OsString>) -> Option<Self> {
        let (mut given, mut folder, mut is_dry_run) = (given, None, false);
        while let Some(argument) = given.next() {
            match argument.to_str() {
                Some("--folder") => folder = Some(given.next()?.into()),
                Some("--dry-run") => is_dry_run = true,
                _ => return None,
            }
        }
        Some(Self { folder: folder?, is_dry_run })
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode> {
    let Some(Arguments { folder, is_dry_run }) = Arguments::parse(std::env::args_os().skip(1)) else {
        eprintln!("{USAGE}");
        return Ok(ExitCode::from(2));
    };
    ensure!(folder.is_dir(), "{} is no folder: give the original's FOLDER_PATH", folder.display());
    let (uri, bucket, aws) = (config::mongodb_uri()?, config::bucket()?, Aws::from_environment()?);
    let documents = Adoption::of(&mongo::connect_to(&uri).await?);
    let objects = Objects::of(&aws, bucket, limits::ADOPTION_PUT_TIMEOUT);

    let survey = survey(&documents, &folder).await?;
    println!(
        "{} files of {} in {} are not in the bucket {} yet.",
        survey.files,
        Size(survey.bytes),
        folder.display(),
        objects.bucket()
    );
    if is_dry_run {
        return Ok(survey.report.print("would be adopted", survey.files, survey.bytes));
    }
    let run = Run { documents, objects, folder, started: Instant::now(), survey };
    let (report, files, bytes) = run.adopt().await?;
    Ok(report.print("adopted", files, bytes))
}

/// The result of a first pass over all documents. The pass costs one `stat` a document, and makes it possible to tell
/// how much is left.
#[derive(Default)]
struct Survey {
    files: u64,
    bytes: u64,
    report: Report,
}

async fn survey(documents: &Adoption, folder: &Path) -> Result<Survey> {
    let (mut survey, mut last) = (Survey::default(), None);
    loop {
        let page = documents.after(last).await.map_err(explained)?;
        for id in page.unreadable {
            survey.report.add(Reason::Unreadable, &id.to_string(), "");
        }
        for document in &page.documents {
            match find(folder, document)? {
                Found::File(_, size) => {
                    survey.files += 1;
                    survey.bytes += size;
                }
                Found::Not(reason) => survey.report.add(reason, &document.id.to_string(), &document.local_path),
            }
        }
        last = page.last;
        if last.is_none() {
            return Ok(survey);
        }
    }
}

/// A document's file on the disk.
enum Found {
    /// The path, and the size in bytes.
    File(PathBuf, u64),
    Not(Reason),
}

/// The path may be of another machine, or of a folder that was moved, so only its last name counts. So no document can
/// name a file outside of the folder.
///
/// # Errors
/// The folder cannot be read. Then it is not known whether a file exists.
fn find(folder: &Path, document: &Unadopted) -> Result<Found> {
    let Some(name) = document.local_path.rsplit(['/', '\\']).next().filter(|name| !matches!(*name, "" | "." | ".."))
    else {
        return Ok(Found::Not(Reason::Missing));
    };
    let path = folder.join(name);
    // A symbolic link could lead outside of the folder.
    match path.symlink_metadata() {
        Ok(file) if file.is_file() && file.len() > limits::ADOPTION_BYTES => Ok(Found::Not(Reason::TooLarge)),
        Ok(file) if file.is_file() => Ok(Found::File(path, file.len())),
        Ok(_) => Ok(Found::Not(Reason::Missing)),
        // InvalidInput: a NUL in the name; InvalidFilename: a name that is too long.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::InvalidInput | io::ErrorKind::InvalidFilename
            ) =>
        {
            Ok(Found::Not(Reason::Missing))
        }
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// The reason why a document has no object after all.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reason {
    Missing,
    Changed,
    TooLarge,
    Unreadable,
}

impl Reason {
    fn words(self) -> &'static str {
        match self {
            Self::Missing => "missing: the folder has no such file",
            Self::Changed => "changed meanwhile: deleted, or given another file",
            Self::TooLarge => "too large: more than the 5 GiB that S3 takes in one request",
            Self::Unreadable => "unreadable: _id is no ObjectId, or localPath no text",
        }
    }
}

#[derive(Default)]
struct Report(BTreeMap<Reason, (u64, Vec<String>)>);

impl Report {
    fn add(&mut self, reason: Reason, id: &str, path: &str) {
        let (count, first) = self.0.entry(reason).or_default();
        *count += 1;
        if first.len() < limits::ADOPTION_FINDINGS {
            // A path is stored input: it must not break a line of the report.
            first.push(format!("{id} {}", path.escape_debug()));
        }
    }

    /// Success if every existing file was adopted, and none was missing.
    fn print(&self, done: &str, files: u64, bytes: u64) -> ExitCode {
        println!("{files} {done}, {}", Size(bytes));
        for (reason, (count, first)) in &self.0 {
            println!("{count} {}", reason.words());
            for line in first {
                println!("  {line}");
            }
            if *count > first.len() as u64 {
                println!("  and {} more", *count - first.len() as u64);
            }
        }
        if self.0.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

struct Run {
    documents: Adoption,
    objects: Objects,
    folder: PathBuf,
    started: Instant,
    survey: Survey,
}

impl Run {
    async fn adopt(&self) -> Result<(Report, u64, u64)> {
        let (mut report, mut files, mut bytes) = (Report::default(), 0, 0);
        let (mut last, mut printed): (Option<Bson>, _) = (None, Instant::now());
        loop {
            let page = self.documents.after(last).await.map_err(explained)?;
            for id in page.unreadable {
                report.add(Reason::Unreadable, &id.to_string(), "");
            }
            let documents = page.documents;
            let mut done = stream::iter(&documents)
                .map(async |document| Ok::<_, anyhow::Error>((document, self.adopt_one(document).await?)))
                .buffer_unordered(limits::ADOPTION_PUTS);
            while let Some(one) = done.next().await {
                match one? {
                    (_, Found::File(_, size)) => {
                        files += 1;
                        bytes += size;
                    }
                    (document, Found::Not(reason)) => {
                        report.add(reason, &document.id.to_string(), &document.local_path);
                    }
                }
                if printed.elapsed() >= PROGRESS {
                    printed = Instant::now();
                    println!("{}", self.progress(files, bytes));
                }
            }
            drop(done);
            last = page.last;
            if last.is_none() {
                return Ok((report, files, bytes));
            }
        }
    }

    async fn adopt_one(&self, document: &Unadopted) -> Result<Found> {
        let path = match find(&self.folder, document)? {
            Found::File(path, _) => path,
            Found::Not(reason) => return Ok(Found::Not(reason)),
        };
        let key = document.key();
        let size = self.objects.put_file(&key, &path, &document.content_type()).await.map_err(explained)?;
        match self.documents.adopt(document, &key, size).await.map_err(explained)? {
            Outcome::Adopted => Ok(Found::File(path, size)),
            Outcome::Changed => {
                // No row accounts for the object.
                self.objects.delete(&key).await.map_err(explained)?;
                Ok(Found::Not(Reason::Changed))
            }
        }
    }

    fn progress(&self, files: u64, bytes: u64) -> String {
        let Survey { files: all, bytes: all_bytes, .. } = self.survey;
        let left = self.started.elapsed().mul_f64(remaining(files, all).max(remaining(bytes, all_bytes)));
        format!("{files} of {all} files, {} of {}, {} left", Size(bytes), Size(all_bytes), Time(left))
    }
}

/// The remaining work, as a multiple of the part that is done.
#[allow(clippy::cast_precision_loss, reason = "an estimate")]
fn remaining(done: u64, all: u64) -> f64 {
    if done == 0 { 0.0 } else { all.saturating_sub(done) as f64 / done as f64 }
}

/// The text of a store's error, for the person who runs this program; a client would not see it.
fn explained(error: Error) -> anyhow::Error {
    match error.cause() {
        Some(cause) => anyhow::anyhow!("{cause}; start the program again, it goes on with what is left"),
        None => error.into(),
    }
}

struct Size(u64);

impl std::fmt::Display for Size {
    #[allow(clippy::cast_precision_loss, reason = "for people")]
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let bytes = self.0 as f64;
        match self.0 {
            0..1_000 => write!(f, "{} bytes", self.0),
            1_000..1_000_000 => write!(f, "{:.1} kB", bytes / 1e3),
            1_000_000..1_000_000_000 => write!(f, "{:.1} MB", bytes / 1e6),
            _ => write!(f, "{:.1} GB", bytes / 1e9),
        }
    }
}

struct Time(Duration);

impl std::fmt::Display for Time {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self.0.as_secs() {
            seconds @ 0..60 => write!(f, "{seconds} s"),
            seconds @ 60..3_600 => write!(f, "{} min {} s", seconds / 60, seconds % 60),
            seconds => write!(f, "{} h {} min", seconds / 3_600, seconds / 60 % 60),
        }
    }
}
