//! Cancelling, dropping, queueing, refusing to start, and dying with the server.

use crate::world::{World, metrics, module, python};
use agent_container::worker::{Ended, Follow, Progress, Work, WorkerConfig, WorkerError, Workers};
use std::num::NonZeroUsize;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Reports progress and goes on for ever, deaf to what can be ignored.
const BUSY: &str = "import os, signal
for s in (signal.SIGTERM, signal.SIGINT): signal.signal(s, signal.SIG_IGN)
os.write(3, b'P\\x0a\\0\\0\\0{\"done\":7}')
while True: pass";

/// Within which the processor must be free again.
const FREE_WITHIN: Duration = Duration::from_secs(2);

struct Busy {
    world: Arc<World>,
    cancel: CancellationToken,
    task: tokio::task::JoinHandle<Result<agent_container::worker::Outcome, WorkerError>>,
}

/// Starts a job and waits until its code runs.
async fn busy(world: &Arc<World>) -> Busy {
    let cancel = CancellationToken::new();
    let (progress, mut seen) = watch::channel(Progress::default());
    let follow = Follow { cancel: cancel.clone(), progress: Some(progress) };
    let task = {
        let world = Arc::clone(world);
        tokio::spawn(async move { world.run(world.job(BUSY), follow).await })
    };
    seen.wait_for(|progress| progress.done == 7).await.unwrap();
    Busy { world: Arc::clone(world), cancel, task }
}

async fn until_reaped(world: &World, since: Instant) {
    while world.workers.metrics().alive.get() > 0 {
        assert!(since.elapsed() < FREE_WITHIN, "the worker still lives");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelling_frees_the_processor() {
    let busy = busy(&Arc::new(World::new())).await;
    let since = Instant::now();
    busy.cancel.cancel();
    let outcome = busy.task.await.unwrap().unwrap();
    assert_eq!(outcome.ended, Ended::Cancelled);
    until_reaped(&busy.world, since).await;
    println!("gone after {:?}", since.elapsed());
    busy.world.is_well("a cancel").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropping_the_future_frees_the_processor() {
    let busy = busy(&Arc::new(World::new())).await;
    let since = Instant::now();
    busy.task.abort();
    assert!(busy.task.await.unwrap_err().is_cancelled());
    until_reaped(&busy.world, since).await;
    busy.world.is_well("a drop").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_refuses() {
    let world = Arc::new(World::with(1, 0, None));
    let busy = busy(&world).await;
    let refused = world.run(world.job("1"), Follow::default()).await;
    assert!(matches!(refused, Err(WorkerError::Busy { running: 1, waiting: 0 })), "{refused:?}");
    assert_eq!(world.workers.metrics().busy.get(), 1);
    busy.cancel.cancel();
    assert_eq!(busy.task.await.unwrap().unwrap().ended, Ended::Cancelled);
    until_slot_is_free(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_many_run_at_a_time_as_may() {
    let world = Arc::new(World::with(2, 0, None));
    let (first, second) = (busy(&world).await, busy(&world).await);
    assert_eq!(world.workers.metrics().alive.get(), 2);
    assert!(world.run(world.job("1"), Follow::default()).await.is_err_and(|error| error.is_retryable()));
    first.cancel.cancel();
    assert_eq!(first.task.await.unwrap().unwrap().ended, Ended::Cancelled);
    until_slot_is_free(&world).await;
    assert!(!second.task.is_finished(), "the other one goes on");
    second.cancel.cancel();
    assert_eq!(second.task.await.unwrap().unwrap().ended, Ended::Cancelled);
}

/// The slot comes back when the scratch directory is gone, a little after the answer.
async fn until_slot_is_free(world: &World) {
    let since = Instant::now();
    while world.run(world.job("1"), Follow::default()).await.is_err() {
        assert!(since.elapsed() < Duration::from_secs(60), "the slot never came back");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiting_job_runs_when_the_slot_is_free() {
    let world = Arc::new(World::with(1, 1, None));
    let busy = busy(&world).await;
    let waiting = {
        let world = Arc::clone(&world);
        tokio::spawn(async move { world.python("'ran'").await })
    };
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    busy.cancel.cancel();
    assert_eq!(waiting.await.unwrap().result.unwrap()["json"], "ran");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_cancelled_in_the_queue_never_starts() {
    let world = Arc::new(World::with(1, 1, None));
    let busy = busy(&world).await;
    let cancel = CancellationToken::new();
    cancel.cancel();
    let outcome = world.run(world.job("1"), Follow { cancel, progress: None }).await.unwrap();
    assert_eq!((outcome.ended, outcome.sealed), (Ended::Cancelled, None));
    assert_eq!(world.workers.metrics().started.get(), 1);
    drop(busy);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_seal_no_user_code_runs() {
    let world = World::new();
    let mut job = world.job("open('/tmp/never', 'w')");
    job.read.push("/does/not/exist".into());
    let refused = world.run(job, Follow::default()).await;
    let Err(WorkerError::NotSealed { reason }) = refused else { panic!("{refused:?}") };
    assert!(reason.contains("/does/not/exist"), "{reason}");
    world.is_well("a refused seal").await;
}

fn config(world: &World, python: std::path::PathBuf, module: std::path::PathBuf) -> WorkerConfig {
    WorkerConfig {
        python,
        module,
        scratch_root: world.at("scratch"),
        running_max: NonZeroUsize::MIN,
        waiting_max: 0,
        first_uid: None,
        without_landlock: false,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_interpreter_or_module_is_an_error() {
    let world = World::new();
    let no_python = Workers::new(config(&world, "/does/not/exist".into(), module()), metrics()).unwrap();
    let refused = no_python.run(world.job("1"), Follow::default()).await;
    assert!(matches!(refused, Err(WorkerError::Start { .. })), "{refused:?}");
    let no_module = Workers::new(config(&world, python(), "/does/not/exist".into()), metrics()).unwrap();
    let refused = no_module.run(world.job("1"), Follow::default()).await;
    assert!(matches!(refused, Err(WorkerError::NotSealed { .. })), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_module_job_that_cannot_be_read_is_answered() {
    let world = World::new();
    let mut job = world.job("");
    job.work = Work::Module { job_json: "no JSON".into() };
    let outcome = world.run(job, Follow::default()).await.unwrap();
    assert_eq!(outcome.ended, Ended::Finished, "{outcome:?}");
    assert_eq!(outcome.result.unwrap()["kind"], "error");
}

/// The server is this test in a process of its own, which is killed while a worker runs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_dies_with_the_server() {
    if std::env::var_os("DEXORDER_TEST_SERVER").is_some() {
        let busy = busy(&Arc::new(World::new())).await;
        eprintln!("children {}", children(std::process::id()));
        let never = busy.task.await.unwrap();
        panic!("the server was to be killed: {never:?}");
    }
    let mut server = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "lifecycle::a_worker_dies_with_the_server", "--nocapture"])
        .env("DEXORDER_TEST_SERVER", "1")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = std::io::BufRead::lines(std::io::BufReader::new(server.stderr.take().unwrap()));
    let line = lines.map_while(Result::ok).find(|line| line.starts_with("children ")).unwrap();
    let worker: u32 = line.trim_start_matches("children ").trim().parse().unwrap();
    let alive = || std::fs::read_to_string(format!("/proc/{worker}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
    assert!(alive());
    server.kill().unwrap();
    server.wait().unwrap();
    let since = Instant::now();
    while alive() {
        assert!(since.elapsed() < FREE_WITHIN, "the worker outlived its server");
        std::thread::yield_now();
    }
}

fn children(pid: u32) -> String {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("children")).unwrap()).collect()
}
