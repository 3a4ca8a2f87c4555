//! Whose process this is: the workload whose cgroup is the task's own or one above it.

use enforcer_common::config::MAX_LEVELS;
use enforcer_common::event::Hook;
use enforcer_common::key::{CgroupId, InterfaceId, NetnsCookie};
use enforcer_common::mode::Enforcement;
use enforcer_common::verdict::{Lookup, Role, TableFault, Workload};

use crate::ctx::skb::Skb;
use crate::maps::places::{self, Place};
use crate::{ctx, maps};

/// Who asks.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Identity {
    /// The workload's cgroup; 0 for a process without an identity.
    pub cgroup: CgroupId,
    payload: u32,
    pad: u32,
}

impl Identity {
    /// Every process without an identity.
    pub const UNKNOWN: Self = Self { cgroup: CgroupId::new(0), payload: 0, pad: 0 };

    /// Whether it has no identity.
    #[inline(always)]
    pub const fn is_unknown(self) -> bool {
        self.cgroup.get() == 0
    }

    /// What the maps know of it.
    #[inline(always)]
    pub const fn workload(self) -> Workload {
        Workload::from_payload(self.payload)
    }

    /// What is in force for it: its own switch, or the node's. Looked at after the verdict, and out of LLVM's sight until
    /// then: the verifier would walk the verdict once for each value.
    #[inline(always)]
    pub fn enforcement(self) -> Enforcement {
        match Workload::from_payload(ctx::hidden(self.payload)).enforcement() {
            Some(enforcement) => enforcement,
            None => maps::enforcement(),
        }
    }
}

/// The workload of the running task: the one at the deepest level that has one. The agent lists the levels at which workloads are:
/// one, as a rule. A task below the enforced cgroups and in no workload's may be a mesh proxy that works in a workload's network
/// namespace.
#[inline(always)]
pub fn workload(namespace: impl Fn() -> NetnsCookie) -> Lookup<Identity> {
    match deepest(ctx::ancestor_cgroup)? {
        Some(who) if !who.workload().is_root() => Ok(Some(who)),
        _ => match places::of_namespace(namespace())? {
            Some(place) if place.has_proxy() => proxy(place),
            _ => Ok(None),
        },
    }
}

/// The mesh proxy of a workload, from elsewhere.
#[inline(always)]
fn proxy(place: Place) -> Lookup<Identity> {
    let payload = maps::workload(place.cgroup.of_proxy())?;
    Ok(payload.map(|payload| Identity { cgroup: place.cgroup, payload, pad: 0 }))
}

/// The first entry of `WORKLOADS` among the ancestors of a cgroup, deepest first. A sidecar is in the workload above it: it has a view
/// of its own, and the workload's addresses and flows.
#[inline(always)]
fn deepest(ancestor: impl Fn(u64) -> CgroupId) -> Lookup<Identity> {
    let levels = maps::workload_levels();
    let mut sidecar = Identity::UNKNOWN;
    for index in 0..MAX_LEVELS {
        let level = (levels >> (8 * index)) & 0xff;
        if level == 0 {
            break;
        }
        let cgroup = ancestor(level);
        let Some(payload) = maps::workload(cgroup)? else { continue };
        match Workload::from_payload(payload).role() {
            Role::MeshProxy if sidecar.is_unknown() => sidecar = Identity { cgroup, payload, pad: 0 },
            Role::Root if !sidecar.is_unknown() => break,
            _ if sidecar.is_unknown() => return Ok(Some(Identity { cgroup, payload, pad: 0 })),
            _ => return Ok(Some(Identity { cgroup, ..sidecar })),
        }
    }
    if sidecar.is_unknown() { Ok(None) } else { Ok(Some(sidecar)) }
}

/// Whose packet it is.
pub enum Sender {
    /// A workload's.
    Known(Identity),
    /// That of a workload without an identity.
    Unknown,
    /// A workload's that is judged at its interface, not here.
    Covered(Identity),
    /// Nobody's that is judged here.
    Elsewhere,
    /// The maps cannot be trusted.
    Fault,
}

