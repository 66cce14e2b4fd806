//! Nothing leads out of the workspace: names, links, and what somebody plants in the history.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::os::unix::fs::symlink;
use std::path::Path;

use agent_container::workspace::{
    Author, Expected, FilePath, Intent, Kind, Limits, NAME_BYTES_MAX, NameError, Workspace, WorkspaceError,
};
use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

const LIMITS: Limits = Limits { file_bytes_max: 64 * 1024, files_per_kind_max: 50, total_bytes_max: 64 * 1024 * 1024 };

fn intent() -> Intent {
    Intent { author: Author::Assistant, why: "test".to_owned(), expected: Expected::Any, command_id: None, now_ns: 1 }
}

fn strategy(name: &str) -> FilePath {
    FilePath::new(Kind::Strategy, name).expect("a good name")
}

/// Ways in which a name was ever made to be more than a name.
#[rustfmt::skip]
const HOSTILE_NAMES: &[&str] = &[
    "", ".", "..", "...", "/", "//", "\\", "a/b", "a\\b", "/etc/passwd", "../x", "..\\x", "../../etc/passwd",
    "a/../b", "./a", "a/.", "a/", "/a", "~", "~root", "~/x", "$HOME", "${HOME}", "`id`", "$(id)", "a;b", "a|b", "a&b",
    "a b", " a", "a ", "\ta", "a\n", "a\nb", "a\rb", "a\0", "a\0.py", "\0", "a\u{1}", "a\u{7f}", "a\u{1b}[2J", ".git",
    ".git/config", ".gitattributes", ".gitmodules", ".hidden", "..a", "a.py", "a.json", "a.", "a..b", "a.b", "git~1",
    "GIT~1", ".GIT", ".Git", "g\u{200c}it", ".g\u{200d}it", "A", "Sma", "sMa", "SMA_CROSS", "CON", "con", "nul",
    "aux", "prn", "com1", "lpt9", "con.py", "nul.txt", "CLOCK$", "a:b", "a::$DATA", "c:", "c:\\x", "\\\\host\\share",
    "//host/share", "file:///etc", "%2e%2e", "%2e%2e%2f", "..%2f", "%00", "..%c0%af", "..%252f", "\u{2024}\u{2024}",
    "\u{ff0e}\u{ff0e}", "\u{2215}", "a\u{2215}b", "\u{ff0f}etc", "a\u{202e}yp", "\u{feff}a", "é", "ä", "\u{430}", "ſ",
    "K", "ı", "e\u{301}", "日本", "🚀", "a\u{300}", "\u{200b}", "a\u{a0}b", "-", "-rf", "--help", "_", "_a", "1a", "a-b",
    "a+b", "a*", "a?", "[a]", "{a}", "a,b", "a'b", "a\"b", "<a>", "a=b", "a@{1}", "a#b", "@", "HEAD",
    "refs/heads/main", "proc/self/environ", "/proc/self/fd/0", "/dev/null", "../workspace.git/config", "__init__",
    "../strategies/a", "strategies/a", "a/../../x",
];

fn hostile_names() -> Vec<String> {
    let mut names: Vec<String> = HOSTILE_NAMES.iter().map(|name| (*name).to_owned()).collect();
    names.extend([NAME_BYTES_MAX + 1, 255, 256, 4096, 100_000].map(|length| "a".repeat(length)));
    names.push("../".repeat(50));
    names.push("é".repeat(40));
    names
}

#[test]
fn no_hostile_name_is_a_file_of_any_kind() {
    let names = hostile_names();
    assert!(names.len() >= 100, "{}", names.len());
    for name in &names {
        for kind in [Kind::Strategy, Kind::Indicator, Kind::Preferences, Kind::State, Kind::SystemPrompt] {
            assert!(FilePath::new(kind, name).is_err(), "{kind:?} {name:?}");
        }
        // Watch lists and journal entries may have a dash and begin with a digit; nothing else is different.
        if !["a-b", "1a"].contains(&name.as_str()) {
            assert!(
                FilePath::new(Kind::Watchlist, name).is_err() && FilePath::new(Kind::Journal, name).is_err(),
                "{name:?}"
            );
        }
    }
}

