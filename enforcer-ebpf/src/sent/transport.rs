//! TCP and UDP: what came in may be answered; everything else is asked of the registry.

use enforcer_common::addr::{Port, Protocol};
use enforcer_common::event::Hook;
use enforcer_common::flow::{Flow, FlowKey};
use enforcer_common::judged::{Decided, Judged, Tuple};
use enforcer_common::mode::Enforcement;
use enforcer_common::packet::Packet;
use enforcer_common::reason::Reason;
use enforcer_common::verdict::{Action, Backend, Query, Verdict};

use crate::ctx::skb::{PacketSocket, Skb};
use crate::established::is_current;
use crate::identity::Identity;
use crate::maps::{flows, places, sockets};
use crate::sent::{Met, Ruling};
use crate::{ctx, judge, maps};

/// A datagram that came in may be answered for this long without another look.
const REMEMBERED_SECONDS: u32 = 30;

/// What is known before the registry is asked.
struct Case<'a> {
    who: Identity,
    packet: &'a Packet,
    tuple: Tuple,
    /// The socket whose kernel made this packet.
    socket: Option<PacketSocket>,
    /// What that remembers of this flow.
    decided: Decided,
    /// Whether that is still so.
    is_current: bool,
    /// When its endpoint was missed first.
    lapse: u32,
    /// What the socket asked for, when it was translated.
    asked: Backend,
    second: u32,
}

/// Decides over a packet with ports.
#[inline(never)] // a stack of its own
pub fn rule(met: &Met, packet: &Packet) -> Ruling {
    let Met { skb, hook, who } = *met;
    let mut case = Case {
        who,
        packet,
        tuple: tuple(skb, hook, packet),
        socket: None,
        decided: Decided::Nothing,
        is_current: false,
        lapse: 0,
        asked: Backend::NONE,
        second: ctx::now_second(),
    };
    if let Some(socket) = skb.socket()
        && socket.speaks(packet.protocol)
    {
        case.recall(socket);
    }
    if !case.began_here()
        && let Some(seconds) = case.answers()
    {
        case.remember_inbound(seconds);
        return Ruling::allow(Reason::Inbound);
    }
    let generation = places::generation(who.workload().view());
    let verdict = case.grace(case.ask());
    let is_told = case.is_told(&verdict);
    case.remember(generation, &verdict);
    Ruling { verdict, is_told }
}

#[inline(always)]
fn tuple(skb: Skb, hook: Hook, packet: &Packet) -> Tuple {
    Tuple {
        local: packet.source,
        remote: packet.destination,
        local_port: packet.source_port,
        remote_port: packet.port,
        protocol: packet.protocol,
        interface: if matches!(hook, Hook::Interface) { skb.interface() } else { 0 },
    }
}

