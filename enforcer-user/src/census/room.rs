//! Where the sockets of a subject are.

use std::os::fd::AsFd as _;
use std::sync::Arc;

use anyhow::{Context as _, Error, Result};

use super::Subject;
use crate::links::{MOST_NAMESPACES, Namespace, PodNetwork, inside, namespaces_of_cgroup};

/// A network namespace.
pub(super) enum Room {
    /// The node's: that of the calling thread.
    Node,
    /// The subject's own: everybody in it counts as the subject.
    Own(Arc<PodNetwork>),
    /// One that a process of a subject is in of whose own nobody has told, and that no workload can have made itself.
    Found(Namespace),
    /// One more that a process of the subject is in.
    Other(Namespace),
}

impl Room {
    /// All of a subject's, as its processes have them now, whether or not anybody looks at its interfaces; and why there may be others.
    pub(super) fn all(subject: &Subject) -> (Vec<Self>, Option<Error>) {
        let own = subject.network.as_ref();
        let mut rooms: Vec<Self> = own.map(|own| Self::Own(Arc::clone(own))).into_iter().collect();
        rooms.push(Self::Node);
        let found = namespaces_of_cgroup(&subject.path).context("cannot look into its network namespaces");
        let (others, lost) = match found {
            Ok(others) => (others, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        if others.len() == MOST_NAMESPACES {
            let cgroup = subject.path.display();
            tracing::warn!(
                %cgroup,
                most = MOST_NAMESPACES,
                "a workload has more network namespaces than are looked at; connections in the rest are left alone"
            );
        }
        let is_new = |other: &Namespace| own.is_none_or(|own| own.inode != other.inode());
        let is_told = own.is_some_and(|own| own.is_given);
        let room = |other: Namespace| {
            if !is_told && other.is_of_node() { Self::Found(other) } else { Self::Other(other) }
        };
        rooms.extend(others.into_iter().filter(is_new).map(room));
        (rooms, lost)
    }

    /// Whether what has come in there can have come from outside. In a namespace that it made itself a workload can be anybody: it
    /// would make itself the connections that it wants to answer.
    pub(super) fn leads_outside(&self) -> bool {
        match self {
            Self::Node | Self::Found(_) => true,
            Self::Own(network) => network.is_given,
            Self::Other(_) => false,
        }
    }

    /// Does something there.
    pub(super) fn within<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        match self {
            Self::Node => work(),
            Self::Own(network) => inside(network.as_fd(), work),
            Self::Found(namespace) | Self::Other(namespace) => inside(namespace.as_fd(), work),
        }
    }
}
