//! Checksums that somebody else is asked to write (`VIRTIO_NET_HDR_F_NEEDS_CSUM`), after whoever looks at the packet. A UDP packet to
//! `allowed=ADDR:PORT`, of which the checksum makes one to the target: `checksum-port` (written over the port), `checksum-address` (over the
//! last two bytes of an IPv6 address). `checksum-own` asks for its own, as every kernel does; `checksum-at start=N offset=N` for one anywhere, from the
//! IP header on, in a UDP packet or `in=icmp|fragment|tcp`. They leave by a packet socket, with `by=xdp` by `AF_XDP`, or
//! with `by=guest` out of a TUN device.

use std::io::{self, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd as _;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use socket2::{Domain, Protocol, Socket, Type};

use crate::frame::{self, BROADCAST, Ipv4, Tcp, length, protocol};
use crate::inside::technique::detour::{forward_from, ip};
use crate::inside::technique::target::Target;
use crate::sys::{self, packet, xdp};

/// `PACKET_VNET_HDR`, `VIRTIO_NET_HDR_F_NEEDS_CSUM`.
const VNET_HEADER: i32 = 15;
const NEEDS_CHECKSUM: u8 = 1;
const ETHERNET: u16 = 14;
/// Where UDP has its own, and its destination port.
const OWN: usize = 6;
const PORT: usize = 2;
/// The last two bytes of an IPv6 header, and where its destination begins.
const V6_ADDRESS: usize = 24;
const TUN: &str = "guest0";

/// An IP packet, and the checksum that is still to be written into it.
struct Unfinished {
    packet: Vec<u8>,
    /// What it covers, from the beginning of the packet.
    start: usize,
    /// Where it goes, from there.
    offset: usize,
}

pub(super) fn act(name: &str, target: &Target<'_>) -> Option<io::Result<Value>> {
    let unfinished = match name {
        "checksum-own" => own(target),
        "checksum-port" => over_port(target),
        "checksum-address" => over_address(target),
        "checksum-at" => anywhere(target),
        _ => return None,
    };
    let sent = unfinished.and_then(|unfinished| match target.option("by") {
        Some("guest") => by_guest(&unfinished),
        Some("xdp") => by_xdp(target, &unfinished),
        _ => by_packet(target, &unfinished),
    });
    Some(sent.map(|bytes| json!({ "sent": bytes })).map_err(|error| io::Error::other(format!("{error:#}"))))
}

/// Its own: until it is written, the pseudo header's sum is there.
fn own(target: &Target<'_>) -> Result<Unfinished> {
    let mut datagram = target.udp();
    let pseudo = match (target.source().ip(), target.to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => [from.octets(), to.octets()].concat(),
        (IpAddr::V6(from), IpAddr::V6(to)) => [from.octets(), to.octets()].concat(),
        _ => bail!("addresses of two families"),
    };
    let rest = [[0, protocol::UDP], length(datagram.len()).to_be_bytes()].concat();
    let sum = !frame::checksum(&[pseudo, rest].concat());
    datagram[OWN..OWN + 2].copy_from_slice(&sum.to_be_bytes());
    let packet = target.packet(protocol::UDP, &datagram);
    Ok(Unfinished { start: packet.len() - datagram.len(), offset: OWN, packet })
}

fn over_port(target: &Target<'_>) -> Result<Unfinished> {
    let (packet, start) = decoy(target, target.allowed());
    turned(packet, start, PORT, target.to.port())
}

fn over_address(target: &Target<'_>) -> Result<Unfinished> {
    let IpAddr::V6(to) = target.to.ip() else { bail!("an IPv4 header has a checksum of its own") };
    let (packet, _) = decoy(target, target.allowed());
    turned(packet, V6_ADDRESS, 14, to.segments()[7])
}

/// A packet to somebody, with room to be turned, and where its datagram begins.
fn decoy(target: &Target<'_>, to: SocketAddr) -> (Vec<u8>, usize) {
    let payload = [&target.marker.bytes()[..], &[0; 2]].concat();
    let mut datagram = frame::udp(target.source(), to, &payload);
    if to.is_ipv4() {
        // There is none.
        datagram[OWN..OWN + 2].fill(0);
    }
    let packet = frame::ip(target.source().ip(), to.ip(), protocol::UDP, &datagram);
    let start = packet.len() - datagram.len();
    (packet, start)
}

/// Chooses the last two bytes so that the checksum is `wanted`.
fn turned(mut packet: Vec<u8>, start: usize, offset: usize, wanted: u16) -> Result<Unfinished> {
    let (last, has) = (packet.len() - 2, frame::checksum(&packet[start..]));
    let sum = u32::from(!wanted) + u32::from(has);
    let missing = u16::try_from((sum & 0xffff) + (sum >> 16)).context("a sum of two")?;
    packet[last..].copy_from_slice(&missing.to_be_bytes());
    anyhow::ensure!(frame::checksum(&packet[start..]) == wanted, "it does not become {wanted:#x}");
    Ok(Unfinished { packet, start, offset })
}

fn anywhere(target: &Target<'_>) -> Result<Unfinished> {
    let number = |key: &str| target.parsed(key).with_context(|| format!("{key}=N is missing"));
    let marker = target.marker.bytes();
    let packet = match (target.option("in"), target.source().ip(), target.to.ip()) {
        (Some("icmp"), IpAddr::V6(from), IpAddr::V6(to)) => {
            target.packet(protocol::ICMPV6, &frame::icmpv6(from, to, 128, 0, [0, 1, 0, 1], &marker))
        }
        (Some("icmp"), ..) => target.packet(protocol::ICMP, &frame::icmp(8, 0, [0, 1, 0, 1], &marker)),
        (Some("tcp"), ..) => {
            target.packet(protocol::TCP, &Tcp::new(target.source(), target.to, Tcp::SYN).around(&marker))
        }
        (Some("fragment"), IpAddr::V4(from), IpAddr::V4(to)) => {
            Ipv4 { more: true, id: 7, ..Ipv4::new(from, to, protocol::UDP) }.around(&target.udp())
        }
        (None, ..) => target.udp_packet(),
        other => bail!("nothing is built for {other:?}"),
    };
    Ok(Unfinished { packet, start: number("start")?, offset: number("offset")? })
}

impl Unfinished {
    /// `struct virtio_net_hdr`, for a packet that begins so many bytes into the frame.
    fn header(&self, before: u16) -> Vec<u8> {
        let [start, offset] = [length(self.start) + before, length(self.offset)].map(u16::to_ne_bytes);
        [&[NEEDS_CHECKSUM, 0, 0, 0, 0, 0], &start[..], &offset].concat()
    }
}

fn by_packet(target: &Target<'_>, unfinished: &Unfinished) -> Result<usize> {
    let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(0)))?;
    let on = 1_i32.to_ne_bytes();
    packet::set_option(socket.as_fd(), libc::SOL_PACKET, VNET_HEADER, &on).context("PACKET_VNET_HDR")?;
    let frame = [unfinished.header(ETHERNET), target.frame(&unfinished.packet)].concat();
    socket.send_to(&frame, &packet::link(target.me.index, 0, BROADCAST)?).context("sending a frame")
}

fn by_xdp(target: &Target<'_>, unfinished: &Unfinished) -> Result<usize> {
    let checksum = [length(unfinished.start) + ETHERNET, length(unfinished.offset)];
    xdp::send_with(target.me.index, &target.frame(&unfinished.packet), Some(checksum))
        .context("sending by AF_XDP")
}

/// The pod forwards what its guest sends, as if it were its own.
fn by_guest(unfinished: &Unfinished) -> Result<usize> {
    let mut device = sys::tun_of_guest(TUN).context("making a TUN device")?;
    ip(&["link", "set", TUN, "up"])?;
    forward_from(TUN)?;
    device.write(&[unfinished.header(0), unfinished.packet.clone()].concat()).context("sending as a guest")
}
