//! The keys of the maps. Field order is the order of bytes in the kernel; no implicit padding anywhere.

use crate::addr::{Addr, Port, Prefix, Protocol};
use crate::id::{ClassId, RuleId, ViewId};
use crate::verdict::Backend;
use crate::word::{Tagged, mix, tag_addr};

/// `WORKLOADS`: a cgroup's id, which is the inode number of its directory.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CgroupId(u64);

impl CgroupId {
    /// Stands for the node itself, whose own addresses are not one workload's. No directory has this number.
    pub const NODE: Self = Self(u64::MAX);

    /// From the inode number of the cgroup's directory.
    #[inline(always)]
    pub const fn new(inode: u64) -> Self {
        Self(inode)
    }

    /// The inode number.
    #[inline(always)]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// What stands in `WORKLOADS` for the mesh proxy of this workload when the proxy's own cgroup is elsewhere (ambient): no
    /// directory has this number.
    #[inline(always)]
    pub const fn of_proxy(self) -> Self {
        Self(self.0 | 1 << 63)
    }
}

impl Tagged for CgroupId {
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation)] // both halves are mixed
    fn tag(&self) -> u32 {
        mix(mix(1, self.0 as u32), (self.0 >> 32) as u32)
    }
}

/// `INTERFACES`: the index of a network interface on the host's side of a workload.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct InterfaceId(u32);

impl InterfaceId {
    /// From the interface's index.
    #[inline(always)]
    pub const fn new(index: u32) -> Self {
        Self(index)
    }

    /// The index.
    #[inline(always)]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl Tagged for InterfaceId {
    #[inline(always)]
    fn tag(&self) -> u32 {
        mix(10, self.0)
    }
}

/// `NAMESPACES`: the cookie of a network namespace (`SO_NETNS_COOKIE`), or one interface of a network namespace.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NetnsCookie(u64);

impl NetnsCookie {
    /// From the kernel's number.
    #[inline(always)]
    pub const fn new(cookie: u64) -> Self {
        Self(cookie)
    }

    /// In its place, one interface of the network namespace with this inode: cookies are counted from 1, and inodes of namespaces from
    /// `0xf000_0000`, so that they do not meet.
    #[inline(always)]
    pub const fn exit(inode: u32, interface: u32) -> Self {
        Self((inode as u64) << 32 | interface as u64)
    }

    /// The kernel's number.
    #[inline(always)]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl Tagged for NetnsCookie {
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation)] // both halves are mixed
    fn tag(&self) -> u32 {
        mix(mix(11, self.0 as u32), (self.0 >> 32) as u32)
    }
}

/// The tag of one word of a value of `INTERFACES` or `NAMESPACES`: three make one.
#[derive(Clone, Copy)]
pub struct PlaceWordTag<K>(pub K, pub u32);

impl<K: Tagged> Tagged for PlaceWordTag<K> {
    #[inline(always)]
    fn tag(&self) -> u32 {
        mix(self.0.tag(), self.1)
    }
}

/// `ADDRESSES`: one of a workload's own addresses.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct OwnAddressKey {
    workload: u64,
    addr: Addr,
}

impl OwnAddressKey {
    /// `addr` of `workload`.
    #[inline(always)]
    pub const fn new(workload: CgroupId, addr: Addr) -> Self {
        Self { workload: workload.get(), addr }
    }

    /// Whose.
    pub const fn workload(&self) -> CgroupId {
        CgroupId::new(self.workload)
    }

    /// Which.
    pub const fn addr(&self) -> Addr {
        self.addr
    }
}

impl Tagged for OwnAddressKey {
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation)] // both halves are mixed
    fn tag(&self) -> u32 {
        tag_addr(mix(mix(12, self.workload as u32), (self.workload >> 32) as u32), &self.addr)
    }
}

/// `EXACT`: one address in one view.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ExactKey {
    view: ViewId,
    addr: Addr,
}

impl ExactKey {
    /// `addr` as `view` sees it.
    #[inline(always)]
    pub const fn new(view: ViewId, addr: Addr) -> Self {
        Self { view, addr }
    }

    /// The view.
    pub const fn view(&self) -> ViewId {
        self.view
    }

    /// The address.
    pub const fn addr(&self) -> Addr {
        self.addr
    }
}

impl Tagged for ExactKey {
    #[inline(always)]
    fn tag(&self) -> u32 {
        tag_addr(mix(2, self.view.get()), &self.addr)
    }
}

