//! Istio's allocator since 1.25, which goes through its prefixes one address at a time.
//!
//! Source: istio `pilot/pkg/controllers/ipallocate/ipallocate.go`. The controller writes what it gave into the objects'
//! status; where there is a status it is taken from there, and this is for the rest.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

/// `PILOT_IP_AUTOALLOCATE_IPV4_PREFIX`
pub const V4: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(240, 240, 0, 0), 16);
/// `PILOT_IP_AUTOALLOCATE_IPV6_PREFIX`
pub const V6: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, 0), 48);

/// What is left of the two prefixes.
#[derive(Clone, Debug)]
pub struct Pool {
    used: HashSet<IpAddr>,
    next_v4: u32,
    next_v6: u128,
}

impl Pool {
    /// All but `used`.
    pub fn new(used: HashSet<IpAddr>) -> Self {
        Self { used, next_v4: V4.network().to_bits() + 1, next_v6: V6.network().to_bits() + 1 }
    }

    /// The next free address of each family: the network address is never given, `.0` and `.255` within it are. Nothing is
    /// given back, so that reaching the end is the end.
    pub fn next_pair(&mut self) -> (Option<Ipv4Addr>, Option<Ipv6Addr>) {
        let (last_v4, last_v6) = (V4.broadcast().to_bits(), V6.broadcast().to_bits());
        let free_v4 =
            (self.next_v4..=last_v4).find(|bits| !self.used.contains(&Ipv4Addr::from_bits(*bits).into()));
        let free_v6 =
            (self.next_v6..=last_v6).find(|bits| !self.used.contains(&Ipv6Addr::from_bits(*bits).into()));
        self.next_v4 = free_v4.map_or(last_v4, |bits| bits) + 1;
        self.next_v6 = free_v6.map_or(last_v6, |bits| bits) + 1;
        (free_v4.map(Ipv4Addr::from_bits), free_v6.map(Ipv6Addr::from_bits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_order_and_around_what_is_used() {
        let used = ["240.240.0.2", "2001:2::1", "10.0.0.1"].map(|ip| ip.parse().unwrap());
        let mut pool = Pool::new(used.into());
        let shown: Vec<_> = (0..3)
            .map(|_| pool.next_pair())
            .map(|(v4, v6)| format!("{} {}", v4.unwrap(), v6.unwrap()))
            .collect();
        assert_eq!(shown, ["240.240.0.1 2001:2::2", "240.240.0.3 2001:2::3", "240.240.0.4 2001:2::4"]);
    }

    #[test]
    fn until_nothing_is_left() {
        let mut pool = Pool::new(HashSet::new());
        let given: Vec<_> = (0..65_536).map(|_| pool.next_pair()).collect();
        assert_eq!(given[254].0, Some(Ipv4Addr::new(240, 240, 0, 255)));
        assert_eq!(given[255].0, Some(Ipv4Addr::new(240, 240, 1, 0)));
        assert_eq!(given[65_534].0, Some(Ipv4Addr::new(240, 240, 255, 255)));
        assert_eq!(given[65_535], (None, Some("2001:2::1:0".parse().unwrap())));
        assert_eq!(pool.next_pair().0, None);
    }
}
