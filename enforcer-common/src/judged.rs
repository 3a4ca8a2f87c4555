//! A verdict that a socket remembers, so that the packets of an established flow cost one look-up.

use crate::addr::{Addr, Port, Protocol};
use crate::id::ViewId;

/// What a packet is compared by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tuple {
    /// The workload's own address.
    pub local: Addr,
    /// Where it goes.
    pub remote: Addr,
    /// The workload's own port.
    pub local_port: Port,
    /// The port there.
    pub remote_port: Port,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The interface's index; 0 where a cgroup's program looks, for which a verdict of any interface will do: it is this socket's.
    pub interface: u32,
}

impl Tuple {
    /// What the programs of socket calls leave for those of packets, before the socket has an address.
    #[inline(always)]
    pub const fn announced(protocol: Protocol, remote: Addr, remote_port: Port) -> Self {
        let (local, local_port) = (Addr::UNSPECIFIED, Port::ANY);
        Self { local, remote, local_port, remote_port, protocol, interface: 0 }
    }
}

/// What was decided.
#[repr(u32)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decided {
    /// Nothing yet: what the kernel makes of new storage.
    Nothing = 0,
    /// Allowed by a view, for as long as its generation lasts.
    Allowed = 1,
    /// Denied by a view while only watching, for as long as its generation lasts and nobody enforces.
    Audited = 2,
    /// The answer to what came in: no view was asked.
    Inbound = 3,
}

/// The value of `JUDGED`: 72 bytes in a socket's storage.
///
/// Threads that share a socket write and read it without a lock: a seal over all of it tells a whole one from a mixture of two.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Judged {
    seal: u64,
    generation: u64,
    local: Addr,
    remote: Addr,
    ports: u32,
    interface: u32,
    view: u32,
    decided: u32,
    until: u32,
    protocol: u32,
}

impl Judged {
    /// What `decided` means for `tuple`, under `generation` of `view`.
    #[inline(always)]
    pub const fn new(tuple: &Tuple, view: ViewId, generation: u64, decided: Decided) -> Self {
        Self {
            seal: 0,
            generation,
            local: tuple.local,
            remote: tuple.remote,
            ports: ports(tuple),
            interface: tuple.interface,
            view: view.get(),
            decided: decided as u32,
            until: 0,
            protocol: tuple.protocol.get() as u32,
        }
    }

    /// The same until this second since boot only.
    #[inline(always)]
    pub const fn until(self, second: u32) -> Self {
        Self { until: second, ..self }
    }

    /// Ready to be stored.
    #[inline(always)]
    pub const fn sealed(self) -> Self {
        Self { seal: self.sum(), ..self }
    }

    /// From the bytes of a map value; `None` when nothing was written there, or it is being written.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != size_of::<Self>() {
            return None;
        }
        // SAFETY: as many bytes as the struct has, which is integers without padding: any bit pattern is valid.
        let judged = unsafe { bytes.as_ptr().cast::<Self>().read_unaligned() };
        (judged.seal == judged.sum()).then_some(judged)
    }

    /// Whether it was of this flow, whatever was decided and when.
    #[inline(always)]
    pub const fn is_of(&self, tuple: &Tuple) -> bool {
        same(&self.remote, &tuple.remote)
            && self.ports == ports(tuple)
            && same(&self.local, &tuple.local)
            && (tuple.interface == 0 || self.interface == tuple.interface)
            && self.protocol == tuple.protocol.get() as u32
            && self.seal == self.sum()
    }

    /// What was decided.
    #[inline(always)]
    pub const fn decided(&self) -> Decided {
        match self.decided {
            1 => Decided::Allowed,
            2 => Decided::Audited,
            3 => Decided::Inbound,
            _ => Decided::Nothing,
        }
    }

    /// The interface at which it was decided, 0 for a cgroup's program.
    #[inline(always)]
    pub const fn interface(&self) -> u32 {
        self.interface
    }

    /// By whose eyes.
    #[inline(always)]
    pub const fn view(&self) -> ViewId {
        ViewId::new(self.view)
    }

    /// Of which generation.
    #[inline(always)]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// The second since boot at which it ends, 0 for never.
    #[inline(always)]
    pub const fn end(&self) -> u32 {
        self.until
    }

    /// Never 0, so that nothing but a written one is whole.
    #[inline(always)]
    const fn sum(&self) -> u64 {
        let (a, b) = (self.local.words(), self.remote.words());
        let hash = fold(fold(self.generation, pair(a[0], a[1])), pair(a[2], a[3]));
        let hash = fold(fold(hash, pair(b[0], b[1])), pair(b[2], b[3]));
        let hash = fold(fold(hash, pair(self.ports, self.interface)), pair(self.view, self.decided));
        fold(hash, pair(self.until, self.protocol)) | 1
    }
}

