//! ICMP (§6).

use std::net::{IpAddr, Ipv6Addr};

use super::flows::{Flow, Flows};
use super::place::{link_local, link_multicast};
use super::transport::Message;
use super::{
    History, Model, Packet, Part, Protocol, Ruling, Spoken, allow, deny, ipv4, ipv6, number_at, registry,
};

/// The longest packet with an error: RFC 1812 §4.3.2.3, RFC 4443 §2.4.
const LONGEST_V4: usize = 576;
const LONGEST_V6: usize = 1280;
/// The most of neighbour discovery, from the type on.
const LONGEST_DISCOVERY: usize = 128;
/// The most of listener discovery.
const LONGEST_REPORT: usize = 512;

pub(super) fn ruling(model: &Model, history: &History, packet: &Packet, message: &Message) -> Spoken<Ruling> {
    match (packet.protocol, message.kind) {
        (1, 8 | 0) | (58, 128 | 129) if message.code != 0 => Err(deny("icmp_type")),
        (1, 8) | (58, 128) => Ok(registry::ask_any_port(model, packet.destination)),
        (1, 0) | (58, 129) if history.flows.has_echo(packet.destination, message.identifier) => {
            Ok(allow("inbound"))
        }
        (1, 0) | (58, 129) => Err(deny("no_flow")),
        (1, 3 | 11 | 12) | (58, 1..=4) => error(model, &history.flows, packet, &message.body),
        (58, 133 | 135 | 136) => discovery(&history.flows, packet, message.code),
        (58, 131 | 132 | 143) => listener(packet),
        _ => Err(deny("icmp_type")),
    }
}

/// An error is about a packet that the workload has received (§6.3).
fn error(model: &Model, flows: &Flows, packet: &Packet, quoted: &[u8]) -> Spoken<Ruling> {
    let longest = if packet.protocol == 1 { LONGEST_V4 } else { LONGEST_V6 };
    // In doubt: how long a packet is cannot be seen in a fragment.
    if packet.length > longest || packet.part != Part::Whole {
        return Err(deny("no_flow"));
    }
    let quote = if packet.protocol == 1 { quote_v4(quoted) } else { quote_v6(quoted) };
    let quote = quote.ok_or(deny("no_flow"))?;
    if quote.source != packet.destination || !model.own.contains(&quote.destination) {
        return Err(deny("no_flow"));
    }
    let first = number_at(&quote.payload, 0).ok_or(deny("no_flow"))?;
    let second = number_at(&quote.payload, 2).ok_or(deny("no_flow"))?;
    let flow = Flow { own_port: second, remote: quote.source, remote_port: first };
    let (began, around) = match quote.protocol {
        6 => (flows.has_tcp(&flow), registry::ask(model, quote.source, Protocol::Tcp, first)),
        17 => (flows.has_udp(&flow), registry::ask(model, quote.source, Protocol::Udp, first)),
        _ => {
            let identifier = number_at(&quote.payload, 4).ok_or(deny("no_flow"))?;
            (flows.has_echo(quote.source, identifier), registry::ask_any_port(model, quote.source))
        }
    };
    if began || around.allowed { Ok(allow("related")) } else { Err(deny("no_flow")) }
}

/// The beginning of a packet that came in.
struct Quote {
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    payload: Vec<u8>,
}

fn quote_v4(bytes: &[u8]) -> Option<Quote> {
    if bytes.len() < 20 || bytes[0] >> 4 != 4 {
        return None;
    }
    let header = usize::from(bytes[0] & 15) * 4;
    // What is behind the offset of a later fragment is no header.
    if header < 20 || number_at(bytes, 6)? & 0x1fff != 0 {
        return None;
    }
    let payload = bytes.get(header..)?.to_vec();
    let quote = Quote {
        source: ipv4::address(&bytes[12..16]),
        destination: ipv4::address(&bytes[16..20]),
        protocol: bytes[9],
        payload,
    };
    has_ports_or_is_echo(&quote, 1, 8).then_some(quote)
}

/// In doubt: the ports follow the header of IPv6 at once.
fn quote_v6(bytes: &[u8]) -> Option<Quote> {
    if bytes.len() < 40 || bytes[0] >> 4 != 6 {
        return None;
    }
    let quote = Quote {
        source: ipv6::address(&bytes[8..24]),
        destination: ipv6::address(&bytes[24..40]),
        protocol: bytes[6],
        payload: bytes[40..].to_vec(),
    };
    has_ports_or_is_echo(&quote, 58, 128).then_some(quote)
}

fn has_ports_or_is_echo(quote: &Quote, icmp: u8, echo_request: u8) -> bool {
    match quote.protocol {
        6 | 17 => quote.payload.len() >= 8,
        // In doubt: an echo request is one of code 0, as in §6.1.
        protocol if protocol == icmp => quote.payload.len() >= 8 && quote.payload[..2] == [echo_request, 0],
        _ => false,
    }
}

/// Neighbour discovery (§6.4).
fn discovery(flows: &Flows, packet: &Packet, code: u8) -> Spoken<Ruling> {
    let IpAddr::V6(to) = packet.destination else { return Err(deny("icmp_type")) };
    if !is_discovery(packet, code) {
        return Err(deny("icmp_type"));
    }
    let all_nodes: Ipv6Addr = [0xff02, 0, 0, 0, 0, 0, 0, 1].into();
    let all_routers: Ipv6Addr = [0xff02, 0, 0, 0, 0, 0, 0, 2].into();
    let solicited_node = to.octets()[..13] == [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff];
    let beside = link_local(to) || to == all_nodes || to == all_routers || solicited_node;
    if beside || flows.has_neighbour(packet.destination) {
        Ok(allow("link_control"))
    } else {
        Err(deny("no_flow"))
    }
}

/// What no router has passed on, short and bare.
pub(super) fn is_discovery(packet: &Packet, code: u8) -> bool {
    let bare = packet.extensions.is_empty() && packet.part == Part::Whole;
    bare && packet.hop_limit == 255 && code == 0 && packet.payload.len() <= LONGEST_DISCOVERY
}

/// Multicast listener discovery (§6.5).
fn listener(packet: &Packet) -> Spoken<Ruling> {
    let (IpAddr::V6(from), IpAddr::V6(to)) = (packet.source, packet.destination) else {
        return Err(deny("icmp_type"));
    };
    // In doubt: one hop-by-hop header, and no other.
    let bare = packet.part == Part::Whole && (packet.extensions.is_empty() || packet.extensions == [0]);
    let bare = bare && packet.payload.len() <= LONGEST_REPORT;
    let from_beside = from == Ipv6Addr::UNSPECIFIED || link_local(from);
    if bare && packet.hop_limit == 1 && link_multicast(to) && from_beside {
        Ok(allow("link_control"))
    } else {
        Err(deny("icmp_type"))
    }
}
