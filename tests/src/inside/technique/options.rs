//! IPv4 options, which move the ports away from where a hasty parser looks: as packets `options-nop`, `options-record`,
//! `options-timestamp`, `options-ports allowed=ADDR:PORT` (an option that looks like the ports of whom one may talk to), `lsrr` and
//! `ssrr` (through the node, or `via=ADDR`, with the target as the next hop), `lsrr-done` and `ssrr-done` (to the target, with no hop
//! left). Sockets set the same options, and the extension headers of IPv6.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::BorrowedFd;

use crate::frame::{Ipv4, protocol};
use crate::inside::technique::extension;
use crate::inside::technique::target::Target;
use crate::sys::packet;

const NOP: u8 = 1;
const RECORD: u8 = 7;
const TIMESTAMP: u8 = 68;
const LOOSE: u8 = 131;
const STRICT: u8 = 137;
/// For experiments (RFC 4727); copied into fragments.
const EXPERIMENT: u8 = 158;

pub(super) fn packets(name: &str, target: &Target<'_>) -> Option<Vec<Vec<u8>>> {
    let (IpAddr::V4(from), IpAddr::V4(to)) = (target.source().ip(), target.to.ip()) else { return None };
    let mut header = Ipv4::new(from, to, protocol::UDP);
    header.options = match name {
        "lsrr" | "ssrr" => {
            header.to = first_hop(target)?;
            route(name, 4, to)?
        }
        "lsrr-done" | "ssrr-done" => route(name, 8, first_hop(target)?)?,
        "options-ports" => {
            let [high, low] = target.allowed().port().to_be_bytes();
            let mut looks = vec![EXPERIMENT, 40, high, low, 0, 24];
            looks.resize(40, 0);
            looks
        }
        _ => of(name.strip_prefix("options-")?, target)?,
    };
    Some(vec![header.around(&target.udp())])
}

/// The bytes of an option as a socket is told it.
fn of(name: &str, target: &Target<'_>) -> Option<Vec<u8>> {
    let space = |mut head: Vec<u8>| {
        head.resize(40, 0);
        head
    };
    Some(match name {
        "nop" => vec![NOP; 40],
        "record" => space(vec![RECORD, 39, 4]),
        "timestamp" => space(vec![TIMESTAMP, 40, 5, 0]),
        "lsrr" | "ssrr" => route(name, 4, first_hop(target)?)?,
        _ => return None,
    })
}

/// What a socket is told, for packets that have more than a header.
pub(super) struct Sticky {
    level: i32,
    name: i32,
    bytes: Vec<u8>,
}

impl Sticky {
    /// The option of this name, of the target's family.
    pub(super) fn new(name: &str, target: &Target<'_>) -> Option<Self> {
        if target.to.is_ipv4() {
            let bytes = of(name, target)?;
            return Some(Self { level: libc::IPPROTO_IP, name: libc::IP_OPTIONS, bytes });
        }
        let (name, bytes) = extension::sticky(name, target)?;
        Some(Self { level: libc::IPPROTO_IPV6, name, bytes })
    }

    /// `setsockopt`.
    pub(super) fn set(&self, socket: BorrowedFd<'_>) -> io::Result<()> {
        packet::set_option(socket, self.level, self.name, &self.bytes)
    }
}

/// A route of one address, with the pointer to the next.
fn route(name: &str, pointer: u8, addr: Ipv4Addr) -> Option<Vec<u8>> {
    let kind = match name.get(..4)? {
        "lsrr" => LOOSE,
        "ssrr" => STRICT,
        _ => return None,
    };
    Some([&[kind, 7, pointer], &addr.octets()[..], &[0]].concat())
}

fn first_hop(target: &Target<'_>) -> Option<Ipv4Addr> {
    match target.via() {
        IpAddr::V4(hop) => Some(hop),
        IpAddr::V6(_) => None,
    }
}
