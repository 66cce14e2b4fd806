//! A process killed at any moment, and a volume that fails at any step: file and history agree afterwards.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Error, ErrorKind};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use agent_container::workspace::{Author, Expected, FilePath, Intent, Kind, Limits, Probe, Step, Workspace};

const LIMITS: Limits = Limits { file_bytes_max: 64 * 1024, files_per_kind_max: 50, total_bytes_max: 64 * 1024 * 1024 };
const STEPS: [Step; 5] = [Step::ObjectsWritten, Step::ContentStaged, Step::HeadMoved, Step::FilePlaced, Step::Applied];

fn because(why: &str) -> Intent {
    Intent {
        author: Author::Assistant,
        why: why.to_owned(),
        expected: Expected::Any,
        command_id: None,
        now_ns: 1_000_000_000,
    }
}

fn numbered(number: usize) -> Intent {
    Intent { command_id: Some(format!("command-{number}")), ..because("write") }
}

fn file(number: usize) -> FilePath {
    FilePath::new(Kind::Strategy, &format!("s{}", number % 3)).unwrap()
}

fn content(number: usize) -> String {
    format!("x = {number}\n{}", "# filler\n".repeat(number % 700))
}

/// Not a test by itself: the writer that the tests below kill. It says on its output what it was told is durable.
#[test]
fn child_that_writes() {
    let Ok(data) = std::env::var("WORKSPACE_CHILD") else { return };
    let first: usize = std::env::var("WORKSPACE_CHILD_FIRST").unwrap().parse().unwrap();
    let die_at: Option<usize> = std::env::var("WORKSPACE_CHILD_STEP").ok().map(|step| step.parse().unwrap());
    let calls = AtomicUsize::new(0);
    let probe: Option<Probe> = die_at.map(|die_at| {
        let probe: Probe = Arc::new(move |step| {
            // The third change is the one that dies, so that there is something before it.
            if step == STEPS[die_at] && calls.fetch_add(1, Ordering::AcqRel) == 2 {
                rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL).unwrap();
            }
            Ok(())
        });
        probe
    });
    let workspace = Workspace::open_with_probe(Path::new(&data), LIMITS, 1, probe).unwrap();
    for number in first.. {
        let committed = workspace.write(&file(number), &content(number), &numbered(number)).unwrap();
        println!("\nACK {number} {}", committed.commit);
    }
}

fn spawn(data: &Path, first: usize, step: Option<usize>) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "child_that_writes", "--nocapture"])
        .env("WORKSPACE_CHILD", data)
        .env("WORKSPACE_CHILD_FIRST", first.to_string());
    if let Some(step) = step {
        command.env("WORKSPACE_CHILD_STEP", step.to_string());
    }
    command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

fn acknowledged(line: &str) -> Option<(usize, String)> {
    let mut words = line.strip_prefix("ACK ")?.split(' ');
    Some((words.next()?.parse().ok()?, words.next()?.to_owned()))
}

/// Everything acknowledged is there, each file is as its newest commit says, and a repetition changes nothing.
fn verify(data: &Path, acks: &[(usize, String)]) -> usize {
    let workspace = Workspace::open(data, LIMITS, 1).unwrap();
    let head = workspace.head().unwrap();
    for (number, commit) in acks {
        assert_eq!(
            workspace.read(&file(*number), Some(commit), 1).unwrap().content,
            content(*number),
            "change {number}"
        );
    }
    let history = workspace.history(None, 200).unwrap();
    assert!(
        history.iter().all(|change| change.author == "assistant" || change.why == "Start the workspace"),
        "a half-done change was taken for one of the user: {history:?}"
    );
    let last = acks.last().map_or(0, |(number, _)| *number);
    for info in workspace.list(Kind::Strategy, 1).unwrap() {
        let on_disk = std::fs::read_to_string(data.join("workspace").join(&info.path)).unwrap();
        let path = FilePath::new(Kind::Strategy, &info.name).unwrap();
        assert_eq!(workspace.read(&path, Some(&head), 1).unwrap().content, on_disk);
        let number: usize = on_disk.lines().next().unwrap().strip_prefix("x = ").unwrap().parse().unwrap();
        assert_eq!(on_disk, content(number));
        assert!(number + 3 > last, "{} shows change {number} after {last} was acknowledged", info.path);
    }
    if let Some((number, commit)) = acks.last() {
        let again = workspace.write(&file(*number), &content(*number), &numbered(*number)).unwrap();
        assert_eq!((&again.commit, again.replayed), (commit, true));
    }
    assert_eq!(workspace.head().unwrap(), head);
    last
}

