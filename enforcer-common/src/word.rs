//! Map values that cannot be mistaken for another key's.
//!
//! A hash element that is deleted while a program holds a pointer to it may be recycled for another key under the
//! program's eyes. Every value that judges is therefore one aligned 64-bit word, read once: the payload and a tag of
//! the key it was stored under. A tag that does not fit means "look again".

use crate::addr::Addr;

/// 32 bits of payload under a 32-bit tag of the key.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Word(u64);

impl Word {
    /// `payload`, to be stored under `key`.
    #[inline(always)]
    pub fn new<K: Tagged>(key: &K, payload: u32) -> Self {
        Self((key.tag() as u64) << 32 | payload as u64)
    }

    /// From the eight bytes of a map value.
    #[inline(always)]
    pub const fn from_raw(raw: u64) -> Self {
        Self(raw)
    }

    /// The eight bytes of a map value.
    #[inline(always)]
    pub const fn raw(self) -> u64 {
        self.0
    }

    /// The payload, if this word was stored under a key with this tag.
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation)] // the two halves of the word
    pub const fn open(self, tag: u32) -> Option<u32> {
        if (self.0 >> 32) as u32 == tag { Some(self.0 as u32) } else { None }
    }
}

/// A map key that can be told from others by 32 bits.
pub trait Tagged {
    /// A hash of every byte of the key.
    fn tag(&self) -> u32;
}

/// One step of the tag: Fibonacci hashing with a fold, enough to tell apart keys that meet in a recycled element.
#[inline(always)]
pub(crate) const fn mix(hash: u32, word: u32) -> u32 {
    let hash = (hash ^ word).wrapping_mul(0x9e37_79b1);
    hash ^ (hash >> 15)
}

/// The same over an address.
#[inline(always)]
pub(crate) const fn tag_addr(hash: u32, addr: &Addr) -> u32 {
    let [a, b, c, d] = addr.words();
    mix(mix(mix(mix(hash, a), b), c), d)
}