/// The data of a `PREFIXES` key: view and family come first and are always matched whole, so that `::/0` is no network
/// around an IPv4 address.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PrefixKey {
    scope: u32,
    addr: Addr,
}

/// Set in the scope of IPv4 networks, above the 24 bits of a view.
const SCOPE_V4: u32 = 1 << 31;

impl PrefixKey {
    /// Bits of view and family in front of the address.
    pub const SCOPE_BITS: u32 = 32;
    /// The length of a look-up: the scope and a whole address.
    pub const FULL: u32 = Self::SCOPE_BITS + 128;

    /// A look-up of `addr`.
    #[inline(always)]
    pub const fn look_up(view: ViewId, addr: Addr) -> Self {
        Self { scope: scope(view, addr.is_v4()), addr }
    }

    /// An entry.
    pub const fn entry(view: ViewId, prefix: &Prefix) -> Self {
        Self { scope: scope(view, prefix.is_v4()), addr: prefix.addr() }
    }

    /// The view.
    pub const fn view(&self) -> ViewId {
        ViewId::new(self.scope & ViewId::MAX)
    }

    /// The address, masked in an entry.
    pub const fn addr(&self) -> Addr {
        self.addr
    }

    /// What tells the value of the network of `length` bits around this address from others.
    #[inline(always)]
    pub const fn tag_of(&self, length: u32) -> PrefixTag {
        PrefixTag { scope: self.scope, addr: self.addr.masked(length), length }
    }
}

#[inline(always)]
const fn scope(view: ViewId, v4: bool) -> u32 {
    if v4 { view.get() | SCOPE_V4 } else { view.get() }
}

/// What the tag of a `PREFIXES` value is made of: the network that matched, not the address looked up.
#[derive(Clone, Copy)]
pub struct PrefixTag {
    scope: u32,
    addr: Addr,
    length: u32,
}

impl Tagged for PrefixTag {
    #[inline(always)]
    fn tag(&self) -> u32 {
        tag_addr(mix(mix(3, self.scope), self.length), &self.addr)
    }
}

/// `CLASS_RULES` and `ANY_RULES`: a port of a protocol in a class, or at any address of a view.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PortKey {
    scope: u32,
    protocol: Protocol,
    pad: u8,
    port: Port,
}

impl PortKey {
    /// A port in `class`.
    #[inline(always)]
    pub const fn in_class(class: ClassId, protocol: Protocol, port: Port) -> Self {
        Self { scope: class.get(), protocol, pad: 0, port }
    }

    /// A port at any address of `view`.
    #[inline(always)]
    pub const fn any_address(view: ViewId, protocol: Protocol, port: Port) -> Self {
        Self { scope: view.get(), protocol, pad: 0, port }
    }

    /// The number of the class or view.
    pub const fn scope(&self) -> u32 {
        self.scope
    }

    /// The protocol.
    pub const fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The port.
    pub const fn port(&self) -> Port {
        self.port
    }
}

impl Tagged for PortKey {
    #[inline(always)]
    fn tag(&self) -> u32 {
        mix(mix(4, self.scope), (self.protocol.get() as u32) << 16 | self.port.raw() as u32)
    }
}

/// `BACKENDS`: slot 0 holds how many slots follow; a rule with several backends has each of them once more under a slot made
/// of the backend itself, which tells whether it is one of them.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct BackendKey {
    rule: RuleId,
    slot: u32,
}

impl BackendKey {
    /// A slot of a rule that translates, 1 to its number of slots; 0 is the number itself.
    #[inline(always)]
    pub const fn new(rule: RuleId, slot: u32) -> Self {
        Self { rule, slot }
    }

    /// The place at which `rule` has `backend`, if it has it.
    #[inline(always)]
    pub const fn member(rule: RuleId, backend: &Backend) -> Self {
        let slot = mix(tag_addr(7, &backend.addr), backend.port.raw() as u32);
        Self { rule, slot: slot | MEMBER }
    }

    /// The rule.
    pub const fn rule(&self) -> RuleId {
        self.rule
    }

    /// The slot.
    pub const fn slot(&self) -> u32 {
        self.slot
    }
}

/// Set in the slots of members, above the number of any slot.
const MEMBER: u32 = 1 << 31;

/// The tag of one word of a backend: five words make one, each can be told from its neighbours'.
#[derive(Clone, Copy)]
pub struct BackendWordTag(pub BackendKey, pub u32);

impl Tagged for BackendWordTag {
    #[inline(always)]
    fn tag(&self) -> u32 {
        mix(mix(mix(6, self.0.rule.get()), self.0.slot), self.1)
    }
}
