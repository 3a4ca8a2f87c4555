//! A `net_cls` class, written during a connection: older kernels then forget the cgroup v2 of the process's sockets.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use enforcer_tests::marker::Marker;
use enforcer_tests::node::{Node, OUTSIDE};
use enforcer_tests::world::{Finished, Spot, finish};

use crate::stage::Stage;
use crate::table::{self, Row};

/// The hierarchy of cgroup v1, mounted in the world's mount namespace, with a cgroup of its own.
struct Classes<'a> {
    node: &'a Node,
    mounted: PathBuf,
    name: String,
}

impl<'a> Classes<'a> {
    fn mount(node: &'a Node) -> Result<Self> {
        let mounted = node.world().directory().join("net_cls");
        let name = node.world().cgroup().file_name().context("a cgroup without name")?;
        let classes = Self { node, mounted, name: name.to_string_lossy().into_owned() };
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
        let mut command = self.node.world().command(Path::new("sh"), Spot::default())?;
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

#[test]
fn a_class_is_written_during_a_connection() -> Result<()> {
    let mut stage = Stage::new()?;
    stage.said(OUTSIDE, "keep server listen 9100")?;
    for (name, kind, to) in [("tcp", "tcp4", "192.0.2.10:9100"), ("udp", "udp4", "192.0.2.10:9000")] {
        stage.said("curl", &format!("keep {name} {kind}"))?;
        assert_eq!(stage.said("curl", &format!("on {name} connect {to}"))?, "connected");
    }
    stage.said("curl", "keep unbound udp4")?;
    let pid = stage.node.probe("curl")?.pid();
    let mut met = Vec::new();
    for class in ["0x100001", "0x200002"] {
        let answer = {
            let classes = Classes::mount(&stage.node)?;
            classes.put(pid, class)?;
            // While it has the class.
            let marker = Marker::fresh();
            let sent = stage.ask("curl", &format!("on tcp send {marker}"))?;
            ensure!(!stage.outside.saw(&marker)?.is_empty(), "the connection does not go on: {sent}");
            stage.node.expect(
                "curl",
                &[("tcp 203.0.113.240:9000", "EPERM"), ("udp-send 203.0.113.240:9000", "EPERM")],
            );
            stage.ask("curl", "on unbound to 203.0.113.240:9000")?
        };
        assert_eq!(answer["errno"], "EPERM");
    }
    let classes = Classes::mount(&stage.node)?;
    classes.put(pid, "0x300003")?;
    drop(classes);
    for command in ["tcp {4}", "udp {6}", "packet-raw {4}"] {
        met.push(stage.stopped(command)?);
    }
    table::publish("94 class", &[Row::of("net_cls class", &met, "itself")])
}
