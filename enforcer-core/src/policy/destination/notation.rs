//! Every notation in which people write destinations, and a word for each that is none.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use enforcer_common::addr::Protocol;
use ipnet::IpNet;

use super::{BadDestination, Destination, Reading, Target};
use crate::name::Host;

/// Longest name of the DNS without its last dot (RFC 1035, 2.3.4).
const MAX_NAME: usize = 253;
/// Longest label.
const MAX_LABEL: usize = 63;
/// Longer than any destination, with room for the path of a URL.
const MAX_TEXT: usize = 4096;
/// How much of a wrong text is shown.
const SHOWN: usize = 80;

const HINT: &str = "write host:port, 192.0.2.1:443 or [2001:db8::1]:443, and /udp behind it for UDP";

/// Protocols that can be asked about; a registry knows the first two only.
const PROTOCOLS: [(&str, Protocol); 6] = [
    ("tcp", Protocol::TCP),
    ("udp", Protocol::UDP),
    ("icmp", Protocol::ICMP),
    ("icmpv6", Protocol::ICMPV6),
    ("sctp", Protocol::new(132)),
    ("dccp", Protocol::new(33)),
];

/// The ports of URLs that have none (RFC 9110, RFC 6455).
const SCHEMES: [(&str, u16); 4] = [("http", 80), ("https", 443), ("ws", 80), ("wss", 443)];

/// What is wrong, and what to write instead.
struct Wrong {
    what: String,
    hint: String,
    portless: Option<Box<(Target, Protocol)>>,
}

type Result<T> = std::result::Result<T, Wrong>;

fn wrong<T>(what: impl Into<String>) -> Result<T> {
    Err(Wrong { what: what.into(), hint: HINT.to_owned(), portless: None })
}

fn wrong_but<T>(what: impl Into<String>, hint: impl Into<String>) -> Result<T> {
    Err(Wrong { what: what.into(), hint: hint.into(), portless: None })
}

pub(super) fn read(text: &str) -> std::result::Result<Reading, BadDestination> {
    let mut notes = Vec::new();
    match any(text.trim(), &mut notes) {
        Ok(destination) => Ok(Reading { destination, notes }),
        Err(Wrong { what, hint, portless }) => {
            Err(BadDestination { text: shown(text), what, hint, portless })
        }
    }
}

/// As much of the text as an error needs, without a password.
fn shown(text: &str) -> String {
    let text = match (text.split_once("://"), text.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://{rest}"),
        _ => text.to_owned(),
    };
    if text.chars().count() <= SHOWN {
        return text;
    }
    text.chars().take(SHOWN).chain(['…']).collect()
}

fn any(text: &str, notes: &mut Vec<String>) -> Result<Destination> {
    if text.is_empty() {
        return wrong("it is empty");
    }
    if text.len() > MAX_TEXT {
        return wrong(format!("it has {} bytes", text.len()));
    }
    match text.split_once("://") {
        Some((scheme, rest)) => url(scheme, rest, notes),
        None => plain(text, notes),
    }
}

