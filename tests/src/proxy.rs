//! A mesh proxy, from the test's side.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::needs;
use crate::pod::Pod;
use crate::world::{Spot, World, finish};

/// Where it takes what its pod sends.
pub const OUTBOUND: u16 = 15001;
/// Where it takes what comes to its pod.
pub const INBOUND: u16 = 15006;
/// Where it takes what comes by the mesh's tunnel.
pub const HBONE: u16 = 15008;

/// How long a connection may take to be told.
const PATIENCE: Duration = Duration::from_secs(5);
/// A proxy that was reached says so sooner.
const QUIET: Duration = Duration::from_millis(500);

/// Which traffic of a pod is its mesh proxy's own, and not redirected to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Own {
    /// That of the user 1337, as with Istio's sidecars.
    User,
    /// What has the mark 0x539, as with ztunnel.
    Mark,
}

/// A mesh proxy: `inside::proxy` says what it does.
#[derive(Debug)]
pub struct MeshProxy {
    child: Child,
    said: Receiver<String>,
}

impl MeshProxy {
    /// A pod's: in the cgroup of the sidecar's container, by its user; or the node's, which is in a cgroup of its own and in the
    /// node's network, with marked sockets in the pod's.
    pub fn start(
        world: &World,
        pod: &Pod,
        (own, cgroup): (Own, &Path),
        port: u16,
        tunnels: &[(&str, &str)],
    ) -> Result<Self> {
        let network = pod.network();
        let (network_at_start, kind) = match own {
            Own::User => (Some(&*network), vec!["sidecar".to_owned()]),
            Own::Mark => (None, vec!["ztunnel".to_owned(), network.to_string_lossy().into_owned()]),
        };
        let spot = Spot { cgroup: Some(cgroup), network: network_at_start, nobody: false };
        let mut command = world.command(&needs::binary("enforcer-probe")?, spot)?;
        command.arg("proxy").args(kind).arg(port.to_string());
        command.args(tunnels.iter().map(|(meant, to)| format!("{meant}={to}")));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let lines = BufReader::new(child.stdout.take().context("a mesh proxy without output")?).lines();
        let (sender, said) = channel();
        thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)).ok());
        let proxy = Self { child, said };
        match &*proxy.said()? {
            "ready" => Ok(proxy),
            line => bail!("a mesh proxy begins with {line:?}"),
        }
    }

    /// What it says of the next connection.
    pub fn said(&self) -> Result<String> {
        self.said.recv_timeout(PATIENCE).context("a mesh proxy says nothing")
    }

    /// Whether it has nothing more to say.
    pub fn is_silent(&self) -> bool {
        self.said.recv_timeout(QUIET) == Err(RecvTimeoutError::Timeout)
    }
}

impl Drop for MeshProxy {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl World {
    /// Redirects a pod's TCP to its mesh proxy, both ways: istio-iptables does it like this for sidecars, and istio-cni for ztunnel.
    pub fn redirect(&self, pod: &Pod, own: Own) -> Result<()> {
        anyhow::ensure!(
            needs::missing_tool("iptables", "").is_none(),
            "the program iptables is missing: apt install iptables"
        );
        let own = match own {
            Own::User => "-m owner --uid-owner 1337",
            Own::Mark => "-m mark --mark 0x539/0xfff",
        };
        for rule in [
            "OUTPUT -p tcp -d 127.0.0.1/32 -j RETURN",
            &format!("OUTPUT -p tcp {own} -j RETURN"),
            &format!("OUTPUT -p tcp -j REDIRECT --to-ports {OUTBOUND}"),
            &format!("PREROUTING -p tcp ! --dport {HBONE} -j REDIRECT --to-ports {INBOUND}"),
        ] {
            let network = pod.network();
            let spot = Spot { network: Some(&network), ..Spot::default() };
            let mut command = self.command(Path::new("iptables"), spot)?;
            command.args(["-w", "-t", "nat", "-A"]).args(rule.split(' '));
            let done = finish(&mut command)?;
            anyhow::ensure!(done.code == Some(0), "iptables {rule}: {}", done.stderr.trim());
        }
        Ok(())
    }
}
