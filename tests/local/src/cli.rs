//! The command line of `cargo local`: the commands with their help, and how their arguments are read.

use std::ffi::OsString;
use std::fmt::{self, Display, Formatter, Write};
use std::time::Duration;

use lexopt::{Arg, Parser, ValueExt};

use crate::build::Profile;
use crate::cost::Readme;
use crate::logs;

#[derive(Debug, PartialEq)]
pub enum Command {
    Up(UpOptions),
    Down,
    Fsck,
    Logs(logs::Options),
    Test(TestOptions),
    Chaos { profile: Profile, args: Vec<String> },
    Promises,
    OpenApi,
    Schemathesis { profile: Profile, time: Duration },
    Lint,
    Cost(Readme),
    Bench,
    BenchApi { only: String },
    BenchScale { profile: Profile },
    BenchThumbnails { only: String },
    BenchZips(ZipsOptions),
    Help(String),
}

#[derive(Debug, PartialEq)]
pub struct ZipsOptions {
    pub profile: Profile,
    /// The number of small files.
    pub files: u32,
    /// The size of each of the large files.
    pub mib: u32,
}

#[derive(Debug, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option that a person types")]
pub struct UpOptions {
    pub fresh: bool,
    /// A sample account is made.
    pub demo: bool,
    pub port: u16,
    pub watch: bool,
    /// The functions log at the level `debug`.
    pub debug: bool,
    pub profile: Profile,
}

#[derive(Debug, PartialEq)]
pub struct TestOptions {
    /// The stack runs on after the tests, until Ctrl-C.
    pub keep: bool,
    pub profile: Profile,
    pub cargo_args: Vec<String>,
}

const RELEASE: (&str, &str) = ("--release", "build the functions as AWS gets them, which takes minutes");

/// The help of one command. `options` has each option with its explanation.
struct Help {
    name: &'static str,
    arguments: &'static str,
    about: &'static str,
    options: &'static [(&'static str, &'static str)],
}

const HELP: [Help; 16] = [
    Help {
        name: "up",
        arguments: " [--fresh] [--demo] [--port PORT] [--watch] [--debug] [--release]",
        about: "Build, deploy and serve the API and its web app until Ctrl-C. Data is kept. The variables MONGODB_URI and REDIS_URL \
                replace the stores that the stack starts itself.",
        options: &[
            ("--fresh", "delete all data first"),
            ("--demo", "make a sample account with files and photographs, and print how to sign in"),
            ("--port PORT", "the port of the API on localhost; 5000 without this option"),
            ("--watch", "after an edit, build what changed and deploy it"),
            ("--debug", "log each call of a store, with its duration, too"),
            RELEASE,
        ],
    },
    Help {
        name: "down",
        arguments: "",
        about: "Stop an `up` that is running or was left behind. Its data is kept.",
        options: &[],
    },
    Help {
        name: "fsck",
        arguments: "",
        about: "Compare the ledger of the running `up` with its bucket. Fails if they differ.",
        options: &[],
    },
    Help {
        name: "logs",
        arguments: " [FUNCTION] [-f]",
        about: "Print the log lines of the last 15 minutes of the functions of the running `up`, or of one function.",
        options: &[("-f", "continue with new lines until Ctrl-C")],
    },
    Help {
        name: "test",
        arguments: " [--release] [--keep] [-- ARGS]",
        about: "Run all tests on a throw-away stack. `cargo test` gets ARGS.",
        options: &[
            RELEASE,
            ("--keep", "then keep the stack until Ctrl-C, as `up --watch` does, and print how one test runs on it"),
        ],
    },
    Help {
        name: "chaos",
        arguments: " [--seed N] [--seeds COUNT] [--writes N] [--mutation NAME] [--release]",
        about: "Run random workloads on a throw-away stack while processes are killed and stopped and S3 fails, then \
                check that everything that was acknowledged is there.",
        options: &[
            ("--seed N", "the seed of the first run; the current time without this option"),
            ("--seeds COUNT", "the number of runs, each with the next seed; 1 without this option"),
            ("--writes N", "the acknowledged writes after which a run ends; 1000 without this option"),
            ("--mutation NAME", "plant this mistake, which the check must find"),
            RELEASE,
        ],
    },
    Help {
        name: "promises",
        arguments: "",
        about: "Write the measurements of the last `test --release` and the last `chaos` into tests/PROMISES.md.",
        options: &[],
    },
    Help {
        name: "openapi",
        arguments: "",
        about: "Write the description of the API, openapi.json, from the sources.",
        options: &[],
    },
    Help {
        name: "schemathesis",
        arguments: " [--minutes N] [--release]",
        about: "Test a throw-away stack against the description of the API.",
        options: &[("--minutes N", "the time that the tests take; 2 without this option"), RELEASE],
    },
    Help {
        name: "lint",
        arguments: "",
        about: "Check template.yaml, as it is and as AWS expands it, and the licences, sources and versions of the \
                dependencies.",
        options: &[],
    },
    Help {
        name: "cost",
        arguments: " [--write]",
        about: "Compute what the stack costs while it is idle and what requests cost. Fails if an idle resource costs \
                money or a README has other numbers.",
        options: &[("--write", "take over what `bench api` measured, and write functions/README.md")],
    },
    Help {
        name: "bench",
        arguments: "",
        about: "Measure the size, the start and the memory of each function.",
        options: &[],
    },
    Help {
        name: "bench api",
        arguments: " [--only TEXT]",
        about: "Measure the processor time, wall time and memory of requests, beside those of an Express server with \
                the routes of the original.",
        options: &[("--only TEXT", "only the routes with TEXT in their name or path")],
    },
    Help {
        name: "bench scale",
        arguments: " [--release]",
        about: "Measure pages and searches in folders of a thousand, a hundred thousand and a million files, and what \
                happens to a folder of ten thousand. Fails above its limits.",
        options: &[RELEASE],
    },
    Help {
        name: "bench thumbnails",
        arguments: " [--only TEXT]",
        about: "Measure the time, memory and SSIM of thumbnails, beside those of sharp.",
        options: &[("--only TEXT", "only the images with TEXT in their name")],
    },
    Help {
        name: "bench zips",
        arguments: " [--files 10000] [--mib 256] [--release]",
        about: "Measure the time and the memory of ZIPs of many small files and of ten large ones, and compare each entry \
                with its file. Fails above its limits.",
        options: &[
            ("--files N", "so many files of 100 kB (default: 10000)"),
            ("--mib N", "the size of the large files; the emulator takes 25 times as much memory (default: 256)"),
            RELEASE,
        ],
    },
];

