//! The ways by which what was built by hand leaves: `packet-raw`, `packet-dgram`, `packet-ring`, `packet-bypass`, `xdp`,
//! `raw4-hdrincl` and `raw6-hdrincl` are a plain UDP packet by each of them.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd as _;

use anyhow::{Result, bail};
use socket2::{Domain, Protocol, Socket, Type};

use crate::frame::BROADCAST;
use crate::inside::technique::target::{Target, ethertype_of};
use crate::sys::{packet, xdp};

/// `IPPROTO_RAW`.
const RAW: i32 = 255;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Way {
    /// A packet socket, with whole frames.
    Packet,
    /// A packet socket whose frames the kernel begins.
    Dgram,
    /// A packet socket with a ring.
    Ring,
    /// A packet socket past queues and programs of the interface.
    Bypass,
    /// `AF_XDP`.
    Xdp,
    /// A raw socket to which one gives the IP header.
    HeaderIncluded,
}

impl Way {
    /// The way that is a technique of its own.
    pub(super) fn of_technique(name: &str) -> Option<Self> {
        Some(match name {
            "packet-raw" => Self::Packet,
            "packet-dgram" => Self::Dgram,
            "packet-ring" => Self::Ring,
            "packet-bypass" => Self::Bypass,
            "xdp" => Self::Xdp,
            "raw4-hdrincl" | "raw6-hdrincl" => Self::HeaderIncluded,
            _ => return None,
        })
    }

    /// The way of `by=NAME`.
    pub(super) fn named(name: &str) -> Result<Self> {
        Ok(match name {
            "packet" => Self::Packet,
            "dgram" => Self::Dgram,
            "ring" => Self::Ring,
            "bypass" => Self::Bypass,
            "xdp" => Self::Xdp,
            "hdrincl" => Self::HeaderIncluded,
            _ => bail!("nothing leaves by {name:?}"),
        })
    }

    /// Sends IP packets; how many bytes.
    pub(super) fn send_packets(self, target: &Target<'_>, packets: &[Vec<u8>]) -> io::Result<usize> {
        let send = |packet: &Vec<u8>| match self {
            Self::HeaderIncluded => header_included(target, packet),
            Self::Dgram => {
                let to = packet::link(target.me.index, ethertype_of(packet), target.next_hop())?;
                Socket::new(Domain::PACKET, Type::DGRAM, Some(Protocol::from(0)))?.send_to(packet, &to)
            }
            _ => self.send_frame(target, &target.frame(packet)),
        };
        packets.iter().map(send).sum()
    }

    /// Sends frames; how many bytes.
    pub(super) fn send_frames(self, target: &Target<'_>, frames: &[Vec<u8>]) -> io::Result<usize> {
        frames.iter().map(|frame| self.send_frame(target, frame)).sum()
    }

    fn send_frame(self, target: &Target<'_>, frame: &[u8]) -> io::Result<usize> {
        if self == Self::Xdp {
            return xdp::send(target.me.index, frame);
        }
        let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(0)))?;
        let to = packet::link(target.me.index, 0, BROADCAST)?;
        match self {
            Self::Packet => socket.send_to(frame, &to),
            Self::Ring => {
                socket.bind(&to)?;
                packet::ring_send(&socket, frame)
            }
            Self::Bypass => {
                let on = 1_i32.to_ne_bytes();
                packet::set_option(socket.as_fd(), libc::SOL_PACKET, libc::PACKET_QDISC_BYPASS, &on)?;
                socket.send_to(frame, &to)
            }
            Self::Dgram | Self::Xdp | Self::HeaderIncluded => {
                Err(io::Error::other("this way does not take whole frames"))
            }
        }
    }
}

/// The kernel looks at the destination of the call, and sends the one of the header.
fn header_included(target: &Target<'_>, packet: &[u8]) -> io::Result<usize> {
    let socket = Socket::new(Domain::for_address(target.to), Type::RAW, Some(Protocol::from(RAW)))?;
    if target.to.is_ipv4() {
        socket.set_header_included_v4(true)?;
    } else {
        socket.set_header_included_v6(true)?;
    }
    let mut to = target.option("claim").and_then(|text| text.parse().ok()).unwrap_or(target.to);
    SocketAddr::set_port(&mut to, 0);
    socket.send_to(packet, &to.into())
}
