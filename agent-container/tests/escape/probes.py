"""Ways out of a process. Each probe tries one and returns when it got out; the error it got otherwise is reported.

`attempt(names, world)` prints one JSON line per probe: {"probe", "got_out", "error"}. A probe that hands the kernel nonsense says in
`REACHED` which error shows that the kernel looked at it at all: getting that far counts as out. With `fork`, each runs in a child
of its own (outside of a seal only: in it there are no children).
"""
import ctypes, errno, json, os, platform, socket, struct, sys

LIBC = ctypes.CDLL(None, use_errno=True)
X86 = platform.machine() == "x86_64"
# Numbers on x86_64 and in the generic table (aarch64).
CALLS = {
    "fork": (57, None), "vfork": (58, None), "execve": (59, 221), "execveat": (322, 281), "clone": (56, 220), "clone3": (435, 435),
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "pidfd_open": (434, 434), "tgkill": (234, 131), "mount": (165, 40),
    "pivot_root": (155, 41), "setns": (308, 268), "unshare": (272, 97), "keyctl": (250, 219), "add_key": (248, 217),
    "bpf": (321, 280), "io_uring_setup": (425, 425), "perf_event_open": (298, 241), "userfaultfd": (323, 282),
    "memfd_create": (319, 279), "open_by_handle_at": (304, 265), "name_to_handle_at": (303, 264), "quotactl": (179, 60),
    "reboot": (169, 142), "swapon": (167, 224), "init_module": (175, 105), "kexec_load": (246, 104), "personality": (135, 92),
    "shmget": (29, 194), "splice": (275, 76), "prctl": (157, 167), "seccomp": (317, 277), "getpid": (39, 172),
    "inotify_init1": (294, 26), "fsopen": (430, 430), "acct": (163, 89), "iopl": (172, None),
}


def call(name, *arguments):
    """A raw system call; raises what it answers."""
    number = CALLS[name][0 if X86 else 1] if isinstance(name, str) else name
    if number is None:
        raise OSError(errno.EPERM, "no such call on this machine")
    answer = LIBC.syscall(ctypes.c_long(number), *[a if isinstance(a, (bytes, ctypes.Array)) or a is None else ctypes.c_long(a) for a in arguments])
    if answer == -1:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return answer


PROBES, REACHED = {}, {}


def probe(*reached):
    def register(function):
        PROBES[function.__name__] = function
        REACHED[function.__name__] = {getattr(errno, name) for name in reached}
        return function
    return register


# --- network
@probe()
def tcp_connect(w): socket.create_connection(("127.0.0.1", w["tcp_port"]), 2).close()
@probe()
def tcp_listen(w): socket.create_server(("127.0.0.1", 0)).close()
@probe()
def udp(w): socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", 9))
@probe()
def unix_connect(w): s = socket.socket(socket.AF_UNIX); s.connect(w["unix_socket"])
@probe()
def abstract_listen(w): s = socket.socket(socket.AF_UNIX); s.bind("\0dexorder-probe-%d" % os.getpid())
@probe()
def netlink(w): socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
@probe()
def socket_pair(w): socket.socketpair()
@probe()
def raw_socket(w): socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
@probe()
def packet_socket(w): socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
@probe()
def dns(w): socket.getaddrinfo("localhost", 80)