#[inline(always)]
const fn same(a: &Addr, b: &Addr) -> bool {
    let (a, b) = (a.words(), b.words());
    a[3] == b[3] && a[2] == b[2] && a[1] == b[1] && a[0] == b[0]
}

#[inline(always)]
const fn ports(tuple: &Tuple) -> u32 {
    (tuple.remote_port.raw() as u32) << 16 | tuple.local_port.raw() as u32
}

#[inline(always)]
const fn pair(a: u32, b: u32) -> u64 {
    (a as u64) << 32 | b as u64
}

/// One step of the seal: multiply and fold.
#[inline(always)]
const fn fold(hash: u64, word: u64) -> u64 {
    let hash = (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash ^ (hash >> 32)
}

#[cfg(test)]
mod tests {
    use core::net::IpAddr;

    use super::*;

    fn tuple(remote: &str, port: u16) -> Tuple {
        Tuple {
            local: IpAddr::from([10, 0, 0, 1]).into(),
            remote: remote.parse::<IpAddr>().unwrap().into(),
            local_port: Port::new(40_000),
            remote_port: Port::new(port),
            protocol: Protocol::UDP,
            interface: 7,
        }
    }

    #[test]
    fn a_verdict_counts_for_its_own_flow_only_and_a_mixture_of_two_for_none() {
        let (a, b) = (tuple("192.0.2.1", 53), tuple("192.0.2.2", 443));
        let allowed = |tuple| Judged::new(tuple, ViewId::new(4), 99, Decided::Allowed).sealed();
        let (first, second) = (allowed(&a), allowed(&b));
        assert!(first.is_of(&a) && !first.is_of(&b));
        assert!(!first.is_of(&Tuple { interface: 8, ..a }));
        assert!(!first.is_of(&Tuple { protocol: Protocol::TCP, ..a }));
        assert!(!first.is_of(&Tuple { local_port: Port::new(1), ..a }));
        let mixed = Judged { remote: second.remote, ..first };
        assert!(!mixed.is_of(&Tuple { remote: b.remote, ..a }));
        let newer = Judged { generation: 100, ..first };
        assert!(!newer.is_of(&a));
        assert_eq!(
            (first.decided(), first.generation(), first.view()),
            (Decided::Allowed, 99, ViewId::new(4))
        );
    }

    #[test]
    fn a_verdict_is_read_from_its_own_bytes_only() {
        let judged = Judged::new(&tuple("192.0.2.1", 53), ViewId::new(4), 99, Decided::Inbound);
        let bytes = bytes(&judged.sealed());
        assert_eq!(Judged::from_bytes(&bytes), Some(judged.sealed()));
        assert_eq!(judged.interface(), 7);
        assert_eq!(Judged::from_bytes(&bytes[1..]), None);
        for byte in 0..bytes.len() {
            let mut torn = bytes;
            torn[byte] ^= 0x10;
            assert_eq!(Judged::from_bytes(&torn), None, "byte {byte}");
        }
        assert_eq!(Judged::from_bytes(&[0; 72]), None, "new storage");
    }

    fn bytes(judged: &Judged) -> [u8; 72] {
        // SAFETY: of the same size, without padding.
        unsafe { core::mem::transmute(*judged) }
    }
}
