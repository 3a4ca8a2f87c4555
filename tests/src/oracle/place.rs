//! Where an offer stands, and what lies there.

use std::cmp::Reverse;
use std::net::{IpAddr, Ipv6Addr};

use enforcer_common::addr::Prefix;
use ipnet::{IpNet, Ipv4Net};

/// Where an offer stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// At one address.
    Exact(IpAddr),
    /// At every address of a network. IPv4 addresses are in IPv4 networks only, `::/0` holds none.
    Network(IpNet),
    /// At any address.
    Any,
}

impl Place {
    pub(super) fn exact(ip: IpAddr) -> Self {
        Self::Exact(ip.to_canonical())
    }

    /// A network of IPv4-mapped addresses is an IPv4 network.
    pub(super) fn network(net: IpNet) -> Self {
        let mapped = match net.addr() {
            IpAddr::V6(v6) => v6.to_ipv4_mapped().filter(|_| net.prefix_len() >= 96),
            IpAddr::V4(_) => None,
        };
        Self::Network(match mapped {
            Some(v4) => Ipv4Net::new_assert(v4, net.prefix_len() - 96).trunc().into(),
            None => net.trunc(),
        })
    }

    pub(super) fn holds(&self, ip: IpAddr) -> bool {
        match self {
            Self::Exact(only) => *only == ip,
            Self::Network(net) => net.contains(&ip),
            Self::Any => true,
        }
    }

    pub(super) fn is_exact(&self) -> bool {
        matches!(self, Self::Exact(_))
    }

    pub(super) fn is_network(&self) -> bool {
        matches!(self, Self::Network(_))
    }

    /// Longest networks first.
    pub(super) fn shortness(&self) -> Reverse<u8> {
        Reverse(match self {
            Self::Network(net) => net.prefix_len(),
            Self::Exact(_) | Self::Any => 0,
        })
    }
}

/// Whether `ip` lies in an `--allow` range, bit by bit. An IPv4 network is a mapped one 96 bits longer; a shorter
/// one is IPv6 and holds no IPv4 address.
pub(super) fn prefix_holds(prefix: &Prefix, ip: IpAddr) -> bool {
    let of_v4 = prefix.addr().is_v4() && prefix.length() >= 96;
    if of_v4 != ip.is_ipv4() {
        return false;
    }
    let network = u128::from_be_bytes(prefix.addr().octets());
    let asked = u128::from(match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => Ipv6Addr::from(v6.octets()),
    });
    (0..prefix.length()).all(|bit| (network ^ asked) >> (127 - bit) & 1 == 0)
}
