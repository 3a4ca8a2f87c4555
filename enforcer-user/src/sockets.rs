//! The open sockets of a network namespace: listing them, and closing one. Asked over `sock_diag(7)`.

mod cookie;
mod destroy;
mod list;
mod request;
#[cfg(test)]
pub(crate) mod stage;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::SocketAddr;

pub use destroy::destroy;
pub use list::{each, find};

/// A protocol whose sockets can be listed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Protocol {
    /// Half-open connections included.
    Tcp,
    /// Connected, or not.
    Udp,
}

impl Protocol {
    fn number(self) -> u8 {
        match self {
            // Both are far below 256: RFC 9293, RFC 768.
            Self::Tcp => 6,
            Self::Udp => 17,
        }
    }
}

/// States of sockets, by the kernel's numbers (`net/tcp_states.h`), as a set of bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct States(u32);

impl States {
    /// Connected to somebody, or on the way there: all but `TIME_WAIT` (6), `CLOSE` (7), `LISTEN` (10), and what is bound only (13). A
    /// server has more of the first kind than of all others, and nobody wants them.
    pub const CONNECTED: Self = Self::of(&[1, 2, 3, 4, 5, 8, 9, 11, 12]);
    /// Those, and listeners.
    pub const CONNECTED_OR_LISTENING: Self = Self(Self::CONNECTED.0 | Self::of(&[10]).0);

    const fn of(numbers: &[u8]) -> Self {
        let (mut bits, mut at) = (0, 0);
        while at < numbers.len() {
            bits |= 1 << numbers[at];
            at += 1;
        }
        Self(bits)
    }

    /// Whether the state of this number is one of them.
    pub fn has(self, state: u8) -> bool {
        1_u32.checked_shl(state.into()).is_some_and(|bit| self.0 & bit != 0)
    }

    /// Every one.
    #[cfg(test)]
    pub(crate) const ALL: Self = Self(u32::MAX);
}

/// A socket's own family: an IPv6 socket may speak IPv4, too.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Family {
    /// `AF_INET`
    V4,
    /// `AF_INET6`
    V6,
}

/// A socket.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SocketEntry {
    /// What it speaks.
    pub protocol: Protocol,
    /// The kernel's number (`net/tcp_states.h`): `ESTABLISHED` 1, `SYN_RECV` 3, `TIME_WAIT` 6, `CLOSE` 7, `LISTEN` 10.
    /// A connected UDP socket is `ESTABLISHED`, another one `CLOSE`.
    pub state: u8,
    /// The family it was opened with.
    pub family: Family,
    /// Its own address; IPv4 also when the socket has it as an IPv4-mapped one.
    pub local: SocketAddr,
    /// Whom it is connected to, likewise; port 0 when to nobody.
    pub remote: SocketAddr,
    /// The interface it is bound to, 0 for none.
    pub interface: u32,
    /// The same number as `bpf_get_socket_cookie` gives.
    pub cookie: u64,
    /// The id of its cgroup; absent in `TIME_WAIT` and `SYN_RECV`, which have none, and before kernel 5.9.
    pub cgroup: Option<u64>,
    /// What BPF maps have stored with it, by the map's id. The kernel tells this of TCP sockets only
    /// (`inet_sk_diag_fill`), and not in `TIME_WAIT` and `SYN_RECV`.
    pub storage: BTreeMap<u32, Vec<u8>>,
}