/// Whose packet this is, whichever way it goes.
#[inline(always)]
pub fn sender(skb: Skb, hook: Hook) -> Sender {
    let found = match hook {
        Hook::Interface => return of_interface(skb),
        // It was forwarded, and has no socket any more.
        Hook::Uplink if skb.cgroup().get() == 0 => return of_forwarded(skb),
        _ => deepest(|level| skb.ancestor_cgroup(level)),
    };
    match found {
        Err(TableFault) => Sender::Fault,
        // What has an interface of its own is judged there.
        Ok(Some(who)) if who.workload().is_covered() => Sender::Covered(who),
        Ok(Some(who)) if !who.workload().is_root() => Sender::Known(who),
        Ok(None) if matches!(hook, Hook::Uplink) => Sender::Elsewhere,
        Ok(_) if matches!(hook, Hook::Packet) && ctx::tells_namespace() => of_namespace(skb),
        Ok(_) => Sender::Unknown,
    }
}

/// A socket without an identity may be that of a mesh proxy that works in a workload's network namespace.
#[inline(always)]
fn of_namespace(skb: Skb) -> Sender {
    let found = match places::of_namespace(skb.namespace()) {
        Ok(Some(place)) if place.has_proxy() => proxy(place),
        Ok(_) => Ok(None),
        Err(TableFault) => Err(TableFault),
    };
    match found {
        Ok(Some(who)) if who.workload().is_covered() => Sender::Covered(who),
        Ok(Some(who)) => Sender::Known(who),
        Ok(None) => Sender::Unknown,
        Err(TableFault) => Sender::Fault,
    }
}

#[inline(always)]
fn of_interface(skb: Skb) -> Sender {
    let place = match places::of_interface(InterfaceId::new(skb.interface())) {
        Ok(Some(place)) => place,
        Ok(None) => return Sender::Unknown,
        Err(TableFault) => return Sender::Fault,
    };
    match of_place(place) {
        Sender::Known(who) if who.workload().is_meshed() => proxy_or(skb, place, who),
        sender => sender,
    }
}

/// What has come in by an interface where nobody judges it is judged where it leaves: that of a workload which has no programs,
/// or none yet, and one that the agent has not looked at yet.
#[inline(always)]
fn of_forwarded(skb: Skb) -> Sender {
    let interface = skb.came_by();
    if interface == 0 {
        return Sender::Elsewhere;
    }
    match places::of_interface(InterfaceId::new(interface)) {
        Ok(Some(place)) if place.is_judged() => Sender::Elsewhere,
        Ok(Some(place)) => of_place(place),
        Ok(None) => Sender::Unknown,
        Err(TableFault) => Sender::Fault,
    }
}

#[inline(always)]
fn of_place(place: Place) -> Sender {
    match maps::workload(place.cgroup) {
        Ok(Some(payload)) => Sender::Known(Identity { cgroup: place.cgroup, payload, pad: 0 }),
        Ok(None) => Sender::Unknown,
        Err(TableFault) => Sender::Fault,
    }
}

/// A mesh proxy has the workload's interface, its tables, and a view of its own: the sidecar's container is a workload below the
/// workload, and ztunnel's sockets have a cgroup elsewhere.
#[inline(always)]
fn proxy_or(skb: Skb, place: Place, who: Identity) -> Sender {
    let socket = skb.cgroup();
    if socket.get() == 0 {
        return Sender::Known(who);
    }
    let is_below = is_below(skb, place.cgroup);
    if place.has_proxy() && !is_below {
        return match proxy(place) {
            Ok(Some(proxy)) => Sender::Known(proxy),
            Ok(None) => Sender::Unknown,
            Err(TableFault) => Sender::Fault,
        };
    }
    match deepest(|level| skb.ancestor_cgroup(level)) {
        Ok(Some(found)) if is_below && found.workload().role() == Role::MeshProxy => {
            Sender::Known(Identity { payload: found.payload, ..who })
        }
        Ok(_) => Sender::Known(who),
        Err(TableFault) => Sender::Fault,
    }
}

/// Whether the packet's socket is in `cgroup` or below it.
#[inline(always)]
fn is_below(skb: Skb, cgroup: CgroupId) -> bool {
    let levels = maps::workload_levels();
    let mut below = false;
    for index in 0..MAX_LEVELS {
        let level = (levels >> (8 * index)) & 0xff;
        below |= level != 0 && skb.ancestor_cgroup(level) == cgroup;
    }
    below
}
