//! Who listens at which port of a network namespace.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::sockets::{Family, SocketEntry};

/// `TCP_LISTEN` of `net/tcp_states.h`.
pub(super) const LISTEN: u8 = 10;

/// The listeners of a network namespace.
#[derive(Default)]
pub(super) struct Listeners(BTreeMap<u16, Vec<Listener>>);

#[derive(Clone, Copy)]
struct Listener {
    address: IpAddr,
    family: Family,
    cgroup: Option<u64>,
}

impl Listeners {
    pub(super) fn among(entries: &[SocketEntry]) -> Self {
        let mut found = Self::default();
        for entry in entries.iter().filter(|entry| entry.state == LISTEN) {
            let listener = Listener { address: entry.local.ip(), family: entry.family, cgroup: entry.cgroup };
            found.0.entry(entry.local.port()).or_default().push(listener);
        }
        found
    }

    /// The cgroups of those that this connection may have come to: the listeners at its very address, or else those at
    /// any address (`inet_lookup_listener`). Several share a port by `SO_REUSEPORT`.
    pub(super) fn cgroups(&self, entry: &SocketEntry) -> Vec<u64> {
        let at_port = self.0.get(&entry.local.port()).map(Vec::as_slice).unwrap_or_default();
        let (exact, any): (Vec<&Listener>, Vec<&Listener>) = at_port
            .iter()
            .filter(|listener| listener.takes(entry.local.ip()))
            .partition(|listener| listener.address == entry.local.ip());
        let nearest = if exact.is_empty() { any } else { exact };
        nearest.into_iter().filter_map(|listener| listener.cgroup).collect()
    }
}

impl Listener {
    fn takes(&self, address: IpAddr) -> bool {
        let any = self.address.is_unspecified() && (self.family == Family::V6 || address.is_ipv4());
        any || self.address == address
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::sockets::Protocol;

    fn entry(state: u8, family: Family, local: &str, cgroup: Option<u64>) -> SocketEntry {
        SocketEntry {
            protocol: Protocol::Tcp,
            state,
            family,
            local: local.parse().unwrap(),
            remote: SocketAddr::from(([192, 0, 2, 9], 40_000)),
            interface: 0,
            cookie: 0,
            cgroup,
            storage: BTreeMap::new(),
        }
    }

    #[test]
    fn the_listener_at_the_very_address_comes_before_one_at_any() {
        let listener = |family, local, cgroup| entry(LISTEN, family, local, Some(cgroup));
        let listeners = Listeners::among(&[
            listener(Family::V4, "192.0.2.1:80", 1),
            listener(Family::V4, "192.0.2.2:80", 2),
            listener(Family::V4, "0.0.0.0:80", 3),
            listener(Family::V6, "[::]:80", 4),
            listener(Family::V6, "[2001:db8::1]:80", 5),
            listener(Family::V4, "0.0.0.0:81", 6),
            entry(1, Family::V4, "192.0.2.1:80", Some(7)),
            entry(LISTEN, Family::V4, "192.0.2.2:82", None),
        ]);
        let cases: [(&str, &[u64]); 8] = [
            ("192.0.2.1:80", &[1]),
            ("192.0.2.2:80", &[2]),
            ("192.0.2.3:80", &[3, 4]),
            ("[2001:db8::1]:80", &[5]),
            ("[2001:db8::2]:80", &[4]),
            ("192.0.2.1:81", &[6]),
            ("[2001:db8::1]:81", &[]),
            ("192.0.2.2:82", &[]),
        ];
        for (local, expected) in cases {
            assert_eq!(listeners.cgroups(&entry(3, Family::V4, local, None)), expected, "{local}");
        }
    }
}
