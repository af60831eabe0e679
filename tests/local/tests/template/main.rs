//! The promises of `template.yaml`, as AWS expands it: roles have the least rights, the stores are private, and an idle
//! stack costs nothing.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "what is not there fails the test")]

#[path = "../../src/aws_limits.rs"]
#[allow(dead_code, reason = "the gateway proxy of the local stack enforces the other limits")]
mod aws_limits;
mod roles;
mod secrets;
mod stores;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

use serde_json::Value;

/// The value of a parameter, to find where the template uses it.
const ORIGIN: &str = "https://pages.example.com";

/// The route of every request that no other route takes.
const DEFAULT: &str = "$default";

#[test]
fn nothing_costs_while_nobody_uses_it() {
    let cost = Command::new(env!("CARGO_BIN_EXE_local")).arg("cost").output().unwrap();
    assert!(cost.status.success(), "{}", String::from_utf8_lossy(&cost.stderr));
}

#[test]
fn each_folder_of_functions_is_a_function() {
    let entries = fs::read_dir(project("functions")).unwrap().map(Result::unwrap);
    let folders = entries.filter(|entry| entry.path().is_dir());
    let folders: BTreeSet<String> = folders.map(|folder| folder.file_name().into_string().unwrap()).collect();
    let functions: BTreeSet<String> = template().of("AWS::Lambda::Function").map(|(name, _)| name.to_owned()).collect();
    assert_eq!(functions, folders);
}

#[test]
fn each_path_belongs_to_one_function_whatever_the_method() {
    let owners = owners();
    assert!(owners.contains_key(DEFAULT), "what no function owns is answered in JSON");
    // The function that may be called for a path is the owner of the path.
    for (name, permission) in template().of("AWS::Lambda::Permission") {
        let (_, route) = permission_of(permission);
        let caller = text(&permission["FunctionName"]);
        assert_eq!(owners.get(&route).map(|owner| format!("${{{owner}}}")), Some(caller), "{name} of {route}");
    }
}

#[test]
fn the_routes_are_the_paths_of_the_description() {
    let description = fs::read_to_string(project("functions/status/src/openapi.json")).unwrap();
    let description: Value = serde_json::from_str(&description).unwrap();
    let described: BTreeSet<&String> = description["paths"].as_object().unwrap().keys().collect();
    let routes = template().only("AWS::ApiGatewayV2::Api")["Body"]["paths"].as_object().unwrap();
    let routes: BTreeSet<&String> = routes.keys().filter(|route| !route.ends_with(DEFAULT)).collect();
    assert_eq!(routes, described);
}

#[test]
fn r25_a_function_that_answers_ends_before_the_gateway_gives_up() {
    let answering: BTreeSet<String> = owners().into_values().collect();
    for (name, function) in template().of("AWS::Lambda::Function") {
        let is_in_background = ["archives", "sweeper", "thumbnails"].contains(&name);
        assert_ne!(answering.contains(name), is_in_background, "{name} has routes");
        let timeout = function["Timeout"].as_u64().unwrap();
        assert!(is_in_background || timeout < aws_limits::GATEWAY_TIMEOUT.as_secs(), "{name} has {timeout} s");
    }
}

#[test]
fn every_crate_forbids_unsafe_code() {
    let mut crates = vec![project("shared"), project("functions/thumbnails/thumbnailer")];
    for folder in ["functions", "tests"] {
        crates.extend(fs::read_dir(project(folder)).unwrap().map(|entry| entry.unwrap().path()));
    }
    // A folder without src is no crate.
    for sources in crates.iter().map(|of| of.join("src")).filter(|sources| sources.exists()) {
        let mut roots = vec![sources.join("lib.rs"), sources.join("main.rs")];
        if let Ok(binaries) = fs::read_dir(sources.join("bin")) {
            roots.extend(binaries.map(|binary| binary.unwrap().path()));
        }
        roots.retain(|root| root.exists());
        assert!(!roots.is_empty(), "{} has no root", sources.display());
        for root in roots {
            let source = fs::read_to_string(&root).unwrap();
            assert!(source.lines().any(|line| line == "#![forbid(unsafe_code)]"), "{} does not", root.display());
        }
    }
}

