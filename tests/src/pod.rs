//! Pods of a node: a network namespace each, behind a veth pair whose other end the node routes to, as Calico does it; and
//! the network outside of the node, where every address is served.
//!
//! ```text
//! pod: eth0 10.244.0.N/32 ─── node: pod-N        node: uplink0 10.255.0.1/30 ─── outside: wire 10.255.0.2/30
//! ```

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::ifaddrs::getifaddrs;
use nix::net::if_::{InterfaceFlags, if_nametoindex};

use crate::capture::{Capture, Point, Sender, within};
use crate::frame::Mac;
use crate::node::PODS;
use crate::sys::{self, Classifier};
use crate::world::{Spot, World};
use crate::{cgroup, needs};

/// The MAC address of the host side of every pod's veth pair: the next hop of all that a pod sends.
pub const GATEWAY: Mac = [0xee; 6];
/// The node's end of the wire.
pub const UPLINK: &str = "uplink0";
/// The other end.
pub const WIRE: &str = "wire";
/// The node's own addresses on the wire.
pub const NODE: (Ipv4Addr, Ipv6Addr) =
    (Ipv4Addr::new(10, 255, 0, 1), Ipv6Addr::new(0xfd00, 0x255, 0, 0, 0, 0, 0, 1));

/// How long an interface may take to run.
const PATIENCE: Duration = Duration::from_secs(5);

/// A pod, which the world has.
#[derive(Clone, Debug)]
pub struct Pod {
    number: u8,
    pid: u32,
    cgroup: PathBuf,
}

impl Pod {
    /// The end of its veth pair in the node's namespace.
    pub fn interface(&self) -> String {
        format!("pod-{}", self.number)
    }

    /// Its IPv4 address.
    pub fn ipv4(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 244, 0, self.number)
    }

    /// Its IPv6 address.
    pub fn ipv6(&self) -> Ipv6Addr {
        Ipv6Addr::new(0xfd00, 0x244, 0, 0, 0, 0, 0, self.number.into())
    }

    /// The MAC address of its `eth0`.
    pub fn mac(&self) -> Mac {
        [2, 0, 10, 244, 0, self.number]
    }

    /// The process that holds its network namespace, as the pause container does.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Its cgroup.
    pub fn cgroup(&self) -> &Path {
        &self.cgroup
    }

    /// Its network namespace.
    pub fn network(&self) -> PathBuf {
        network_of(self.pid)
    }
}

/// What is around a node with pods.
#[derive(Debug)]
pub(crate) struct Surroundings {
    outside: Held,
    pods: RefCell<BTreeMap<String, (Pod, Held)>>,
}

/// A process that holds a network namespace. Dropping it ends it.
#[derive(Debug)]
struct Held(Child);

