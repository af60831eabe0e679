//! The invariants of the architecture, checked against the sources.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// The layers, from the top. A module uses modules of lower layers only; in the ground it may use its own layer.
const LAYERS: [&[&str]; 7] = [
    &["http"],
    &["account_deletion"],
    &["links"],
    &["uploads", "archives"],
    &["files", "accounts"],
    &["stores"],
    &["config", "digest", "error", "ids", "limits", "logging", "time"],
];

/// The names that `lib.rs` has of the ground's modules.
const REEXPORTS: [(&str, &str); 3] = [("Config", "config"), ("Error", "error"), ("Result", "error")];

#[test]
fn no_arrow_leads_upward() {
    let layer = |module: &str| {
        let wing = wing(module);
        let at = LAYERS.iter().position(|layer| layer.contains(&wing));
        at.unwrap_or_else(|| panic!("{wing} is in no layer"))
    };
    let sources = Sources::read();
    let is_down = |from: &str, to: &str| {
        wing(from) == wing(to) || layer(from) < layer(to) || layer(from) == LAYERS.len() - 1 && layer(to) == layer(from)
    };
    let up: Vec<_> = sources.arrows().into_iter().filter(|(from, to)| !is_down(from, to)).collect();
    assert!(up.is_empty(), "these modules use a module of a higher or of their own layer: {up:#?}");
}

#[test]
fn no_modules_use_each_other_in_a_circle() {
    let mut arrows = Sources::read().arrows();
    assert!(arrows.len() > 100, "only {} arrows are found", arrows.len());
    // A module that uses no other, or that no other uses, is in no circle.
    loop {
        let using: BTreeSet<String> = arrows.iter().map(|(from, _)| from.clone()).collect();
        let used: BTreeSet<String> = arrows.iter().map(|(_, to)| to.clone()).collect();
        let before = arrows.len();
        arrows.retain(|(from, to)| using.contains(to) && used.contains(from));
        if arrows.len() == before {
            break;
        }
    }
    assert!(arrows.is_empty(), "these modules use each other in a circle: {arrows:#?}");
}

#[test]
fn axum_is_only_in_http() {
    let sources = Sources::read();
    let with_axum = |(module, source): &(&String, &String)| wing(module) != "http" && source.contains("axum");
    let modules: Vec<_> = sources.0.iter().filter(with_axum).map(|(module, _)| module).collect();
    assert!(modules.is_empty(), "{modules:?}");
    assert!(sources.0["http::serve"].contains("axum"));
}

#[test]
fn the_forms_of_keys_are_only_in_s3_key() {
    let forms = ["\"files/", "\"uploads/", "\"thumbnails/", "\"zips/", "/form\"", "/plan\"", "/checksums\""];
    let mut sources = Sources::read();
    let key = sources.0.remove("stores::s3::key").expect("the module of keys");
    for form in forms {
        assert!(key.contains(form), "{form} is no form of a key any more");
    }
    sources.add(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../functions"), "functions");
    sources.assert_without(&forms);
}

#[test]
fn the_names_of_the_ledgers_fields_are_only_in_row() {
    let mut sources = Sources::read();
    let (_, row) = sources.0["files::row"].split_once("pub struct Row {").expect("the row's struct");
    let fields = row.split("\n}").next().unwrap_or_default().lines().map(str::trim);
    let fields = fields.filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(": "));
    let fields = fields.map(|(name, _)| camel_case(name.trim_start_matches("pub ").trim_start_matches("r#")));
    let fields: Vec<String> =
        fields.chain(["_id", "decodings", "localPath", "thumbnailsResent"].map(str::to_owned)).collect();
    assert!(fields.len() > 20 && fields.contains(&"parentId".to_owned()), "{fields:?}");
    // The other collections have fields of the same names.
    let of_others = ["files::counters", "files::idempotency", "files::usage_check"];
    sources.0.retain(|module, _| wing(module) == "files" && !of_others.contains(&module.as_str()));
    sources.0.retain(|module, _| !module.starts_with("files::row"));
    let names: Vec<String> = fields.iter().flat_map(|name| [format!("\"{name}\""), format!("\"${name}\"")]).collect();
    sources.assert_without(&names.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn the_ledgers_collection_is_named_only_in_row() {
    let mut sources = Sources::read();
    assert!(sources.0.remove("files::row").is_some_and(|row| row.contains("\"files\"")));
    sources.assert_without(&["\"files\""]);
}

fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |camel, word| camel + &word[..1].to_uppercase() + &word[1..])
}

