//! Which addresses are a workload's own: those that its interfaces had first. What it gives itself later is not.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// How long after the first address of an interface others of the same family count, too: whoever sets a pod up gives it several one
/// after the other, and the agent may look in between. No container of it runs yet.
const SETTLING: Duration = Duration::from_millis(200);
/// How long the first address of the other family may take: a prefix must be heard of first.
const OTHER_FAMILY: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Family {
    V4,
    V6,
    /// `fe80::/10`: every interface makes one itself, so it says nothing of what the workload was given.
    OfLink,
}

fn family(address: IpAddr) -> Family {
    match address {
        IpAddr::V4(_) => Family::V4,
        IpAddr::V6(v6) if v6.is_unicast_link_local() => Family::OfLink,
        IpAddr::V6(_) => Family::V6,
    }
}

/// What was found on one interface.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    addresses: BTreeSet<IpAddr>,
    /// When the first address was that the workload was given; unknown if an earlier agent has found it.
    since: Option<Instant>,
}

impl Found {
    /// As an earlier agent has found it.
    pub(super) fn earlier(addresses: BTreeSet<IpAddr>) -> Self {
        Self { addresses, since: None }
    }

    pub(super) fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.addresses.iter().copied()
    }

    /// Takes in what of `there`, which the interface has now, is the workload's own, as long as there are no more than `room`. Whether
    /// something did not fit.
    pub(super) fn take(
        &mut self,
        there: &BTreeSet<IpAddr>,
        now: Instant,
        room: usize,
        is_routed: impl Fn(IpAddr) -> bool,
    ) -> bool {
        let had: BTreeSet<Family> = self.addresses.iter().copied().map(family).collect();
        let takes_new = self.takes_new_family(now);
        let is_own = |address: IpAddr| {
            let is_first = takes_new && !had.contains(&family(address));
            is_first || self.settles(now) || family(address) != Family::OfLink && is_routed(address)
        };
        let new =
            there.iter().copied().filter(|address| !self.addresses.contains(address) && is_own(*address));
        let mut new: Vec<IpAddr> = new.collect();
        let fits = room.saturating_sub(self.addresses.len());
        let is_full = new.len() > fits;
        new.truncate(fits);
        self.addresses.extend(new);
        if self.since.is_none() && takes_new && self.is_found() {
            self.since = Some(now);
        }
        is_full
    }

    /// Whether the workload has been given any.
    fn is_found(&self) -> bool {
        self.addresses.iter().any(|address| family(*address) != Family::OfLink)
    }

    fn settles(&self, now: Instant) -> bool {
        self.since.is_some_and(|since| now.duration_since(since) < SETTLING)
    }

    fn takes_new_family(&self, now: Instant) -> bool {
        self.since.map_or(!self.is_found(), |since| now.duration_since(since) < OTHER_FAMILY)
    }

    /// Whether more is to be expected at once.
    pub(super) fn is_new(&self, now: Instant) -> bool {
        !self.is_found() || self.settles(now)
    }

    /// Whether more is to be expected.
    pub(super) fn is_open(&self, now: Instant) -> bool {
        self.takes_new_family(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> BTreeSet<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    /// The addresses of an interface at some milliseconds.
    type Story<'a> = &'a [(u64, &'a [&'a str])];

    /// What is own in the end.
    fn own(story: Story<'_>, routed: &[&str]) -> BTreeSet<IpAddr> {
        let (begin, mut found, routed) = (Instant::now(), Found::default(), addresses(routed));
        for (milliseconds, there) in story {
            let now = begin + Duration::from_millis(*milliseconds);
            found.take(&addresses(there), now, 100, |address| routed.contains(&address));
        }
        found.addresses
    }

    #[test]
    fn own_addresses_are_those_that_were_found_first() {
        let both: &[&str] = &["10.0.0.2", "fd00::2"];
        let cases: [(&str, Story<'_>, &[&str]); 7] = [
            (
                "a link-local address is not yet found",
                &[(0, &["fe80::2"]), (60_000, &["fe80::2", "10.0.0.2"])],
                &["fe80::2", "10.0.0.2"],
            ),
            ("the other family comes late", &[(0, &["10.0.0.2"]), (9_000, both)], both),
            ("too late", &[(0, &["10.0.0.2"]), (10_000, both)], &["10.0.0.2"]),
            ("the other family is there already", &[(0, both), (9_000, &["10.0.0.3", "fd00::3"])], both),
            (
                "a second one while it is set up",
                &[(0, &["10.0.0.2"]), (100, &["10.0.0.2", "10.0.0.3"])],
                &["10.0.0.2", "10.0.0.3"],
            ),
            ("a second one later", &[(0, &["10.0.0.2"]), (300, &["10.0.0.2", "10.0.0.3"])], &["10.0.0.2"]),
            ("it is taken away and stays", &[(0, &["10.0.0.2"]), (300, &[])], &["10.0.0.2"]),
        ];
        for (case, story, expected) in cases {
            assert_eq!(own(story, &[]), addresses(expected), "{case}");
        }
    }

    #[test]
    fn what_the_node_routes_to_the_interface_is_own_at_any_time() {
        let story: Story<'_> =
            &[(0, &["10.0.0.2"]), (3_600_000, &["10.0.0.2", "10.0.0.3", "10.0.0.4", "fe80::3"])];
        assert_eq!(own(story, &["10.0.0.3", "fe80::3"]), addresses(&["10.0.0.2", "10.0.0.3"]));
    }

    #[test]
    fn what_an_earlier_agent_has_found_is_all_unless_it_was_nothing() {
        let take = |earlier: &[&str]| {
            let mut found = Found::earlier(addresses(earlier));
            found.take(&addresses(&["10.0.0.9", "fd00::9"]), Instant::now(), 100, |_| false);
            found.addresses
        };
        assert_eq!(take(&["10.0.0.2"]), addresses(&["10.0.0.2"]));
        assert_eq!(take(&["fe80::2"]), addresses(&["fe80::2", "10.0.0.9", "fd00::9"]));
    }

    #[test]
    fn there_is_room_for_so_many() {
        let mut found = Found::default();
        let all: BTreeSet<IpAddr> = (0..33_000_u32).map(|n| std::net::Ipv4Addr::from(n).into()).collect();
        assert!(found.take(&all, Instant::now(), 256, |_| false));
        assert_eq!(found.addresses.len(), 256);
        assert!(!found.take(&BTreeSet::new(), Instant::now(), 256, |_| false));
    }
}