fn url(scheme: &str, rest: &str, notes: &mut Vec<String>) -> Result<Destination> {
    let scheme = scheme.to_ascii_lowercase();
    let word = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    if scheme.is_empty() || !scheme.bytes().all(word) {
        return wrong(format!("{scheme:?} is no scheme of a URL"));
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let place = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
    let protocol = if scheme == "udp" { Protocol::UDP } else { Protocol::TCP };
    let default = SCHEMES.iter().find(|(known, _)| *known == scheme).map(|(_, port)| *port);
    let (target, port) = target_and_port(place, notes)?;
    let Some(port) = port.or(default) else { return portless(target, protocol) };
    let destination = Destination { target, port, protocol };
    notes.push(format!("of the URL only this counts: {destination}"));
    Ok(destination)
}

fn plain(text: &str, notes: &mut Vec<String>) -> Result<Destination> {
    // What follows the last slash is a protocol, or the length of a network.
    let (place, protocol) = match text.rsplit_once('/') {
        Some((place, word)) if !word.starts_with(|c: char| c.is_ascii_digit()) => (place, protocol(word)?),
        _ => (text, Protocol::TCP),
    };
    let (target, port) = target_and_port(place, notes)?;
    match port {
        Some(port) => Ok(Destination { target, port, protocol }),
        None if !protocol.is_registrable() => Ok(Destination { target, port: 0, protocol }),
        None => portless(target, protocol),
    }
}

fn portless<T>(target: Target, protocol: Protocol) -> Result<T> {
    let hint = format!("write the port behind it: {target}:443/{protocol}");
    Err(Wrong { what: "the port is missing".to_owned(), hint, portless: Some(Box::new((target, protocol))) })
}

fn protocol(word: &str) -> Result<Protocol> {
    match PROTOCOLS.iter().find(|(known, _)| known.eq_ignore_ascii_case(word)) {
        Some((_, protocol)) => Ok(*protocol),
        None if word.is_empty() => wrong("nothing follows the slash"),
        None => wrong(format!("the protocol {word:?} is neither tcp nor udp")),
    }
}

fn target_and_port(text: &str, notes: &mut Vec<String>) -> Result<(Target, Option<u16>)> {
    if let Some(inner) = text.strip_prefix('[') {
        let Some((inner, rest)) = inner.split_once(']') else { return wrong("the bracket is not closed") };
        let (length, port) = length_and_port(rest)?;
        let (address, inner_length) = match inner.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (inner, None),
        };
        let Some(ip) = v6(address, notes) else { return wrong("no IPv6 address is in the brackets") };
        return Ok((network(ip, inner_length.or(length), notes)?, port));
    }
    if let Some((address, tail)) = text.split_once('/') {
        let ip = address.parse::<IpAddr>().ok().or_else(|| v6(address, notes));
        let Some(ip) = ip else {
            return wrong(format!("{address:?} before the slash is no address, as a network needs"));
        };
        let (length, port) = tail.split_once(':').map_or((tail, None), |(length, port)| (length, Some(port)));
        return Ok((network(ip, Some(length), notes)?, port.map(self::port).transpose()?));
    }
    match text.bytes().filter(|byte| *byte == b':').count() {
        0 => Ok((address_or_host(text, notes)?, None)),
        1 => {
            let (place, number) = text.split_once(':').unwrap_or((text, ""));
            if place.is_empty() {
                return wrong("there is nothing before the port");
            }
            let target = address_or_host(place, notes)?;
            if number.is_empty() {
                return portless(target, Protocol::TCP);
            }
            Ok((target, Some(port(number)?)))
        }
        _ => bare_v6(text, notes),
    }
}

/// `/length:port` behind a bracket, each of them or neither.
fn length_and_port(rest: &str) -> Result<(Option<&str>, Option<u16>)> {
    let (length, rest) = match rest.strip_prefix('/') {
        Some(rest) => {
            let end = rest.find(':').unwrap_or(rest.len());
            (Some(&rest[..end]), &rest[end..])
        }
        None => (None, rest),
    };
    match rest.strip_prefix(':') {
        Some(number) => Ok((length, Some(port(number)?))),
        None if rest.is_empty() => Ok((length, None)),
        None => wrong("only a port can follow the bracket"),
    }
}

/// Whether the last group is a port cannot be told.
fn bare_v6(text: &str, notes: &mut Vec<String>) -> Result<(Target, Option<u16>)> {
    let with_port = text.rsplit_once(':').and_then(|(address, port)| {
        let port = port.parse::<u16>().ok()?;
        Some(format!("[{}]:{port}", v6(address, notes)?))
    });
    let whole = v6(text, notes).map(|ip| format!("[{ip}]:PORT"));
    let forms: Vec<String> = with_port.into_iter().chain(whole).collect();
    if forms.is_empty() {
        return wrong("it has several colons, and is no IPv6 address");
    }
    let what = "an IPv6 address with a port needs brackets";
    wrong_but(what, format!("write {}", forms.join(" or ")))
}

