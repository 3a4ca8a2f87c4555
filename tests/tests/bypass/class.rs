//! A `net_cls` class, written during a connection: older kernels then forget the cgroup v2 of the process's sockets.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use enforcer_tests::marker::Marker;
use enforcer_tests::node::OUTSIDE;
use enforcer_tests::world::{Finished, Spot, finish};

use crate::stage::Stage;
use crate::table::{self, Row};

/// The hierarchy of cgroup v1, mounted in the world's mount namespace, with a cgroup of its own.
struct Classes<'a> {
    stage: &'a mut Stage,
    mounted: PathBuf,
    name: String,
}

impl<'a> Classes<'a> {
    fn mount(stage: &'a mut Stage) -> Result<Self> {
        let mounted = stage.node.world().directory().join("net_cls");
        let name = stage.node.world().cgroup().file_name().context("a cgroup without name")?;
        let name = name.to_string_lossy().into_owned();
        let classes = Self { stage, mounted, name };
        let at = classes.mounted.display();
        let done = classes.shell(&format!(
            "mkdir -p {at} && mount -t cgroup -o net_cls none {at} && mkdir {at}/{}",
            classes.name
        ))?;
        ensure!(
            done.code == Some(0),
            "this kernel has net_cls only if its hierarchy can be mounted: {}",
            done.stderr
        );
        Ok(classes)
    }

    /// Gives a process this class.
    fn put(&self, pid: u32, class: &str) -> Result<()> {
        let at = self.mounted.join(&self.name);
        let at = at.display();
        let done =
            self.shell(&format!("echo {class} > {at}/net_cls.classid && echo {pid} > {at}/cgroup.procs"))?;
        ensure!(done.code == Some(0), "writing a class: {}", done.stderr);
        Ok(())
    }

    fn shell(&self, script: &str) -> Result<Finished> {
        let mut command = self.stage.node.world().command(Path::new("sh"), Spot::default())?;
        finish(command.args(["-c", script]))
    }
}

impl Drop for Classes<'_> {
    fn drop(&mut self) {
        let at = self.mounted.display();
        let name = &self.name;
        // A hierarchy goes with its last mount only when it has no cgroup, and removed ones take a moment.
        let script = format!(
            "for pid in $(cat {at}/{name}/cgroup.procs); do echo $pid > {at}/cgroup.procs; done
             rmdir {at}/{name} && umount {at} || exit 1
             for turn in 1 2 3 4 5 6 7 8 9; do
               grep -q '^net_cls[[:space:]]0[[:space:]]' /proc/cgroups && break
               sleep 0.1; mount -t cgroup -o net_cls none {at} && umount {at}
             done"
        );
        match self.shell(&script) {
            Ok(done) if done.code == Some(0) => {}
            other => eprintln!("taking net_cls away: {other:?}"),
        }
    }
}

/// The connections go on while they may, and stop when the registry is narrowed, while the process has a class.
#[test]
fn a_class_is_written_during_a_connection() -> Result<()> {
    let mut stage = Stage::new()?;
    stage.said(OUTSIDE, "keep server listen 9100")?;
    let kept = [("tcp", "tcp4", "192.0.2.10:9100"), ("udp", "udp4", "192.0.2.10:9000")];
    for (name, kind, to) in kept {
        stage.said("curl", &format!("keep {name} {kind}"))?;
        assert_eq!(stage.said("curl", &format!("on {name} connect {to}"))?, "connected");
    }
    stage.said("curl", "keep unbound udp4")?;
    let pid = stage.node.probe("curl")?.pid();
    let classes = Classes::mount(&mut stage)?;
    let mut met = Vec::new();
    for class in ["0x100001", "0x200002"] {
        classes.put(pid, class)?;
        let tried = &mut *classes.stage;
        for (name, ..) in kept {
            let marker = Marker::fresh();
            let sent = tried.ask("curl", &format!("on {name} send {marker}"))?;
            ensure!(!tried.outside.saw(&marker)?.is_empty(), "{name} does not go on: {sent}");
        }
        for command in ["tcp {4}", "udp {6}", "packet-raw {4}"] {
            met.push(tried.stopped(command)?);
        }
        met.push(tried.stopped_if(|stage, marker, (to, _)| {
            stage.ask("curl", &format!("on unbound send-to {to} {marker}"))
        })?);
    }
    let tried = &mut *classes.stage;
    tried.node.write("registry.yaml", "outboundTrafficPolicy: {mode: REGISTRY_ONLY}\n")?;
    tried.node.expect_soon("curl", &[("tcp 192.0.2.10:9000", "EPERM")]);
    for (name, _, to) in kept {
        let to: SocketAddr = to.parse().context("no address")?;
        let send = |stage: &Stage, marker: &Marker| stage.ask("curl", &format!("on {name} send {marker}"));
        met.push(tried.stopped_to(to.ip(), send).context(name)?);
    }
    drop(classes);
    // Nor does it help to have had one.
    for command in ["tcp {4}", "udp {6}", "packet-raw {4}"] {
        met.push(stage.stopped(command)?);
    }
    table::publish("94 class", &[Row::of("net_cls class", &met, "before")])
}
