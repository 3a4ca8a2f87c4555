//! The network of a workload that has a network namespace of its own.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::namespace::Namespace;
use super::{Link, cookie, inside, of_index, processes};

/// A pod's network namespace, held open: as a descriptor it can be entered with [`inside`].
#[derive(Debug)]
pub struct PodNetwork {
    /// Of the namespace: what `ls -l /proc/PID/ns/net` shows.
    pub inode: u64,
    /// Under which kernel programs know it; kernels before 5.14 do not tell.
    pub cookie: Option<u64>,
    /// All but the loopback interface.
    pub interfaces: Vec<PodInterface>,
    /// Whether the workload cannot have made it itself: an interface there was given to it, or the node has made it.
    pub is_given: bool,
    namespace: Namespace,
}

/// A network interface of a pod.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PodInterface {
    /// `eth0`.
    pub name: String,
    /// In the pod's namespace.
    pub index: u32,
    /// Its own addresses.
    pub addresses: BTreeSet<IpAddr>,
    /// The other end of the veth pair in our namespace, if it is certainly there.
    pub host: Option<u32>,
    /// Whether it is one of a veth pair that ends in our namespace, be that end known or not.
    pub ends_here: bool,
    /// Whether it leads outside and nobody but the node's root can have made it so: hardware, or its other end is in our namespace.
    pub is_given: bool,
    /// Whether packets can leave the pod by it, rather than by another interface of the pod.
    pub leaves: bool,
    /// Where it ends or what it sits on is, as numbered by the pod.
    peer_namespace: Option<i32>,
}

/// All networks of a pod that can be looked into.
#[derive(Debug, Default)]
pub struct PodNetworks {
    /// The first is the one that has an interface with an end here, if any has.
    pub networks: Vec<PodNetwork>,
    /// There are more, which were not looked into.
    pub are_more: bool,
}

impl PodNetwork {
    /// The networks of the processes in the cgroup `path` and below; none when none of them has a namespace besides
    /// ours. `host` are the interfaces of our own namespace; the cgroups `besides` are somebody else's, also below.
    pub fn all_of_cgroup(path: &Path, host: &[Link], besides: &BTreeSet<PathBuf>) -> Result<PodNetworks> {
        let ours = Namespace::current()?;
        let (namespaces, are_all) = processes::namespaces_besides(&ours, path, besides)?;
        let networks: Result<Vec<Self>> =
            namespaces.into_iter().map(|namespace| Self::read(namespace, &ours, host)).collect();
        let failed = || format!("cannot read the network of the cgroup {}", path.display());
        let mut networks = networks.with_context(failed)?;
        stay_within(&mut networks).with_context(failed)?;
        networks.sort_by_key(|network| network.interfaces.iter().all(|interface| interface.host.is_none()));
        Ok(PodNetworks { networks, are_more: !are_all })
    }

    /// The first of these.
    pub fn of_cgroup(path: &Path, host: &[Link]) -> Result<Option<Self>> {
        Ok(Self::all_of_cgroup(path, host, &BTreeSet::new())?.networks.into_iter().next())
    }

    fn read(namespace: Namespace, ours: &Namespace, host: &[Link]) -> Result<Self> {
        // Listing interfaces numbers the namespaces of their peers, so the numbers come second.
        let (links, cookie, ours_there) =
            inside(namespace.as_fd(), || Ok((super::read()?, cookie::current()?, ours.id_here()?)))?;
        let numbers = Numbers { ours_there, theirs_here: namespace.id_here()? };
        // Some devices that anybody can make with rights over his own namespace have no kind either (`pimreg`, `l2tpeth`).
        let is_of_node = namespace.is_of_node();
        let interface = |link: Link| PodInterface {
            host: numbers.peer(&link, host),
            ends_here: is_veth(&link)
                && link.peer_namespace.is_some()
                && link.peer_namespace == numbers.ours_there,
            is_given: is_of_node && link.kind.is_none()
                || link.peer_namespace.is_some() && link.peer_namespace == numbers.ours_there,
            leaves: leaves(&link),
            peer_namespace: link.peer_namespace,
            name: link.name,
            index: link.index,
            addresses: link.addresses,
        };
        let links = links.into_iter().filter(|link| !link.is_loopback);
        let interfaces: Vec<PodInterface> = links.map(interface).collect();
        let is_given = interfaces.iter().any(|interface| interface.is_given) || is_of_node;
        Ok(Self { inode: namespace.inode, cookie, interfaces, is_given, namespace })
    }
}

impl AsFd for PodNetwork {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.namespace.as_fd()
    }
}

