//! Addresses and ports, from what a model has and around it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::dice::Dice;
use crate::reference::{Model, Protocol};

/// Addresses of which a rule speaks, and their neighbours.
const SPECIAL_V4: [Ipv4Addr; 9] = [
    Ipv4Addr::UNSPECIFIED,
    Ipv4Addr::new(0, 255, 255, 255),
    Ipv4Addr::new(1, 0, 0, 0),
    Ipv4Addr::new(126, 255, 255, 255),
    Ipv4Addr::LOCALHOST,
    Ipv4Addr::new(127, 255, 255, 255),
    Ipv4Addr::new(128, 0, 0, 0),
    Ipv4Addr::new(224, 0, 0, 1),
    Ipv4Addr::BROADCAST,
];
const SPECIAL_V6: [&str; 15] = [
    "::",
    "::1",
    "::2",
    "::10.1.0.10",
    "::1:0:0",
    "::ffff:10.1.0.10",
    "::ffff:0:0:0",
    "::fffe:10.1.0.10",
    "fe80::",
    "fe80::9",
    "febf:ffff::1",
    "fec0::1",
    "fe7f:ffff::1",
    "ff02::fb",
    "ff0e::1",
];
/// Where neighbour discovery goes, and beside it.
const DISCOVERY: [&str; 11] = [
    "ff02::1",
    "ff02::2",
    "ff02::3",
    "ff02::1:ff00:5",
    "ff02::1:ffff:ffff",
    "ff02::1:fe00:5",
    "ff02::2:ff00:5",
    "ff05::1:ff00:5",
    "ff02::16",
    "fe80::9",
    "fe80::77",
];
const PORTS: [u16; 8] = [0, 1, 53, 80, 443, 8080, 32_768, 65_535];

/// A place to send to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    pub(super) address: IpAddr,
    pub(super) tcp: bool,
    pub(super) port: u16,
}

/// What a model has, taken apart.
#[derive(Clone, Debug)]
pub(super) struct Places {
    own: Vec<IpAddr>,
    rows: Vec<(IpNet, Option<Protocol>, Option<u16>)>,
}

impl Places {
    pub(super) fn of(model: &Model) -> Self {
        let registered = model.registered.iter().map(|row| (row.net, Some(row.protocol), Some(row.port)));
        let exempt = model.exempt.iter().map(|row| (row.net, row.protocol, row.port));
        Self { own: model.own.iter().copied().collect(), rows: registered.chain(exempt).collect() }
    }

    /// Something that is allowed, or that is but for one thing, or somewhere else.
    pub(super) fn target(&self, dice: &mut Dice) -> Target {
        let (net, protocol, port) = dice.pick(&self.rows);
        let tcp = protocol.map_or_else(|| dice.one_in(2), |protocol| protocol == Protocol::Tcp);
        let port = port.unwrap_or_else(|| dice.pick(&PORTS));
        let good = Target { address: within(dice, net), tcp, port };
        match dice.below(12) {
            0 => Target { address: beside(dice, net), ..good },
            1 => Target { tcp: !tcp, ..good },
            2 => Target { port: near(dice, port), ..good },
            3 => Target { address: special(dice, good.address.is_ipv4()), ..good },
            4 => Target { address: dice.pick(&self.own), ..good },
            _ => good,
        }
    }

    /// Mostly the workload's own address of that family.
    pub(super) fn source(&self, dice: &mut Dice, to: IpAddr) -> IpAddr {
        let own: Vec<IpAddr> = self.own.iter().copied().filter(|own| own.is_ipv4() == to.is_ipv4()).collect();
        if own.is_empty() || dice.one_in(12) {
            return self.foreign(dice, to.is_ipv4());
        }
        let to_beside =
            matches!(to, IpAddr::V6(to) if to.segments()[0] & 0xffc0 == 0xfe80 || to.is_multicast());
        if to_beside && dice.one_in(3) { "fe80::abcd".parse().unwrap_or(to) } else { dice.pick(&own) }
    }

    /// An address that is not the workload's, or nearly not.
    pub(super) fn foreign(&self, dice: &mut Dice, v4: bool) -> IpAddr {
        let own = dice.pick(&self.own);
        match dice.below(3) {
            0 if own.is_ipv4() == v4 => beside(dice, IpNet::from(own)),
            1 => {
                let (net, ..) = dice.pick(&self.rows);
                if net.addr().is_ipv4() == v4 { within(dice, net) } else { special(dice, v4) }
            }
            _ => special(dice, v4),
        }
    }

    pub(super) fn own(&self, dice: &mut Dice) -> IpAddr {
        dice.pick(&self.own)
    }
}

/// The first, the last, or any address of a network.
fn within(dice: &mut Dice, net: IpNet) -> IpAddr {
    match (dice.below(4), net) {
        (0, net) => net.network(),
        (1, net) => net.broadcast(),
        (_, IpNet::V4(net)) => {
            let host = u32::from(dice.half()) & u32::from(net.hostmask());
            Ipv4Addr::from(u32::from(net.network()) | host).into()
        }
        (_, IpNet::V6(net)) => {
            let host = u128::from(dice.next()) & u128::from(net.hostmask());
            Ipv6Addr::from(u128::from(net.network()) | host).into()
        }
    }
}

/// The last address before a network, or the first behind it.
fn beside(dice: &mut Dice, net: IpNet) -> IpAddr {
    let before = dice.one_in(2);
    match (net.network(), net.broadcast()) {
        (IpAddr::V4(first), IpAddr::V4(_)) if before => {
            Ipv4Addr::from(u32::from(first).wrapping_sub(1)).into()
        }
        (_, IpAddr::V4(last)) => Ipv4Addr::from(u32::from(last).wrapping_add(1)).into(),
        (IpAddr::V6(first), _) if before => Ipv6Addr::from(u128::from(first).wrapping_sub(1)).into(),
        (_, IpAddr::V6(last)) => Ipv6Addr::from(u128::from(last).wrapping_add(1)).into(),
    }
}

/// Another port, close to that one or at the edge.
fn near(dice: &mut Dice, port: u16) -> u16 {
    let edge = dice.pick(&PORTS);
    dice.pick(&[port.wrapping_sub(1), port.wrapping_add(1), port.swap_bytes(), edge])
}

pub(super) fn special(dice: &mut Dice, v4: bool) -> IpAddr {
    if v4 { dice.pick(&SPECIAL_V4).into() } else { parse(dice.pick(&SPECIAL_V6)) }
}

/// Where neighbour discovery and MLD go, or nearly.
pub(super) fn discovery(dice: &mut Dice) -> IpAddr {
    if dice.one_in(8) { special(dice, false) } else { parse(dice.pick(&DISCOVERY)) }
}

pub(super) fn parse(text: &str) -> IpAddr {
    text.parse().unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED))
}
