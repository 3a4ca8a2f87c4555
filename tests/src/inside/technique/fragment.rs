//! Fragments, of either family: `frag-tiny-first` (the first has the UDP header only), `frag-tiny-tcp` (the first has the ports
//! of TCP, not the flags), `frag-second-first allowed=ADDR:PORT` (behind the first a second one to another port, then a later one),
//! `frag-overlap at=N` (behind a longer first one, a UDP datagram's or `in=tcp`, one that begins at its byte N), `frag-later-only`,
//! `frag-after-allowed allowed=ADDR:PORT` (a first fragment to whom one may talk to, then later ones to the target: of the same
//! datagram's number, and of another), `frag-whole` (a fragment that is all there is).

use std::net::{IpAddr, SocketAddr};

use crate::frame::{self, Ipv4, Ipv6, Tcp, protocol};
use crate::inside::technique::target::Target;

/// A fragment: of which datagram, whether more follow, where, and which bytes.
struct Part<'a> {
    id: u16,
    more: bool,
    at: u16,
    bytes: &'a [u8],
}

pub(super) fn packets(name: &str, target: &Target<'_>) -> Option<Vec<Vec<u8>>> {
    let whole = target.udp();
    let id = u16::from_be_bytes([target.marker.bytes()[0], target.marker.bytes()[1]]);
    let udp = |parts: &[Part<'_>]| {
        parts.iter().map(|part| fragment(target, target.to.ip(), protocol::UDP, part)).collect()
    };
    let first = Part { id, more: true, at: 0, bytes: &whole[..8] };
    let later = Part { id, more: false, at: 8, bytes: &whole[8..] };
    Some(match name {
        "frag-tiny-first" => udp(&[first, later]),
        "frag-later-only" => udp(&[later]),
        "frag-whole" => udp(&[Part { id, more: false, at: 0, bytes: &whole }]),
        "frag-second-first" => {
            let decoy = decoy(target, target.to.ip());
            udp(&[
                Part { id, more: true, at: 0, bytes: &decoy },
                Part { id, more: true, at: 0, bytes: &whole },
                Part { id, more: false, at: 24, bytes: &target.marker.bytes() },
            ])
        }
        "frag-overlap" => overlap(target, id)?,
        "frag-after-allowed" => {
            let allowed = target.allowed().ip();
            let decoy = decoy(target, allowed);
            let first = Part { id, more: true, at: 0, bytes: &decoy };
            let other = Part { id: id.wrapping_add(1), ..later };
            let mut all = vec![fragment(target, allowed, protocol::UDP, &first)];
            all.extend::<Vec<_>>(udp(&[later_of(&whole, id), other]));
            all
        }
        "frag-tiny-tcp" => {
            let flags = Tcp::PSH | Tcp::ACK;
            let segment = Tcp::new(target.source(), target.to, flags).around(&target.marker.bytes());
            let first = Part { id, more: true, at: 0, bytes: &segment[..8] };
            let later = Part { id, more: false, at: 8, bytes: &segment[8..] };
            [first, later].iter().map(|part| fragment(target, target.to.ip(), protocol::TCP, part)).collect()
        }
        _ => return None,
    })
}

/// The later one is all that has the marker, and begins within the first.
fn overlap(target: &Target<'_>, id: u16) -> Option<Vec<Vec<u8>>> {
    let (kind, first) = match target.option("in") {
        Some("tcp") => (protocol::TCP, Tcp::new(target.source(), target.to, Tcp::SYN).around(&[b'?'; 12])),
        _ => (protocol::UDP, frame::udp(target.source(), target.to, &[b'?'; 24])),
    };
    let first = Part { id, more: true, at: 0, bytes: &first };
    let later = Part { id, more: false, at: target.parsed("at")?, bytes: &target.marker.bytes() };
    Some([first, later].iter().map(|part| fragment(target, target.to.ip(), kind, part)).collect())
}

fn later_of(whole: &[u8], id: u16) -> Part<'_> {
    Part { id, more: false, at: 8, bytes: &whole[8..] }
}

/// A datagram to the port that is allowed, without the marker, of a length that a fragment may have.
fn decoy(target: &Target<'_>, to: IpAddr) -> Vec<u8> {
    let to = SocketAddr::new(to, target.allowed().port());
    let from = SocketAddr::new(target.own(to.ip()), target.source().port());
    frame::udp(from, to, &[b'?'; 16])
}

fn fragment(target: &Target<'_>, to: IpAddr, protocol: u8, part: &Part<'_>) -> Vec<u8> {
    match (target.source().ip(), to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let mut header = Ipv4::new(from, to, protocol);
            (header.id, header.more, header.offset) = (part.id, part.more, part.at / 8);
            header.around(part.bytes)
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let [high, low] = (part.at | u16::from(part.more)).to_be_bytes();
            let [c, d] = part.id.to_be_bytes();
            let header = Ipv6::new(from, to, protocol);
            header.with(protocol::FRAGMENT, &[0, high, low, 0, 0, c, d]).around(part.bytes)
        }
        _ => Vec::new(),
    }
}