# --- files
def read(path): open(path, "rb").read(1)
@probe()
def read_passwd(w): read("/etc/passwd")
@probe()
def list_root(w): os.listdir("/")
@probe()
def read_proc_one(w): read("/proc/1/status")
@probe()
def server_mem(w): read_at = os.open(f"/proc/{w['server']}/mem", os.O_RDONLY)
@probe()
def server_environ(w): read(f"/proc/{w['server']}/environ")
@probe()
def server_maps(w): read(f"/proc/{w['server']}/maps")
@probe()
def server_fds(w): os.listdir(f"/proc/{w['server']}/fd")
@probe()
def own_mem_file(w): os.open("/proc/self/mem", os.O_RDWR)
@probe()
def other_user(w): read(w["other_user"])
@probe()
def outbox(w): read(w["outbox"])
@probe()
def memory_db(w): read(w["memory_db"])
@probe()
def write_outbox(w): open(w["outbox"], "ab").write(b"forged")
@probe()
def truncate_outbox(w): os.truncate(w["outbox"], 3)
@probe()
def rename_outbox(w): os.rename(w["outbox"], w["outbox"] + ".moved"); os.rename(w["outbox"] + ".moved", w["outbox"])
@probe()
def steal_outbox(w): os.rename(w["outbox"], os.path.join(w["scratch"], "stolen")); os.rename(os.path.join(w["scratch"], "stolen"), w["outbox"])
@probe()
def make_file_outside(w): p = os.path.join(w["data"], "made"); open(p, "x"); os.unlink(p)
@probe()
def make_dir_outside(w): p = os.path.join(w["data"], "made.d"); os.mkdir(p); os.rmdir(p)
@probe()
def write_workspace(w): open(os.path.join(w["workspace"], "planted.py"), "w")
@probe()
def chmod_outbox(w): os.chmod(w["outbox"], 0o777)
@probe()
def chmod_scratch(w): os.chmod(w["scratch"], 0o777)
@probe()
def chown_outbox(w): os.chown(w["outbox"], os.getuid(), os.getgid())
@probe()
def touch_outbox(w): os.utime(w["outbox"], (0, 0))
@probe("ENOTSUP")
def xattr_outbox(w): os.setxattr(w["outbox"], "user.probe", b"1")
@probe()
def hard_link(w): p = os.path.join(w["scratch"], "hard"); os.link(w["outbox"], p); read(p); os.unlink(p)
@probe()
def symlink(w): p = os.path.join(w["scratch"], "soft"); os.symlink("/etc/passwd", p); os.unlink(p)
@probe()
def through_workspace_symlink(w): read(os.path.join(w["workspace"], "way_out"))
@probe()
def dot_dot(w): read(os.path.join(w["scratch"], "..", "..", "data", "outbox.log"))
@probe("EOPNOTSUPP", "EISDIR")
def nameless_outside(w): os.open(w["data"], os.O_TMPFILE | os.O_RDWR)
@probe()
def fifo(w): p = os.path.join(w["scratch"], "fifo"); os.mkfifo(p); os.unlink(p)
@probe()
def device(w): p = os.path.join(w["scratch"], "kmem"); os.mknod(p, 0o600 | 0o020000, os.makedev(1, 1)); os.unlink(p)
@probe()
def dev_shm(w): p = "/dev/shm/dexorder-probe-%d" % os.getpid(); open(p, "x"); os.unlink(p)
@probe()
def dev_mem(w): os.open("/dev/kmsg", os.O_RDONLY)
@probe()
def core_pattern(w): os.open("/proc/sys/kernel/core_pattern", os.O_WRONLY)
@probe()
def shared_memory(w): LIBC_check = call("shmget", 0, 4096, 0o1600)
@probe()
def inotify(w): call("inotify_init1", 0)


# --- exec
@probe()
def subprocess_sh(w): import subprocess; subprocess.run(["/bin/sh", "-c", "true"], check=True)
@probe()
def os_system(w):
    status = os.system("true")
    if status != 0: raise OSError(ctypes.get_errno() or errno.EPERM, f"status {status}")
@probe()
def posix_spawn(w): os.waitpid(os.posix_spawn("/bin/sh", ["sh", "-c", "true"], {}), 0)
@probe("ENOENT")
def execve(w): call("execve", b"/does/not/exist", None, None)
@probe("ENOENT")
def execveat(w): call("execveat", -100, b"/does/not/exist", None, None, 0)
@probe()
def memfd(w): call("memfd_create", b"probe", 0)
@probe("ENOEXEC")
def exec_scratch_file(w):
    p = os.path.join(w["scratch"], "program")
    descriptor = os.open(p, os.O_CREAT | os.O_WRONLY, 0o755)
    os.write(descriptor, b"nonsense"); os.close(descriptor)
    os.execv(p, ["program"])


# --- processes
def child_of(pid):
    if pid == 0: os._exit(0)
    os.waitpid(pid, 0)
@probe()
def fork(w): child_of(os.fork())
@probe()
def raw_fork(w): child_of(call("fork") if X86 else call("clone", 17, 0, 0, 0, 0))
@probe()
def raw_clone(w): child_of(call("clone", 17, 0, 0, 0, 0))
@probe("EINVAL", "EFAULT")
def raw_clone3(w): call("clone3", 0, 0)
@probe()
def multiprocess(w): import multiprocessing as m; p = m.get_context("fork").Process(target=int); p.start(); p.join()
@probe()
def daemonise(w):
    pid = os.fork()
    if pid == 0:
        os.setsid()
        os._exit(0)
    os.waitpid(pid, 0)
@probe()
def new_group(w): os.setpgid(0, 0) if os.getpgrp() != os.getpid() else call("pidfd_open", os.getpid(), 0)
@probe()
def signal_server(w): os.kill(w["server"], 0)
@probe()
def signal_all(w): os.kill(-1, 0)
@probe()
def signal_group(w): os.kill(0, 0)
@probe()
def signal_server_thread(w): call("tgkill", w["server"], w["server"], 0)
@probe()
def pidfd_server(w): call("pidfd_open", w["server"], 0)
@probe()
def own_descriptor(w):
    import fcntl
    r, _ = os.pipe()
    fcntl.fcntl(r, fcntl.F_SETOWN, w["server"])