/// A command line that is not understood. The program prints it and exits with 2.
#[derive(Debug)]
pub struct UsageError {
    problem: Option<String>,
    /// The arguments that are allowed instead.
    usage: String,
}

impl Display for UsageError {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        match &self.problem {
            Some(problem) => write!(f, "error: {problem}\n\n{}", self.usage),
            None => f.write_str(&self.usage),
        }
    }
}

/// The reason why the arguments of a command are not read to their end.
enum Stop {
    Help,
    Wrong(lexopt::Error),
}

impl From<lexopt::Error> for Stop {
    fn from(error: lexopt::Error) -> Self {
        Self::Wrong(error)
    }
}

/// Reads a command line without the name of the program.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, UsageError> {
    let mut parser = Parser::from_args(args);
    let wrong = |error: lexopt::Error| UsageError { problem: Some(error.to_string()), usage: help() };
    let name = match parser.next().map_err(wrong)? {
        None => return Err(UsageError { problem: None, usage: help() }),
        Some(Arg::Long("help") | Arg::Short('h')) => return Ok(Command::Help(help())),
        Some(Arg::Value(name)) => name.string().map_err(wrong)?,
        Some(other) => return Err(wrong(other.unexpected())),
    };
    if name == "help" {
        return Ok(Command::Help(help()));
    }
    let mut command = name.clone();
    let parsed = match name.as_str() {
        "up" => up(&mut parser),
        "down" => no_arguments(&mut parser, Command::Down),
        "fsck" => no_arguments(&mut parser, Command::Fsck),
        "logs" => logs(&mut parser),
        "test" => test(&mut parser),
        "chaos" => chaos(&mut parser),
        "promises" => no_arguments(&mut parser, Command::Promises),
        "openapi" => no_arguments(&mut parser, Command::OpenApi),
        "schemathesis" => schemathesis(&mut parser),
        "lint" => no_arguments(&mut parser, Command::Lint),
        "cost" => cost(&mut parser),
        "bench" => bench(&mut parser, &mut command),
        _ => return Err(wrong(format!("there is no command {name}").into())),
    };
    parsed.or_else(|stop| match stop {
        Stop::Help => Ok(Command::Help(help_of(&command))),
        Stop::Wrong(error) => {
            let usage = format!("{}\n\n`cargo local {command} --help` explains it.", usage_of(&command));
            Err(UsageError { problem: Some(error.to_string()), usage })
        }
    })
}

