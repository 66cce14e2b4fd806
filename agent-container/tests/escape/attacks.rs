//! Attacks on the supervisor and on the machine's resources: how each ends, and that the next job is answered.

use crate::world::World;
use agent_container::worker::{Ended, Follow, Outcome, WorkerLimits};
use std::time::Duration;

type Judge = fn(&Outcome) -> bool;

/// One attack: what it is called, its code, and whether it ended as it should.
struct Attack(&'static str, &'static str, Judge);

fn raised(outcome: &Outcome, word: &str) -> bool {
    matches!(&outcome.ended, Ended::Raised { traceback } if traceback.contains(word))
}

/// Enough processor time for every attack to come to its point, on a machine that has other things to do.
const CPU: Duration = Duration::from_secs(3);
const WALL: Duration = Duration::from_secs(90);

async fn all(attacks: &[Attack]) {
    all_within(attacks, WALL).await;
}

async fn all_within(attacks: &[Attack], wall: Duration) {
    let world = World::new();
    for Attack(name, code, judge) in attacks {
        let mut job = world.job(code);
        job.limits = WorkerLimits { wall, cpu: CPU, ..job.limits };
        let outcome = world.run(job, Follow::default()).await.unwrap();
        println!(
            "{name}: {} after {:?}, cpu {:?}, {} MiB",
            outcome.ended.name(),
            outcome.wall,
            outcome.cpu,
            outcome.peak_rss >> 20
        );
        assert!(judge(&outcome), "{name} ended otherwise: {outcome:?}");
        assert!(outcome.sealed.is_some(), "{name} ran unsealed");
        world.is_well(name).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_takes_too_much_is_ended() {
    all(&[
        Attack("ten gigabytes", "b = bytearray(10 << 30)\nprint('got')", |o| o.ended == Ended::OutOfMemory && o.stdout.is_empty()),
        Attack("ten gigabytes of numpy", "import numpy\nb = numpy.ones(10 << 27)\nprint('got')", |o| {
            o.ended == Ended::OutOfMemory && o.stderr.contains("Unable to allocate")
        }),
        Attack(
            "shared memory that no data limit counts",
            "import mmap\nkeep = []\nwhile True:\n    m = mmap.mmap(-1, 32 << 20)\n    m.write(b'x' * (32 << 20))\n    keep.append(m)",
            |o| o.ended == Ended::OutOfMemory || raised(o, "Cannot allocate"),
        ),
        Attack("many small objects", "keep = []\nwhile True: keep.append(object())", |o| o.ended == Ended::OutOfMemory),
        Attack(
            "a ten gigabyte file",
            "f = open('big', 'wb')\nfor _ in range(10 << 10): f.write(b'x' * (1 << 20))",
            |o| raised(o, "File too large") || o.ended == Ended::ScratchFull,
        ),
        Attack(
            "files that were deleted",
            "keep = []\nfor i in range(200):\n    f = open('f', 'wb')\n    import os\n    os.unlink('f')\n    f.write(b'x' * (16 << 20))\n    keep.append(f)",
            |o| o.ended == Ended::ScratchFull,
        ),
        Attack(
            "mappings of deleted files",
            "import mmap, os\nkeep = []\nfor i in range(200):\n    f = open('f', 'wb+')\n    f.truncate(16 << 20)\n    m = mmap.mmap(f.fileno(), 16 << 20)\n    m.write(b'x' * (16 << 20))\n    f.close()\n    os.unlink('f')\n    m2 = mmap.mmap\n    keep.append(m)",
            |o| o.ended == Ended::ScratchFull || o.ended == Ended::OutOfMemory,
        ),
        Attack("a million small files", "for i in range(1_000_000): open(str(i), 'w').close()", |o| o.ended == Ended::ScratchFull),
        Attack("a bottomless directory", "import os\nwhile True:\n    os.mkdir('d')\n    os.chdir('d')", |o| {
            o.ended == Ended::ScratchFull
        }),
        Attack("an endless loop", "while True: pass", |o| o.ended == Ended::CpuExceeded),
        Attack("an endless print", "while True: print('x' * 1000)", |o| {
            o.ended == Ended::OutputFull && o.truncated && o.stdout.len() == 256 << 10
        }),
        Attack(
            "threads without end",
            "import threading, time\nwhile True: threading.Thread(target=time.sleep, args=(1000,)).start()",
            |o| o.ended == Ended::TooManyThreads || raised(o, "can't start new thread"),
        ),
        Attack("loops in several threads", "import threading\nfor _ in range(4): threading.Thread(target=lambda: [0 for _ in iter(int, 1)]).start()\nwhile True: pass", |o| {
            matches!(o.ended, Ended::CpuExceeded | Ended::OutOfMemory)
        }),
        Attack("a giant result", "'x' * (100 << 20)", |o| o.ended == Ended::Finished && o.result.as_ref().unwrap().to_string().len() < 1 << 20),
        Attack("a giant list", "list(range(1_000_000))", |o| o.ended == Ended::Finished && o.result.as_ref().unwrap().get("json").is_none()),
        Attack("a giant traceback", "raise ValueError('x' * (50 << 20))", |o| raised(o, "xxx")),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crashes_and_forgeries_are_outcomes() {
    all(&[
        Attack("a null pointer", "import ctypes\nctypes.string_at(0)", |o| o.ended == Ended::Killed(11)),
        Attack(
            "a stack without end",
            "import sys, ctypes\nsys.setrecursionlimit(10**9)\nclass A:\n    def __repr__(self): return repr(self)\nrepr(A())",
            |o| matches!(o.ended, Ended::Killed(_) | Ended::OutOfMemory) || raised(o, "RecursionError"),
        ),
        Attack("recursion", "def f(): f()\nf()", |o| raised(o, "RecursionError")),
        Attack("abort", "import os\nos.abort()", |o| o.ended == Ended::Killed(6)),
        Attack("killing itself", "import os\nos.kill(os.getpid(), 9)", |o| o.ended == Ended::Killed(9)),
        Attack(
            "a 32-bit system call",
            "import ctypes, mmap, platform\nif platform.machine() != 'x86_64':\n    ctypes.string_at(0)\ncode = bytes.fromhex('b814000000cd80c3')\nm = mmap.mmap(-1, 4096, prot=7)\nm.write(code)\nf = ctypes.CFUNCTYPE(ctypes.c_long)(ctypes.addressof(ctypes.c_char.from_buffer(m)))\nprint(f())",
            |o| matches!(o.ended, Ended::Killed(31 | 11)) && o.stdout.is_empty(),
        ),
        Attack("leaving without a word", "import os\nos._exit(0)", |o| o.ended == Ended::BadReply),
        Attack("closing the channel", "import os\nos.close(3)", |o| o.ended == Ended::BadReply),
        Attack("closing everything", "import os\nos.closerange(0, 200)", |o| o.ended == Ended::BadReply),
        Attack("garbage on the channel", "import os\nos.write(3, b'\\xff' * 1000)\nimport threading\nthreading.Event().wait(100)", |o| {
            o.ended == Ended::BadReply
        }),
        Attack("a length of four gigabytes", "import os\nos.write(3, b'R\\xff\\xff\\xff\\xff')\nimport threading\nthreading.Event().wait(100)", |o| {
            o.ended == Ended::OutputFull
        }),
        Attack("half a frame", "import os\nos.write(3, b'R\\x09\\0\\0\\0{')\nos._exit(0)", |o| o.ended == Ended::BadReply),
        Attack("a result that is no JSON", "import os\nos.write(3, b'R\\x01\\0\\0\\0{')\nimport threading\nthreading.Event().wait(100)", |o| {
            o.ended == Ended::BadReply
        }),
        Attack("a second seal", "import os\nos.write(3, b'S\\x02\\0\\0\\0{}')\nimport threading\nthreading.Event().wait(100)", |o| o.ended == Ended::BadReply),
        Attack("a forged result", "import os\nos.write(3, b'R\\x02\\0\\0\\0{}')\nimport threading\nthreading.Event().wait(100)", |o| {
            o.ended == Ended::Finished && o.result == Some(serde_json::json!({}))
        }),
        Attack("too many pictures", "import os\nfor _ in range(100): os.write(3, b'F\\x01\\0\\0\\0x')\nimport threading\nthreading.Event().wait(100)", |o| {
            o.ended == Ended::OutputFull && o.pictures.len() == 8
        }),
        Attack("progress without end", "import os\np = b'P\\x0a\\0\\0\\0{\"done\":1}'\nwhile True: os.write(3, p * 1000)", |o| {
            matches!(o.ended, Ended::OutputFull | Ended::CpuExceeded)
        }),
        Attack("sealing again, wider", "import dexorder, json\ns = {'read': ['/'], 'write': ['/'], 'keep_fds': [0, 1, 2, 3], 'limits': {'memory_bytes': 1 << 40, 'address_space_bytes': 1 << 40, 'cpu_seconds': 9999, 'file_bytes': 1 << 40, 'open_files': 9999, 'threads': 9999}, 'parent': None, 'namespaces': False, 'without_landlock': True}\ntry:\n    dexorder._seal(json.dumps(s))\nexcept RuntimeError as e: print('refused', e)\nopen('/etc/passwd')", |o| {
            o.stdout.contains("refused") && raised(o, "PermissionError")
        }),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_goes_on_after_the_end() {
    all(&[
        Attack(
            "a thread that goes on",
            "import threading\nthreading.Thread(target=lambda: [0 for _ in iter(int, 1)]).start()\n'done'",
            |o| o.ended == Ended::Finished,
        ),
        Attack("work at exit", "import atexit\n@atexit.register\ndef more():\n    while True: pass\n'done'", |o| {
            o.ended == Ended::Finished
        }),
        Attack("a finaliser", "class A:\n    def __del__(self):\n        while True: pass\na = A()\n'done'", |o| {
            o.ended == Ended::Finished
        }),
        Attack(
            "deaf to the processor limit",
            "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass",
            |o| o.ended == Ended::CpuExceeded,
        ),
        Attack(
            "catching everything",
            "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
            |o| o.ended == Ended::CpuExceeded,
        ),
        Attack(
            "an exception that cannot be shown",
            "class E(Exception):\n    def __str__(self): raise E\nraise E",
            |o| matches!(o.ended, Ended::Raised { .. } | Ended::BadReply),
        ),
        Attack("a result that cannot be shown", "class A:\n    def __repr__(self): import os; os._exit(3)\nA()", |o| {
            o.ended == Ended::BadReply
        }),
        Attack(
            "replacing the bootstrap",
            "import sys\nf = sys._getframe(1)\nwhile f:\n    f.f_globals['send'] = None\n    f = f.f_back\n",
            |o| o.ended == Ended::BadReply,
        ),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_wall_time_holds_for_those_who_wait() {
    let attacks = [
        Attack("an endless wait", "import threading\nthreading.Event().wait(1000)", |o| o.ended == Ended::TimedOut),
        Attack(
            "deaf to signals",
            "import signal\nfor s in range(1, 64):\n    try: signal.signal(s, signal.SIG_IGN)\n    except (OSError, ValueError): pass\nimport threading\nthreading.Event().wait(1000)",
            |o| o.ended == Ended::TimedOut,
        ),
    ];
    all_within(&attacks, Duration::from_secs(3)).await;
}
