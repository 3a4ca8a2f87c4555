//! What a socket remembers of its translations. A connected socket has one, an unconnected UDP socket one for each VIP
//! that it talks to. Both are in the socket's storage and die with it.

use enforcer_common::addr::Port;
use enforcer_common::event::{Asked, Hook};
use enforcer_common::limits::REPLIES_PER_SOCKET;
use enforcer_common::reason::Reason;
use enforcer_common::socket::Translation;
use enforcer_common::verdict::{Action, Backend, Query, Verdict, stay};

use crate::ctx::{self, Family, SockAddr};
use crate::judge::{self, Whole};
use crate::maps::sockets::{self, Replies};
use crate::outcome::PASS;
use crate::tables::KernelTables;

/// What is meant by the address of a socket call.
pub struct Meant {
    /// What the program asked for.
    pub asked: Backend,
    /// The socket is connected, to the address that the call came with, and can receive from nowhere else.
    pub is_bound: bool,
}

/// `send` on a connected UDP socket meets no hook, but for one: an IPv6 socket that is connected to an IPv4-mapped address
/// (`udpv6_sendmsg` hands over to `udp_sendmsg` with an address). It comes with the endpoint, and means the VIP.
#[inline(always)]
pub fn meant<F: Family>(sock: &SockAddr<F>, hook: Hook) -> Meant {
    let target = sock.target();
    if matches!(hook, Hook::Sendmsg4)
        && sock.is_v6_socket()
        && sock.is_connected()
        && let Some(asked) = sockets::peer(sock).asked_for(&target)
    {
        return Meant { asked, is_bound: true };
    }
    Meant { asked: target, is_bound: false }
}

/// What is done in the end: with the endpoint that the socket has already, and remembered.
#[inline(never)] // a stack of its own
pub fn keep<F: Family>(sock: &SockAddr<F>, asked: &Asked, meant: &Meant, verdict: &Whole) -> Whole {
    let verdict = verdict.verdict();
    if verdict.action != Action::Translate {
        return Whole::of(&verdict);
    }
    let verdict = settle(sock, &judge::query(asked), meant, verdict);
    Whole::of(&remember(sock, asked.hook, meant, verdict))
}

/// Chooses the endpoint that the socket has already, if it has one. Only now that a translation is certain: before the
/// verdict, the verifier would walk it once for each thing that may be found here.
#[inline(always)]
fn settle<F: Family>(sock: &SockAddr<F>, query: &Query, meant: &Meant, verdict: Verdict) -> Verdict {
    if verdict.action != Action::Translate || !sock.protocol().is_udp() {
        return verdict;
    }
    if meant.is_bound {
        return Verdict { backend: sock.target(), ..verdict };
    }
    let backend = previous(sock, &meant.asked);
    if backend.port == Port::ANY {
        return verdict;
    }
    stay(&KernelTables, query, verdict, backend)
}

/// A UDP flow is a socket and a VIP, whether it is connected in between or not. [`Backend::NONE`] for a new one: of an `Option`, LLVM
/// would copy what is not there ("R2 !`read_ok`").
#[inline(always)]
fn previous<F: Family>(sock: &SockAddr<F>, asked: &Backend) -> Backend {
    if let Some(backend) = sockets::peer(sock).backend_of(asked) {
        return backend;
    }
    let Some(replies) = sockets::replies(sock) else { return Backend::NONE };
    let Some(place) = replies.position(|kept| kept.asked_differs(asked)) else { return Backend::NONE };
    replies.get(place).backend_of(asked).unwrap_or(Backend::NONE)
}

/// Remembers a translation before it is done. One that cannot be remembered is denied: answers would come from strangers.
#[inline(always)]
fn remember<F: Family>(sock: &SockAddr<F>, hook: Hook, meant: &Meant, verdict: Verdict) -> Verdict {
    if verdict.action != Action::Translate || meant.is_bound {
        return verdict;
    }
    let translation = Translation::new(meant.asked, verdict.backend);
    let kept = match hook {
        Hook::Connect4 | Hook::Connect6 => sockets::set_peer(sock, translation),
        Hook::Sendmsg4 | Hook::Sendmsg6 => keep_reply(sock, &meant.asked, &verdict.backend, translation),
        Hook::SockCreate | Hook::Interface | Hook::Packet | Hook::Uplink => true,
    };
    if kept { verdict } else { Verdict::deny(Reason::NoStorage, verdict.rule) }
}

