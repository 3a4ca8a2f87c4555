//! Closing connections that may not stay: existing ones after a narrowing, and those whose packets are denied where their program
//! would wait in vain.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use enforcer_common::addr::Protocol;
use enforcer_common::event::{FlowEvent, Hook};
use enforcer_common::key::CgroupId;
use enforcer_common::mode::Enforcement;
use enforcer_common::verdict::Action;
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;

use crate::app::workloads::{self, Located};
use crate::census::{self, Connection, StorageMap, StorageMaps, Subject, Terminated};
use crate::config::Mesh;
use crate::controller::{Applied, Event};
use crate::dataplane::judge::Judge;
use crate::dataplane::pin::Pins;
use crate::dataplane::socket_maps::SocketMap;
use crate::identity::{self, Roster};
use crate::network::Network;
use crate::status::terminated::LastTermination;

/// Denied packets that wait for their sockets to be closed; what does not fit is sent again by its program.
pub(super) const QUEUE: usize = 1024;
/// At most a hundred sockets a second are closed for their packets: some are looked for among all of their workload.
const PAUSE: Duration = Duration::from_millis(10);
/// How long the directory of a cgroup that is no workload's is looked for.
const PATIENCE: Duration = Duration::from_millis(100);

/// What is asked about existing connections.
pub(super) struct Existing {
    judge: Judge,
    peers: SocketMap,
    judged: SocketMap,
}

impl Existing {
    pub(super) fn open(pins: &Pins) -> Result<Self> {
        Ok(Self {
            judge: Judge::open(pins)?,
            peers: SocketMap::peers(pins)?,
            judged: SocketMap::judged(pins)?,
        })
    }

    /// Closes what may not stay by the registry as it is now.
    fn terminate(&self, located: &Located) -> Terminated {
        let (roster, network) = &**located;
        let maps = StorageMaps {
            peers: StorageMap { map: self.peers.fd(), id: self.peers.id },
            judged: StorageMap { map: self.judged.fd(), id: self.judged.id },
        };
        let proxies = Proxies::of(roster);
        let may_stay = |subject: &Subject, connection: &Connection| {
            connection.is_inbound || self.may_go_on(proxies.identity(subject, connection), connection)
        };
        census::terminate(&workloads::subjects(roster, network), &maps, &may_stay)
    }

    fn may_go_on(&self, workload: CgroupId, connection: &Connection) -> bool {
        let Connection { protocol, remote, asked, .. } = *connection;
        let goes_on = self.judge.goes_on(workload, protocol, asked.unwrap_or(remote), remote);
        goes_on.unwrap_or_else(|error| {
            tracing::warn!(
                error = format!("{error:#}"),
                "cannot tell whether a connection may stay; it does"
            );
            true
        })
    }
}

/// At the start, and after every narrowing: one look at a time, and another one when a view was narrowed meanwhile.
pub(super) async fn watch(
    existing: Existing,
    located: watch::Receiver<Located>,
    mut applied: watch::Receiver<Arc<Applied>>,
    events: mpsc::Sender<Event>,
) -> Result<()> {
    let existing = Arc::new(existing);
    let mut done = None;
    loop {
        let narrowings = applied.borrow_and_update().narrowings;
        if done == Some(narrowings) {
            applied.changed().await.ok().context("the controller is gone")?;
            continue;
        }
        done = Some(narrowings);
        let (existing, located) = (Arc::clone(&existing), Arc::clone(&located.borrow()));
        let looked = tokio::task::spawn_blocking(move || existing.terminate(&located)).await;
        let Terminated { closed, failed, spared, looked_at } =
            looked.context("looking at connections panicked")?;
        if closed + failed + spared > 0 {
            tracing::info!(closed, failed, spared, looked_at, "connections that may not stay were closed");
        }
        let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let last = LastTermination {
            looked_at: number(looked_at),
            closed: number(closed),
            failed: number(failed),
            spared: number(spared),
        };
        events.send(Event::Terminated(last)).await.ok().context("the controller is gone")?;
    }
}

/// Whether the program of this packet would wait in vain: at an interface it is refused by a RST.
pub(super) fn hangs(event: &FlowEvent) -> bool {
    event.hook() == Some(Hook::Packet)
        && event.action() == Some(Action::Deny)
        && event.protocol() == Protocol::TCP
        && event.enforcement() == Enforcement::Enforce
}

