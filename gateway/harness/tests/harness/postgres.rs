//! A PostgreSQL server of our own in a temporary directory, on loopback and a free port.

use harness::store::Database;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

#[derive(Debug)]
pub(crate) struct Server {
    _process: Child,
    port: u16,
    bin: PathBuf,
    _dir: tempfile::TempDir,
}

fn installed() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let bins = versions.filter_map(|entry| Some(entry.ok()?.path().join("bin")));
    bins.filter(|bin| bin.join("postgres").is_file() && bin.join("initdb").is_file()).max()
}

/// PostgreSQL refuses to run as root.
fn command(program: &Path) -> Command {
    use std::os::unix::fs::MetadataExt;
    let root = std::fs::metadata("/proc/self").is_ok_and(|it| it.uid() == 0);
    if !root {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
    command
}

impl Server {
    pub(crate) async fn start() -> Option<Self> {
        let Some(bin) = installed() else {
            eprintln!("left out: PostgreSQL is not installed");
            return None;
        };
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        std::fs::create_dir(&data).unwrap();
        // Readable for the user that it runs as; no-op for everybody but root.
        drop(std::process::Command::new("chown").args(["-R", "postgres"]).arg(dir.path()).output());
        let made = command(&bin.join("initdb"))
            .args(["-A", "trust", "-U", "dex", "-N", "-D"])
            .arg(&data)
            .output()
            .await
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut process = command(&bin.join("postgres"));
        process.arg("-D").arg(&data).args(["-h", "127.0.0.1", "-p", &port.to_string(), "-c", "fsync=off", "-k", ""]);
        let mut process = process.stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.contains("ready to accept connections") {
                break;
            }
        }
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Some(Self { _process: process, port, bin, _dir: dir })
    }

    pub(crate) async fn database(&self, name: &str) -> Database {
        let made = Command::new(self.bin.join("createdb"))
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", "dex", name])
            .output()
            .await
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Database::Postgres(format!("postgres://dex@127.0.0.1:{}/{name}", self.port).into())
    }
}
