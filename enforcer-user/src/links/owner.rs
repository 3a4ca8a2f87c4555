//! Who made a network namespace, as far as its user namespace tells.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;

/// `NS_GET_USERNS` of `linux/nsfs.h`, since 4.9.
const GET_USER_NAMESPACE: libc::Ioctl = 0xb701;

/// Whether it belongs to our own user namespace. Who has no rights over the node can make one only in a user namespace of his own.
pub(super) fn is_node(namespace: BorrowedFd<'_>) -> io::Result<bool> {
    // SAFETY: the descriptor is open for as long as it is borrowed, and the request takes no argument.
    let owner = unsafe { libc::ioctl(namespace.as_raw_fd(), GET_USER_NAMESPACE) };
    if owner < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just given us this descriptor.
    let owner = File::from(unsafe { OwnedFd::from_raw_fd(owner) }).metadata()?;
    let ours = fs::metadata("/proc/self/ns/user")?;
    Ok((owner.dev(), owner.ino()) == (ours.dev(), ours.ino()))
}