/// Closes the sockets of denied packets.
pub(super) async fn close_denied(
    mut denied: mpsc::Receiver<FlowEvent>,
    located: watch::Receiver<Located>,
    closed: Arc<AtomicU64>,
) -> Result<()> {
    let mut pace = tokio::time::interval(PAUSE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while let Some(event) = denied.recv().await {
        pace.tick().await;
        let located = Arc::clone(&located.borrow());
        let was_there = tokio::task::spawn_blocking(move || close(&located, &event)).await;
        match was_there.context("closing a socket panicked")? {
            Ok(was_there) => drop(closed.fetch_add(was_there.into(), Ordering::Relaxed)),
            Err(error) => {
                tracing::debug!(error = format!("{error:#}"), "cannot close the socket of a denied packet");
            }
        }
    }
    bail!("nobody reads events any more")
}

fn close((roster, network): &(Roster, Network), event: &FlowEvent) -> Result<bool> {
    let Some((source, source_port)) = event.source() else { return Ok(false) };
    let (to, port) = event.destination();
    let known =
        workloads::subjects(roster, network).into_iter().find(|subject| subject.cgroup == event.cgroup());
    let Some(subject) = known.or_else(|| stranger(event.cgroup())) else { return Ok(false) };
    let local = SocketAddr::new(source.ip(), source_port.get());
    let remote = SocketAddr::new(to.ip(), port.get());
    let was_there = census::destroy_one(&subject, event.cookie(), event.protocol(), local, remote)?;
    if was_there {
        tracing::debug!(cgroup = %subject.path.display(), %local, %remote, "closed the socket of a denied packet");
    }
    Ok(was_there)
}

/// A cgroup that is no workload's.
fn stranger(cgroup: CgroupId) -> Option<Subject> {
    let mut paths = identity::paths(&BTreeSet::from([cgroup]), Instant::now() + PATIENCE);
    Some(Subject { cgroup, path: paths.remove(&cgroup)?, network: None })
}

/// Which cgroups are mesh proxies': what they may reach is not what their workload may.
struct Proxies {
    /// Every cgroup of a sidecar, and the sidecar's own.
    sidecars: BTreeMap<CgroupId, CgroupId>,
    /// Every cgroup of each workload of an ambient mesh.
    ambient: BTreeMap<CgroupId, BTreeSet<CgroupId>>,
}

impl Proxies {
    fn of(roster: &Roster) -> Self {
        let (mut sidecars, mut ambient) = (BTreeMap::new(), BTreeMap::new());
        for identified in &roster.workloads {
            if let Some(proxy) = &identified.proxy {
                sidecars.extend(identity::below(&proxy.path).into_iter().map(|cgroup| (cgroup, proxy.id)));
            }
            if let (Some(Mesh::Ambient), Some(cgroup)) = (&identified.workload.mesh, &identified.cgroup) {
                ambient.insert(cgroup.id, identity::below(&cgroup.path));
            }
        }
        Self { sidecars, ambient }
    }

    /// Whom the programs take a socket's packets to be of.
    fn identity(&self, subject: &Subject, connection: &Connection) -> CgroupId {
        let Some(cgroup) = connection.cgroup else { return subject.cgroup };
        match (self.sidecars.get(&cgroup), self.ambient.get(&subject.cgroup)) {
            (Some(sidecar), _) => *sidecar,
            (None, Some(own)) if !own.contains(&cgroup) => subject.cgroup.of_proxy(),
            (None, _) => subject.cgroup,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;
    use std::path::{Path, PathBuf};

    use enforcer_core::name::{Labels, Namespace};

    use super::*;
    use crate::config::StaticWorkload;
    use crate::identity::{Cgroup, Identified};

    fn cgroup(path: &Path) -> Cgroup {
        std::fs::create_dir_all(path).unwrap();
        let directory = std::fs::metadata(path).unwrap();
        let id = CgroupId::new(directory.ino());
        Cgroup { id, level: 1, path: path.to_path_buf() }
    }

    fn identified(cgroup: Cgroup, mesh: Option<Mesh>, proxy: Option<Cgroup>) -> Identified {
        let workload = StaticWorkload {
            cgroup: cgroup.path.clone(),
            namespace: Namespace::new("web"),
            name: "curl".to_owned(),
            labels: Labels::new(),
            enforcement: None,
            interfaces: Vec::new(),
            addresses: BTreeSet::new(),
            mesh,
        };
        Identified { workload, cgroup: Some(cgroup), proxy }
    }

    /// Whom a socket of the cgroup `of` is taken for, in the network of `subject`.
    fn taken_for(roster: &Roster, subject: CgroupId, of: Option<CgroupId>) -> CgroupId {
        let subject = Subject { cgroup: subject, path: PathBuf::new(), network: None };
        let end = SocketAddr::from(([192, 0, 2, 1], 1));
        let connection = Connection {
            protocol: Protocol::TCP,
            local: end,
            remote: end,
            asked: None,
            is_inbound: false,
            is_certain: true,
            cookie: 1,
            cgroup: of,
        };
        Proxies::of(roster).identity(&subject, &connection)
    }

    #[test]
    fn what_a_mesh_proxy_has_begun_is_judged_as_the_proxys() {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| cgroup(&root.path().join(path));
        let (pod, app, sidecar) = (at("pod"), at("pod/app"), at("pod/proxy"));
        let below = at("pod/proxy/worker");
        let (ambient, own, ztunnel) = (at("ambient"), at("ambient/app"), at("ztunnel"));
        let mesh = Mesh::Sidecar { proxy: sidecar.path.clone() };
        let workloads = vec![
            identified(pod.clone(), Some(mesh), Some(sidecar.clone())),
            identified(ambient.clone(), Some(Mesh::Ambient), None),
        ];
        let roster = Roster { workloads, ..Roster::default() };
        for (subject, of, expected) in [
            (&pod, Some(&app), pod.id),
            (&pod, Some(&sidecar), sidecar.id),
            (&pod, Some(&below), sidecar.id),
            (&pod, None, pod.id),
            (&ambient, Some(&own), ambient.id),
            (&ambient, Some(&ztunnel), ambient.id.of_proxy()),
        ] {
            assert_eq!(taken_for(&roster, subject.id, of.map(|of| of.id)), expected, "{of:?} in {subject:?}");
        }
    }
}
