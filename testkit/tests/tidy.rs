//! House rules that a machine can check: see docs/ARCHITECTURE.md, "Rules".

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(&std::env::var("CARGO_MANIFEST_DIR").unwrap_or_else(|_| ".".to_owned())).join("..")
}

/// Files that git tracks or would track.
fn files() -> Vec<PathBuf> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .expect("git lists the files");
    assert!(output.status.success(), "git ls-files failed");
    let text = String::from_utf8(output.stdout).unwrap();
    let files: Vec<_> = text.lines().map(PathBuf::from).filter(|path| root().join(path).is_file()).collect();
    assert!(files.len() > 50, "git lists only {} files", files.len());
    files
}

fn with_extension(extensions: &[&str]) -> Vec<(PathBuf, String)> {
    files()
        .into_iter()
        .filter(|path| path.extension().and_then(|e| e.to_str()).is_some_and(|e| extensions.contains(&e)))
        .map(|path| {
            let text = std::fs::read_to_string(root().join(&path)).unwrap();
            (path, text)
        })
        .collect()
}

fn assert_none(rule: &str, offenders: &[String]) {
    assert!(offenders.is_empty(), "{rule}:\n  {}", offenders.join("\n  "));
}

#[test]
fn every_source_file_says_what_lives_in_it() {
    let starts = |text: &str, marks: &[&str]| marks.iter().any(|mark| text.starts_with(mark));
    let offenders: Vec<_> = with_extension(&["rs", "ts", "tsx", "py", "css"])
        .into_iter()
        .filter(|(path, text)| match path.extension().and_then(|e| e.to_str()) {
            Some("rs") => !starts(text, &["//! "]),
            Some("py") => !starts(text, &["\"\"\"", "#!/usr/bin/env python3\n\"\"\"", "# "]),
            _ => !starts(text, &["//", "/*"]),
        })
        .map(|(path, _)| path.display().to_string())
        .collect();
    assert_none("files without an opening comment", &offenders);
}

#[test]
fn no_file_is_called_utils_or_mod() {
    const FORBIDDEN: [&str; 9] =
        ["utils", "util", "helpers", "helper", "common", "misc", "mod", "manager", "processor"];
    let offenders: Vec<_> = with_extension(&["rs", "ts", "tsx", "py"])
        .into_iter()
        .filter(|(path, _)| path.file_stem().and_then(|s| s.to_str()).is_some_and(|s| FORBIDDEN.contains(&s)))
        .map(|(path, _)| path.display().to_string())
        .collect();
    assert_none("names that say nothing", &offenders);
}

#[test]
fn tests_do_not_sleep_and_are_not_ignored() {
    // Assembled so that this file does not find itself.
    let (sleep, ignore) = (["sle", "ep("].concat(), ["#[ig", "nore"].concat());
    let offenders: Vec<_> = with_extension(&["rs"])
        .into_iter()
        .filter(|(path, _)| path.components().any(|c| c.as_os_str() == "tests"))
        .filter(|(_, text)| text.contains(&sleep) || text.contains(&ignore))
        .map(|(path, _)| path.display().to_string())
        .collect();
    assert_none("tests that sleep or are ignored", &offenders);
}

#[test]
fn a_todo_names_its_issue() {
    let mark = ["TO", "DO"].concat();
    let mut offenders = Vec::new();
    for (path, text) in with_extension(&["rs", "ts", "tsx", "py"]) {
        for (number, line) in text.lines().enumerate() {
            let named = |rest: &str| rest.starts_with("(#");
            if line.split(&mark).skip(1).any(|rest| !named(rest) && !rest.starts_with(|c: char| c.is_alphanumeric())) {
                offenders.push(format!("{}:{}", path.display(), number + 1));
            }
        }
    }
    assert_none("open ends without an issue number", &offenders);
}

#[test]
fn files_hold_one_concept() {
    let offenders: Vec<_> = with_extension(&["rs", "ts", "tsx"])
        .into_iter()
        .filter(|(_, text)| text.lines().count() > 700)
        .map(|(path, text)| format!("{}: {} lines", path.display(), text.lines().count()))
        .collect();
    assert_none("files over 700 lines", &offenders);
    let thick: Vec<_> = with_extension(&["rs"])
        .into_iter()
        .filter(|(path, text)| path.ends_with("src/main.rs") && text.lines().count() > 80 && is_a_room(path))
        .map(|(path, text)| format!("{}: {} lines", path.display(), text.lines().count()))
        .collect();
    assert_none("main.rs over 80 lines", &thick);
}

/// True for the product's crates; a comparison with other engines is no process.
fn is_a_room(path: &Path) -> bool {
    path.components().count() == 3
}