/// The next argument of a command. `--help` stops the reading.
fn next(parser: &mut Parser) -> Result<Option<Arg<'_>>, Stop> {
    match parser.next()? {
        Some(Arg::Long("help") | Arg::Short('h')) => Err(Stop::Help),
        arg => Ok(arg),
    }
}

fn no_arguments(parser: &mut Parser, command: Command) -> Result<Command, Stop> {
    match next(parser)? {
        None => Ok(command),
        Some(arg) => Err(arg.unexpected().into()),
    }
}

fn up(parser: &mut Parser) -> Result<Command, Stop> {
    let mut options =
        UpOptions { fresh: false, demo: false, port: 5000, watch: false, debug: false, profile: Profile::Local };
    while let Some(arg) = next(parser)? {
        match arg {
            Arg::Long("fresh") => options.fresh = true,
            Arg::Long("demo") => options.demo = true,
            Arg::Long("port") => options.port = parser.value()?.parse()?,
            Arg::Long("watch") => options.watch = true,
            Arg::Long("debug") => options.debug = true,
            Arg::Long("release") => options.profile = Profile::Release,
            _ => return Err(arg.unexpected().into()),
        }
    }
    Ok(Command::Up(options))
}

fn logs(parser: &mut Parser) -> Result<Command, Stop> {
    let mut options = logs::Options { function: None, follow: false };
    while let Some(arg) = next(parser)? {
        match arg {
            Arg::Short('f') if !options.follow => options.follow = true,
            Arg::Value(name) if options.function.is_none() => options.function = Some(name.string()?),
            _ => return Err(arg.unexpected().into()),
        }
    }
    Ok(Command::Logs(options))
}

/// Cargo gets everything after `--`, options too.
fn test(parser: &mut Parser) -> Result<Command, Stop> {
    let mut options = TestOptions { keep: false, profile: Profile::Local, cargo_args: Vec::new() };
    loop {
        let mut raw = parser.raw_args()?;
        if raw.peek().is_some_and(|arg| arg == "--") {
            raw.next();
            options.cargo_args = raw.map(ValueExt::string).collect::<Result<_, _>>()?;
            return Ok(Command::Test(options));
        }
        match next(parser)? {
            None => return Ok(Command::Test(options)),
            Some(Arg::Long("keep")) => options.keep = true,
            Some(Arg::Long("release")) => options.profile = Profile::Release,
            Some(arg) => return Err(arg.unexpected().into()),
        }
    }
}

/// The program of the crate `chaos` reads these options again. They are read here too, so that a wrong one is refused
/// before minutes of building.
fn chaos(parser: &mut Parser) -> Result<Command, Stop> {
    let (mut profile, mut args) = (Profile::Local, Vec::new());
    while let Some(arg) = next(parser)? {
        let (name, value) = match arg {
            Arg::Long("release") => {
                profile = Profile::Release;
                continue;
            }
            Arg::Long(name @ ("seed" | "seeds" | "writes")) => {
                let name = format!("--{name}");
                (name, parser.value()?.parse::<u64>()?.to_string())
            }
            Arg::Long("mutation") => ("--mutation".to_owned(), parser.value()?.string()?),
            _ => return Err(arg.unexpected().into()),
        };
        args.extend([name, value]);
    }
    Ok(Command::Chaos { profile, args })
}

fn schemathesis(parser: &mut Parser) -> Result<Command, Stop> {
    let (mut profile, mut minutes) = (Profile::Local, 2);
    while let Some(arg) = next(parser)? {
        match arg {
            Arg::Long("release") => profile = Profile::Release,
            Arg::Long("minutes") => {
                minutes = parser.value()?.parse_with(|text| match text.parse() {
                    Ok(0) => Err("it takes at least 1 minute".to_owned()),
                    parsed => parsed.map_err(|error: std::num::ParseIntError| error.to_string()),
                })?;
            }
            _ => return Err(arg.unexpected().into()),
        }
    }
    Ok(Command::Schemathesis { profile, time: Duration::from_mins(minutes) })
}

fn cost(parser: &mut Parser) -> Result<Command, Stop> {
    let mut readme = Readme::Compare;
    while let Some(arg) = next(parser)? {
        match arg {
            Arg::Long("write") => readme = Readme::Write,
            _ => return Err(arg.unexpected().into()),
        }
    }
    Ok(Command::Cost(readme))
}

