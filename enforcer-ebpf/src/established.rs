//! The fast way: a packet of a flow that its socket remembers as allowed. One look-up, whatever the registry's size.

use enforcer_common::addr::{Addr, Port, Protocol};
use enforcer_common::flow::TcpFlags;
use enforcer_common::judged::{Decided, Judged, Tuple};

use crate::checksum;
use crate::ctx;
use crate::ctx::skb::{Header, PacketSocket, Readable, Skb};
use crate::maps::{places, sockets};

/// Bytes before the IP header.
pub const ETHERNET: u32 = 14;
/// At a cgroup there are none.
pub const NO_ETHERNET: u32 = 0;
/// Ethertypes.
const IPV4: [u8; 2] = [0x08, 0x00];
const IPV6: [u8; 2] = [0x86, 0xdd];

/// Whether the packet passes without a look at anything but its socket. `network` is where the IP header begins.
#[inline(always)]
pub fn is_allowed<F: Readable>(frame: F, network: u32, interface: u32) -> bool {
    let header = remembered(frame, network, interface);
    header != 0 && (network == NO_ETHERNET || is_as_made(frame.skb(), network, header))
}

/// The length of the IP header of a packet that its socket remembers as allowed, above its protocol; else 0.
#[inline(never)] // a stack of its own
fn remembered<F: Readable>(frame: F, network: u32, interface: u32) -> u32 {
    let Some(socket) = frame.skb().socket() else { return 0 };
    let mut tuple = Tuple {
        local: Addr::UNSPECIFIED,
        remote: Addr::UNSPECIFIED,
        local_port: Port::ANY,
        remote_port: Port::ANY,
        protocol: Protocol::ANY,
        interface,
    };
    if !read(frame, network, &mut tuple) || !remembers(&socket, &tuple) {
        return 0;
    }
    let length = if tuple.remote.is_v4() { 20 } else { 40 };
    length << 8 | tuple.protocol.get() as u32
}

/// Whether its checksum is still to be written where the kernel had it when it made the packet: a workload can shift the headers of its
/// sockets' packets on their way to its interface, and where that is stays.
#[inline(never)] // a stack of its own
#[allow(clippy::cast_possible_truncation)] // as it was put together
fn is_as_made(skb: Skb, network: u32, header: u32) -> bool {
    checksum::is_own(skb, Protocol::new(header as u8), network + (header >> 8), true)
}

/// Whether the socket remembers that the flow is allowed, and that still counts.
#[inline(always)]
fn remembers(socket: &PacketSocket, tuple: &Tuple) -> bool {
    let Some(judged) = sockets::judged(socket, tuple) else { return false };
    let counts = match judged.decided() {
        Decided::Allowed => is_current(&judged),
        Decided::Inbound => true,
        Decided::Nothing | Decided::Audited => false,
    };
    counts && (judged.end() == 0 || ctx::now_second() < judged.end())
}

/// Whether nothing was taken from the view since.
#[inline(always)]
pub fn is_current(judged: &Judged) -> bool {
    judged.generation() != 0 && judged.generation() == places::generation(judged.view())
}

/// Reads the tuple of a whole TCP or UDP packet without options, extension headers and flags that change a connection's state.
/// Everything else takes the slow way.
#[inline(always)]
fn read<F: Readable>(frame: F, network: u32, tuple: &mut Tuple) -> bool {
    let is_v6 = if network == NO_ETHERNET {
        frame.skb().is_v6()
    } else {
        let mut kind = [0; 2];
        if !frame.load(12, &mut kind) || (kind != IPV4 && kind != IPV6) {
            return false;
        }
        kind == IPV6
    };
    if is_v6 { read_v6(frame, network, tuple) } else { read_v4(frame, network, tuple) }
}

#[inline(always)]
fn read_v4<F: Readable>(frame: F, network: u32, tuple: &mut Tuple) -> bool {
    let mut header = Header::<20>::NONE;
    let header = &mut header.0;
    // No options, no fragment ("don't fragment" may be set).
    if !frame.load(network, header) || header[0] != 0x45 || header[6] & 0xbf != 0 || header[7] != 0 {
        return false;
    }
    tuple.protocol = Protocol::new(header[9]);
    tuple.local = Addr::v4_at(header, 12);
    tuple.remote = Addr::v4_at(header, 16);
    read_ports(frame, network + 20, tuple)
}

#[inline(always)]
fn read_v6<F: Readable>(frame: F, network: u32, tuple: &mut Tuple) -> bool {
    let mut header = Header::<40>::NONE;
    let header = &mut header.0;
    if !frame.load(network, header) || header[0] >> 4 != 6 {
        return false;
    }
    tuple.protocol = Protocol::new(header[6]);
    tuple.local = Addr::v6_at(header, 8);
    tuple.remote = Addr::v6_at(header, 24);
    // An IPv4 address in an IPv6 packet would look like one in an IPv4 packet.
    !tuple.remote.is_v4() && read_ports(frame, network + 40, tuple)
}

#[inline(always)]
fn read_ports<F: Readable>(frame: F, transport: u32, tuple: &mut Tuple) -> bool {
    let mut ports = [0; 4];
    if tuple.protocol == Protocol::TCP {
        let mut header = Header::<14>::NONE;
        let header = &mut header.0;
        if !frame.load(transport, header) || !TcpFlags::new(header[13]).is_plain() {
            return false;
        }
        ports.copy_from_slice(&header[..4]);
    } else if tuple.protocol != Protocol::UDP || !frame.load(transport, &mut ports) {
        return false;
    }
    tuple.local_port = Port::new(u16::from_be_bytes([ports[0], ports[1]]));
    tuple.remote_port = Port::new(u16::from_be_bytes([ports[2], ports[3]]));
    true
}
