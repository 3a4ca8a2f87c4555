//! What a socket remembers of a translation, so that its program sees the address that it asked for.

use core::mem::offset_of;

use crate::addr::{Addr, Port};
use crate::verdict::Backend;
use crate::word::mix;

/// The value of `PEERS`, and one of the [`crate::limits::REPLIES_PER_SOCKET`] of `REPLIES`.
///
/// Threads that share a socket write and read it without a lock: a check over all of it tells a whole one from one that is
/// being written. The reader of a torn one takes it for empty.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Translation {
    asked: Addr,
    backend: Addr,
    asked_port: Port,
    backend_port: Port,
    check: u32,
    /// Outside of the check: programs of packets write this word alone.
    missed: u32,
}

impl Translation {
    /// Nothing: what the kernel makes of new storage.
    pub const EMPTY: Self = Self {
        asked: Addr::UNSPECIFIED,
        backend: Addr::UNSPECIFIED,
        asked_port: Port::ANY,
        backend_port: Port::ANY,
        check: 0,
        missed: 0,
    };

    /// Where [`Self::missed`] is.
    pub const MISSED_AT: usize = offset_of!(Self, missed);

    /// `asked` was sent to `backend`.
    #[inline(always)]
    pub const fn new(asked: Backend, backend: Backend) -> Self {
        let empty = Self {
            asked: asked.addr,
            backend: backend.addr,
            asked_port: asked.port,
            backend_port: backend.port,
            check: 0,
            missed: 0,
        };
        Self { check: empty.sum(), ..empty }
    }

    /// From the bytes of a map value; `None` when nothing was written there, or it is being written.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != size_of::<Self>() {
            return None;
        }
        // SAFETY: as many bytes as the struct has, which is integers without padding: any bit pattern is valid.
        let translation = unsafe { bytes.as_ptr().cast::<Self>().read_unaligned() };
        translation.is_whole().then_some(translation)
    }

    /// Where what was asked for went, when it is this.
    #[inline(always)]
    pub fn backend_of(&self, asked: &Backend) -> Option<Backend> {
        let same = self.asked_port == asked.port && self.asked == asked.addr;
        (same && self.is_whole()).then_some(Backend { addr: self.backend, port: self.backend_port })
    }

    /// What was asked for, when it went there.
    #[inline(always)]
    pub fn asked_for(&self, backend: &Backend) -> Option<Backend> {
        let same = self.backend_port == backend.port && self.backend == backend.addr;
        (same && self.is_whole()).then_some(Backend { addr: self.asked, port: self.asked_port })
    }

    /// The second since boot in which a packet went to the endpoint first though the service had lost it; 0 for never.
    #[inline(always)]
    pub const fn missed(&self) -> u32 {
        self.missed
    }

    /// The place among `places` at which it goes when none is free.
    #[inline(always)]
    pub const fn place(&self, places: usize) -> usize {
        (self.check >> 1) as usize % places
    }

    /// 0 when it is of what was asked for: a first look, which `backend_of` confirms.
    #[inline(always)]
    pub const fn asked_differs(&self, asked: &Backend) -> u32 {
        differ(&self.asked, self.asked_port, asked)
    }

    /// 0 when it is of where that went: a first look, which `asked_for` confirms.
    #[inline(always)]
    pub const fn backend_differs(&self, backend: &Backend) -> u32 {
        differ(&self.backend, self.backend_port, backend)
    }

    /// 0 when nothing was ever written here.
    #[inline(always)]
    pub const fn is_used(&self) -> u32 {
        self.check
    }

    #[inline(always)]
    const fn is_whole(&self) -> bool {
        self.check == self.sum()
    }

    /// Never 0, so that nothing but a written one is whole.
    #[inline(always)]
    const fn sum(&self) -> u32 {
        let (a, b) = (self.asked.words(), self.backend.words());
        let ports = (self.asked_port.raw() as u32) << 16 | self.backend_port.raw() as u32;
        let hash = mix(mix(mix(mix(8, a[0]), a[1]), a[2]), a[3]);
        mix(mix(mix(mix(mix(hash, b[0]), b[1]), b[2]), b[3]), ports) | 1
    }
}

#[inline(always)]
const fn differ(addr: &Addr, port: Port, other: &Backend) -> u32 {
    let (a, b) = (addr.words(), other.addr.words());
    let ports = (port.raw() ^ other.port.raw()) as u32;
    (a[0] ^ b[0]) | (a[1] ^ b[1]) | (a[2] ^ b[2]) | (a[3] ^ b[3]) | ports
}

#[cfg(test)]
mod tests {
    use core::net::IpAddr;

    use super::*;

    fn at(ip: &str, port: u16) -> Backend {
        Backend { addr: ip.parse::<IpAddr>().unwrap().into(), port: Port::new(port) }
    }

    #[test]
    fn a_translation_is_found_from_both_ends_and_a_torn_one_from_none() {
        let (vip, backend) = (at("240.240.0.1", 53), at("192.0.2.7", 5353));
        let mut translation = Translation::new(vip, backend);
        assert_eq!(translation.backend_of(&vip), Some(backend));
        assert_eq!(translation.asked_for(&backend), Some(vip));
        assert_eq!(translation.asked_for(&at("192.0.2.7", 53)), None);
        assert_eq!(translation.backend_of(&at("240.240.0.2", 53)), None);
        assert!(translation.is_used() != 0 && Translation::EMPTY.is_used() == 0);
        assert_eq!(Translation::EMPTY.asked_for(&Backend::NONE), None);
        translation.asked = at("240.240.0.2", 53).addr;
        assert_eq!(translation.asked_for(&backend), None);
        assert_eq!(translation.asked_differs(&at("240.240.0.2", 53)), 0);
        assert_eq!(translation.backend_of(&at("240.240.0.2", 53)), None);
    }

    #[test]
    fn a_translation_is_read_from_its_own_bytes_only() {
        let (vip, backend) = (at("240.240.0.1", 53), at("2001:db8::7", 5353));
        let translation = Translation::new(vip, backend);
        let bytes = bytes(&translation);
        assert_eq!(Translation::from_bytes(&bytes), Some(translation));
        assert_eq!(Translation::from_bytes(&bytes[1..]), None);
        for byte in 0..Translation::MISSED_AT {
            let mut torn = bytes;
            torn[byte] ^= 0x10;
            assert_eq!(Translation::from_bytes(&torn), None, "byte {byte}");
        }
        assert_eq!(Translation::from_bytes(&[0; 44]), None, "new storage");
    }

    fn bytes(translation: &Translation) -> [u8; 44] {
        // SAFETY: of the same size, without padding.
        unsafe { core::mem::transmute(*translation) }
    }
}
