//! Where somebody wants to go: `host:port`, `ip:port`, `[ipv6]:port`, `192.0.2.0/24:port`, each with `/tcp` or `/udp` behind it, or a
//! URL.

mod notation;

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use enforcer_common::addr::Protocol;
use ipnet::IpNet;

use crate::name::Host;

/// A name, an address or a network.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Target {
    /// A host name, or a wildcard: any name that it covers.
    Host(Host),
    /// An address; an IPv4-mapped one is the IPv4 address.
    Ip(IpAddr),
    /// Every address of a network, of more than one.
    Net(IpNet),
}

/// A destination.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Destination {
    /// Where.
    pub target: Target,
    /// At which port; 0 for protocols that have none.
    pub port: u16,
    /// By which protocol; TCP unless said.
    pub protocol: Protocol,
}

/// A destination as it was read, and what a person should know about how.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reading {
    /// What it means.
    pub destination: Destination,
    /// What of the text does not count, or counts as something else.
    pub notes: Vec<String>,
}

/// What is wrong with the text.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{text:?} is no destination: {what}; {hint}")]
pub struct BadDestination {
    text: String,
    what: String,
    hint: String,
    portless: Option<Box<(Target, Protocol)>>,
}

impl BadDestination {
    /// What it would be at, and by which protocol, if only it had a port.
    pub fn portless(&self) -> Option<(&Target, Protocol)> {
        self.portless.as_deref().map(|(target, protocol)| (target, *protocol))
    }
}

impl Destination {
    /// Reads any notation.
    pub fn read(text: &str) -> Result<Reading, BadDestination> {
        notation::read(text)
    }
}

impl FromStr for Destination {
    type Err = BadDestination;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::read(text).map(|reading| reading.destination)
    }
}

impl fmt::Display for Target {
    /// As it stands before a port.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(host) => write!(f, "{host}"),
            Self::Ip(IpAddr::V4(ip)) => write!(f, "{ip}"),
            Self::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
            Self::Net(IpNet::V4(net)) => write!(f, "{net}"),
            Self::Net(IpNet::V6(net)) => write!(f, "[{net}]"),
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            0 => write!(f, "{}/{}", self.target, self.protocol),
            port => write!(f, "{}:{port}/{}", self.target, self.protocol),
        }
    }
}

/// A name that a process can ask for, or `*.` and one.
pub(crate) fn host(text: &str) -> Option<Host> {
    notation::known_host(text)
}

#[cfg(test)]
mod tests;
