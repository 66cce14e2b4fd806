//! Changes of the user's files: versions, conflicts, repetition, quotas, and what changes outside.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use agent_container::workspace::{
    Author, Expected, FilePath, HISTORY_MAX, Intent, Kind, Limit, Limits, Workspace, WorkspaceError,
};
use std::sync::Arc;
use tempfile::TempDir;

const LIMITS: Limits = Limits { file_bytes_max: 64 * 1024, files_per_kind_max: 50, total_bytes_max: 64 * 1024 * 1024 };
const NOW: u64 = 1_700_000_000_000_000_000;

fn open(limits: Limits) -> (TempDir, Workspace) {
    let data = tempfile::tempdir().unwrap();
    let workspace = Workspace::open(data.path(), limits, NOW).unwrap();
    (data, workspace)
}

fn because(why: &str) -> Intent {
    Intent { author: Author::Assistant, why: why.to_owned(), expected: Expected::Any, command_id: None, now_ns: NOW }
}

fn strategy(name: &str) -> FilePath {
    FilePath::new(Kind::Strategy, name).unwrap()
}

#[test]
fn a_write_is_one_commit_with_author_reason_and_time() {
    let (_data, workspace) = open(LIMITS);
    let committed = workspace.write(&strategy("a"), "\"\"\"Cross.\"\"\"\n", &because("try a cross")).unwrap();
    let history = workspace.history(None, 10).unwrap();
    assert_eq!(
        (history[0].commit.as_str(), history[0].author.as_str(), history[0].why.as_str()),
        (committed.commit.as_str(), "assistant", "try a cross")
    );
    assert_eq!(
        (history[0].at_s, history[0].paths.as_slice()),
        (1_700_000_000, ["strategies/a.py".to_owned()].as_slice())
    );
    let list = workspace.list(Kind::Strategy, NOW).unwrap();
    assert_eq!((list[0].name.as_str(), list[0].bytes, list[0].about.as_deref()), ("a", 13, Some("Cross.")));
    assert_eq!(list[0].last_commit.as_deref(), Some(committed.commit.as_str()));
    assert!(list[0].modified_ns > 0);
}

#[test]
fn every_kind_is_read_back_and_survives_reopening() {
    let (data, workspace) = open(LIMITS);
    let files = [
        (strategy("a"), "x = 1\n"),
        (FilePath::new(Kind::Indicator, "b").unwrap(), "y = 2\n"),
        (FilePath::new(Kind::Watchlist, "my-list").unwrap(), "[\"BTC/USDT\"]"),
        (FilePath::new(Kind::Journal, "2026-11-21").unwrap(), "# Monday\n"),
        (FilePath::only(Kind::Preferences).unwrap(), "{\"risk\":\"low\"}"),
        (FilePath::only(Kind::State).unwrap(), "{}"),
        (FilePath::only(Kind::SystemPrompt).unwrap(), "Be brief.\n"),
    ];
    for (path, content) in &files {
        workspace.write(path, content, &because("start")).unwrap();
    }
    drop(workspace);
    let workspace = Workspace::open(data.path(), LIMITS, NOW).unwrap();
    assert_eq!(workspace.history(None, HISTORY_MAX).unwrap().len(), files.len() + 1);
    for (path, content) in &files {
        assert_eq!(workspace.read(path, None, NOW).unwrap().content, *content, "{path}");
        assert_eq!(workspace.list(path.kind(), NOW).unwrap().len(), 1);
    }
}

#[test]
fn the_second_of_two_writers_gets_a_conflict() {
    let (_data, workspace) = open(LIMITS);
    let base = workspace.write(&strategy("a"), "x = 1\n", &because("start")).unwrap().commit;
    workspace.write(&strategy("other"), "x = 1\n", &because("another file does not matter")).unwrap();
    let workspace = Arc::new(workspace);
    let results: Vec<_> = std::thread::scope(|scope| {
        let write = |number: usize| {
            let (workspace, base) = (workspace.clone(), base.clone());
            scope.spawn(move || {
                workspace.write(
                    &strategy("a"),
                    &format!("x = {number}00\n"),
                    &Intent { expected: Expected::Commit(base), ..because("race") },
                )
            })
        };
        [write(1), write(2), write(3), write(4)].map(|thread| thread.join().unwrap()).into_iter().collect()
    });
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    let head = workspace.head().unwrap();
    for error in results.into_iter().filter_map(Result::err) {
        assert!(matches!(error, WorkspaceError::Conflict { actual, .. } if actual == head));
    }
}

