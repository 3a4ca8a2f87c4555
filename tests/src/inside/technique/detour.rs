//! By other processes, namespaces and devices: `nested-cgroup` and `setuid-1337` (by a child process, `how=NAME` or else `tcp`),
//! `tun-inside` (out of a TUN device of the pod, which forwards it: a packet without a socket), `new-netns` (from a namespace behind
//! the pod's own, which forwards; with the pod's address as the source; by UDP, or `way=packet|raw`), `vxlan-device` (by a device, to
//! whom the target is the other end).

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{IpAddr, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::{env, fs, thread};

use anyhow::{Context as _, Result, bail};
use nix::net::if_::if_nametoindex;
use nix::sched::{CloneFlags, setns, unshare};
use serde_json::{Value, json};
use socket2::{Domain, Protocol, Socket, Type};

use crate::frame::{self, BROADCAST, Mac};
use crate::inside::calls::answer;
use crate::inside::technique::target::{Target, ethertype_of};
use crate::inside::technique::way::Way;
use crate::sys::{self, Birthplace, packet};
use crate::{cgroup, needs};

/// The user that Istio's proxy is.
const PROXY: &str = "1337";
const TUN: &str = "tun0";
const VXLAN: &str = "vx0";
/// The network namespace of the thread that looks.
const NETWORK: &str = "/proc/thread-self/ns/net";
/// A pair between the pod and a namespace within.
const MACS: [Mac; 2] = [[2, 0, 0, 0, 0x97, 1], [2, 0, 0, 0, 0x97, 2]];

pub(super) fn act(name: &str, target: &Target<'_>) -> Option<io::Result<Value>> {
    let outcome = match name {
        "nested-cgroup" => nested(target),
        "setuid-1337" => child(target, None, &[&format!("become {PROXY}")]),
        "tun-inside" => tun(target),
        "new-netns" => behind(target),
        "vxlan-device" => vxlan(target),
        _ => return None,
    };
    Some(outcome.map_err(|error| io::Error::other(format!("{error:#}"))))
}

fn nested(target: &Target<'_>) -> Result<Value> {
    let own = fs::read_to_string("/proc/self/cgroup").context("finding the own cgroup")?;
    let own = own.lines().find_map(|line| line.strip_prefix("0::/")).context("no cgroup")?;
    let nested = cgroup::mount()?.join(own).join(format!("nested-{}", std::process::id()));
    fs::create_dir_all(&nested).context("making a nested cgroup")?;
    let outcome = child(target, Some(nested.join("cgroup.procs")), &[]);
    cgroup::remove(&nested)?;
    outcome
}

/// What a child process says of it, born in that cgroup and told this before.
fn child(target: &Target<'_>, cgroup: Option<PathBuf>, before: &[&str]) -> Result<Value> {
    let mut command = Command::new("/proc/self/exe");
    let open = |path: PathBuf| fs::OpenOptions::new().write(true).open(path);
    let cgroup = cgroup.map(open).transpose().context("opening a cgroup")?;
    let place = Birthplace { cgroup, directory: c"/".into(), ..Birthplace::default() };
    sys::born(&mut command, place);
    command.arg("workload").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().context("starting a child")?;
    let mut stdin = child.stdin.take().context("a child without input")?;
    let mut answers = BufReader::new(child.stdout.take().context("a child without output")?).lines();
    let how = target.option("how").unwrap_or("tcp");
    let last = format!("try {how} {} {}", target.marker, target.to);
    let mut answer = Value::Null;
    for line in before.iter().copied().chain([&*last]) {
        writeln!(stdin, "{line}").context("telling a child")?;
        let said = answers.next().context("a child that says nothing")?.context("hearing a child")?;
        answer = serde_json::from_str(&said).with_context(|| format!("a child that says {said:?}"))?;
    }
    drop(stdin);
    child.wait().context("waiting for a child")?;
    Ok(answer)
}

fn tun(target: &Target<'_>) -> Result<Value> {
    let mut device = sys::tun(TUN).context("making a TUN device")?;
    ip(&["link", "set", TUN, "up"])?;
    forward_from(TUN)?;
    let sent = device.write(&target.udp_packet()).context("sending out of the device")?;
    Ok(json!({ "sent": sent }))
}

/// The pod forwards what comes by this device, as if it were its own.
pub(super) fn forward_from(device: &str) -> Result<()> {
    let settings = [
        ("ipv4/ip_forward", "1"),
        ("ipv4/conf/all/rp_filter", "0"),
        (&format!("ipv4/conf/{device}/rp_filter"), "0"),
        (&format!("ipv4/conf/{device}/accept_local"), "1"),
        ("ipv6/conf/all/forwarding", "1"),
    ];
    for (setting, value) in settings {
        fs::write(format!("/proc/sys/net/{setting}"), value).context("forwarding")?;
    }
    Ok(())
}

/// The frame goes into the device, and the kernel sends it to the target in a datagram.
fn vxlan(target: &Target<'_>) -> Result<Value> {
    let (to, port) = (target.to.ip().to_string(), target.to.port().to_string());
    let device = ["link", "add", VXLAN, "type", "vxlan", "id", "1", "dev", target.me.interface];
    ip(&[&device[..], &["remote", &to, "dstport", &port, "udp6zerocsumrx"]].concat())?;
    ip(&["link", "set", VXLAN, "up"])?;
    let frame = target.frame(&target.udp_packet());
    let sent = send_frame(VXLAN, &frame);
    ip(&["link", "delete", VXLAN])?;
    Ok(answer(sent.map(|bytes| json!({ "sent": bytes }))))
}

fn send_frame(interface: &str, frame: &[u8]) -> io::Result<usize> {
    let to = packet::link(if_nametoindex(interface)?, 0, BROADCAST)?;
    Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(0)))?.send_to(frame, &to)
}