impl Sources {
    fn assert_without(&self, texts: &[&str]) {
        for (module, source) in &self.0 {
            for line in source.lines() {
                assert!(!texts.iter().any(|text| line.contains(text)), "{module}: {line}");
            }
        }
    }
}

/// The sources of the modules by their paths, without comments and tests.
struct Sources(BTreeMap<String, String>);

impl Sources {
    /// All modules but the root and this one.
    fn read() -> Self {
        let mut sources = Self(BTreeMap::new());
        sources.add(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "");
        sources.0.retain(|module, _| !["lib", "architecture"].contains(&module.as_str()));
        sources
    }

    fn add(&mut self, folder: &Path, path: &str) {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        for file in entries.collect::<Vec<PathBuf>>() {
            let name = file.file_stem().and_then(|name| name.to_str()).unwrap();
            let module = if path.is_empty() { name.to_owned() } else { format!("{path}::{name}") };
            if file.is_dir() {
                self.add(&file, &module);
            } else if file.extension().is_some_and(|extension| extension == "rs") {
                let source = fs::read_to_string(&file).unwrap();
                let code = source.split("\n#[cfg(test)]\nmod ").next().unwrap();
                let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
                self.0.insert(module, lines.flat_map(|line| ["\n", line]).collect());
            }
        }
    }

    /// Every pair of modules of which the first uses the second. What a module exports of its children with `pub use`
    /// is its table of contents, and no arrow.
    fn arrows(&self) -> BTreeSet<(String, String)> {
        let mut arrows = BTreeSet::new();
        for (module, source) in &self.0 {
            let parent: Vec<&str> = module.split("::").collect();
            let parent = &parent[..parent.len() - 1];
            // A module names its own children without a prefix.
            let mut used = after(source, "\nuse ");
            for path in &mut used {
                *path = module.split("::").chain(path.iter().copied()).collect();
            }
            used.extend(after(source, "crate::"));
            used.extend(after(source, "super::").into_iter().map(|path| [parent, &path].concat()));
            let used = used.iter().filter_map(|path| self.module(path)).filter(|used| used != module);
            arrows.extend(used.map(|used| (module.clone(), used)));
        }
        arrows
    }

    /// The module that a path leads to or into.
    fn module(&self, path: &[&str]) -> Option<String> {
        let reexported = REEXPORTS.iter().find(|(name, _)| path.first() == Some(name));
        if let Some((_, module)) = reexported {
            return Some((*module).to_owned());
        }
        let prefixes = (1..=path.len()).rev().map(|length| path[..length].join("::"));
        prefixes.into_iter().find(|prefix| self.0.contains_key(prefix))
    }
}

fn wing(module: &str) -> &str {
    module.split("::").next().unwrap_or_default()
}

/// The paths that follow each occurrence of a text.
fn after<'a>(source: &'a str, text: &str) -> Vec<Vec<&'a str>> {
    source.split(text).skip(1).flat_map(paths).collect()
}

/// The paths at the beginning of a text: `a::b`, or of a tree such as `a::{b, c::d}` all.
fn paths(text: &str) -> Vec<Vec<&str>> {
    let Some(tree) = text.strip_prefix('{') else {
        let name = text.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
        let rest = text[name.len()..].strip_prefix("::").map(paths).unwrap_or(vec![Vec::new()]);
        return rest.into_iter().map(|path| [&[name][..], &path].concat()).collect();
    };
    let mut found = Vec::new();
    let (mut depth, mut start) = (0, 0);
    for (at, c) in tree.char_indices() {
        if depth == 0 && (c == ',' || c == '}') {
            found.extend(paths(tree[start..at].trim_start()));
            start = at + 1;
        }
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            _ => {}
        }
    }
    found
}

#[test]
fn a_tree_of_paths_is_all_its_paths() {
    assert_eq!(paths("a::b;"), [["a", "b"]]);
    assert_eq!(
        paths("{\n    Error,\n    a::{b, c::d},\n};"),
        [vec!["Error"], vec!["a", "b"], vec!["a", "c", "d"], vec![""]]
    );
}