/// `command` becomes the name of the benchmark, for its help.
fn bench(parser: &mut Parser, command: &mut String) -> Result<Command, Stop> {
    let benchmark = match next(parser)? {
        None => return Ok(Command::Bench),
        Some(Arg::Value(name)) if ["api", "scale", "thumbnails", "zips"].iter().any(|known| name == *known) => {
            name.string()?
        }
        Some(arg) => return Err(arg.unexpected().into()),
    };
    *command = format!("bench {benchmark}");
    if benchmark == "scale" {
        let mut profile = Profile::Local;
        while let Some(arg) = next(parser)? {
            match arg {
                Arg::Long("release") => profile = Profile::Release,
                _ => return Err(arg.unexpected().into()),
            }
        }
        return Ok(Command::BenchScale { profile });
    }
    if benchmark == "zips" {
        let mut options = ZipsOptions { profile: Profile::Local, files: 10_000, mib: 256 };
        while let Some(arg) = next(parser)? {
            match arg {
                Arg::Long("files") => options.files = parser.value()?.parse()?,
                Arg::Long("mib") => options.mib = parser.value()?.parse()?,
                Arg::Long("release") => options.profile = Profile::Release,
                _ => return Err(arg.unexpected().into()),
            }
        }
        return Ok(Command::BenchZips(options));
    }
    let mut only = String::new();
    while let Some(arg) = next(parser)? {
        match arg {
            Arg::Long("only") => only = parser.value()?.string()?,
            _ => return Err(arg.unexpected().into()),
        }
    }
    Ok(if benchmark == "api" { Command::BenchApi { only } } else { Command::BenchThumbnails { only } })
}

/// The help of all commands.
fn help() -> String {
    let mut text = "Files Manager on this machine, without AWS and without Docker.\n".to_owned();
    for help in &HELP {
        help.write(&mut text);
    }
    text.push_str("\n`cargo local COMMAND --help` prints the help of one command.");
    text
}

/// The help of one command; of `bench` also that of the benchmarks that it has.
fn help_of(command: &str) -> String {
    let mut text = String::new();
    for help in HELP.iter().filter(|help| help.belongs_to(command)) {
        help.write(&mut text);
    }
    text.trim().to_owned()
}

fn usage_of(command: &str) -> String {
    let usages: Vec<String> = HELP.iter().filter(|help| help.belongs_to(command)).map(Help::usage).collect();
    format!("usage: {}", usages.join("\n       "))
}

impl Help {
    fn belongs_to(&self, command: &str) -> bool {
        self.name.strip_prefix(command).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
    }

    fn usage(&self) -> String {
        format!("cargo local {}{}", self.name, self.arguments)
    }

    fn write(&self, text: &mut String) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "\n{}", self.usage());
        for line in wrapped(self.about, 100) {
            let _ = writeln!(text, "    {line}");
        }
        for (option, about) in self.options {
            let _ = writeln!(text, "    {option:<16} {about}");
        }
    }
}