/// A thread leaves for a namespace of its own, and is connected to this one, which forwards.
fn behind(target: &Target<'_>) -> Result<Value> {
    for setting in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
        fs::write(format!("/proc/sys/net/{setting}"), "1").context("forwarding")?;
    }
    let own = target.own(target.to.ip());
    thread::scope(|scope| scope.spawn(|| from_behind(target, own)).join())
        .map_err(|_| anyhow::anyhow!("the thread panicked"))?
}

fn from_behind(target: &Target<'_>, own: IpAddr) -> Result<Value> {
    let here = fs::File::open(NETWORK).context("opening the pod's namespace")?;
    unshare(CloneFlags::CLONE_NEWNET).context("leaving")?;
    let there = fs::File::open(NETWORK).context("opening the new namespace")?;
    setns(&here, CloneFlags::CLONE_NEWNET).context("going back")?;
    let new = format!("/proc/{}/fd/{}", std::process::id(), there.as_raw_fd());
    let macs = MACS.map(|mac| mac.map(|byte| format!("{byte:02x}")).join(":"));
    let names =
        ["inner0", "address", &macs[0], "type", "veth", "peer", "name", "inner1", "address", &macs[1]];
    ip(&[&["link", "add"], &names[..], &["netns", &new]].concat())?;
    ip(&["link", "set", "inner0", "up"])?;
    setns(&there, CloneFlags::CLONE_NEWNET).context("entering the new namespace")?;
    let (gateway, all) = if own.is_ipv4() { ("169.254.1.1", "0.0.0.0/0") } else { ("fe80::1", "::/0") };
    let own = own.to_string();
    ip(&["link", "set", "inner1", "up"])?;
    let address = ["addr", "add", &own, "dev", "inner1", "nodad"];
    ip(if own.contains(':') { &address } else { &address[..5] })?;
    ip(&["neigh", "add", gateway, "lladdr", &macs[0], "dev", "inner1", "nud", "permanent"])?;
    ip(&["route", "add", all, "via", gateway, "dev", "inner1", "onlink"])?;
    let sent = send_there(target, &own)?;
    // With one end goes the other; the namespace itself only a little later.
    ip(&["link", "delete", "inner1"])?;
    Ok(answer(sent.map(|bytes| json!({ "sent": bytes }))))
}

fn send_there(target: &Target<'_>, own: &str) -> Result<io::Result<usize>> {
    let packet = target.udp_packet();
    Ok(match target.option("way") {
        Some("packet") => {
            let [to, from] = MACS;
            send_frame("inner1", &frame::ethernet(to, from, ethertype_of(&packet), &packet))
        }
        Some("raw") => Way::HeaderIncluded.send_packets(target, &[packet]),
        Some(other) => bail!("nothing leaves by {other:?}"),
        None => {
            let socket = UdpSocket::bind((own, 0)).context("binding there")?;
            socket.send_to(&target.marker.bytes(), target.to)
        }
    })
}

/// Runs `ip`.
pub(super) fn ip(arguments: &[&str]) -> Result<()> {
    let output =
        needs::tool("ip").args(arguments).current_dir(env::temp_dir()).output().context("running ip")?;
    if !output.status.success() {
        bail!("ip {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
