//! Memory that is shared with the kernel.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};

/// Mapped memory; unmapped when dropped.
#[derive(Debug)]
pub(super) struct Area {
    start: *mut u8,
    length: usize,
}

impl Area {
    /// Memory of a file, such as the ring of a socket.
    pub(super) fn of_file(file: BorrowedFd<'_>, length: usize, offset: i64) -> io::Result<Self> {
        Self::map(file.as_raw_fd(), libc::MAP_SHARED | libc::MAP_POPULATE, length, offset)
    }

    /// Memory of nobody else, aligned to pages.
    pub(super) fn anonymous(length: usize) -> io::Result<Self> {
        Self::map(-1, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, length, 0)
    }

    /// Memory whose pages stay the same ones, whoever else refers to them.
    pub(super) fn shared(length: usize) -> io::Result<Self> {
        Self::map(-1, libc::MAP_SHARED | libc::MAP_ANONYMOUS, length, 0)
    }

    fn map(file: i32, flags: i32, length: usize, offset: i64) -> io::Result<Self> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: the kernel chooses the place, so nothing that was there before is replaced.
        let start = unsafe { libc::mmap(ptr::null_mut(), length, access, flags, file, offset) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { start: start.cast(), length })
    }

    /// Where it begins.
    pub(super) fn address(&self) -> u64 {
        self.start as u64
    }

    /// A part of it, for the kernel to read or to refer to while it lives.
    pub(super) fn part(&self, at: usize, length: usize) -> io::Result<libc::iovec> {
        self.check(at, length, 1)?;
        Ok(libc::iovec { iov_base: self.start.wrapping_add(at).cast(), iov_len: length })
    }

    /// Puts bytes at an offset.
    pub(super) fn write(&self, at: usize, bytes: &[u8]) -> io::Result<()> {
        self.check(at, bytes.len(), 1)?;
        // SAFETY: checked to be within the memory, which nobody of this process has a reference to.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), self.start.add(at), bytes.len()) };
        Ok(())
    }

    /// Stores a word that the kernel looks at, after all that was written before.
    pub(super) fn store(&self, at: usize, word: u32) -> io::Result<()> {
        self.word(at).map(|shared| shared.store(word, Ordering::SeqCst))
    }

    /// Loads a word that the kernel writes.
    pub(super) fn load(&self, at: usize) -> io::Result<u32> {
        self.word(at).map(|shared| shared.load(Ordering::SeqCst))
    }

    /// A word that somebody else may write at any time.
    pub(super) fn word(&self, at: usize) -> io::Result<&AtomicU32> {
        self.check(at, 4, 4)?;
        // SAFETY: checked to be within the memory and aligned; it is only accessed atomically here.
        Ok(unsafe { AtomicU32::from_ptr(self.start.add(at).cast()) })
    }

    fn check(&self, at: usize, length: usize, alignment: usize) -> io::Result<()> {
        let fits = at.checked_add(length).is_some_and(|end| end <= self.length);
        if fits && at.is_multiple_of(alignment) {
            Ok(())
        } else {
            Err(io::Error::other("beyond shared memory"))
        }
    }
}

impl Drop for Area {
    fn drop(&mut self) {
        // SAFETY: it was mapped with this length, and every reference into it has ended.
        unsafe { libc::munmap(self.start.cast(), self.length) };
    }
}
