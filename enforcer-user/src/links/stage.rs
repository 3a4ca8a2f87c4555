//! What tests play on: a node in a network namespace of its own, and pods with cgroups. Everything goes when it is
//! dropped.

use std::fs;
use std::os::fd::AsFd as _;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use nix::sched::{CloneFlags, unshare};

use super::namespace::Namespace;
use crate::mountinfo;

/// Runs a story on a thread in a fresh network namespace, which is "ours" there.
pub(crate) fn on_node<T: Send>(story: impl FnOnce() -> T + Send) -> T {
    let in_fresh_namespace = || {
        unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace: these tests need root");
        ip("link set lo up");
        story()
    };
    thread::scope(|scope| scope.spawn(in_fresh_namespace).join().unwrap_or_else(|panic| resume_unwind(panic)))
}

/// Runs `ip` in the calling thread's network namespace.
pub(crate) fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split(' ')).output().expect("ip, of iproute2");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {arguments}: {error}");
}

/// A cgroup with one below it, as a pod has one for each container, and a process there.
pub(crate) struct Pod {
    process: Child,
    pub(crate) cgroup: PathBuf,
}

impl Pod {
    /// In a network namespace of its own.
    pub(crate) fn start() -> Self {
        on_node(Self::start_here)
    }

    /// In the calling thread's network namespace.
    pub(crate) fn start_here() -> Self {
        Self::run(Command::new("sleep").arg("600"))
    }

    /// The same with this process.
    pub(crate) fn run(process: &mut Command) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let mounts = mountinfo::read();
        let mount = mounts.iter().find(|mount| mount.kind == "cgroup2").expect("a cgroup2 hierarchy");
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let cgroup = mount.point.join(format!("enforcer-links-{}-{number}", std::process::id()));
        let process = process.spawn().expect("a process for the pod");
        let pod = Self { process, cgroup };
        fs::create_dir_all(pod.container()).unwrap();
        fs::write(pod.container().join("cgroup.procs"), pod.pid().to_string()).unwrap();
        pod
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Where its process is.
    pub(crate) fn container(&self) -> PathBuf {
        self.cgroup.join("container")
    }

    /// Runs something in its network namespace.
    pub(crate) fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let namespace = Namespace::of_process(self.pid()).unwrap();
        super::inside(namespace.as_fd(), || Ok(work())).unwrap()
    }

    /// Ends its process, which stays a zombie until the pod is dropped.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        let stat = format!("/proc/{}/stat", self.pid());
        while !fs::read_to_string(&stat).unwrap().contains(") Z ") {
            thread::yield_now();
        }
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        // A panic here would hide the test's own.
        let _ = self.process.kill();
        let _ = self.process.wait();
        remove(&self.cgroup);
    }
}

fn remove(cgroup: &Path) {
    for _ in 0..1000 {
        let _ = fs::remove_dir(cgroup.join("container"));
        if fs::remove_dir(cgroup).is_ok() {
            return;
        }
        thread::sleep(std::time::Duration::from_millis(1));
    }
}