/// What ends in another of these networks does not leave the pod: it sends by what is there.
fn stay_within(networks: &mut [PodNetwork]) -> Result<()> {
    for at in 0..networks.len() {
        let may_stay = |interface: &PodInterface| {
            interface.leaves && interface.host.is_none() && interface.peer_namespace.is_some()
        };
        if networks.len() == 1 || !networks[at].interfaces.iter().any(may_stay) {
            continue;
        }
        let others = networks.iter().enumerate().filter(|(other, _)| *other != at);
        let others: Vec<&Namespace> = others.map(|(_, network)| &network.namespace).collect();
        let numbers = inside(networks[at].as_fd(), || others.iter().map(|other| other.id_here()).collect())?;
        let numbers: Vec<Option<i32>> = numbers;
        for interface in networks[at].interfaces.iter_mut().filter(|interface| may_stay(interface)) {
            interface.leaves = !numbers.contains(&interface.peer_namespace);
        }
    }
    Ok(())
}

/// By which numbers our namespace and the pod's know each other.
struct Numbers {
    ours_there: Option<i32>,
    theirs_here: Option<i32>,
}

impl Numbers {
    /// The host's end of the pod's interface `link`. Indexes repeat in every namespace, so each end must name the
    /// other and the namespace it is in.
    fn peer(&self, link: &Link, host: &[Link]) -> Option<u32> {
        let (ours_there, theirs_here) = (self.ours_there?, self.theirs_here?);
        let end = of_index(host, link.peer_index?)?;
        (is_veth(link)
            && is_veth(end)
            && link.peer_namespace == Some(ours_there)
            && end.peer_index == Some(link.index)
            && end.peer_namespace == Some(theirs_here))
        .then_some(end.index)
    }
}

/// Whether packets leave by it: hardware; what ends, or sits on something, in another namespace. What is made within the pod sends by
/// its other interfaces; `WireGuard` sends where it was made and does not say where.
fn leaves(link: &Link) -> bool {
    match link.kind.as_deref() {
        None | Some("wireguard" | "ipoib") => true,
        Some(_) => link.peer_namespace.is_some(),
    }
}

fn is_veth(link: &Link) -> bool {
    link.kind.as_deref() == Some("veth")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn veth(index: u32, peer_index: u32, peer_namespace: i32) -> Link {
        Link {
            index,
            kind: Some("veth".to_owned()),
            peer_index: Some(peer_index),
            peer_namespace: Some(peer_namespace),
            ..Link::default()
        }
    }

    #[test]
    fn what_is_made_within_a_pod_leads_nowhere_by_itself() {
        let link = |kind: Option<&str>, peer_namespace| Link {
            kind: kind.map(str::to_owned),
            peer_namespace,
            ..Link::default()
        };
        for (kind, peer_namespace, expected) in [
            (None, None, true),
            (Some("veth"), Some(0), true),
            (Some("macvlan"), Some(0), true),
            (Some("macvlan"), None, false),
            (Some("vxlan"), Some(1), true),
            (Some("tun"), None, false),
            (Some("dummy"), None, false),
            (Some("wireguard"), None, true),
        ] {
            assert_eq!(leaves(&link(kind, peer_namespace)), expected, "{kind:?} {peer_namespace:?}");
        }
    }

    #[test]
    fn both_ends_must_name_each_other() {
        let numbers = Numbers { ours_there: Some(0), theirs_here: Some(7) };
        let pod = veth(2, 40, 0);
        let host = veth(40, 2, 7);
        let other = |change: fn(&mut Link), link: &Link| {
            let mut link = link.clone();
            change(&mut link);
            link
        };
        assert_eq!(numbers.peer(&pod, std::slice::from_ref(&host)), Some(40));
        let cases = [
            ("the host's end is gone", pod.clone(), veth(41, 2, 7)),
            ("of another pod", pod.clone(), veth(40, 2, 8)),
            ("another interface of the pod", pod.clone(), veth(40, 3, 7)),
            ("not a veth", pod.clone(), other(|link| link.kind = Some("macvlan".to_owned()), &host)),
            ("a pair within our namespace", pod.clone(), other(|link| link.peer_namespace = None, &host)),
            ("the pod's is not a veth", other(|link| link.kind = None, &pod), host.clone()),
            ("a pair within the pod", other(|link| link.peer_namespace = None, &pod), host.clone()),
            ("a third namespace", veth(2, 40, 1), host),
        ];
        for (case, pod, host) in cases {
            assert_eq!(numbers.peer(&pod, &[host]), None, "{case}");
        }
    }

    #[test]
    fn namespaces_that_do_not_know_each_other_have_no_pair() {
        let (pod, host) = (veth(2, 40, 0), [veth(40, 2, 7)]);
        assert_eq!(Numbers { ours_there: None, theirs_here: Some(7) }.peer(&pod, &host), None);
        assert_eq!(Numbers { ours_there: Some(0), theirs_here: None }.peer(&pod, &host), None);
    }
}
