//! Each way out is tried sealed, where all must fail, and unsealed, where they must succeed: a probe that cannot succeed proves nothing.

use crate::world::{World, python, text};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

const PROBES: &str = include_str!("probes.py");

/// Errors that are a refusal. EAI_* has no name: a failed look-up of a host.
const REFUSED: [&str; 6] = ["EPERM", "EACCES", "ENOSYS", "gaierror", "EXDEV", "EAGAIN"];

/// What only root can do also outside of a seal, or what some kernels and hosts forbid to all.
const PRIVILEGED: [&str; 34] = [
    "raw_socket",
    "packet_socket",
    "dev_mem",
    "core_pattern",
    "ptrace",
    "vm_read_server",
    "mount",
    "pivot_root",
    "chroot",
    "user_namespace",
    "mount_namespace",
    "keyctl",
    "add_key",
    "bpf",
    "io_uring",
    "perf",
    "user_fault",
    "by_handle",
    "become_root",
    "set_groups",
    "more_seccomp",
    "quota",
    "reboot",
    "swap",
    "module",
    "kexec",
    "new_mount_api",
    "shared_memory",
    "device",
    "chown_outbox",
    "signal_all",
    "server_mem",
    "xattr_outbox",
    "x32",
];
/// What the kernel of some machine lacks although one is root there: it need not get out unsealed.
const MAY_BE_ABSENT: [&str; 9] =
    ["keyctl", "add_key", "dev_mem", "user_namespace", "io_uring", "perf", "x32", "bpf", "quota"];

#[derive(Debug, Deserialize)]
struct Tried {
    probe: String,
    got_out: bool,
    error: Option<String>,
}

fn parse(lines: &str) -> BTreeMap<String, Tried> {
    let tried = lines.lines().map(|line| serde_json::from_str::<Tried>(line).unwrap());
    tried.map(|tried| (tried.probe.clone(), tried)).collect()
}

fn names() -> Vec<String> {
    let defined = PROBES.split("@probe(").skip(1).filter_map(|rest| rest.split_once("\ndef ")?.1.split('(').next());
    defined.map(str::to_owned).collect()
}

fn program(names: &[String], facts: &serde_json::Value, rest: &str) -> String {
    let names = serde_json::to_string(names).unwrap();
    let facts = serde_json::to_string(&facts.to_string()).unwrap();
    format!(
        "{PROBES}\nworld = json.loads({facts})\nworld['scratch'] = world['scratch'] or os.getcwd()\nattempt({names}, world{rest})\n"
    )
}

async fn sealed(world: &World) {
    let mut facts = world.facts("".as_ref());
    facts["scratch"] = serde_json::Value::Null;
    let outcome = world.python(&program(&names(), &facts, "")).await;
    let tried = parse(&outcome.stdout);
    assert_eq!(tried.len(), names().len(), "every probe was tried: {outcome:?}");
    for (name, tried) in &tried {
        println!("{name}: {}", tried.error.as_deref().unwrap_or("out"));
    }
    for (name, tried) in tried {
        assert!(!tried.got_out, "{name} got out of the seal");
        let error = tried.error.unwrap();
        assert!(REFUSED.contains(&error.as_str()), "{name} failed with {error}, which is not a refusal");
    }
    world.is_well("the probes").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_gets_out_of_the_seal() {
    sealed(&World::new()).await;
}

/// Under the server's own user landlock and seccomp stand alone; here file permissions help as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_gets_out_of_the_seal_under_an_own_user() {
    // Directories of the test belong to the user that runs it; another user can be had by root only, and must be able to
    // reach the interpreter.
    let reachable =
        Command::new(python()).arg("-c").arg("pass").uid_of_nobody().status().is_ok_and(|status| status.success());
    if !reachable {
        eprintln!("skipped: no other user can run {}", python().display());
        return;
    }
    let world = World::with(1, 4, Some(NOBODY));
    world.open_to_all();
    sealed(&world).await;
    let uid = world.python("import os; os.getuid()").await;
    assert_eq!(uid.result.unwrap()["json"], NOBODY);
}

const NOBODY: u32 = 65_533;

trait OtherUser {
    fn uid_of_nobody(&mut self) -> &mut Self;
}

impl OtherUser for Command {
    fn uid_of_nobody(&mut self) -> &mut Self {
        std::os::unix::process::CommandExt::uid(self, NOBODY)
    }
}

impl World {
    /// The workspace is readable for other users, the server's data is not.
    fn open_to_all(&self) {
        use std::os::unix::fs::PermissionsExt;
        for (path, mode) in [("", 0o711), ("workspace", 0o755), ("data", 0o700), ("other", 0o700)] {
            fs::set_permissions(self.at(path), fs::Permissions::from_mode(mode)).unwrap();
        }
    }
}

/// Without it the corpus could pass because its probes are broken.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unsealed_the_same_probes_get_out() {
    let world = World::new();
    let scratch = world.at("unsealed/run");
    fs::create_dir_all(&scratch).unwrap();
    let output = Command::new(python())
        .current_dir(&scratch)
        .args(["-c", &program(&names(), &world.facts(&scratch), ", fork=True")])
        .output()
        .unwrap();
    let tried = parse(&text(&output.stdout));
    assert_eq!(tried.len(), names().len(), "every probe was tried: {}", text(&output.stderr));
    let privileged = holds_all_capabilities();
    let stayed: Vec<_> =
        tried.values().filter(|tried| !tried.got_out).map(|tried| (&*tried.probe, &tried.error)).collect();
    println!("privileged: {privileged}; did not get out unsealed: {stayed:?}");
    for (name, error) in stayed {
        let excused = MAY_BE_ABSENT.contains(&name) || (!privileged && PRIVILEGED.contains(&name));
        assert!(excused, "{name} does not get out without a seal either ({error:?}): it proves nothing");
    }
}

fn holds_all_capabilities() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
    // CAP_SYS_ADMIN, CAP_SYS_PTRACE, CAP_SYS_MODULE: what containers of root lack.
    let wanted = (1 << 21) | (1 << 19) | (1 << 16);
    u64::from_str_radix(effective.trim(), 16).unwrap() & wanted == wanted
}
