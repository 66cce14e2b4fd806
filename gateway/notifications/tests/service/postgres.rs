//! The scenarios again, over a PostgreSQL of our own: Debian's package, a new cluster in a temporary directory.

use super::world::{Backing, Setup, eventually};
use super::{delivering, open_pages, receiving};
use secrecy::SecretString;
use sqlx::{Connection, Executor, PgConnection};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A cluster that ends with this.
struct Cluster {
    server: Child,
    port: u16,
    _dir: tempfile::TempDir,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.server.kill());
        drop(self.server.wait());
    }
}

/// Where Debian puts the programs; the newest version.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let with_initdb = |path: &PathBuf| path.join("initdb").exists();
    versions.filter_map(|entry| Some(entry.ok()?.path().join("bin"))).filter(with_initdb).max()
}

/// PostgreSQL refuses to run as root: then it runs as its own user.
fn command(program: &Path, owner: Option<(u32, u32)>) -> Command {
    let mut command = Command::new(program);
    if let Some((user, group)) = owner {
        command.uid(user).gid(group);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn owner() -> Option<(u32, u32)> {
    let number = |flag: &str, name: &[&str]| -> Option<u32> {
        let output = Command::new("id").arg(flag).args(name).output().ok()?;
        String::from_utf8(output.stdout).ok()?.trim().parse().ok()
    };
    (number("-u", &[])? == 0).then(|| Some((number("-u", &["postgres"])?, number("-g", &["postgres"])?)))?
}

fn start(programs: &Path) -> Cluster {
    use std::os::unix::fs::{PermissionsExt, chown};
    let dir = tempfile::tempdir().unwrap();
    let owner = owner();
    if let Some((user, group)) = owner {
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        chown(dir.path(), Some(user), Some(group)).unwrap();
    }
    let data = dir.path().join("data");
    let initialised = command(&programs.join("initdb"), owner)
        .args(["--auth=trust", "--encoding=UTF8", "--no-locale", "--username=postgres", "-D"])
        .arg(&data)
        .status()
        .unwrap();
    assert!(initialised.success(), "initdb failed");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = command(&programs.join("postgres"), owner)
        .arg("-D")
        .arg(&data)
        .args(["-c", "listen_addresses=127.0.0.1", "-c", &format!("port={port}")])
        .args(["-c", &format!("unix_socket_directories={}", dir.path().display())])
        .spawn()
        .unwrap();
    Cluster { server, port, _dir: dir }
}

impl Cluster {
    fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// A new, empty database.
    async fn setup(&self, name: &str) -> Setup {
        let url = self.url("postgres");
        eventually("postgres is up", || async { PgConnection::connect(&url).await.is_ok() }).await;
        let mut connection = PgConnection::connect(&url).await.unwrap();
        connection.execute(&*format!("CREATE DATABASE {name}")).await.unwrap();
        connection.close().await.unwrap();
        Setup::new(Backing::Postgres(SecretString::from(self.url(name))))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_holds_over_postgresql() {
    let Some(programs) = programs() else {
        eprintln!("left out: Debian's package postgresql is not installed");
        return;
    };
    let cluster = start(&programs);
    macro_rules! scenarios {
        ($($module:ident :: $scenario:ident),+ $(,)?) => {
            $(
                eprintln!("{}", stringify!($scenario));
                let name = &stringify!($scenario)[..stringify!($scenario).len().min(50)];
                $module::$scenario(&cluster.setup(name).await).await;
            )+
        };
    }
    scenarios!(
        receiving::events_are_recorded_once_and_in_order,
        receiving::a_restart_knows_what_was_there,
        receiving::a_new_outbox_starts_at_one_and_an_old_one_stays_where_it_was,
        receiving::two_replicas_over_one_store_record_each_event_once,
        receiving::forgers_change_nothing_and_each_is_counted_by_its_reason,
        receiving::what_is_sealed_but_not_valid_is_recorded_as_refused_and_passed,
        receiving::the_platform_tells_once_however_often_it_says_so,
        receiving::a_user_sees_marks_exports_and_erases_only_what_is_his,
        delivering::a_failed_channel_hands_on_to_the_next_and_is_tried_again,
        delivering::what_no_channel_takes_is_given_up_and_can_be_queued_again,
        delivering::two_replicas_deliver_each_notification_once_and_in_order,
        open_pages::a_page_at_another_replica_sees_each_notification_once_and_confirms,
    );
}