/// An IPv6 address; a zone is not part of it.
fn v6(text: &str, notes: &mut Vec<String>) -> Option<IpAddr> {
    let (address, zone) = text.split_once('%').map_or((text, None), |(address, zone)| (address, Some(zone)));
    let ip: Ipv6Addr = address.parse().ok()?;
    if let Some(zone) = zone {
        let note = format!("the zone %{zone} does not count: a registry knows addresses, not interfaces");
        if !notes.contains(&note) {
            notes.push(note);
        }
    }
    Some(IpAddr::V6(ip))
}

fn port(text: &str) -> Result<u16> {
    // `parse` alone would take "+443".
    match text.parse() {
        Ok(port) if port > 0 && text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(port),
        _ => wrong(format!("the port {text:?} is no number from 1 to 65535")),
    }
}

/// One address, or a network when a length is there.
fn network(ip: IpAddr, length: Option<&str>, notes: &mut Vec<String>) -> Result<Target> {
    let Some(length) = length else { return Ok(address(ip, notes)) };
    let most = if ip.is_ipv4() { 32 } else { 128 };
    let Some(length) = length.parse::<u8>().ok().filter(|length| *length <= most) else {
        return wrong(format!("the network's length {length:?} is no number from 0 to {most}"));
    };
    // An IPv4-mapped network is one of IPv4 addresses.
    let (ip, length) = match ip.to_canonical() {
        canonical if canonical.is_ipv4() && ip.is_ipv6() && length >= 96 => (canonical, length - 96),
        _ => (ip, length),
    };
    let Ok(net) = IpNet::new(ip, length) else { return wrong("the network's length does not fit") };
    if net.prefix_len() == net.max_prefix_len() {
        return Ok(address(ip, notes));
    }
    if net.trunc() != net {
        notes.push(format!("{net} has bits beyond its length: all of {} is meant", net.trunc()));
    }
    Ok(Target::Net(net.trunc()))
}

fn address(ip: IpAddr, notes: &mut Vec<String>) -> Target {
    let canonical = ip.to_canonical();
    if canonical != ip {
        notes.push(format!("{ip} is judged as {canonical}: to the kernel they are the same"));
    }
    if canonical.is_unspecified() {
        notes.push(format!("{canonical} is this host: connect makes it loopback"));
    }
    Target::Ip(canonical)
}

fn address_or_host(text: &str, notes: &mut Vec<String>) -> Result<Target> {
    if let Ok(ip) = text.parse::<Ipv4Addr>() {
        return Ok(address(ip.into(), notes));
    }
    let host = host(text)?;
    if host.as_str() == "localhost" {
        notes.push("localhost is judged as 127.0.0.1".to_owned());
        return Ok(Target::Ip(Ipv4Addr::LOCALHOST.into()));
    }
    if host.is_wildcard() {
        notes.push(format!("{host} is judged as a name below it that no service has for itself"));
    }
    Ok(Target::Host(host))
}

/// A name that a process can ask for, or `*.` and a name.
pub(super) fn known_host(text: &str) -> Option<Host> {
    host(text).ok()
}

/// A name, or `*.` and a name.
fn host(text: &str) -> Result<Host> {
    let name = text.strip_suffix('.').unwrap_or(text);
    if !name.is_ascii() {
        let hint = "write its ASCII form, in which non-ASCII parts begin with xn-- (`idn2 NAME` prints it)";
        return wrong_but("names of a registry are ASCII", hint);
    }
    if name.len() > MAX_NAME {
        return wrong(format!("a name has at most {MAX_NAME} characters, this one {}", name.len()));
    }
    if name == "*" {
        return wrong_but("* is every name", "write one name, or *.example.com for the names below it");
    }
    let exact = name.strip_prefix("*.").unwrap_or(name);
    for label in exact.split('.') {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if label.is_empty() || !label.bytes().all(allowed) {
            return wrong(format!("{label:?} cannot be a part of a name, and it is no address"));
        }
        if label.len() > MAX_LABEL {
            return wrong(format!(
                "a part of the name has {} characters, more than {MAX_LABEL}",
                label.len()
            ));
        }
    }
    let last = exact.rsplit('.').next().unwrap_or_default();
    if last.bytes().all(|byte| byte.is_ascii_digit()) {
        return wrong("it ends in a number, as only an address can, and is no address");
    }
    Ok(Host::new(name))
}
