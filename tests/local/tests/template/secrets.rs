//! The names of secrets are public. Their values are written nowhere.

use std::{fs, process::Command};

use crate::{project, template, text};

/// Each is the name of an SSM `SecureString`.
const NAMES_OF_SECRETS: [&str; 3] = ["MongodbUriParameter", "RedisUrlParameter", "TicketKeyParameter"];

/// `sam local` may set these variables of a function to the values themselves. On AWS they are empty.
const SECRETS: [&str; 3] = ["MONGODB_URI", "REDIS_URL", "TICKET_KEY"];

#[test]
fn s23_a_function_is_given_the_names_of_secrets_and_not_the_secrets() {
    for (name, function) in template().of("AWS::Lambda::Function") {
        for (variable, value) in function["Environment"]["Variables"].as_object().unwrap() {
            if SECRETS.contains(&variable.as_str()) {
                assert_eq!(value, "", "{variable} of {name}");
            } else if variable.starts_with("MALLOC_") {
                // A setting of the C library is a number.
                assert!(value.as_str().unwrap().parse::<u64>().is_ok(), "{variable} of {name}");
            } else {
                // The value refers to a resource or a parameter, and is not written here.
                assert!(value["Ref"].is_string(), "{variable} of {name}");
            }
        }
    }
}

#[test]
fn s23_the_name_of_a_secret_is_not_taken_for_the_secret() {
    let parameters = &template().0["Parameters"];
    for name in NAMES_OF_SECRETS {
        let parameter = &parameters[name];
        // A text that begins with a slash is no URL.
        assert_eq!(parameter["AllowedPattern"], "^/[A-Za-z0-9/._-]+$", "{name}");
        assert!(parameter["Default"].as_str().unwrap().starts_with('/'), "{name}");
    }
    // Another parameter may be a secret: then its value belongs into SSM, and its name into this list.
    for (name, parameter) in parameters.as_object().unwrap() {
        assert_eq!(parameter.get("NoEcho"), None, "{name}");
    }
    let resolved = template().0.to_string();
    assert!(!resolved.contains("{{resolve:"), "CloudFormation would write the value into the stack");
}

#[test]
fn s23_only_uploads_and_links_may_know_the_key_of_tickets() {
    for (name, function) in template().of("AWS::Lambda::Function") {
        let may_know = ["uploads", "links"].contains(&name);
        let role = template().named(&format!("{name}Role")).to_string();
        assert_eq!(role.contains("parameter${TicketKeyParameter}"), may_know, "{name}");
        let variable = &function["Environment"]["Variables"]["TICKET_KEY_PARAMETER"];
        assert_eq!(variable.is_null(), !may_know, "{name}");
        if may_know {
            assert_eq!(text(variable), "${TicketKeyParameter}");
        }
    }
}

#[test]
fn s23_no_file_and_no_commit_has_a_secret_in_it() {
    if !project(".git").exists() {
        println!("skipped: the sources are not in a git repository");
        return;
    }
    for file in git(&["ls-files", "-z"]).split('\0').filter(|file| !file.is_empty()) {
        let Ok(bytes) = fs::read(project(file)) else { continue };
        for line in String::from_utf8_lossy(&bytes).lines() {
            assert_eq!(secret_in(line), None, "in {file}");
        }
    }
    for line in git(&["log", "--patch", "--unified=0", "--format=commit %h", "HEAD"]).lines() {
        assert_eq!(secret_in(line), None, "in the history");
    }
}

#[test]
fn s23_a_secret_is_known_when_it_is_seen() {
    for secret in [
        format!("MONGODB_URI=mongodb+srv://{}:{}@cluster0.example.net/x", "bob", "toto1234"),
        format!("redis://:{}@localhost:6379", "toto1234"),
        format!("url = \"https://{}:{}@example.org\"", "x", "y"),
        ["-----BEGIN RSA ", "PRIVATE KEY-----"].concat(),
        ["AKIA", "0123456789ABCDEF"].concat(),
    ] {
        assert!(secret_in(&secret).is_some(), "{secret}");
    }
    for harmless in [
        "mongodb://127.0.0.1:27017/files_manager",
        "see https://example.org:443/a and bob@example.org",
        "redis://{user}:{password}@{host}",
        "mongodb+srv://<user>:<password>@…",
        "AKIAIOSFODNN7EXAMPLE",
    ] {
        assert_eq!(secret_in(harmless), None, "{harmless}");
    }
}

/// A secret in a line of text: a password in a URL, a private key, or an access key of AWS.
fn secret_in(line: &str) -> Option<&str> {
    let url = line.match_indices("://").find_map(|(at, _)| {
        let rest = &line[at + 3..];
        let authority = rest.split(|c: char| c.is_whitespace() || "/?#\"'`,;)]".contains(c)).next()?;
        let (user, _) = authority.rsplit_once('@')?;
        let (_, password) = user.split_once(':')?;
        // A placeholder for the value, in a format string or in a manual.
        let is_a_gap = password.is_empty() || password.starts_with(['{', '<', '$', '…']);
        (!is_a_gap).then_some(authority)
    });
    let private_key = line.split_once("-----BEGIN ").and_then(|(_, rest)| {
        let (kind, _) = rest.split_once("PRIVATE KEY-----")?;
        kind.chars().all(|c| c == ' ' || c.is_ascii_uppercase()).then_some(line)
    });
    // The keys in AWS's documentation end in EXAMPLE.
    let aws_key = ["AKIA", "ASIA"].iter().flat_map(|kind| line.match_indices(kind)).find_map(|(at, _)| {
        let key = line.get(at..at + 20)?;
        let is_key = key.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
        (is_key && !key.ends_with("EXAMPLE")).then_some(key)
    });
    url.or(private_key).or(aws_key)
}

fn git(args: &[&str]) -> String {
    // Git only reads the folder, so its owner does not matter.
    let git = Command::new("git").args(["-c", "safe.directory=*", "-C"]).arg(project("")).args(args).output().unwrap();
    assert!(git.status.success(), "{}", String::from_utf8_lossy(&git.stderr));
    String::from_utf8_lossy(&git.stdout).into_owned()
}
