//! How a packet is judged, the slow way: a second reading of `docs/packets.md` that the kernel's programs are held against.
//!
//! It takes the rules one after the other as they are written, copies what it looks at, walks plain lists, and shares no
//! code with the agent, not even a type. Where the document leaves a doubt, this denies, and says `In doubt`.
//! Frames leave a workload on an interface, and come in to it: [`judge`] says what becomes of the ones, and [`arrive`]
//! remembers the others.

mod arrive;
mod flows;
pub(crate) mod frames;
mod history;
mod icmp;
mod ipv4;
mod ipv6;
mod link;
mod place;
mod registry;
mod transport;

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;

pub use arrive::arrive;
pub use history::History;

use flows::Flow;
use history::Datagram;
use link::Inside;
use transport::Transport;

/// All that a ruling depends on, except the frame and what came before. What is not allowed here is denied (`REGISTRY_ONLY`).
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// The workload's addresses.
    pub own: BTreeSet<IpAddr>,
    /// What the registry has for it.
    pub registered: Vec<Registered>,
    /// What `--allow` names.
    pub exempt: Vec<Exempt>,
}

/// A port of a service, at an address or at every address of a network.
#[derive(Clone, Debug)]
pub struct Registered {
    /// Where.
    pub net: IpNet,
    /// By which protocol.
    pub protocol: Protocol,
    /// At which port.
    pub port: u16,
}

/// A range that `--allow` names; what it leaves open is for all.
#[derive(Clone, Debug)]
pub struct Exempt {
    /// Where.
    pub net: IpNet,
    /// At which port.
    pub port: Option<u16>,
    /// By which protocol.
    pub protocol: Option<Protocol>,
}

/// A protocol with ports.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protocol {
    /// Protocol number 6.
    Tcp,
    /// Protocol number 17.
    Udp,
}

/// What becomes of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ruling {
    /// Whether it may leave.
    pub allowed: bool,
    /// The document's word for why.
    pub reason: &'static str,
}

/// Either what the next rule needs, or the ruling of the rule that spoke.
type Spoken<T> = Result<T, Ruling>;

/// A packet whose headers have been read.
#[derive(Clone, Debug)]
struct Packet {
    source: IpAddr,
    destination: IpAddr,
    /// The transport protocol's number.
    protocol: u8,
    /// Time to live.
    hop_limit: u8,
    /// The extension headers before the transport header, in their order.
    extensions: Vec<u8>,
    part: Part,
    /// What follows the headers, without the padding of the frame.
    payload: Vec<u8>,
    /// Headers and payload, in bytes.
    length: usize,
}

/// Which part of a datagram a packet has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Part {
    /// All of it, and no word of fragments.
    Whole,
    /// The beginning, of the datagram with this identification.
    First(u32),
    /// Something behind it, from this offset in units of 8 bytes.
    Later(u32, u16),
}

/// Judges a frame that leaves the workload.
pub fn judge(model: &Model, history: &mut History, frame: &[u8]) -> Ruling {
    rules(model, history, frame).unwrap_or_else(|spoken| spoken)
}

fn rules(model: &Model, history: &mut History, frame: &[u8]) -> Spoken<Ruling> {
    let packet = read(model, frame)?;
    let datagram =
        |id| Datagram { destination: packet.destination, identification: id, protocol: packet.protocol };
    match packet.part {
        Part::Whole => whole(model, history, &packet),
        Part::First(id) => {
            let ruling = whole(model, history, &packet).unwrap_or_else(|spoken| spoken);
            history.first_fragment(datagram(id), ruling.allowed);
            Ok(ruling)
        }
        Part::Later(id, offset) => {
            place::later_fragment(model, &packet)?;
            history.later_fragment(&datagram(id), offset)
        }
    }
}

/// The packet in a frame (§1 to §3).
fn read(model: &Model, frame: &[u8]) -> Spoken<Packet> {
    match link::read(model, frame)? {
        Inside::Ipv4(bytes) => ipv4::read(&bytes),
        Inside::Ipv6(bytes) => ipv6::read(&bytes),
    }
}

/// A packet that has its transport header.
fn whole(model: &Model, history: &mut History, packet: &Packet) -> Spoken<Ruling> {
    let transport = transport::read(packet)?;
    place::source(model, packet, &transport)?;
    place::destination(packet.destination)?;
    match transport {
        Transport::Icmp(message) => icmp::ruling(model, history, packet, &message),
        Transport::Tcp(segment) => {
            let flow = segment.leaving(packet);
            if history.flows.answers_tcp(flow, &segment, packet.part) {
                return Ok(allow("inbound"));
            }
            let ruling = registry::ask(model, flow.remote, Protocol::Tcp, flow.remote_port);
            if segment.syn && segment.ack && !ruling.allowed { Err(deny("no_flow")) } else { Ok(ruling) }
        }
        Transport::Udp { source_port, destination_port } => {
            let flow =
                Flow { own_port: source_port, remote: packet.destination, remote_port: destination_port };
            if history.flows.has_udp(&flow) {
                return Ok(allow("inbound"));
            }
            let ruling = registry::ask(model, flow.remote, Protocol::Udp, flow.remote_port);
            if ruling.allowed {
                history.flows.udp_left(flow);
            }
            Ok(ruling)
        }
    }
}

fn allow(reason: &'static str) -> Ruling {
    Ruling { allowed: true, reason }
}

fn deny(reason: &'static str) -> Ruling {
    Ruling { allowed: false, reason }
}

/// The number of two bytes in network order at `offset`, if they are there.
fn number_at(bytes: &[u8], offset: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*bytes.get(offset)?, *bytes.get(offset + 1)?]))
}

#[cfg(test)]
mod tests;
