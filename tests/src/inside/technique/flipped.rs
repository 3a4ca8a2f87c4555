//! One packet that is two: to the target, and to `allowed=ADDR:PORT`, which differs in one word. It stays in memory of the
//! sender's, who flips that word while he sends it, `times=N` times: whoever looks at it twice may see another packet. It ends as
//! the target's. `flip-tx-ring` sends it by the ring of a packet socket; `flip-spliced` splices its page into a datagram to a VXLAN
//! device of the pod, whose bridge has `eth0` as well.

use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::ops::Range;
use std::os::fd::AsFd as _;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use socket2::{Domain, Protocol, Socket, Type};

use crate::frame::{self, ethertype, protocol};
use crate::inside::technique::detour::ip;
use crate::inside::technique::target::{Target, ethertype_of};
use crate::sys::{Flip, ethtool, packet, splice_flip};

/// How often it is sent, if nobody says.
const TIMES: usize = 2000;
/// Where a header of each family has its destination, and behind it the ports.
const V4: Range<usize> = 16..24;
const V6: Range<usize> = 24..44;
const VXLAN: &str = "vx0";
const BRIDGE: &str = "br0";
const VXLAN_PORT: u16 = 4789;

pub(super) fn act(name: &str, target: &Target<'_>) -> Option<io::Result<Value>> {
    let sent = match name {
        "flip-tx-ring" => by_ring(target),
        "flip-spliced" => by_splice(target),
        _ => return None,
    };
    Some(sent.map(|times| json!({ "sent": times })).map_err(|error| io::Error::other(format!("{error:#}"))))
}

/// The packet to the target, and the word that makes it one to `allowed`. If that is the target, nothing changes.
fn flip(target: &Target<'_>) -> Result<(Vec<u8>, Flip)> {
    let (packet, allowed) = (target.udp_packet(), target.allowed());
    let datagram = frame::udp(target.source(), allowed, &target.marker.bytes());
    let other = frame::ip(target.source().ip(), allowed.ip(), protocol::UDP, &datagram);
    ensure!(packet.len() == other.len(), "the addresses are of two families");
    let places = if target.to.is_ipv4() { V4 } else { V6 };
    let word = |packet: &[u8], at: usize| u32::from_ne_bytes([0, 1, 2, 3].map(|byte| packet[at + byte]));
    let differing: Vec<_> =
        places.clone().step_by(4).filter(|at| word(&packet, *at) != word(&other, *at)).collect();
    ensure!(differing.len() <= 1, "{} words differ, and one can be flipped", differing.len());
    let at = differing.first().copied().unwrap_or(places.start);
    let words = [word(&other, at), word(&packet, at)];
    Ok((packet, Flip { at, words, times: target.parsed("times").unwrap_or(TIMES) }))
}

fn by_ring(target: &Target<'_>) -> Result<usize> {
    let (packet, flip) = flip(target)?;
    let socket = Socket::new(Domain::PACKET, Type::DGRAM, Some(Protocol::from(0)))?;
    let to = packet::link(target.me.index, ethertype_of(&packet), target.next_hop())?;
    packet::ring_flip(&socket, &to, &packet, flip).context("sending by a ring")
}

fn by_splice(target: &Target<'_>) -> Result<usize> {
    let (packet, flip) = flip(target)?;
    // With a tag that names a priority only, the bridge does not look into the packet, and so copies nothing of it.
    let tagged = frame::vlan(0, ethertype_of(&packet), &packet);
    let frame = frame::ethernet(target.next_hop(), target.me.mac, ethertype::VLAN, &tagged);
    let datagram = [&[8, 0, 0, 0, 0, 0, 1, 0], &frame[..]].concat();
    let flip = Flip { at: datagram.len() - packet.len() + flip.at, ..flip };
    let _bridged = Bridged::new(target.me.interface)?;
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).context("binding")?;
    socket.connect((Ipv4Addr::LOCALHOST, VXLAN_PORT)).context("connecting to the device")?;
    splice_flip(socket.as_fd(), &datagram, flip).context("splicing")
}

/// A VXLAN device that hears this namespace, and a bridge between it and the pod's interface. Dropping it takes both away.
struct Bridged;

impl Bridged {
    fn new(interface: &str) -> Result<Self> {
        let port = VXLAN_PORT.to_string();
        let device = ["type", "vxlan", "id", "1", "dstport", &port, "local", "127.0.0.1", "nolearning"];
        ip(&["link", "add", BRIDGE, "type", "bridge", "mcast_snooping", "0"])?;
        let bridged = Self;
        ip(&[&["link", "add", VXLAN, "master", BRIDGE], &device[..]].concat())?;
        ethtool::without_gro(VXLAN).context("switching GRO off")?;
        ip(&["link", "set", interface, "master", BRIDGE])?;
        for device in [BRIDGE, VXLAN] {
            ip(&["link", "set", device, "up"])?;
        }
        Ok(bridged)
    }
}

impl Drop for Bridged {
    fn drop(&mut self) {
        for device in [BRIDGE, VXLAN] {
            // The second may not have been made yet.
            let _ = ip(&["link", "delete", device]);
        }
    }
}
