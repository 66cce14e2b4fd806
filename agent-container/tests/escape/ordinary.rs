//! What users are here for works inside of the seal.

use crate::world::World;
use agent_container::worker::{Ended, Outcome};

async fn finished(world: &World, code: &str) -> Outcome {
    let outcome = world.python(code).await;
    assert_eq!(outcome.ended, Ended::Finished, "{code}\n{outcome:?}");
    println!(
        "{:?} wall, {:?} cpu, {} MiB: {}",
        outcome.wall,
        outcome.cpu,
        outcome.peak_rss >> 20,
        code.lines().next().unwrap_or_default()
    );
    outcome
}

async fn json(world: &World, code: &str) -> serde_json::Value {
    finished(world, code).await.result.unwrap()["json"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cell_answers_like_a_notebook() {
    let world = World::new();
    let outcome = finished(&world, "print('hello')\nimport sys\nprint('oops', file=sys.stderr)\nx = 6\nx * 7").await;
    assert_eq!((&*outcome.stdout, &*outcome.stderr), ("hello\n", "oops\n"));
    assert_eq!(outcome.result.unwrap(), serde_json::json!({"repr": "42", "json": 42}));
    let sealed = outcome.sealed.unwrap();
    println!("{sealed:?}");
    assert!(sealed.landlock_abi >= 3);
    assert_eq!(finished(&world, "x = 1").await.result, None);
    assert_eq!(finished(&world, "").await.result, None);
    assert_eq!(finished(&world, "raise SystemExit").await.result, None);
    let object = finished(&world, "object").await.result.unwrap();
    assert_eq!(object, serde_json::json!({"repr": "<class 'object'>"}));
    let nan = finished(&world, "float('nan')").await.result.unwrap();
    assert_eq!(nan, serde_json::json!({"repr": "nan"}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_traceback_shows_the_users_lines_only() {
    let world = World::new();
    let outcome = world.python("def f():\n    return 1 / 0\nf()").await;
    let Ended::Raised { traceback } = outcome.ended else { panic!("{outcome:?}") };
    assert!(traceback.contains("return 1 / 0") && traceback.contains("ZeroDivisionError"), "{traceback}");
    assert!(!traceback.contains("run_python"), "{traceback}");
    let outcome = world.python("def f(:").await;
    assert!(matches!(outcome.ended, Ended::Raised { traceback } if traceback.contains("SyntaxError")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numpy_and_pandas_work() {
    let world = World::new();
    let solved =
        json(&world, "import numpy as np\nnp.linalg.solve(np.array([[3., 1.], [1., 2.]]), np.array([9., 8.]))").await;
    assert_eq!(solved, serde_json::json!([2.0, 3.0]));
    let eigen = json(&world, "import numpy as np\nnp.round(np.linalg.eigvalsh(np.eye(300) * 2), 9).sum()").await;
    assert_eq!(eigen, 600.0);
    let code = "import pandas as pd, numpy as np
pd.DataFrame({'k': list('abab'), 'v': [1., 2., 3., 4.]}).to_csv('t.csv', index=False)
f = pd.read_csv('t.csv')
d = pd.Series(range(10), index=pd.date_range('2024-03-30', periods=10, freq='12h', tz='Europe/Berlin'))
[f.groupby('k').v.sum().to_dict(), f.v.rolling(2).mean().dropna().tolist(), str(d.resample('1D').sum().index[1])]";
    let expected = serde_json::json!([{"a": 4.0, "b": 6.0}, [1.5, 2.5, 3.5], "2024-03-31 00:00:00+01:00"]);
    assert_eq!(json(&world, code).await, expected);
    let frame = json(&world, "import pandas as pd\npd.DataFrame({'a': [1, 2]})").await;
    assert_eq!(frame["data"], serde_json::json!([[1], [2]]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn open_figures_come_back_as_pictures() {
    let world = World::new();
    let code = "import matplotlib.pyplot as plt
for i in range(2):
    plt.figure()
    plt.plot([1, 2, i])
    plt.title('Grüße')
plt.figure(); plt.close()";
    let outcome = finished(&world, code).await;
    assert_eq!(outcome.pictures.len(), 2);
    assert!(outcome.pictures.iter().all(|picture| picture.starts_with(b"\x89PNG\r\n") && picture.len() > 5_000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_standard_library_works() {
    let world = World::new();
    let code = "import datetime, zoneinfo, json, statistics, threading, tempfile, decimal, random, hashlib, sqlite3, csv, gzip, time, os, re
from concurrent.futures import ThreadPoolExecutor
t = datetime.datetime(2024, 7, 1, 12, tzinfo=zoneinfo.ZoneInfo('America/New_York')).astimezone(zoneinfo.ZoneInfo('UTC')).hour
with ThreadPoolExecutor(8) as pool: squares = list(pool.map(lambda x: x * x, range(8)))
with tempfile.TemporaryFile() as f: f.write(b'abc'); f.seek(0); read = f.read().decode()
with tempfile.NamedTemporaryFile('w') as f: inside = os.path.exists(f.name)
with tempfile.TemporaryDirectory() as d: open(os.path.join(d, 'x'), 'w').close()
with gzip.open('x.gz', 'wt') as f: f.write('zip')
db = sqlite3.connect('t.db'); db.execute('create table t(x)'); db.execute('insert into t values (5)'); db.commit()
lock = threading.Lock()
threading.Event().wait(0.01)
[t, squares[-1], read, inside, statistics.median([3, 1, 2]), gzip.open('x.gz', 'rt').read(), db.execute('select x from t').fetchone()[0], os.cpu_count() > 0, len(hashlib.sha256(os.urandom(4)).hexdigest())]";
    let expected = serde_json::json!([16, 49, "abc", true, 2, "zip", 5, true, 64]);
    assert_eq!(json(&world, code).await, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_workspace_can_be_imported_and_runs_are_apart() {
    let world = World::new();
    assert_eq!(json(&world, "import my_indicator\nmy_indicator.double(21)").await, 42);
    finished(&world, "left = 1\nopen('left', 'w').close()").await;
    let code = "import os\n[os.path.exists('left'), 'left' in globals(), sorted(os.environ) == sorted(set(os.environ)), 'PATH' in os.environ]";
    assert_eq!(json(&world, code).await, serde_json::json!([false, false, true, false]));
}

/// The order of a set of strings depends on the seed of the hash.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn equal_code_gives_equal_order() {
    let world = World::new();
    let code = "list({'a', 'b', 'c', 'd', 'e', 'f'})";
    assert_eq!(json(&world, code).await, json(&world, code).await);
}