#[test]
fn a_refusal_names_the_limit_or_the_rule() {
    let long = "a".repeat(NAME_BYTES_MAX + 1);
    assert_eq!(
        FilePath::new(Kind::Strategy, &long),
        Err(NameError::Long { bytes: NAME_BYTES_MAX + 1, limit: NAME_BYTES_MAX })
    );
    assert_eq!(FilePath::new(Kind::Strategy, "../x"), Err(NameError::Shape { rule: "[a-z][a-z0-9_]{0,63}" }));
    assert_eq!(FilePath::new(Kind::Journal, "nul"), Err(NameError::Reserved));
    assert!(FilePath::new(Kind::Strategy, &"a".repeat(NAME_BYTES_MAX)).is_ok());
}

proptest! {
    #[test]
    fn what_is_accepted_is_one_plain_component(name in "\\PC{0,70}|[a-z0-9_.-]{0,70}") {
        for kind in Kind::ALL {
            if let Ok(path) = FilePath::new(kind, &name) {
                prop_assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-'));
                prop_assert_eq!(FilePath::parse(&path.to_string()), Some(path));
            }
        }
    }
}

#[test]
fn a_link_in_the_place_of_a_file_is_neither_read_nor_written_through() {
    let data = tempfile::tempdir().unwrap();
    let secret = data.path().join("secret");
    std::fs::write(&secret, "secret").unwrap();
    let workspace = Workspace::open(data.path(), LIMITS, 1).unwrap();
    symlink(&secret, data.path().join("workspace/strategies/a.py")).unwrap();
    assert!(matches!(workspace.read(&strategy("a"), None, 1), Err(WorkspaceError::NotFound { .. })));
    workspace.write(&strategy("a"), "x = 1\n", &intent()).unwrap();
    assert_eq!(std::fs::read_to_string(&secret).unwrap(), "secret");
    assert_eq!(workspace.read(&strategy("a"), None, 1).unwrap().content, "x = 1\n");
    assert!(std::fs::symlink_metadata(data.path().join("workspace/strategies/a.py")).unwrap().is_file());
}

#[test]
fn a_link_in_the_place_of_a_directory_is_moved_aside() {
    let data = tempfile::tempdir().unwrap();
    let outside = data.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("b.py"), "secret").unwrap();
    let workspace = Workspace::open(data.path(), LIMITS, 1).unwrap();
    let directory = data.path().join("workspace/strategies");
    std::fs::remove_dir(&directory).unwrap();
    symlink(&outside, &directory).unwrap();
    assert!(workspace.list(Kind::Strategy, 1).unwrap().is_empty());
    assert!(matches!(workspace.read(&strategy("b"), None, 1), Err(WorkspaceError::NotFound { .. })));
    workspace.write(&strategy("a"), "x = 1\n", &intent()).unwrap();
    assert!(!outside.join("a.py").exists());
    assert!(std::fs::symlink_metadata(&directory).unwrap().is_dir());
}

#[test]
fn no_write_escapes_while_a_script_swaps_the_directory_for_a_link() {
    let data = tempfile::tempdir().unwrap();
    let outside = data.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    let workspace = Workspace::open(data.path(), LIMITS, 1).unwrap();
    let directory = data.path().join("workspace/strategies");
    let (link, parked) = (data.path().join("workspace/link"), data.path().join("workspace/parked"));
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // All errors are expected: both sides rename the same names.
            while !done.load(std::sync::atomic::Ordering::Acquire) {
                drop(symlink(&outside, &link));
                drop(std::fs::rename(&directory, &parked));
                drop(std::fs::rename(&link, &directory));
                drop(std::fs::rename(&directory, &link));
                drop(std::fs::rename(&parked, &directory));
            }
        });
        for number in 0..60 {
            // It may fail while its directory is away; it may not land elsewhere.
            drop(workspace.write(&strategy("race"), &format!("x = {number}\n"), &intent()));
            drop(workspace.read(&strategy("race"), None, 1));
        }
        done.store(true, std::sync::atomic::Ordering::Release);
    });
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
}