/// In the place of the same VIP, in a free one, or in one that the VIP's own hash chooses.
#[inline(always)]
fn keep_reply<F: Family>(sock: &SockAddr<F>, asked: &Backend, to: &Backend, new: Translation) -> bool {
    let Some(replies) = sockets::make_replies(sock) else { return false };
    let same_vip = replies.position(|kept| kept.asked_differs(asked));
    let same_backend = replies.position(|kept| kept.backend_differs(to));
    let free = replies.position(Translation::is_used);
    let place = match (same_vip, same_backend, free) {
        (Some(place), _, _) | (None, Some(place), _) | (None, None, Some(place)) => place,
        (None, None, None) => new.place(REPLIES_PER_SOCKET),
    };
    replies.set(place, new);
    true
}

/// The call goes on untranslated: what a connected socket remembered was of another peer, and whoever answers from there
/// was asked by that very name.
#[inline(always)]
pub fn forget<F: Family>(sock: &SockAddr<F>, hook: Hook) {
    match hook {
        Hook::Connect4 | Hook::Connect6 => sockets::forget_peer(sock),
        Hook::Sendmsg4
        | Hook::Sendmsg6
        | Hook::SockCreate
        | Hook::Interface
        | Hook::Packet
        | Hook::Uplink => {}
    }
    if !sock.protocol().is_udp() {
        return;
    }
    let target = sock.target();
    if let Some(replies) = sockets::replies(sock)
        && let Some(place) = replies.position(|kept| kept.backend_differs(&target))
    {
        replies.set(place, Translation::EMPTY);
    }
}

/// Shows the VIP in the place of the endpoint that has answered.
#[inline(always)]
pub fn show_sender<F: Family>(sock: &SockAddr<F>) -> i32 {
    let sender = sock.target();
    let mut asked = None;
    if sock.is_connected() {
        asked = sockets::peer(sock).asked_for(&sender);
    }
    if asked.is_none() {
        asked = from_replies(sock, &sender);
    }
    show(sock, asked)
}

#[inline(always)]
fn from_replies<F: Family>(sock: &SockAddr<F>, sender: &Backend) -> Option<Backend> {
    sockets::replies(sock)?.at(|kept| kept.backend_differs(sender))?.asked_for(sender)
}

/// Shows the VIP in the place of the endpoint that the socket is connected to.
#[inline(always)]
pub fn show_peer<F: Family>(sock: &SockAddr<F>) -> i32 {
    show(sock, sockets::peer(sock).asked_for(&sock.target()))
}

#[inline(always)]
fn show<F: Family>(sock: &SockAddr<F>, asked: Option<Backend>) -> i32 {
    if let Some(asked) = asked
        && F::holds(&asked.addr)
    {
        sock.rewrite(asked);
    }
    PASS
}

impl Replies {
    /// The last one from which nothing differs.
    ///
    /// In arithmetic: with a branch for each of them, the verifier would walk the rest of the program once for each place
    /// ("BPF program is too large. Processed 1000001 insn").
    #[inline(always)]
    pub fn position(&self, difference: impl Fn(&Translation) -> u32) -> Option<usize> {
        let mut found = 0;
        for index in 0..REPLIES_PER_SOCKET {
            let mask = ctx::ones_if_zero(difference(&self.get(index)));
            found = (found & !mask) | ((index + 1) & mask);
        }
        found.checked_sub(1)
    }

    /// What is there.
    #[inline(always)]
    pub fn at(&self, difference: impl Fn(&Translation) -> u32) -> Option<Translation> {
        Some(self.get(self.position(difference)?))
    }
}