/// What a room may know besides libraries (DESIGN: `proto ← {zmtp, eventlog, lake, trading, venues, service, user-events} ← processes ← dexorder`).
const EDGES: [(&str, &[&str]); 22] = [
    ("proto", &[]),
    ("zmtp", &[]),
    ("eventlog", &["proto"]),
    ("lake", &["proto"]),
    ("trading", &["proto"]),
    ("venues", &["proto"]),
    ("service", &[]),
    ("user-events", &["proto"]),
    ("relay", &["proto", "zmtp", "service"]),
    ("ingestor", &["proto", "zmtp", "eventlog", "venues", "service"]),
    ("stream", &["proto", "zmtp", "eventlog", "lake", "service"]),
    // The gateway's own rooms: each is a part of one process, and they meet in `gateway/src/people`.
    ("accounts", &["proto", "service"]),
    ("harness", &["proto", "service"]),
    ("provisioner", &["proto", "service", "harness"]),
    ("offline-assistant", &["proto", "trading", "service", "harness"]),
    ("notifications", &["proto", "zmtp", "user-events", "service"]),
    (
        "gateway",
        &[
            "proto",
            "zmtp",
            "eventlog",
            "lake",
            "trading",
            "service",
            "user-events",
            "accounts",
            "harness",
            "provisioner",
            "offline-assistant",
            "notifications",
        ],
    ),
    ("sandbox", &[]),
    ("agent-python", &["proto", "trading", "sandbox"]),
    ("agent-container", &["proto", "zmtp", "eventlog", "trading", "service", "user-events", "sandbox"]),
    (
        "dexorder",
        &[
            "proto",
            "zmtp",
            "eventlog",
            "lake",
            "trading",
            "venues",
            "service",
            "relay",
            "ingestor",
            "stream",
            "gateway",
            "agent-container",
        ],
    ),
    (
        "testkit",
        &[
            "proto",
            "zmtp",
            "eventlog",
            "lake",
            "trading",
            "venues",
            "service",
            "relay",
            "ingestor",
            "stream",
            "gateway",
            "agent-container",
            "dexorder",
        ],
    ),
];

/// Crate names in the `[dependencies]` table of a manifest.
fn dependencies(room: &str) -> Vec<String> {
    // Some crates live in the room of the one process that uses them.
    let dir = match room {
        "sandbox" => "agent-container/sandbox".to_owned(),
        "agent-python" => "agent-container/python".to_owned(),
        "accounts" | "harness" | "provisioner" | "offline-assistant" | "notifications" => {
            format!("gateway/{room}")
        }
        room => room.to_owned(),
    };
    let text = std::fs::read_to_string(root().join(dir).join("Cargo.toml")).unwrap();
    let mut inside = false;
    let mut names = Vec::new();
    for line in text.lines() {
        if line.starts_with('[') {
            inside = line.trim() == "[dependencies]";
        } else if let Some(end) = line.find(['.', ' ', '=']).filter(|_| inside) {
            names.push(line[..end].to_owned());
        }
    }
    names
}

#[test]
fn dependencies_point_one_way() {
    let rooms: BTreeMap<&str, &[&str]> = EDGES.into_iter().collect();
    let mut offenders = Vec::new();
    for (room, allowed) in &rooms {
        for name in dependencies(room) {
            if rooms.contains_key(name.as_str()) && !allowed.contains(&name.as_str()) {
                offenders.push(format!("{room} → {name}"));
            }
        }
    }
    assert_none("edges that need an ADR", &offenders);
}

#[test]
fn only_the_lake_links_iceberg() {
    let offenders: Vec<_> = EDGES
        .iter()
        .map(|(room, _)| *room)
        .filter(|room| *room != "lake" && dependencies(room).iter().any(|name| name.starts_with("iceberg")))
        .map(str::to_owned)
        .collect();
    assert_none("rooms that link iceberg", &offenders);
}

#[test]
fn topics_are_spelled_in_one_place() {
    let marks = [["|oh", "lc:{"].concat(), ["HISTORY_", "READY:{"].concat(), ["RESP", "ONSE:{"].concat()];
    let offenders: Vec<_> = with_extension(&["rs"])
        .into_iter()
        .filter(|(path, _)| !path.starts_with("proto") && !path.components().any(|c| c.as_os_str() == "tests"))
        .filter(|(_, text)| {
            text.lines().any(|line| {
                let code = line.split("//").next().unwrap_or("");
                marks.iter().any(|mark| code.contains(mark.as_str())) && code.contains("format!")
            })
        })
        .map(|(path, _)| path.display().to_string())
        .collect();
    assert_none("topics spelled outside proto/src/topic.rs", &offenders);
}

#[test]
fn links_in_the_docs_resolve() {
    let mut offenders = Vec::new();
    for (path, text) in with_extension(&["md"]) {
        let folder = path.parent().unwrap().to_owned();
        // What stands between backticks is code.
        let prose: String = text.split('`').step_by(2).collect();
        for part in prose.split("](").skip(1) {
            let target = part.split([')', '#']).next().unwrap_or("");
            let external = target.is_empty() || target.contains("://") || target.starts_with("mailto:");
            if !external && !root().join(&folder).join(target).exists() {
                offenders.push(format!("{} → {target}", path.display()));
            }
        }
    }
    assert_none("links that lead nowhere", &offenders);
}

#[test]
fn every_decision_is_in_the_index() {
    let index = std::fs::read_to_string(root().join("docs/adr/README.md")).unwrap();
    let offenders: Vec<_> = std::fs::read_dir(root().join("docs/adr"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "README.md" && !index.contains(name.as_str()))
        .collect();
    assert_none("decisions missing from docs/adr/README.md", &offenders);
}

#[test]
fn the_lock_files_name_no_registry_host() {
    let lock = root().join("gateway/web/package-lock.json");
    let text = std::fs::read_to_string(&lock).unwrap();
    assert!(!text.contains("\"resolved\""), "{} names where packages were downloaded", lock.display());
}