#[test]
fn absent_means_that_nothing_is_overwritten() {
    let (_data, workspace) = open(LIMITS);
    let intent = Intent { expected: Expected::Absent, ..because("new") };
    workspace.write(&strategy("a"), "x = 1\n", &intent).unwrap();
    assert!(matches!(workspace.write(&strategy("a"), "x = 2\n", &intent), Err(WorkspaceError::Conflict { .. })));
    assert_eq!(workspace.read(&strategy("a"), None, NOW).unwrap().content, "x = 1\n");
}

#[test]
fn a_command_is_done_once_even_after_a_restart() {
    let (data, workspace) = open(LIMITS);
    let intent = Intent { command_id: Some("c1".to_owned()), ..because("once") };
    let first = workspace.write(&strategy("a"), "x = 1\n", &intent).unwrap();
    workspace.write(&strategy("a"), "x = 2\n", &because("meanwhile")).unwrap();
    let again = workspace.write(&strategy("a"), "x = 1\n", &intent).unwrap();
    assert_eq!((again.commit.as_str(), again.replayed), (first.commit.as_str(), true));
    drop(workspace);
    let workspace = Workspace::open(data.path(), LIMITS, NOW).unwrap();
    assert!(workspace.write(&strategy("a"), "x = 1\n", &intent).unwrap().replayed);
    assert_eq!(workspace.read(&strategy("a"), None, NOW).unwrap().content, "x = 2\n");
    assert!(matches!(workspace.write(&strategy("a"), "x = 3\n", &intent), Err(WorkspaceError::CommandReused)));
    assert!(matches!(workspace.delete(&strategy("a"), &intent), Err(WorkspaceError::CommandReused)));
}

#[test]
fn a_deleted_file_stays_in_the_history_and_comes_back_by_revert() {
    let (data, workspace) = open(LIMITS);
    let written = workspace.write(&strategy("a"), "x = 1\n", &because("start")).unwrap();
    let deleted = workspace.delete(&strategy("a"), &because("not needed")).unwrap();
    assert!(!data.path().join("workspace/strategies/a.py").exists());
    assert!(matches!(workspace.delete(&strategy("a"), &because("again")), Err(WorkspaceError::NotFound { .. })));
    assert_eq!(workspace.read(&strategy("a"), Some(&written.commit), NOW).unwrap().content, "x = 1\n");
    workspace.revert(&deleted.commit, &because("needed after all")).unwrap();
    assert_eq!(std::fs::read_to_string(data.path().join("workspace/strategies/a.py")).unwrap(), "x = 1\n");
    assert_eq!(workspace.history(Some(&strategy("a")), 10).unwrap().len(), 3);
    assert_eq!(workspace.history(Some(&strategy("a")), 2).unwrap().len(), 2);
}

#[test]
fn a_revert_does_not_overwrite_what_came_after() {
    let (_data, workspace) = open(LIMITS);
    let first = workspace.write(&strategy("a"), "x = 1\n", &because("one")).unwrap();
    let second = workspace.write(&strategy("a"), "x = 2\n", &because("two")).unwrap();
    assert!(
        matches!(workspace.revert(&first.commit, &because("undo")), Err(WorkspaceError::Conflict { actual, .. }) if actual == second.commit)
    );
    let start = workspace.history(None, 10).unwrap().pop().unwrap();
    assert!(matches!(
        workspace.revert(&start.commit, &because("undo")),
        Err(WorkspaceError::Argument { field: "commit", .. })
    ));
}