#[test]
fn pipes_directories_and_other_files_are_not_files_of_the_workspace() {
    let data = tempfile::tempdir().unwrap();
    let workspace = Workspace::open(data.path(), LIMITS, 1).unwrap();
    let directory = data.path().join("workspace/strategies");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        directory.join("pipe.py"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .unwrap();
    std::fs::create_dir(directory.join("dir.py")).unwrap();
    std::fs::write(directory.join("Other.py"), "").unwrap();
    std::fs::write(directory.join("README"), "").unwrap();
    assert!(workspace.list(Kind::Strategy, 1).unwrap().is_empty());
    assert!(matches!(workspace.read(&strategy("pipe"), None, 1), Err(WorkspaceError::NotFound { .. })));
    workspace.write(&strategy("dir"), "x = 1\n", &intent()).unwrap();
    assert!(directory.join("dir.py.displaced").is_dir());
    assert_eq!(workspace.list(Kind::Strategy, 1).unwrap().len(), 1);
}

fn plant(git: &Path, proof: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let script = format!("#!/bin/sh\ntouch {}\n", proof.display());
    std::fs::create_dir_all(git.join("hooks")).unwrap();
    for hook in [
        "pre-commit",
        "post-commit",
        "commit-msg",
        "reference-transaction",
        "post-checkout",
        "post-update",
        "fsmonitor",
    ] {
        std::fs::write(git.join("hooks").join(hook), &script).unwrap();
        std::fs::set_permissions(git.join("hooks").join(hook), std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let command = git.join("hooks/pre-commit");
    let command = command.display();
    std::fs::write(
        git.join("config"),
        format!(
            "[core]\n\tbare = false\n\tworktree = /\n\tfsmonitor = {command}\n\thooksPath = {}\n\tautocrlf = true\n[filter \"x\"]\n\tclean = {command}\n\tsmudge = {command}\n\trequired = true\n[diff \"x\"]\n\tcommand = {command}\n\ttextconv = {command}\n[extensions]\n\tobjectFormat = nonsense\n",
            git.join("hooks").display()
        ),
    )
    .unwrap();
    std::fs::create_dir_all(git.join("info")).unwrap();
    std::fs::write(git.join("info/attributes"), "* filter=x diff=x text eol=crlf ident\n").unwrap();
}

#[test]
fn planted_hooks_filters_attributes_and_configuration_do_nothing() {
    let data = tempfile::tempdir().unwrap();
    let proof = data.path().join("proof");
    drop(Workspace::open(data.path(), LIMITS, 1).unwrap());
    plant(&data.path().join("workspace.git"), &proof);
    // A repository of the user's own inside the work tree, and attributes beside the files.
    plant(&data.path().join("workspace/.git"), &proof);
    plant(&data.path().join("workspace/strategies/.git"), &proof);
    std::fs::write(data.path().join("workspace/.gitattributes"), "* filter=x diff=x eol=crlf\n").unwrap();
    std::fs::write(data.path().join("workspace/.gitignore"), "*\n").unwrap();
    let workspace = Workspace::open(data.path(), LIMITS, 1).unwrap();
    let content = "x = 1\r\ny = '$Id$'\n";
    let first = workspace.write(&strategy("a"), content, &intent()).unwrap();
    let second = workspace.write(&strategy("a"), "x = 2\n", &intent()).unwrap();
    assert_eq!(workspace.read(&strategy("a"), Some(&first.commit), 1).unwrap().content, content);
    assert!(workspace.diff(&first.commit, &second.commit).unwrap().text.contains("+x = 2"));
    workspace.revert(&second.commit, &intent()).unwrap();
    assert_eq!(std::fs::read(data.path().join("workspace/strategies/a.py")).unwrap(), content.as_bytes());
    workspace.repack().unwrap();
    assert!(!proof.exists());
}