#[test]
fn nothing_acknowledged_is_lost_when_the_process_is_killed_at_any_moment() {
    let data = tempfile::tempdir().unwrap();
    let mut acks: Vec<(usize, String)> = Vec::new();
    let mut next = 1;
    for round in 0..25_usize {
        let mut child = spawn(data.path(), next, None);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let wanted = acks.len() + 1 + round * 7 % 5;
        while acks.len() < wanted {
            acks.extend(acknowledged(&lines.next().unwrap().unwrap()));
        }
        // Spin a different while each round, so that the kill meets the next change at another place.
        for turn in 0..(round * 97 % 25) * 20_000 {
            std::hint::black_box(turn);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        acks.extend(lines.map_while(Result::ok).filter_map(|line| acknowledged(&line)));
        // The change after the last acknowledged one may be there or not; the next child uses numbers after it.
        next = verify(data.path(), &acks) + 1;
    }
    assert!(acks.len() > 25);
}

#[test]
fn a_process_killed_at_a_named_step_leaves_the_old_state_or_the_new_one() {
    for (index, step) in STEPS.iter().enumerate() {
        let data = tempfile::tempdir().unwrap();
        let mut child = spawn(data.path(), 1, Some(index));
        let acks: Vec<_> = BufReader::new(child.stdout.take().unwrap())
            .lines()
            .map_while(Result::ok)
            .filter_map(|line| acknowledged(&line))
            .collect();
        assert!(!child.wait().unwrap().success());
        assert_eq!(acks.len(), 2, "{step:?}");
        verify(data.path(), &acks);
        let workspace = Workspace::open(data.path(), LIMITS, 1).unwrap();
        let there = workspace.read(&file(3), None, 1).is_ok();
        let committed = matches!(step, Step::HeadMoved | Step::FilePlaced | Step::Applied);
        assert_eq!(there, committed, "{step:?}: the commit decides");
        assert_eq!(workspace.history(None, 10).unwrap().len(), 3 + usize::from(committed));
        // The caller repeats the command: it is done once in either case.
        assert_eq!(workspace.write(&file(3), &content(3), &numbered(3)).unwrap().replayed, committed, "{step:?}");
        assert_eq!(workspace.history(None, 10).unwrap().len(), 4);
    }
}

#[test]
fn a_volume_that_fails_at_any_step_before_the_end_changes_nothing() {
    for failing in &STEPS[..4] {
        let data = tempfile::tempdir().unwrap();
        let armed = Arc::new(AtomicUsize::new(0));
        let (trigger, failing) = (armed.clone(), *failing);
        let probe: Probe = Arc::new(move |step| {
            if step == failing && trigger.load(Ordering::Acquire) == 1 {
                Err(Error::from(ErrorKind::StorageFull))
            } else {
                Ok(())
            }
        });
        let workspace = Workspace::open_with_probe(data.path(), LIMITS, 1, Some(probe)).unwrap();
        workspace.write(&file(0), "old\n", &because("old")).unwrap();
        let head = workspace.head().unwrap();
        armed.store(1, Ordering::Release);
        let error = workspace.write(&file(0), "new\n", &numbered(1)).unwrap_err();
        assert!(error.is_retryable() && error.to_string().contains("volume"), "{error}");
        workspace.write(&file(1), "new\n", &numbered(2)).unwrap_err();
        workspace.delete(&file(0), &because("delete")).unwrap_err();
        assert_eq!(workspace.head().unwrap(), head, "{failing:?}");
        assert_eq!(workspace.read(&file(0), None, 1).unwrap().content, "old\n");
        assert_eq!(std::fs::read_dir(data.path().join("workspace/strategies")).unwrap().count(), 1);
        armed.store(0, Ordering::Release);
        assert!(!workspace.write(&file(0), "new\n", &numbered(1)).unwrap().replayed);
        drop(workspace);
        let workspace = Workspace::open(data.path(), LIMITS, 1).unwrap();
        assert_eq!(workspace.history(None, 10).unwrap().len(), 3);
        assert_eq!(std::fs::read_to_string(data.path().join("workspace/strategies/s0.py")).unwrap(), "new\n");
    }
}

#[test]
fn a_revert_of_several_files_that_fails_half_way_is_taken_back() {
    let data = tempfile::tempdir().unwrap();
    drop(Workspace::open(data.path(), LIMITS, 1).unwrap());
    for number in 0..3 {
        std::fs::write(data.path().join(format!("workspace/strategies/s{number}.py")), "outside\n").unwrap();
    }
    let placed = Arc::new(AtomicUsize::new(0));
    let counter = placed.clone();
    let probe: Probe = Arc::new(move |step| {
        let fails = step == Step::FilePlaced && counter.fetch_add(1, Ordering::AcqRel) == 1;
        if fails { Err(Error::from(ErrorKind::StorageFull)) } else { Ok(()) }
    });
    let workspace = Workspace::open_with_probe(data.path(), LIMITS, 1, Some(probe)).unwrap();
    let added = workspace.head().unwrap();
    workspace.revert(&added, &because("remove the three")).unwrap_err();
    assert_eq!(workspace.list(Kind::Strategy, 1).unwrap().len(), 3);
    assert_eq!(workspace.head().unwrap(), added);
    workspace.revert(&added, &because("remove the three")).unwrap();
    assert!(workspace.list(Kind::Strategy, 1).unwrap().is_empty());
}
