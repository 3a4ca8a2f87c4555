//! Flows without a socket to remember them: what came in and may be answered, datagrams that went out, fragments, neighbours.
//!
//! Each workload has a table of its own (`FLOWS`), so that nobody can push another's flows out of it. A flow that was pushed out
//! costs a fresh decision. A value is one [`crate::word::Word`].
//!
//! What was heard on the host's side of an interface is certain. What was heard at a socket may have been made by the workload itself, in
//! a network namespace of its own; it has other keys, which no program of an interface looks for.

mod key;

use crate::addr::Protocol;

pub use key::{FlowKey, FlowKind, Heard};

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

    /// Asks for a connection, or says that it does, whatever else: no answer has a SYN without ACK.
    #[inline(always)]
    pub const fn is_no_answer(self) -> bool {
        self.0 & (Self::SYN | Self::ACK) == Self::SYN
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

    /// Whether it was heard of less than `seconds` before `second`: whole seconds are counted, so never a fraction longer.
    #[inline(always)]
    pub const fn is_within(self, seconds: u32, second: u32) -> bool {
        self.age(second) < seconds
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
        if flags.is_no_answer() || !self.is_within(TCP_SECONDS, second) {
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
mod tests;
