//! Istio's allocator before 1.25: a hash over the whole mesh, computed anew by every istiod.
//!
//! Source: istio `pilot/pkg/serviceregistry/serviceentry/auto_allocation.go` (`autoAllocateIPs`, `setAutoAllocatedIPs`), whose
//! results have been the same since 1.22. Its quirks are kept: addresses move when others come, and IPv6 texts collide.

use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Slots of the table.
const SLOTS: u32 = 256 * 254;
/// A prime below the number of slots: the second hash of double hashing.
const PRIME: u32 = 65_011;

/// What a host is known by.
pub fn key(namespace: &str, host: &str) -> String {
    format!("{namespace}/{host}")
}

/// The addresses of each of `keys`, in their order; `None` for those beyond the number of slots.
///
/// Rule 1: each key takes the slot of its hash, or the first free one of a second hash; a key given twice takes two.
/// Rule 2: the slots are numbered, and one number is skipped, for good, at every taken slot whose number is a multiple
/// of 255. Rule 3: keys given twice share the pair of their lowest slot.
pub fn allocate<K: AsRef<str>>(keys: &[K]) -> Vec<Option<(Ipv4Addr, Ipv6Addr)>> {
    let mut slots: Vec<Option<usize>> = vec![None; SLOTS as usize];
    for (index, key) in keys.iter().enumerate().take(SLOTS as usize) {
        let slot = free_slot(fnv1a(key.as_ref().as_bytes()), &slots);
        slots[slot as usize] = Some(index);
    }
    let mut pairs: HashMap<&str, (u32, u32)> = HashMap::new();
    let mut given = vec![None; keys.len()];
    let mut number = 0;
    for slot in slots {
        number += 1;
        let Some(index) = slot else { continue };
        if number % 255 == 0 {
            number += 1;
        }
        let (high, low) = *pairs.entry(keys[index].as_ref()).or_insert((number / 255, number % 255));
        given[index] = Some((v4(high, low), v6(high, low)));
    }
    given
}

fn free_slot(hash: u32, slots: &[Option<usize>]) -> u32 {
    let is_free = |slot: &u32| slots[*slot as usize].is_none();
    let first = hash % SLOTS;
    if is_free(&first) {
        return first;
    }
    let step = PRIME - hash % PRIME;
    let probe = |i: u32| hash.wrapping_add(i.wrapping_mul(step)) % (SLOTS - 1);
    // The last slot is reached by its own hash only: where all others are taken the search would never end.
    let probed = (1..=2 * SLOTS).map(probe).find(is_free);
    probed.or_else(|| (0..SLOTS).find(is_free)).unwrap_or(first)
}

/// FNV-1a, 32 bits.
fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[allow(clippy::cast_possible_truncation)] // both are below 256
fn v4(high: u32, low: u32) -> Ipv4Addr {
    Ipv4Addr::new(240, 240, high as u8, low as u8)
}

/// `2001:2::f0f0:` and the hexadecimal digits of both, written one after the other without leading zeros.
#[allow(clippy::cast_possible_truncation)] // both are below 256
fn v6(high: u32, low: u32) -> Ipv6Addr {
    let last = if low < 16 { high * 16 + low } else { high * 256 + low };
    Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0xf0f0, last as u16)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn shown(keys: &[&str]) -> Vec<String> {
        allocate(keys)
            .into_iter()
            .map(|pair| pair.map_or("-".into(), |(v4, v6)| format!("{v4} {v6}")))
            .collect()
    }

    #[test]
    fn hashes() {
        assert_eq!((fnv1a(b"/foo.com"), fnv1a(b"/foo.com") % SLOTS), (0xa347_c26d, 57_965));
        assert_eq!((fnv1a(b"a/a.example.com"), fnv1a(b"a/a.example.com") % SLOTS), (0xe0a4_b447, 34_375));
        assert_eq!((key("", "foo.com"), key("a", "b")), ("/foo.com".to_owned(), "a/b".to_owned()));
    }

    /// The vectors of Istio's own tests and documentation.
    #[test]
    fn addresses() {
        for (keys, expected) in [
            (&["/foo.com"][..], &["240.240.227.81 2001:2::f0f0:e351"][..]),
            (&["a/a.example.com"], &["240.240.134.206 2001:2::f0f0:86ce"]),
            (
                &["/a.com", "/c.com", "/e.com", "/g.com"],
                &[
                    "240.240.109.8 2001:2::f0f0:6d8",
                    "240.240.234.51 2001:2::f0f0:ea33",
                    "240.240.85.60 2001:2::f0f0:553c",
                    "240.240.23.172 2001:2::f0f0:17ac",
                ],
            ),
            (
                &["ns2/random-1.host.example", "ns2/random-3.host.example"],
                &["240.240.116.21 2001:2::f0f0:7415", "240.240.81.100 2001:2::f0f0:5164"],
            ),
            (&["default/tcp-echo.external-1.svc.cluster.local"], &["240.240.28.103 2001:2::f0f0:1c67"]),
            (&["default/tcp-echo.external-2.svc.cluster.local"], &["240.240.143.95 2001:2::f0f0:8f5f"]),
            (&["/foo.com", "/foo.com"], &["240.240.56.249 2001:2::f0f0:38f9"; 2]),
        ] {
            assert_eq!(shown(keys), expected, "{keys:?}");
        }
    }

    #[test]
    fn a_full_table_has_distinct_ipv4_addresses_and_colliding_ipv6_texts() {
        let keys: Vec<String> = (0..=SLOTS).map(|i| format!("/host{i}.example.com")).collect();
        let given = allocate(&keys);
        assert_eq!(given.last(), Some(&None));
        let given: Vec<_> = given.into_iter().flatten().collect();
        let v4: HashSet<_> = given.iter().map(|(v4, _)| v4).collect();
        let v6: HashSet<_> = given.iter().map(|(_, v6)| v6).collect();
        assert_eq!((given.len(), v4.len(), v6.len()), (65_024, 65_024, 61_440));
        assert!(v4.iter().all(|v4| v4.octets()[3] != 0 && v4.octets()[3] != 255));
    }
}