impl Held {
    /// Starts one of a kind.
    fn start(world: &World, cgroup: Option<&Path>, arguments: &[&str]) -> Result<Self> {
        let spot = Spot { cgroup, ..Spot::default() };
        let mut command = world.command(&needs::binary("enforcer-probe")?, spot)?;
        command.arg("hold").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut held = Self(command.spawn().context("starting enforcer-probe")?);
        let mut line = String::new();
        let stdout = held.0.stdout.take().context("reading from enforcer-probe")?;
        BufReader::new(stdout).read_line(&mut line).context("waiting for a namespace")?;
        if line != "ready\n" {
            bail!("making a network namespace failed");
        }
        Ok(held)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Surroundings {
    /// Makes the network outside and the wire to it.
    pub(crate) fn new(world: &World, ports: &[u16]) -> Result<Self> {
        let ports: Vec<String> = ports.iter().map(ToString::to_string).collect();
        let outside = Held::start(world, None, &["outside", &ports.join(",")])?;
        let pid = outside.0.id();
        let (node, node6) = NODE;
        ip(
            world,
            None,
            &format!(
                "link set lo up
                 link add {UPLINK} address 02:00:00:00:ff:01 type veth peer name {WIRE} address 02:00:00:00:ff:02 netns {pid}
                 link set {UPLINK} up
                 addr add {node}/30 dev {UPLINK}
                 addr add {node6}/64 dev {UPLINK} nodad
                 neigh add 10.255.0.2 lladdr 02:00:00:00:ff:02 dev {UPLINK} nud permanent
                 neigh add fd00:255::2 lladdr 02:00:00:00:ff:02 dev {UPLINK} nud permanent
                 route add default via 10.255.0.2
                 route add default via fd00:255::2
                 route add blackhole 10.244.0.0/24
                 route add blackhole fd00:244::/64"
            ),
        )?;
        ip(
            world,
            Some(&network_of(pid)),
            &format!(
                "link set lo up
                 link set {WIRE} up
                 addr add 10.255.0.2/30 dev {WIRE}
                 addr add fd00:255::2/64 dev {WIRE} nodad
                 neigh add {node} lladdr 02:00:00:00:ff:01 dev {WIRE} nud permanent
                 neigh add {node6} lladdr 02:00:00:00:ff:01 dev {WIRE} nud permanent
                 route add local 0.0.0.0/0 dev lo table main
                 route add local ::/0 dev lo table main
                 route add 10.244.0.0/24 via {node}
                 route add fd00:244::/64 via {node6}"
            ),
        )?;
        wait_for(world, UPLINK)?;
        Ok(Self { outside, pods: RefCell::default() })
    }
}

impl World {
    /// Makes a pod called `name`, whose cgroup is that of the workload of this name.
    pub fn add_pod(&self, name: &str) -> Result<Pod> {
        Ok(self.add_pod_while(name, |_| Ok(()))?.0)
    }

    /// The same; `begin` is called when the pod has a process and no interface yet.
    pub fn add_pod_while<T>(&self, name: &str, begin: impl FnOnce(&Pod) -> Result<T>) -> Result<(Pod, T)> {
        let pods = &self.surroundings()?.pods;
        if pods.borrow().contains_key(name) {
            bail!("there is a pod {name}");
        }
        let free = |number: &u8| pods.borrow().values().all(|(pod, _)| pod.number != *number);
        let number = (1..=250).find(free).context("a node has no more than 250 pods")?;
        let cgroup = self.make_cgroup(&format!("{PODS}/{name}"))?;
        let held = Held::start(self, Some(&cgroup), &["pod"])?;
        let pod = Pod { number, pid: held.0.id(), cgroup };
        let result = begin(&pod)?;
        self.connect(&pod).with_context(|| format!("connecting the pod {name}"))?;
        pods.borrow_mut().insert(name.to_owned(), (pod.clone(), held));
        Ok((pod, result))
    }

    fn connect(&self, pod: &Pod) -> Result<()> {
        let (host, pid, v4, v6) = (pod.interface(), pod.pid, pod.ipv4(), pod.ipv6());
        let (mac, gateway, node) = (shown(pod.mac()), shown(GATEWAY), NODE.0);
        ip(
            self,
            None,
            &format!(
                "link add {host} address {gateway} type veth peer name eth0 address {mac} netns {pid}
                 link set {host} up
                 addr add fe80::1/64 dev {host} nodad
                 neigh add {v4} lladdr {mac} dev {host} nud permanent
                 neigh add {v6} lladdr {mac} dev {host} nud permanent
                 route add {v4}/32 dev {host}
                 route add {v6}/128 dev {host}"
            ),
        )?;
        ip(
            self,
            Some(&pod.network()),
            &format!(
                "link set lo up
                 link set eth0 up
                 addr add {v4}/32 dev eth0
                 addr add {v6}/128 dev eth0 nodad
                 neigh add 169.254.1.1 lladdr {gateway} dev eth0 nud permanent
                 neigh add fe80::1 lladdr {gateway} dev eth0 nud permanent
                 neigh add {node} lladdr {gateway} dev eth0 nud permanent
                 route add 169.254.1.1/32 dev eth0 scope link
                 route add {node}/32 dev eth0 scope link
                 route add default via 169.254.1.1 dev eth0
                 route add default via fe80::1 dev eth0"
            ),
        )?;
        wait_for(self, &host)
    }

    /// Removes a pod with its processes, its interfaces and its cgroup.
    pub fn remove_pod(&self, name: &str) -> Result<()> {
        let removed = self.surroundings()?.pods.borrow_mut().remove(name);
        let (pod, held) = removed.with_context(|| format!("no pod is called {name}"))?;
        ip(self, None, &format!("link delete {}", pod.interface()))?;
        drop(held);
        cgroup::remove(&pod.cgroup)
    }

    /// Drops all that a pod sends, at the host side of its veth pair, until the wall is dropped.
    pub fn wall(&self, name: &str) -> Result<Classifier> {
        self.wall_at(name, false)
    }

    /// The same, before every other program that is there.
    pub fn wall_before_all(&self, name: &str) -> Result<Classifier> {
        self.wall_at(name, true)
    }

    fn wall_at(&self, name: &str, first: bool) -> Result<Classifier> {
        self.at_interface(name, |index| sys::wall(index, first).context("dropping all that a pod sends"))
    }

    /// Programs that do nothing at the host side of a pod's veth pair, as many as the kernel takes there: no other can be attached.
    pub fn crowd(&self, name: &str) -> Result<Vec<Classifier>> {
        self.at_interface(name, |index| {
            let mut crowd = Vec::new();
            loop {
                match sys::bystander(index) {
                    Ok(bystander) => crowd.push(bystander),
                    Err(error) if error.raw_os_error() == Some(libc::ERANGE) => return Ok(crowd),
                    Err(error) => return Err(error).context("filling an interface with programs"),
                }
            }
        })
    }

    fn at_interface<T: Send>(&self, name: &str, act: impl FnOnce(u32) -> Result<T> + Send) -> Result<T> {
        let index = self.host_index(name)?;
        self.on_node(|| act(index))
    }

    /// Delivers what comes over the wire to a pod past the host side of its veth pair, as some CNIs do, until this is dropped.
    pub fn deliver_past_host_side(&self, name: &str) -> Result<Classifier> {
        let interface = self.host_index(name)?;
        within(&self.network()?, || {
            let uplink = if_nametoindex(UPLINK).context("finding the wire")?;
            sys::redirect_peer(uplink, interface).context("delivering past the host side")
        })
    }

    /// The pod of this name.
    pub fn pod(&self, name: &str) -> Result<Pod> {
        let pods = self.surroundings()?.pods.borrow();
        pods.get(name).map(|(pod, _)| pod.clone()).with_context(|| format!("no pod is called {name}"))
    }

    /// The network outside of the node.
    pub fn outside_network(&self) -> Result<PathBuf> {
        Ok(network_of(self.surroundings()?.outside.0.id()))
    }

    /// What reaches the network outside.
    pub fn capture_outside(&self) -> Result<Capture> {
        let there = File::open(self.outside_network()?).context("opening the network outside")?;
        Capture::new(
            &Point { network: &there, interface: WIRE },
            &Point { network: &self.network()?, interface: UPLINK },
        )
    }

    /// What reaches a pod.
    pub fn capture_pod(&self, name: &str) -> Result<Capture> {
        let pod = self.pod(name)?;
        let there = File::open(pod.network()).context("opening a pod's network")?;
        let here = self.network()?;
        Capture::new(
            &Point { network: &there, interface: "eth0" },
            &Point { network: &here, interface: &pod.interface() },
        )
    }

    /// What a pod sends, before any program of the host side of its veth pair: what tells that it was sent.
    pub fn capture_sent(&self, name: &str) -> Result<Capture> {
        let pod = self.pod(name)?;
        let there = File::open(pod.network()).context("opening a pod's network")?;
        let here = self.network()?;
        Capture::new(
            &Point { network: &here, interface: &pod.interface() },
            &Point { network: &there, interface: "eth0" },
        )
    }

    /// What a pod sends and the ingress programs of the host side of its veth pair let pass, whatever the node then does
    /// with it.
    ///
    /// How far this has come is known by frames that the pod sends, of the ethertype [`crate::frame::ethertype::SENTINEL`]:
    /// the programs meet them, too.
    pub fn capture_past_programs(&self, name: &str) -> Result<Capture> {
        let pod = self.pod(name)?;
        let there = File::open(pod.network()).context("opening a pod's network")?;
        let here = self.network()?;
        Capture::past_programs(
            &Point { network: &here, interface: &pod.interface() },
            &Point { network: &there, interface: "eth0" },
        )
    }

    /// Sends frames as the pod would.
    pub fn sender(&self, name: &str) -> Result<Sender> {
        self.sender_within(name, "eth0")
    }

    /// Sends frames by this interface of the pod's.
    pub fn sender_within(&self, name: &str, interface: &str) -> Result<Sender> {
        let there = File::open(self.pod(name)?.network()).context("opening a pod's network")?;
        Sender::new(&Point { network: &there, interface })
    }

    /// The number of the host side of a pod's interface, in the node's namespace.
    pub fn host_index(&self, name: &str) -> Result<u32> {
        let interface = self.pod(name)?.interface();
        within(&self.network()?, || if_nametoindex(interface.as_str()).context("finding an interface"))
    }

    /// Does something in the node's network namespace.
    pub fn on_node<T: Send>(&self, act: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        within(&self.network()?, act)
    }
}

/// The network namespace of a process.
fn network_of(pid: u32) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/ns/net"))
}

fn shown(mac: Mac) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

/// Waits until an interface of the node runs. The end of a veth pair that was set up first drops what it sends until the kernel has
/// heard, a little later, that the other is up, too.
fn wait_for(world: &World, interface: &str) -> Result<()> {
    let since = Instant::now();
    within(&world.network()?, || {
        loop {
            let mut all = getifaddrs().context("listing interfaces")?;
            if all.any(|it| it.interface_name == interface && it.flags.contains(InterfaceFlags::IFF_RUNNING))
            {
                return Ok(());
            }
            if since.elapsed() > PATIENCE {
                bail!("{interface} does not run within {} s", PATIENCE.as_secs());
            }
            sleep(Duration::from_millis(1));
        }
    })
}

/// Runs all lines by one `ip`, in the node's namespace or that one.
pub(crate) fn ip(world: &World, network: Option<&Path>, script: &str) -> Result<()> {
    let spot = Spot { network, ..Spot::default() };
    let mut command = world.command(Path::new("ip"), spot)?;
    command.args(["-batch", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().context("starting ip")?;
    child.stdin.take().context("ip without input")?.write_all(script.as_bytes()).context("telling ip")?;
    let mut complaint = String::new();
    child.stderr.take().map(|mut stderr| stderr.read_to_string(&mut complaint));
    if !child.wait().context("waiting for ip")?.success() {
        bail!("ip: {}", complaint.trim());
    }
    Ok(())
}