/// The function of each route, with `*` for what varies in its path.
fn owners() -> BTreeMap<String, String> {
    let mut owners = BTreeMap::new();
    for (path, methods) in template().only("AWS::ApiGatewayV2::Api")["Body"]["paths"].as_object().unwrap() {
        let methods = methods.as_object().unwrap();
        assert_eq!(methods.keys().collect::<Vec<_>>(), ["x-amazon-apigateway-any-method"], "of {path}");
        let integration = &methods["x-amazon-apigateway-any-method"]["x-amazon-apigateway-integration"];
        let uri = text(&integration["uri"]);
        let (_, function) = uri.split_once("functions/${").unwrap();
        let (function, _) = function.split_once(".Arn}").unwrap();
        let parts: Vec<_> = path.split('/').map(|part| if part.starts_with('{') { "*" } else { part }).collect();
        let other = owners.insert(parts.join("/"), function.to_owned());
        assert_eq!(other, None, "{path} is there twice");
    }
    owners
}

/// The API that may call a function, and the route that it may call it for.
fn permission_of(permission: &Value) -> (String, String) {
    let source = text(&permission["SourceArn"]);
    let (api, route) = source.split_once("/*/*").unwrap_or_else(|| panic!("{source} names a stage or a method"));
    (api.to_owned(), if route.is_empty() { DEFAULT.to_owned() } else { route.to_owned() })
}

struct Template(Value);

fn template() -> &'static Template {
    static EXPANDED: LazyLock<Template> = LazyLock::new(|| {
        let python = project(".local/sam/bin/python");
        assert!(python.exists(), "run `cargo local lint` first: it installs what expands the template");
        let mut expand = Command::new(python);
        expand.arg(project("tests/local/expand_template.py")).arg(project("template.yaml"));
        let expand = expand.arg(format!("AllowedOrigin={ORIGIN}")).output().unwrap();
        assert!(expand.status.success(), "{}", String::from_utf8_lossy(&expand.stderr));
        Template(serde_json::from_slice(&expand.stdout).unwrap())
    });
    &EXPANDED
}

impl Template {
    fn resources(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0["Resources"].as_object().unwrap().iter().map(|(name, resource)| (name.as_str(), resource))
    }

    /// The names and properties of all resources of one type.
    fn of(&self, kind: &str) -> impl Iterator<Item = (&str, &Value)> {
        self.resources()
            .filter(move |(_, resource)| resource["Type"] == kind)
            .map(|(name, resource)| (name, &resource["Properties"]))
    }

    /// The properties of the only resource of a type.
    fn only(&self, kind: &str) -> &Value {
        let all: Vec<_> = self.of(kind).collect();
        let [(_, properties)] = all[..] else { panic!("{} of {kind}", all.len()) };
        properties
    }

    fn named(&self, name: &str) -> &Value {
        let resource = &self.0["Resources"][name]["Properties"];
        assert!(resource.is_object(), "{name} is in the template");
        resource
    }
}

/// A value in the notation of `!Sub`: `!Ref X` is `${X}`, `!GetAtt X.Arn` is `${X.Arn}`.
fn text(value: &Value) -> String {
    let function = |name: &str| value.get(name);
    if let Some(text) = value.as_str().or_else(|| function("Fn::Sub")?.as_str()) {
        text.to_owned()
    } else if let Some(of) = function("Ref") {
        format!("${{{}}}", of.as_str().unwrap())
    } else if let Some(path) = function("Fn::GetAtt") {
        format!("${{{}}}", list(path).iter().map(|part| part.as_str().unwrap()).collect::<Vec<_>>().join("."))
    } else if let Some([text, values]) = function("Fn::Sub").and_then(Value::as_array).map(Vec::as_slice) {
        values.as_object().unwrap().iter().fold(text.as_str().unwrap().to_owned(), |text, (name, value)| {
            text.replace(&format!("${{{name}}}"), &self::text(value))
        })
    } else {
        panic!("{value} is neither text nor a function that makes text")
    }
}

/// A field that a policy may have as one value or as a list.
fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice)
}

fn texts(value: &Value) -> Vec<String> {
    list(value).iter().map(text).collect()
}

fn project(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().join(relative)
}