#[test]
fn a_commit_that_is_not_in_the_history_is_unknown() {
    let (_data, workspace) = open(LIMITS);
    workspace.write(&strategy("a"), "x = 1\n", &because("one")).unwrap();
    for id in [
        "",
        "HEAD",
        "main",
        "deadbeef",
        "--help",
        "0000000000000000000000000000000000000000",
        "../../etc/passwd",
        &"é".repeat(20),
    ] {
        assert!(
            matches!(workspace.read(&strategy("a"), Some(id), NOW), Err(WorkspaceError::UnknownCommit { field: "at" })),
            "{id}"
        );
        assert!(matches!(workspace.diff(id, id), Err(WorkspaceError::UnknownCommit { field: "from" })));
    }
}

#[test]
fn texts_that_could_pose_as_something_else_are_refused() {
    let (_data, workspace) = open(LIMITS);
    for why in ["", "  ", "a\nCommand-Id: x", "a\0", "a\u{1b}[2J"] {
        assert!(
            matches!(
                workspace.write(&strategy("a"), "", &because(why)),
                Err(WorkspaceError::Argument { field: "why", .. })
            ),
            "{why:?}"
        );
    }
    let long = Intent { command_id: Some("x".repeat(129)), ..because("x") };
    assert!(matches!(
        workspace.write(&strategy("a"), "", &long),
        Err(WorkspaceError::Quota { limit: Limit::CommandIdBytes, .. })
    ));
    assert!(matches!(
        workspace.write(&strategy("a"), "a\0b", &because("x")),
        Err(WorkspaceError::Argument { field: "content", .. })
    ));
    let preferences = FilePath::only(Kind::Preferences).unwrap();
    assert!(matches!(workspace.write(&preferences, "{risk: low}", &because("x")), Err(WorkspaceError::NotJson { .. })));
}

#[test]
fn quotas_name_the_limit_and_leave_everything_as_it_was() {
    let (data, workspace) =
        open(Limits { file_bytes_max: 100, files_per_kind_max: 2, total_bytes_max: 64 * 1024 * 1024 });
    workspace.write(&strategy("a"), &"x".repeat(100), &because("at the limit")).unwrap();
    let error = workspace.write(&strategy("a"), &"x".repeat(101), &because("over")).unwrap_err();
    assert!(matches!(error, WorkspaceError::Quota { limit: Limit::FileBytes, value: 101, max: 100 }));
    assert_eq!(error.to_string(), "file_bytes_max would be 101: the limit is 100");
    workspace.write(&strategy("b"), "", &because("second")).unwrap();
    assert!(matches!(
        workspace.write(&strategy("c"), "", &because("third")),
        Err(WorkspaceError::Quota { limit: Limit::FilesPerKind, value: 3, max: 2 })
    ));
    workspace.write(&strategy("b"), "x", &because("an old one may change")).unwrap();
    workspace.delete(&strategy("b"), &because("room")).unwrap();
    workspace.write(&strategy("c"), "", &because("room for it")).unwrap();
    assert_eq!(std::fs::read(data.path().join("workspace/strategies/a.py")).unwrap().len(), 100);
}

#[test]
fn a_full_workspace_refuses_and_has_room_again_without_its_history() {
    let limits = Limits { total_bytes_max: 600 * 1024, ..LIMITS };
    let (_data, workspace) = open(limits);
    let mut text = String::new();
    let mut state = 1_u64;
    let refused = (0..200).find_map(|_| {
        text.clear();
        while text.len() < 30_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text.push_str(&format!("{state:x}"));
        }
        workspace.write(&strategy("a"), &text, &because("noise")).err()
    });
    assert!(matches!(refused, Some(WorkspaceError::Quota { limit: Limit::TotalBytes, .. })), "{refused:?}");
    let before = workspace.read(&strategy("a"), None, NOW).unwrap().content;
    let usage = workspace.usage().unwrap();
    assert!(usage.files_bytes + usage.history_bytes <= limits.total_bytes_max);
    workspace.forget_history(&because("make room")).unwrap();
    assert!(workspace.usage().unwrap().history_bytes < 100 * 1024);
    assert_eq!(workspace.read(&strategy("a"), None, NOW).unwrap().content, before);
    workspace.write(&strategy("a"), &text, &because("there is room")).unwrap();
    assert_eq!(workspace.history(None, 10).unwrap().len(), 2);
}

