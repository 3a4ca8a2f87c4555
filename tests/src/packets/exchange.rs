//! What others begin with a workload, and how it answers: rightly, nearly rightly, or late.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::address::{self, Places};
use super::conversation::Passing;
use super::dice::Dice;
use super::ip;
use crate::reference::frames::{ACK, FIN, RST, SYN, fragment, frame, icmp, ipv4_fragment, packet, tcp, udp};

/// So many conversations have the same few remotes; then others come.
const EPOCH: usize = 40;
/// How far back somebody comes from, now and then.
const OLDEST: [usize; 4] = [20, 20, 400, 8_000];
const OWN_PORTS: [u16; 4] = [0, 80, 5_000, 40_000];
const REMOTE_PORTS: [u16; 5] = [0, 53, 443, 8_080, 30_000];

/// Two who speak with each other, as of TCP and UDP.
#[derive(Clone, Copy, Debug)]
struct Pair {
    own: IpAddr,
    own_port: u16,
    remote: IpAddr,
    remote_port: u16,
    /// From which others take theirs.
    epoch: usize,
}

/// The frames of one conversation, the `number`th.
pub(super) fn story(dice: &mut Dice, places: &Places, number: usize) -> Vec<Passing> {
    let pair = pair(dice, places, number / EPOCH);
    let mut story = Story { dice, places, pair, passed: Vec::new() };
    match story.dice.below(20) {
        0..=8 => story.connection(),
        9..=14 => story.datagrams(),
        15..=17 => story.echo(),
        _ if pair.remote.is_ipv6() => story.discovery(),
        _ => story.datagrams(),
    }
    story.passed
}

fn pair(dice: &mut Dice, places: &Places, now: usize) -> Pair {
    let oldest = dice.pick(&OLDEST);
    let epoch = if dice.one_in(10) { now.saturating_sub(dice.below(oldest)) } else { now };
    let own = places.own(dice);
    let remote = remote(dice, epoch, own);
    Pair { own, own_port: dice.pick(&OWN_PORTS), remote, remote_port: dice.pick(&REMOTE_PORTS), epoch }
}

/// Mostly somebody whom nobody has registered.
fn remote(dice: &mut Dice, epoch: usize, own: IpAddr) -> IpAddr {
    let number = u32::try_from(epoch * 3 + dice.below(3)).unwrap_or(0);
    match (own, dice.below(16)) {
        (IpAddr::V4(_), 0) => Ipv4Addr::new(10, 1, 0, 10).into(),
        (IpAddr::V4(_), 1) => Ipv4Addr::new(198, 51, 100, 7).into(),
        (IpAddr::V6(_), 0) => address::parse("fd01::10"),
        (IpAddr::V6(_), 1) => address::parse("2001:db8:0:1::7"),
        (own, 2) => address::special(dice, own.is_ipv4()),
        (IpAddr::V4(_), _) => Ipv4Addr::from(0x0b00_0000 | number).into(),
        (IpAddr::V6(_), other) => {
            let net: u128 = if other < 6 { 0xfe80 } else { 0xfd09 };
            Ipv6Addr::from(net << 112 | 0x0b_0000_0000 | u128::from(number)).into()
        }
    }
}

/// A conversation that is being written.
struct Story<'a> {
    dice: &'a mut Dice,
    places: &'a Places,
    pair: Pair,
    passed: Vec<Passing>,
}

