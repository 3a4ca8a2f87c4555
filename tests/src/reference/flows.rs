//! What came in, and what answers it (§6.2 to §6.4, §7.1).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use super::Part;
use super::transport::Segment;

/// How long a TCP flow that is over goes on.
const AFTER_END: Duration = Duration::from_mins(1);
/// How long a UDP flow goes on after the last datagram that came in, or that began it here.
const UDP_TIME: Duration = Duration::from_mins(3);
const ECHO_TIME: Duration = Duration::from_secs(30);
const NEIGHBOUR_TIME: Duration = Duration::from_mins(10);

/// What the packets of a flow have in common, but for workload and protocol.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Flow {
    pub(super) own_port: u16,
    pub(super) remote: IpAddr,
    pub(super) remote_port: u16,
}

/// All that has come in so far. Time is what its owner says.
#[derive(Clone, Debug, Default)]
pub(super) struct Flows {
    pub(super) now: Duration,
    tcp: BTreeMap<Flow, Connection>,
    udp: BTreeMap<Flow, Datagrams>,
    /// When the last echo request from that address with that identifier came in.
    echoes: BTreeMap<(IpAddr, u16), Duration>,
    /// When that neighbour last sent neighbour discovery.
    neighbours: BTreeMap<IpAddr, Duration>,
}

/// A TCP flow that the other side has begun.
#[derive(Clone, Copy, Default, Debug)]
struct Connection {
    fin_came: bool,
    fin_left: bool,
    reset: bool,
    /// When the last FIN or RST came in, or the one that ended it left.
    last: Duration,
}

impl Connection {
    fn is_over(&self) -> bool {
        self.reset || (self.fin_came && self.fin_left)
    }

    fn is_gone(&self, now: Duration) -> bool {
        self.is_over() && now.saturating_sub(self.last) >= AFTER_END
    }
}

/// A UDP flow that one side has begun.
#[derive(Clone, Copy, Debug)]
struct Datagrams {
    begun_by_other: bool,
    last: Duration,
}

impl Flows {
    /// A segment came in.
    pub(super) fn tcp_came(&mut self, flow: Flow, segment: &Segment) {
        if segment.syn && !segment.ack && !segment.rst {
            self.tcp.insert(flow, Connection::default());
            return;
        }
        let Some(connection) = self.tcp.get_mut(&flow) else { return };
        connection.fin_came |= segment.fin;
        connection.reset |= segment.rst;
        if segment.fin || segment.rst {
            connection.last = self.now;
        }
    }

    /// Whether a segment that leaves answers one that came in; then it is taken note of.
    pub(super) fn answers_tcp(&mut self, flow: Flow, segment: &Segment, part: Part) -> bool {
        let Some(connection) = self.tcp.get_mut(&flow) else { return false };
        if connection.is_gone(self.now) || (segment.syn && !segment.ack) {
            return false;
        }
        if connection.is_over() {
            // What follows a first fragment is payload.
            let has_payload = segment.has_payload || part != Part::Whole;
            return !(connection.reset && has_payload);
        }
        connection.fin_left |= segment.fin;
        connection.reset |= segment.rst;
        connection.last = self.now;
        true
    }

    pub(super) fn has_tcp(&self, flow: &Flow) -> bool {
        self.tcp.get(flow).is_some_and(|connection| !connection.is_over())
    }

    /// A datagram came in. `may_send`: the workload may send there by the registry, so that it answers.
    pub(super) fn udp_came(&mut self, flow: Flow, may_send: bool) {
        let last = self.now;
        match self.udp.get_mut(&flow) {
            Some(known) if last.saturating_sub(known.last) < UDP_TIME => known.last = last,
            _ => {
                self.udp.insert(flow, Datagrams { begun_by_other: !may_send, last });
            }
        }
    }

    /// A datagram has left because the registry allows it.
    pub(super) fn udp_left(&mut self, flow: Flow) {
        self.udp.insert(flow, Datagrams { begun_by_other: false, last: self.now });
    }

    /// Whether a datagram that leaves answers one that came in.
    pub(super) fn has_udp(&self, flow: &Flow) -> bool {
        let known = self.udp.get(flow).filter(|known| known.begun_by_other);
        known.is_some_and(|known| self.now.saturating_sub(known.last) < UDP_TIME)
    }

    pub(super) fn echo_came(&mut self, from: IpAddr, identifier: u16) {
        self.echoes.insert((from, identifier), self.now);
    }

    pub(super) fn has_echo(&self, from: IpAddr, identifier: u16) -> bool {
        let asked = self.echoes.get(&(from, identifier));
        asked.is_some_and(|asked| self.now.saturating_sub(*asked) < ECHO_TIME)
    }

    pub(super) fn discovery_came(&mut self, from: IpAddr) {
        self.neighbours.insert(from, self.now);
    }

    pub(super) fn has_neighbour(&self, address: IpAddr) -> bool {
        let heard = self.neighbours.get(&address);
        heard.is_some_and(|heard| self.now.saturating_sub(*heard) < NEIGHBOUR_TIME)
    }
}