#[test]
fn the_history_is_packed_by_itself_and_stays_whole() {
    let (data, workspace) = open(LIMITS);
    let commits: Vec<String> = (0..160)
        .map(|number| workspace.write(&strategy("a"), &format!("x = {number}\n"), &because("count")).unwrap().commit)
        .collect();
    let loose = std::fs::read_dir(data.path().join("workspace.git/objects"))
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().len() == 2);
    let objects: usize = loose.map(|entry| std::fs::read_dir(entry.unwrap().path()).unwrap().count()).sum();
    assert!(objects < 512, "{objects} loose objects after {}", 4 * 160);
    workspace.repack().unwrap();
    assert!(workspace.usage().unwrap().history_bytes < 128 * 1024, "{:?}", workspace.usage());
    drop(workspace);
    let workspace = Workspace::open(data.path(), LIMITS, NOW).unwrap();
    for (number, commit) in commits.iter().enumerate() {
        assert_eq!(workspace.read(&strategy("a"), Some(commit), NOW).unwrap().content, format!("x = {number}\n"));
    }
}

#[test]
fn what_changes_outside_becomes_a_commit_of_the_user() {
    let (data, workspace) = open(LIMITS);
    let seen = workspace.write(&strategy("a"), "x = 1\n", &because("start")).unwrap().commit;
    std::fs::write(data.path().join("workspace/strategies/a.py"), "x = 'mine'\n").unwrap();
    std::fs::write(data.path().join("workspace/indicators/new.py"), "y = 1\n").unwrap();
    let stale = Intent { expected: Expected::Commit(seen), ..because("overwrite") };
    assert!(matches!(workspace.write(&strategy("a"), "x = 2\n", &stale), Err(WorkspaceError::Conflict { .. })));
    assert_eq!(workspace.list(Kind::Indicator, NOW).unwrap().len(), 1);
    drop(workspace);
    std::fs::remove_file(data.path().join("workspace/indicators/new.py")).unwrap();
    let workspace = Workspace::open(data.path(), LIMITS, NOW).unwrap();
    let history = workspace.history(None, 10).unwrap();
    assert_eq!(
        history.iter().map(|change| change.author.as_str()).collect::<Vec<_>>(),
        ["user", "user", "user", "assistant", "user"]
    );
    assert!(workspace.scan(NOW).unwrap().is_none());
    assert!(workspace.list(Kind::Indicator, NOW).unwrap().is_empty());
}

#[test]
fn a_file_that_a_script_made_too_large_is_a_clear_error_and_not_in_the_history() {
    let (data, workspace) = open(LIMITS);
    std::fs::write(data.path().join("workspace/strategies/a.py"), vec![b'x'; 64 * 1024 + 1]).unwrap();
    assert!(matches!(
        workspace.read(&strategy("a"), None, NOW),
        Err(WorkspaceError::Quota { limit: Limit::FileBytes, .. })
    ));
    assert!(workspace.list(Kind::Strategy, NOW).unwrap().is_empty());
    assert_eq!(workspace.history(None, 10).unwrap().len(), 1);
}

#[test]
fn one_process_has_the_workspace_open_at_a_time() {
    let (data, workspace) = open(LIMITS);
    assert!(matches!(Workspace::open(data.path(), LIMITS, NOW), Err(WorkspaceError::Locked)));
    drop(workspace);
    Workspace::open(data.path(), LIMITS, NOW).unwrap();
}

#[test]
fn a_lost_work_tree_is_restored_and_a_lost_history_starts_anew() {
    let (data, workspace) = open(LIMITS);
    workspace.write(&strategy("a"), "x = 1\n", &because("start")).unwrap();
    drop(workspace);
    std::fs::remove_dir_all(data.path().join("workspace")).unwrap();
    let workspace = Workspace::open(data.path(), LIMITS, NOW).unwrap();
    assert_eq!(workspace.read(&strategy("a"), None, NOW).unwrap().content, "x = 1\n");
    assert_eq!(workspace.history(None, 10).unwrap().len(), 2);
    drop(workspace);
    std::fs::remove_dir_all(data.path().join("workspace.git")).unwrap();
    let workspace = Workspace::open(data.path(), LIMITS, NOW).unwrap();
    assert_eq!(workspace.history(Some(&strategy("a")), 10).unwrap()[0].author, "user");
}
