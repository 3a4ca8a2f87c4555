//! What a flow is found by.

use crate::addr::{Addr, Port, Protocol};
use crate::word::{Tagged, mix, tag_addr};

/// What a key of `FLOWS` stands for.
#[repr(u8)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FlowKind {
    /// TCP or UDP.
    Transport = 0,
    /// An ICMP echo request that came in: its identifier is the local port.
    Echo = 1,
    /// Neighbour discovery that came in with hop limit 255: the remote is a neighbour.
    Neighbour = 2,
    /// An allowed first fragment: the identification is in the two ports.
    Fragment = 3,
    /// A SYN that came in, whatever the local port: a mesh proxy has it changed before a socket sees it.
    Begun = 4,
    /// A connection reached the workload and had not passed the host's side of its interface, whose number as the workload has it
    /// is in the two ports. Nothing is decided by it: the workload can make one.
    Unseen = 5,
}

/// Where it was heard of.
#[repr(u16)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Heard {
    /// On the host's side of an interface.
    Interface = 0,
    /// At a socket.
    Socket = 1,
}

/// A key of a workload's table.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FlowKey {
    remote: Addr,
    local_port: Port,
    remote_port: Port,
    protocol: Protocol,
    kind: u8,
    heard: u16,
}

impl FlowKey {
    /// A TCP or UDP flow. The workload's own address is not part of it: it has one, as a rule, and all are its own.
    #[inline(always)]
    pub const fn transport(protocol: Protocol, remote: Addr, remote_port: Port, local_port: Port) -> Self {
        Self {
            remote,
            local_port,
            remote_port,
            protocol,
            kind: FlowKind::Transport as u8,
            heard: Heard::Interface as u16,
        }
    }

    /// An echo request with this identifier.
    #[inline(always)]
    pub const fn echo(remote: Addr, identifier: Port) -> Self {
        let kind = FlowKind::Echo as u8;
        let protocol = Protocol::ICMP;
        Self {
            remote,
            local_port: identifier,
            remote_port: Port::ANY,
            protocol,
            kind,
            heard: Heard::Interface as u16,
        }
    }

    /// A neighbour.
    #[inline(always)]
    pub const fn neighbour(remote: Addr) -> Self {
        let kind = FlowKind::Neighbour as u8;
        let protocol = Protocol::ICMPV6;
        Self {
            remote,
            local_port: Port::ANY,
            remote_port: Port::ANY,
            protocol,
            kind,
            heard: Heard::Interface as u16,
        }
    }

    /// The fragments of one datagram.
    #[inline(always)]
    pub const fn fragment(protocol: Protocol, remote: Addr, identification: u32) -> Self {
        Self::numbered(FlowKind::Fragment, protocol, remote, identification)
    }

    /// A SYN from there, to any local port.
    #[inline(always)]
    pub const fn begun(remote: Addr, remote_port: Port) -> Self {
        let kind = FlowKind::Begun as u8;
        Self {
            remote,
            local_port: Port::ANY,
            remote_port,
            protocol: Protocol::TCP,
            kind,
            heard: Heard::Interface as u16,
        }
    }

    /// Connections that reached this interface of the workload unseen.
    #[inline(always)]
    pub const fn unseen(interface: u32) -> Self {
        Self::numbered(FlowKind::Unseen, Protocol::TCP, Addr::UNSPECIFIED, interface)
    }

    /// With a number in the place of the two ports.
    #[inline(always)]
    const fn numbered(kind: FlowKind, protocol: Protocol, remote: Addr, number: u32) -> Self {
        let (local_port, remote_port) = (Port::from_ctx(number & 0xffff), Port::from_ctx(number >> 16));
        Self { remote, local_port, remote_port, protocol, kind: kind as u8, heard: Heard::Interface as u16 }
    }

    /// The same, heard of there.
    #[inline(always)]
    pub const fn heard(self, heard: Heard) -> Self {
        Self { heard: heard as u16, ..self }
    }

    /// Becomes the same, heard of there.
    #[inline(always)]
    pub const fn hear(&mut self, heard: Heard) {
        self.heard = heard as u16;
    }
}

impl Tagged for FlowKey {
    #[inline(always)]
    fn tag(&self) -> u32 {
        let ports = (self.local_port.raw() as u32) << 16 | self.remote_port.raw() as u32;
        let what = (self.heard as u32) << 16 | (self.protocol.get() as u32) << 8 | self.kind as u32;
        tag_addr(mix(mix(9, ports), what), &self.remote)
    }
}
