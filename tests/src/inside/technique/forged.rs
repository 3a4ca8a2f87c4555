//! Segments of connections that are not there, or no longer: `syn` (without the marker), `syn-data`, `forged-syn-ack`,
//! `forged-data` (an acknowledgment with data), `forged-rst` (with data), `forged-fin` (with data), `forged-none` (no flag at all).
//! `source=ADDR:PORT` makes them those of a connection.

use crate::frame::{Tcp, protocol};
use crate::inside::technique::target::Target;

pub(super) fn packets(name: &str, target: &Target<'_>) -> Option<Vec<Vec<u8>>> {
    let flags = match name {
        "syn" | "syn-data" => Tcp::SYN,
        "forged-syn-ack" => Tcp::SYN | Tcp::ACK,
        "forged-data" => Tcp::PSH | Tcp::ACK,
        "forged-rst" => Tcp::RST | Tcp::ACK,
        "forged-fin" => Tcp::FIN | Tcp::ACK,
        "forged-none" => 0,
        _ => return None,
    };
    let marker = target.marker.bytes();
    let payload = if name == "syn" { &[][..] } else { &marker };
    Some(vec![target.packet(protocol::TCP, &Tcp::new(target.source(), target.to, flags).around(payload))])
}