/// A text in lines of up to `width` characters.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let is_full = lines.last().is_some_and(|line| !line.is_empty() && line.len() + 1 + word.len() > width);
        if is_full {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, String> {
        parse(line.split_whitespace().map(OsString::from)).map_err(|error| error.to_string())
    }

    fn up(fresh: bool, port: u16) -> Command {
        Command::Up(UpOptions { fresh, demo: false, port, watch: false, debug: false, profile: Profile::Local })
    }

    #[test]
    fn up_understands_its_options_and_no_others() {
        assert_eq!(parsed("up").unwrap(), up(false, 5000));
        assert_eq!(parsed("up --port 5001 --fresh").unwrap(), up(true, 5001));
        assert_eq!(parsed("up --port=5001").unwrap(), up(false, 5001));
        let watched =
            UpOptions { fresh: false, demo: false, port: 5000, watch: true, debug: false, profile: Profile::Release };
        assert_eq!(parsed("up --watch --release").unwrap(), Command::Up(watched));
        for wrong in ["up --port", "up --port 70000", "up --frehs", "up --fresh=yes", "up 5001"] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_unknown_option_names_the_options_that_there_are() {
        let error = parsed("up --frehs").unwrap_err();
        assert!(error.starts_with("error: invalid option '--frehs'\n"), "{error}");
        assert!(
            error.contains("usage: cargo local up [--fresh] [--demo] [--port PORT] [--watch] [--debug] [--release]\n"),
            "{error}"
        );
        let error = parsed("bench --only").unwrap_err();
        assert!(error.contains("\n       cargo local bench thumbnails [--only TEXT]\n"), "{error}");
        let error = parsed("start").unwrap_err();
        assert!(
            error.starts_with("error: there is no command start\n") && error.contains("cargo local down"),
            "{error}"
        );
        assert!(parsed("").unwrap_err().starts_with("Files Manager"));
    }

    #[test]
    fn each_command_has_a_help_of_its_own() {
        for help in &HELP {
            for flag in ["--help", "-h"] {
                let Ok(Command::Help(text)) = parsed(&format!("{} {flag}", help.name)) else {
                    panic!("{} has no help", help.name);
                };
                assert!(text.starts_with(&help.usage()), "{text}");
                assert!(help.options.iter().all(|(option, _)| text.contains(option)), "{text}");
            }
        }
        for general in ["help", "--help", "-h"] {
            let Ok(Command::Help(text)) = parsed(general) else { panic!("{general} is no help") };
            assert!(HELP.iter().all(|help| text.contains(&help.usage())), "{text}");
        }
    }

    #[test]
    fn arguments_of_logs_are_a_function_and_whether_to_follow() {
        let options = |function: Option<&str>, follow| {
            Command::Logs(logs::Options { function: function.map(str::to_owned), follow })
        };
        assert_eq!(parsed("logs").unwrap(), options(None, false));
        assert_eq!(parsed("logs files -f").unwrap(), options(Some("files"), true));
        for wrong in ["logs --follow", "logs files auth", "logs -f -f"] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn cargo_gets_all_that_follows_two_hyphens() {
        let test = |keep, profile, args: &[&str]| {
            Command::Test(TestOptions { keep, profile, cargo_args: args.iter().map(ToString::to_string).collect() })
        };
        assert_eq!(parsed("test").unwrap(), test(false, Profile::Local, &[]));
        assert_eq!(parsed("test --keep --release").unwrap(), test(true, Profile::Release, &[]));
        let args = ["-p", "e2e", "--", "--help"];
        assert_eq!(parsed("test -- -p e2e -- --help").unwrap(), test(false, Profile::Local, &args));
        assert_eq!(parsed("test --keep -- -p e2e -- --help").unwrap(), test(true, Profile::Local, &args));
        assert!(parsed("test name").is_err() && parsed("test --name").is_err());
    }

    #[test]
    fn chaos_gets_its_options_one_by_one() {
        let chaos = |args: &[&str]| Command::Chaos {
            profile: Profile::Local,
            args: args.iter().map(ToString::to_string).collect(),
        };
        assert_eq!(parsed("chaos").unwrap(), chaos(&[]));
        let options = parsed("chaos --seed=7 --writes 9 --mutation no-flip-check").unwrap();
        assert_eq!(options, chaos(&["--seed", "7", "--writes", "9", "--mutation", "no-flip-check"]));
        for wrong in ["chaos --seed", "chaos --seed seven", "chaos --bug no-flip-check", "chaos 7"] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_other_commands_understand_their_options() {
        let minutes = |minutes| Command::Schemathesis { profile: Profile::Local, time: Duration::from_mins(minutes) };
        assert_eq!(parsed("schemathesis").unwrap(), minutes(2));
        assert_eq!(parsed("schemathesis --minutes=5").unwrap(), minutes(5));
        assert_eq!(parsed("cost").unwrap(), Command::Cost(Readme::Compare));
        assert_eq!(parsed("cost --write").unwrap(), Command::Cost(Readme::Write));
        assert_eq!(parsed("bench").unwrap(), Command::Bench);
        assert_eq!(parsed("bench api").unwrap(), Command::BenchApi { only: String::new() });
        assert_eq!(parsed("bench scale").unwrap(), Command::BenchScale { profile: Profile::Local });
        assert_eq!(parsed("bench scale --release").unwrap(), Command::BenchScale { profile: Profile::Release });
        assert_eq!(parsed("bench thumbnails --only gif").unwrap(), Command::BenchThumbnails { only: "gif".to_owned() });
        let zips = |profile, files, mib| Command::BenchZips(ZipsOptions { profile, files, mib });
        assert_eq!(parsed("bench zips").unwrap(), zips(Profile::Local, 10_000, 256));
        let larger = "bench zips --files 5 --mib=1024 --release";
        assert_eq!(parsed(larger).unwrap(), zips(Profile::Release, 5, 1024));
        for wrong in [
            "bench zips --mib x",
            "schemathesis --minutes 0",
            "schemathesis 5",
            "cost --wirte",
            "bench other",
            "bench scale --only x",
            "down now",
        ] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }
}