@probe("ESRCH", "EIO")
def ptrace(w): call("ptrace", 1, w["server"], 0, 0)
@probe()
def vm_read_own(w):
    here, there = ctypes.create_string_buffer(8), ctypes.create_string_buffer(8)
    vector = lambda buffer: ctypes.create_string_buffer(struct.pack("QQ", ctypes.addressof(buffer), 8))
    call("process_vm_readv", os.getpid(), vector(here), 1, vector(there), 1, 0)
@probe("EFAULT")
def vm_read_server(w):
    here = ctypes.create_string_buffer(8)
    vector = lambda address: ctypes.create_string_buffer(struct.pack("QQ", address, 8))
    call("process_vm_readv", w["server"], vector(ctypes.addressof(here)), 1, vector(4096), 1, 0)


# --- the kernel
@probe("ENOENT", "EFAULT")
def mount(w): call("mount", b"none", b"/does/not/exist", b"tmpfs", 0, None)
@probe("ENOENT")
def pivot_root(w): call("pivot_root", b"/does/not/exist", b"/does/not/exist")
@probe()
def chroot(w): os.chroot("/")
@probe("EBADF")
def setns(w): call("setns", -1, 0)
@probe()
def user_namespace(w): call("unshare", 0x10000000)
@probe()
def mount_namespace(w): call("unshare", 0x00020000)
@probe()
def keyctl(w): call("keyctl", 0, -2, 1)
@probe()
def add_key(w): call("add_key", b"user", b"probe", b"x", 1, -2)
@probe("EINVAL", "E2BIG")
def bpf(w): call("bpf", 9999, None, 0)
@probe("EFAULT", "EINVAL")
def io_uring(w): call("io_uring_setup", 1, None)
@probe("EFAULT", "EINVAL", "E2BIG")
def perf(w): call("perf_event_open", None, 0, -1, -1, 0)
@probe("EINVAL")
def user_fault(w): call("userfaultfd", 0)
@probe("EFAULT", "EBADF")
def by_handle(w): call("open_by_handle_at", -1, None, 0)
@probe("EFAULT")
def to_handle(w): call("name_to_handle_at", -100, b"/", None, None, 0)
@probe()
def set_uid(w): os.setuid(os.getuid())
@probe()
def become_root(w): os.setuid(0)
@probe()
def set_groups(w): os.setgroups([])
@probe("EINVAL")
def undo_no_new_privs(w): call("prctl", 38, 0, 0, 0, 0)
@probe()
def undo_death_signal(w): call("prctl", 1, 0, 0, 0, 0)
@probe("EINVAL", "EFAULT")
def more_seccomp(w): call("seccomp", 1, 0, None)
@probe()
def personality(w): call("personality", 0xFFFFFFFF)
@probe("ENOENT", "EFAULT", "ENODEV", "ENOTBLK", "ENOSYS")
def quota(w): call("quotactl", 0x800001 << 8, b"/does/not/exist", 0, None)
@probe("EINVAL")
def reboot(w): call("reboot", 0, 0, 0, None)
@probe("ENOENT", "EFAULT")
def swap(w): call("swapon", b"/does/not/exist", 0)
@probe("ENOENT", "ENOSYS", "EFAULT", "ENOEXEC")
def module(w): call("init_module", None, 0, b"")
@probe("EINVAL", "ENOSYS", "EADDRNOTAVAIL")
def kexec(w): call("kexec_load", 0, 17, None, 0xFFFF)
@probe("ENOENT", "ENODEV")
def new_mount_api(w): call("fsopen", b"nonsense", 0)
@probe()
def raise_limit(w):
    import resource
    resource.prlimit(0, resource.RLIMIT_CORE, resource.getrlimit(resource.RLIMIT_CORE))
@probe()
def priority(w): os.setpriority(os.PRIO_PROCESS, 0, 5)
@probe()
def affinity(w): os.sched_setaffinity(0, os.sched_getaffinity(0))
@probe("EBADF")
def dirty_pipe(w): call("splice", -1, None, -1, None, 1, 0)
@probe("ENOTTY")
def push_terminal_input(w):
    import fcntl
    r, _ = os.pipe()
    fcntl.ioctl(r, 0x5412, b"x")
# The number carries the bit of the x32 convention. Few kernels have it; ours must refuse it before that is asked.
@probe("ENOSYS")
def x32(w): call(CALLS["getpid"][0] | 0x40000000)


def attempt(names, world, fork=False):
    for name in names:
        if not fork:
            print(json.dumps(tried(name, world)))
            continue
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            print(json.dumps(tried(name, world)), flush=True)
            os._exit(0)
        os.waitpid(pid, 0)


def tried(name, world):
    try:
        PROBES[name](world)
    except OSError as error:
        # A failed look-up of a name has a code of its own, below zero.
        known = errno.errorcode.get(error.errno, type(error).__name__)
        return {"probe": name, "got_out": error.errno in REACHED[name], "error": known}
    return {"probe": name, "got_out": True, "error": None}