impl Case<'_> {
    #[inline(never)] // a stack of its own
    fn recall(&mut self, socket: PacketSocket) {
        self.socket = Some(socket);
        if let Some(judged) = sockets::judged(&socket, &self.tuple) {
            self.decided = judged.decided();
            self.is_current = is_current(&judged);
            self.lapse = judged.lapse();
        }
        self.asked = sockets::asked_for(&socket, &self.target());
    }

    #[inline(always)]
    const fn target(&self) -> Backend {
        Backend { addr: self.packet.destination, port: self.packet.port }
    }

    #[inline(always)]
    fn is_translated(&self) -> bool {
        self.asked.port != Port::ANY
    }

    /// The workload has begun this flow: it answers nothing, whatever comes back.
    #[inline(always)]
    fn began_here(&self) -> bool {
        self.is_translated() || matches!(self.decided, Decided::Allowed | Decided::Audited)
    }

    #[inline(always)]
    fn key(&self) -> FlowKey {
        let packet = self.packet;
        FlowKey::transport(packet.protocol, packet.destination, packet.port, packet.source_port)
    }

    /// Whether it answers what came in, and for how many seconds it goes on doing so; 0: as long as its socket lives.
    #[inline(always)]
    fn answers(&self) -> Option<u32> {
        let flow = flows::get(self.who.cgroup, &self.key())?;
        if self.packet.protocol == Protocol::UDP {
            let left = flow.seconds_left(self.second);
            let seconds = if left < REMEMBERED_SECONDS { left } else { REMEMBERED_SECONDS };
            return (flow.answers_datagram(self.second) && seconds > 0).then_some(seconds);
        }
        let now = flow.answered_by(self.packet.tcp_flags(), self.packet.payload, self.second)?;
        if now != flow {
            flows::set(self.who.cgroup, &self.key(), now);
        }
        Some(0)
    }

    #[inline(always)]
    fn remember_inbound(&self, seconds: u32) {
        if let Some(socket) = &self.socket
            && (self.packet.protocol == Protocol::UDP || self.packet.tcp_flags().is_plain())
        {
            let judged = Judged::new(&self.tuple, self.who.workload().view(), 0, Decided::Inbound);
            let judged = if seconds == 0 { judged } else { judged.until(self.second + seconds) };
            sockets::set_judged(socket, judged);
        }
    }

    /// Asks the registry: for what the socket asked for, if that was translated.
    #[inline(always)]
    fn ask(&self) -> Verdict {
        let target = self.target();
        let (asked, endpoint) =
            if self.is_translated() { (self.asked, target) } else { (target, Backend::NONE) };
        let query = Query::new(self.who.workload(), self.packet.protocol, asked.addr, asked.port);
        let verdict = judge::ask(self.who, &Query { is_packet: true, endpoint, ..query });
        let is_answer = self.packet.protocol == Protocol::TCP && self.packet.tcp_flags().is_syn_ack();
        if is_answer && verdict.reason == Reason::NotRegistered {
            return Verdict { reason: Reason::NoFlow, ..verdict };
        }
        verdict
    }

    /// An endpoint that the service does not have any more, for a while.
    #[inline(always)]
    fn grace(&mut self, verdict: Verdict) -> Verdict {
        if verdict.reason != Reason::Grace {
            self.lapse = 0;
            return verdict;
        }
        if self.lapse == 0 {
            self.lapse = self.second;
        }
        if self.second - self.lapse < maps::endpoint_grace() {
            return verdict;
        }
        Verdict::deny(Reason::NoBackend, verdict.rule)
    }

    /// Whether the programs of socket calls, or an earlier packet, have counted and told this already.
    #[inline(never)] // a stack of its own
    fn is_told(&self, verdict: &Verdict) -> bool {
        let Some(socket) = &self.socket else { return false };
        if verdict.action != Action::Deny || self.decided == Decided::Audited && self.is_current {
            return true;
        }
        let Tuple { protocol, remote, remote_port, .. } = self.tuple;
        sockets::judged(socket, &Tuple::announced(protocol, remote, remote_port)).is_some()
    }

    #[inline(never)] // a stack of its own
    fn remember(&self, generation: u64, verdict: &Verdict) {
        let decided = match verdict.action {
            Action::Allow | Action::Translate => Decided::Allowed,
            Action::Deny if self.who.enforcement() == Enforcement::Audit => Decided::Audited,
            Action::Deny => return,
        };
        if self.packet.protocol == Protocol::UDP {
            flows::set(self.who.cgroup, &self.key(), Flow::begun_here(self.second));
        } else if self.is_translated() && self.packet.tcp_flags().is_fin() {
            flows::set(self.who.cgroup, &self.key(), Flow::closing_here(self.second));
        }
        if let Some(socket) = &self.socket
            && generation != 0
        {
            let view = self.who.workload().view();
            let judged = Judged::new(&self.tuple, view, generation, decided);
            let judged = if self.lapse == 0 {
                judged
            } else {
                judged.lapsed(self.lapse).until(self.lapse + maps::endpoint_grace())
            };
            sockets::set_judged(socket, judged);
        }
    }
}