impl Story<'_> {
    /// TCP, from a SYN on or from the middle.
    fn connection(&mut self) {
        match self.dice.below(12) {
            0 => self.segment_comes(SYN | ACK),
            1 => self.segment_comes(ACK),
            2 => self.segment_leaves(SYN | ACK),
            3 => self.segment_comes(SYN | RST),
            4 => self.segment_comes(SYN | FIN),
            _ => self.segment_comes(SYN),
        }
        for _ in 0..=self.dice.below(6) {
            let any = self.dice.byte();
            if self.dice.one_in(3) {
                let flags = [ACK, ACK, FIN | ACK, FIN | ACK, RST, RST | ACK, SYN, SYN | ACK, any];
                let flags = self.dice.pick(&flags);
                self.segment_comes(flags);
            } else {
                let flags =
                    [SYN | ACK, SYN | ACK, ACK, ACK, ACK, FIN | ACK, FIN, RST, RST | ACK, SYN, 0, any];
                let flags = self.dice.pick(&flags);
                self.segment_leaves(flags);
            }
        }
    }

    fn segment_comes(&mut self, flags: u8) {
        let (pair, data) = (self.near(10), self.data());
        self.comes(&pair, 6, &tcp(pair.remote_port, pair.own_port, flags, &data));
    }

    fn segment_leaves(&mut self, flags: u8) {
        let (pair, data) = (self.near(4), self.data());
        let mut segment = tcp(pair.own_port, pair.remote_port, flags, &data);
        if self.dice.one_in(8) {
            segment.splice(20..20, [1; 4]);
            segment[12] = 0x60;
        }
        self.leaves(&pair, 6, &segment);
    }

    /// UDP, mostly begun by the other side.
    fn datagrams(&mut self) {
        if self.dice.one_in(6) {
            self.datagram_leaves();
        }
        for _ in 0..=self.dice.below(5) {
            if self.dice.one_in(3) {
                self.datagram_leaves();
            } else {
                self.datagram_comes();
                self.datagram_leaves();
            }
        }
    }

    fn datagram_comes(&mut self) {
        let (pair, data) = (self.near(8), self.data());
        self.comes(&pair, 17, &udp(pair.remote_port, pair.own_port, &data));
    }

    fn datagram_leaves(&mut self) {
        let (pair, data) = (self.near(3), self.data());
        self.leaves(&pair, 17, &udp(pair.own_port, pair.remote_port, &data));
    }

    /// Echo requests, and what answers them.
    fn echo(&mut self) {
        let identifier = self.dice.half() % 4;
        for _ in 0..=self.dice.below(2) {
            let pair = self.near(10);
            let (protocol, kinds): (u8, [u8; 5]) =
                if pair.own.is_ipv4() { (1, [8, 8, 8, 0, 13]) } else { (58, [128, 128, 128, 129, 139]) };
            let kind = self.dice.pick(&kinds);
            let request = self.message(kind, identifier);
            self.comes(&pair, protocol, &request);
            let pair = self.near(4);
            let identifier = if self.dice.one_in(4) { self.dice.half() % 8 } else { identifier };
            let kinds: [u8; 4] = if pair.own.is_ipv4() { [0, 0, 0, 8] } else { [129, 129, 129, 128] };
            let kind = self.dice.pick(&kinds);
            let reply = self.message(kind, identifier);
            self.leaves(&pair, protocol, &reply);
        }
    }

    fn message(&mut self, kind: u8, identifier: u16) -> Vec<u8> {
        let code = self.dice.pick(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        let mut message = icmp(kind, code, &self.dice.bytes(24));
        message[4..6].copy_from_slice(&identifier.to_be_bytes());
        message
    }

    /// A neighbour looks for the workload, and is answered.
    fn discovery(&mut self) {
        for _ in 0..=self.dice.below(2) {
            let pair = self.near(10);
            let to = match self.dice.below(4) {
                0 => address::discovery(self.dice),
                1 => address::parse("ff02::1:ff00:5"),
                _ => pair.own,
            };
            let kind = self.dice.pick(&[135, 135, 135, 136, 136, 133, 134, 137, 128]);
            let message = self.solicitation(kind);
            let pair = Pair { own: to, ..pair };
            self.passes(true, &pair, 58, &message);
            let pair = self.near(5);
            let kind = self.dice.pick(&[136, 136, 136, 135, 135, 133, 134, 137]);
            let message = self.solicitation(kind);
            self.passes(false, &pair, 58, &message);
        }
    }

    fn solicitation(&mut self, kind: u8) -> Vec<u8> {
        let length = self.dice.pick(&[16, 16, 24, 24, 24, 24, 120, 121]);
        let code = self.dice.pick(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        icmp(kind, code, &self.dice.bytes(length))
    }

    /// Lets a packet come, and the workload complain of it or of one like it now and then.
    fn comes(&mut self, pair: &Pair, protocol: u8, payload: &[u8]) {
        self.passes(true, pair, protocol, payload);
        if !self.dice.one_in(5) {
            return;
        }
        let about = if self.dice.one_in(4) { self.near(1) } else { *pair };
        let mut payload = payload.to_vec();
        if protocol == 6 || protocol == 17 {
            payload[..2].copy_from_slice(&about.remote_port.to_be_bytes());
            payload[2..4].copy_from_slice(&about.own_port.to_be_bytes());
        } else if self.dice.one_in(4) {
            payload[5] ^= self.dice.pick(&[1, 2, 4]);
        }
        if self.dice.one_in(3) {
            payload.truncate(8);
        }
        let quoted = ip::wrap(self.dice, about.remote, about.own, protocol, &payload);
        let v4 = pair.own.is_ipv4();
        let (protocol, kinds): (u8, [u8; 4]) = if v4 { (1, [3, 3, 11, 12]) } else { (58, [1, 1, 3, 4]) };
        let error = icmp(self.dice.pick(&kinds), 1, &quoted);
        self.leaves(pair, protocol, &error);
    }

    fn leaves(&mut self, pair: &Pair, protocol: u8, payload: &[u8]) {
        self.passes(false, pair, protocol, payload);
    }

    /// One packet, in one piece mostly.
    fn passes(&mut self, comes: bool, pair: &Pair, protocol: u8, payload: &[u8]) {
        let (from, to) = if comes { (pair.remote, pair.own) } else { (pair.own, pair.remote) };
        if from.is_ipv4() != to.is_ipv4() {
            return;
        }
        let mut packets = Vec::new();
        if self.dice.one_in(12) {
            packets.extend(self.fragments(from, to, protocol, payload));
        } else if self.dice.one_in(8) {
            packets.push(ip::wrap(self.dice, from, to, protocol, payload));
        } else {
            packets.push(packet(from, to, protocol, payload));
        }
        let is_discovery = protocol == 58 && matches!(payload.first(), Some(133..=137));
        for mut packet in packets {
            if is_discovery && !self.dice.one_in(10) {
                packet[7] = 255;
            }
            let frame = frame(&packet);
            self.passed.push(if comes { Passing::Arrives(frame) } else { Passing::Leaves(frame) });
        }
    }

    /// The first fragment, and one that follows; or only one of them.
    fn fragments(&mut self, from: IpAddr, to: IpAddr, protocol: u8, payload: &[u8]) -> Vec<Vec<u8>> {
        let identification = self.dice.half() % 500;
        let part = |offset: u16, payload: &[u8]| {
            if from.is_ipv4() {
                let mut packet = packet(from, to, protocol, payload);
                ipv4_fragment(&mut packet, identification, offset, offset == 0);
                return packet;
            }
            let header = fragment(protocol, identification.into(), offset, offset == 0);
            packet(from, to, 44, &[header, payload.to_vec()].concat())
        };
        let first = part(0, payload);
        let offset = self.dice.pick(&[1, 2, 3, 4, 100]);
        let later = part(offset, &self.dice.bytes(16));
        match self.dice.below(4) {
            0 => vec![first],
            1 => vec![later],
            _ => vec![first, later],
        }
    }

    /// Nothing, or some bytes.
    fn data(&mut self) -> Vec<u8> {
        let length = self.dice.pick(&[0, 0, 0, 1, 4, 40, 200]);
        self.dice.bytes(length)
    }

    /// The same two; once in `times` with one thing exchanged.
    fn near(&mut self, times: usize) -> Pair {
        let pair = self.pair;
        if !self.dice.one_in(times) {
            return pair;
        }
        match self.dice.below(6) {
            0 | 1 => Pair { own_port: self.dice.pick(&OWN_PORTS), ..pair },
            2 | 3 => Pair { remote_port: self.dice.pick(&REMOTE_PORTS), ..pair },
            4 => Pair { remote: remote(self.dice, pair.epoch, pair.own), ..pair },
            _ => Pair { own: self.places.source(self.dice, pair.remote), ..pair },
        }
    }
}
