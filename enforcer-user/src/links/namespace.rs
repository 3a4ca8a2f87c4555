//! Network namespaces: which one it is, what others call it, and work inside of it.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};
use std::os::unix::fs::MetadataExt as _;
use std::panic::resume_unwind;
use std::thread;

use anyhow::{Context as _, Result};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::nsid::{NsidAttribute, NsidMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use nix::sched::{CloneFlags, setns};

use super::owner;
use crate::netlink;

/// Runs `work` inside a network namespace, on a thread that ends with it: no other thread changes its namespace.
pub fn inside<T: Send>(namespace: BorrowedFd<'_>, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let entered = move || {
        setns(namespace, CloneFlags::CLONE_NEWNET).context("cannot enter a network namespace")?;
        work()
    };
    thread::scope(|scope| {
        let thread = thread::Builder::new()
            .name("inside".to_owned())
            .spawn_scoped(scope, entered)
            .context("cannot start a thread for a network namespace")?;
        thread.join().unwrap_or_else(|panic| resume_unwind(panic))
    })
}

/// A network namespace, which stays while it is open here.
#[derive(Debug)]
pub struct Namespace {
    file: File,
    device: u64,
    pub(super) inode: u64,
}

impl Namespace {
    /// That of the calling thread: `/proc/self` would be that of the process's first thread.
    pub(super) fn current() -> Result<Self> {
        Self::open("/proc/thread-self/ns/net").context("cannot open our own network namespace")
    }

    pub(super) fn of_process(pid: u32) -> io::Result<Self> {
        Self::open(&format!("/proc/{pid}/ns/net"))
    }

    fn open(path: &str) -> io::Result<Self> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        Ok(Self { device: metadata.dev(), inode: metadata.ino(), file })
    }

    /// What `ls -l /proc/PID/ns/net` shows.
    pub fn inode(&self) -> u64 {
        self.inode
    }

    /// Whether whoever made it has rights over the node. A workload without them makes its own in a user namespace of its own. What
    /// cannot be told is nobody's.
    pub fn is_of_node(&self) -> bool {
        owner::is_node(self.file.as_fd()).unwrap_or(false)
    }

    /// By what number the calling thread's namespace knows this one, if it knows it at all.
    pub(super) fn id_here(&self) -> Result<Option<i32>> {
        let mut request = NsidMessage::default();
        let descriptor = u32::try_from(self.file.as_raw_fd()).context("a descriptor is not negative")?;
        request.attributes.push(NsidAttribute::Fd(descriptor));
        let answers = netlink::ask(NETLINK_ROUTE, RouteNetlinkMessage::GetNsId(request))
            .context("cannot ask for a network namespace's id")?;
        let ids = answers.into_iter().flat_map(|answer| match answer {
            RouteNetlinkMessage::NewNsId(message) => message.attributes,
            _ => Vec::new(),
        });
        // -1 is NETNSA_NSID_NOT_ASSIGNED.
        Ok(ids.into_iter().find_map(|attribute| match attribute {
            NsidAttribute::Id(id) if id >= 0 => Some(id),
            _ => None,
        }))
    }
}

impl PartialEq for Namespace {
    fn eq(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
