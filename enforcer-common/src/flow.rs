//! Flows without a socket to remember them: what came in and may be answered, datagrams that went out, fragments, neighbours.
//!
//! Each workload has a table of its own (`FLOWS`), so that nobody can push another's flows out of it. A flow that was pushed out
//! costs a fresh decision; it never opens anything. A value is one [`crate::word::Word`].
//!
//! What was heard on the host's side of an interface is certain. What was heard at a socket may have been made by the workload itself, in
//! a network namespace of its own; it has other keys, which no program of an interface looks for.

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
    #[allow(clippy::cast_possible_truncation)] // the two halves
    pub const fn fragment(protocol: Protocol, remote: Addr, identification: u32) -> Self {
        Self {
            remote,
            local_port: Port::from_ctx(identification & 0xffff),
            remote_port: Port::from_ctx(identification >> 16),
            protocol,
            kind: FlowKind::Fragment as u8,
            heard: Heard::Interface as u16,
        }
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
    #[allow(clippy::cast_possible_truncation)] // the two halves
    pub const fn unseen(interface: u32) -> Self {
        Self {
            remote: Addr::UNSPECIFIED,
            local_port: Port::from_ctx(interface & 0xffff),
            remote_port: Port::from_ctx(interface >> 16),
            protocol: Protocol::TCP,
            kind: FlowKind::Unseen as u8,
            heard: Heard::Interface as u16,
        }
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

/// The flags of a TCP header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TcpFlags(u8);

impl TcpFlags {
    const FIN: u8 = 0x01;
    const SYN: u8 = 0x02;
    const RST: u8 = 0x04;
    const ACK: u8 = 0x10;

    /// From the header's 14th byte.
    #[inline(always)]
    pub const fn new(byte: u8) -> Self {
        Self(byte)
    }

    /// Begins a connection.
    #[inline(always)]
    pub const fn begins(self) -> bool {
        self.0 & (Self::SYN | Self::ACK | Self::RST) == Self::SYN
    }

    /// Answers a SYN.
    #[inline(always)]
    pub const fn is_syn_ack(self) -> bool {
        self.0 & (Self::SYN | Self::ACK) == Self::SYN | Self::ACK
    }

    /// Its sender sends no more.
    #[inline(always)]
    pub const fn is_fin(self) -> bool {
        self.0 & Self::FIN != 0
    }

    /// The connection is over.
    #[inline(always)]
    pub const fn is_rst(self) -> bool {
        self.0 & Self::RST != 0
    }

    /// It acknowledges.
    #[inline(always)]
    pub const fn is_ack(self) -> bool {
        self.0 & Self::ACK != 0
    }

    /// One that changes no state.
    #[inline(always)]
    pub const fn is_plain(self) -> bool {
        self.0 & (Self::SYN | Self::FIN | Self::RST) == 0
    }
}

/// Seconds that a fragmented datagram may take (RFC 791 asks for 15; Linux waits 30).
pub const FRAGMENT_SECONDS: u32 = 30;
/// Seconds in which an echo request may be answered.
pub const ECHO_SECONDS: u32 = 30;
/// Seconds for which somebody who has sent neighbour discovery is a neighbour.
pub const NEIGHBOUR_SECONDS: u32 = 600;
/// Seconds after the last datagram that came in.
pub const UDP_SECONDS: u32 = 180;
/// Seconds after both sides have said that they send no more (`TCP_TIMEWAIT_LEN`).
pub const CLOSING_SECONDS: u32 = 60;
/// Seconds for which a connection may be silent without a socket that remembers it.
pub const TCP_SECONDS: u32 = 86_400;
/// Seconds for which a connection that reached a workload unseen is told.
pub const UNSEEN_SECONDS: u32 = 60;
/// A flow's time is written anew when it is older than this.
const REFRESH_SECONDS: u32 = 8;

/// What is known of a flow: the payload of its word. Flags, and the second in which the other side was heard last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Flow(u32);

/// What an arriving packet does to the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arrival {
    /// Nothing.
    Keep,
    /// The flow is now this.
    Set(Flow),
}

impl Flow {
    const BEGUN_BY_REMOTE: u32 = 1;
    const REMOTE_FIN: u32 = 2;
    const LOCAL_FIN: u32 = 4;
    const RESET: u32 = 8;
    const OVER: u32 = Self::REMOTE_FIN | Self::LOCAL_FIN;
    const SECOND: u32 = 0xff_ffff;

    /// The other side has begun it.
    #[inline(always)]
    pub const fn begun_by_remote(second: u32) -> Self {
        Self(second << 8 | Self::BEGUN_BY_REMOTE)
    }

    /// The workload has begun it, and it was allowed.
    #[inline(always)]
    pub const fn begun_here(second: u32) -> Self {
        Self(second << 8)
    }

    /// The workload has begun it and sends no more: what its kernel still has to say, it says without a socket (`TIME_WAIT`).
    #[inline(always)]
    pub const fn closing_here(second: u32) -> Self {
        Self(second << 8 | Self::LOCAL_FIN)
    }

    /// From the payload of its word.
    #[inline(always)]
    pub const fn from_payload(payload: u32) -> Self {
        Self(payload)
    }

    /// The payload of its word.
    #[inline(always)]
    pub const fn payload(self) -> u32 {
        self.0
    }

    /// Whether it was heard of within `seconds` before `second`.
    #[inline(always)]
    pub const fn is_within(self, seconds: u32, second: u32) -> bool {
        self.age(second) <= seconds
    }

    #[inline(always)]
    const fn age(self, second: u32) -> u32 {
        second.wrapping_sub(self.0 >> 8) & Self::SECOND
    }

    #[inline(always)]
    const fn is_over(self) -> bool {
        self.0 & Self::OVER == Self::OVER
    }

    #[inline(always)]
    const fn at(self, second: u32, flags: u32) -> Self {
        Self(second << 8 | (self.0 & 0xff) | flags)
    }

    /// A TCP segment has come in. Only a SYN makes a flow.
    #[inline(always)]
    pub const fn segment_arrived(known: Option<Self>, flags: TcpFlags, second: u32) -> Arrival {
        if flags.begins() {
            return Arrival::Set(Self::begun_by_remote(second));
        }
        let Some(flow) = known else { return Arrival::Keep };
        if flags.is_rst() {
            return Arrival::Set(flow.at(second, Self::OVER | Self::RESET));
        }
        if flags.is_fin() {
            return Arrival::Set(flow.at(second, Self::REMOTE_FIN));
        }
        if flow.is_over() || flow.age(second) < REFRESH_SECONDS {
            return Arrival::Keep;
        }
        Arrival::Set(flow.at(second, 0))
    }

    /// Whether a datagram that comes in now belongs to it, whoever began it.
    #[inline(always)]
    pub const fn goes_on(self, second: u32) -> bool {
        self.is_within(UDP_SECONDS, second)
    }

    /// A datagram has come in. `expected`: the workload may send there, so that it answers one which the workload sent; asked only
    /// where the known flow does not go on.
    #[inline(always)]
    pub const fn datagram_arrived(known: Option<Self>, expected: bool, second: u32) -> Arrival {
        match known {
            Some(flow) if flow.goes_on(second) => {
                if flow.age(second) < REFRESH_SECONDS {
                    Arrival::Keep
                } else {
                    Arrival::Set(flow.at(second, 0))
                }
            }
            _ if expected => Arrival::Set(Self::begun_here(second)),
            _ => Arrival::Set(Self::begun_by_remote(second)),
        }
    }

    /// Whether a segment of the workload belongs to this flow, which the other side has begun or the workload ends; and what the
    /// flow is then.
    #[inline(always)]
    pub const fn answered_by(self, flags: TcpFlags, payload: u32, second: u32) -> Option<Self> {
        if flags.begins() || !self.is_within(TCP_SECONDS, second) {
            return None;
        }
        if self.0 & Self::BEGUN_BY_REMOTE == 0 {
            let closes = self.0 & Self::LOCAL_FIN != 0 && payload == 0;
            return if closes && self.is_within(2 * CLOSING_SECONDS, second) { Some(self) } else { None };
        }
        if self.is_over() {
            // What was lost is sent again, but not after a reset.
            let last_words = payload == 0 || self.0 & Self::RESET == 0;
            return if last_words && self.is_within(CLOSING_SECONDS, second) { Some(self) } else { None };
        }
        if flags.is_rst() {
            return Some(self.at(second, Self::OVER | Self::RESET));
        }
        if flags.is_fin() {
            return Some(self.at(second, Self::LOCAL_FIN));
        }
        if self.age(second) < REFRESH_SECONDS { Some(self) } else { Some(self.at(second, 0)) }
    }

    /// Whether the other side has sent something of this kind that an ICMP error may be about.
    #[inline(always)]
    pub const fn may_be_quoted(self, protocol: Protocol, second: u32) -> bool {
        let seconds = match protocol {
            Protocol::TCP => TCP_SECONDS,
            Protocol::UDP => UDP_SECONDS,
            _ => ECHO_SECONDS,
        };
        self.0 & Self::BEGUN_BY_REMOTE != 0 && !self.is_over() && self.is_within(seconds, second)
    }

    /// Whether a datagram of the workload answers one that came in.
    #[inline(always)]
    pub const fn answers_datagram(self, second: u32) -> bool {
        self.0 & Self::BEGUN_BY_REMOTE != 0 && self.is_within(UDP_SECONDS, second)
    }

    /// How many more seconds datagrams of the workload answer one that came in.
    #[inline(always)]
    pub const fn seconds_left(self, second: u32) -> u32 {
        UDP_SECONDS.saturating_sub(self.age(second))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYN: TcpFlags = TcpFlags::new(0x02);
    const SYN_ACK: TcpFlags = TcpFlags::new(0x12);
    const ACK: TcpFlags = TcpFlags::new(0x10);
    const FIN_ACK: TcpFlags = TcpFlags::new(0x11);
    const RST: TcpFlags = TcpFlags::new(0x04);

    fn arrived(known: Option<Flow>, flags: TcpFlags, second: u32) -> Option<Flow> {
        match Flow::segment_arrived(known, flags, second) {
            Arrival::Keep => known,
            Arrival::Set(flow) => Some(flow),
        }
    }

    #[test]
    fn only_a_syn_that_comes_in_opens_a_connection() {
        for stray in [SYN_ACK, ACK, FIN_ACK, RST] {
            assert_eq!(arrived(None, stray, 5), None);
        }
        let flow = arrived(None, SYN, 5).unwrap();
        assert_eq!(flow.answered_by(SYN_ACK, 0, 6), Some(flow));
        assert_eq!(flow.answered_by(ACK, 1_000, 6), Some(flow));
        assert_eq!(flow.answered_by(SYN, 0, 6), None);
    }

    #[test]
    fn a_connection_that_is_over_has_last_words_and_no_more_data() {
        let flow = arrived(None, SYN, 5).unwrap();
        let flow = arrived(Some(flow), FIN_ACK, 10).unwrap();
        assert!(flow.answered_by(ACK, 1_000, 100).is_some(), "one side may still send");
        let flow = flow.answered_by(FIN_ACK, 0, 20).unwrap();
        assert!(flow.answered_by(ACK, 0, 80).is_some());
        assert!(flow.answered_by(FIN_ACK, 900, 21).is_some(), "the last segment was lost");
        assert!(flow.answered_by(ACK, 0, 81).is_none() && flow.answered_by(ACK, 900, 81).is_none());
        let reset = arrived(arrived(None, SYN, 5), RST, 6).unwrap();
        assert!(reset.answered_by(ACK, 1, 6).is_none() && reset.answered_by(ACK, 0, 6).is_some());
        assert_eq!(arrived(Some(reset), SYN, 7), Some(Flow::begun_by_remote(7)));
    }

    #[test]
    fn a_connection_of_the_workload_ends_without_its_socket() {
        let flow = Flow::closing_here(10);
        assert_eq!(flow.answered_by(ACK, 0, 100), Some(flow));
        assert_eq!(flow.answered_by(ACK, 1, 11), None);
        assert_eq!(flow.answered_by(ACK, 0, 131), None);
        assert_eq!(Flow::begun_here(10).answered_by(ACK, 0, 11), None);
    }

    #[test]
    fn a_datagram_is_an_answer_for_three_minutes_after_the_last_one_that_came_in() {
        let Arrival::Set(flow) = Flow::datagram_arrived(None, false, 1_000) else { panic!("not kept") };
        assert!(flow.answers_datagram(1_180));
        assert!(!flow.answers_datagram(1_181));
        let Arrival::Set(again) = Flow::datagram_arrived(Some(flow), false, 1_100) else { panic!("old") };
        assert!(again.answers_datagram(1_280));
        assert_eq!(again.seconds_left(1_200), 80);
    }

    #[test]
    fn what_answers_the_workload_opens_nothing() {
        let sent = Flow::begun_here(1_000);
        assert_eq!(Flow::datagram_arrived(Some(sent), false, 1_001), Arrival::Keep);
        let Arrival::Set(later) = Flow::datagram_arrived(Some(sent), false, 1_100) else { panic!("old") };
        assert!(!later.answers_datagram(1_100));
        let Arrival::Set(expected) = Flow::datagram_arrived(None, true, 1_100) else { panic!("not kept") };
        assert!(!expected.answers_datagram(1_100));
    }

    #[test]
    fn a_flow_of_long_ago_is_asked_for_anew() {
        let sent = Flow::begun_here(1_000);
        assert!(sent.goes_on(1_180) && !sent.goes_on(1_181));
        let Arrival::Set(flow) = Flow::datagram_arrived(Some(sent), true, 1_181) else { panic!("not kept") };
        assert!(!flow.answers_datagram(1_181));
        let Arrival::Set(flow) = Flow::datagram_arrived(Some(sent), false, 1_181) else { panic!("not kept") };
        assert!(flow.answers_datagram(1_181));
    }

    #[test]
    fn an_error_is_about_what_the_other_side_has_sent() {
        let came = Flow::begun_by_remote(1_000);
        for (protocol, seconds) in [(Protocol::TCP, TCP_SECONDS), (Protocol::UDP, 180), (Protocol::ICMP, 30)]
        {
            assert!(came.may_be_quoted(protocol, 1_000 + seconds), "{protocol:?}");
            assert!(!came.may_be_quoted(protocol, 1_001 + seconds), "{protocol:?}");
            assert!(!Flow::begun_here(1_000).may_be_quoted(protocol, 1_000), "{protocol:?}");
        }
        let reset = arrived(Some(came), RST, 1_001).unwrap();
        assert!(!reset.may_be_quoted(Protocol::TCP, 1_001));
    }

    #[test]
    fn what_was_heard_at_a_socket_has_another_key_and_another_tag() {
        let key = FlowKey::neighbour(Addr::UNSPECIFIED);
        let socket = key.heard(Heard::Socket);
        assert!(key != socket && key.tag() != socket.tag() && key == key.heard(Heard::Interface));
    }

    #[test]
    fn time_goes_on_when_the_counter_begins_again() {
        let flow = Flow::begun_by_remote(0xff_fff0);
        assert!(flow.is_within(180, 0x100_0010));
        assert!(!flow.is_within(30, 0x100_0010));
    }
}
