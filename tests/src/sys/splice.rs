//! Sending what stays in a page of one's own: nobody copies it on its way.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd};
use std::ptr;

use nix::unistd::pipe;

use super::area::Area;
use super::flip::Flip;

const PAGE: usize = 4096;

/// Sends a datagram by a connected socket while a word of it is flipped: the page goes through a pipe (`vmsplice`) into the
/// socket (`splice`). How often that was.
pub(crate) fn splice_flip(socket: BorrowedFd<'_>, datagram: &[u8], flip: Flip) -> io::Result<usize> {
    // Wherever the word is: here it is at a multiple of four.
    let start = flip.at.next_multiple_of(4) - flip.at;
    let area = Area::shared(PAGE)?;
    area.write(start, datagram)?;
    let (out, into) = pipe()?;
    flip.around(area.word(start + flip.at)?, || {
        put(&area, start, datagram.len(), into.as_fd())?;
        let (from, to, nowhere) = (out.as_raw_fd(), socket.as_raw_fd(), ptr::null_mut());
        // SAFETY: the kernel is given no pointer but null, and two descriptors that are open.
        let moved = unsafe { libc::splice(from, nowhere, to, nowhere, datagram.len(), 0) };
        whole(moved, datagram.len()).map(|()| true)
    })
}

/// Puts bytes of the page into a pipe, which refers to them.
fn put(area: &Area, start: usize, length: usize, pipe: BorrowedFd<'_>) -> io::Result<()> {
    let part = area.part(start, length)?;
    // SAFETY: the part is within the area; the kernel only reads it, and holds the page for as long as it needs it.
    let moved = unsafe { libc::vmsplice(pipe.as_raw_fd(), &raw const part, 1, 0) };
    whole(moved, length)
}

fn whole(moved: isize, length: usize) -> io::Result<()> {
    match usize::try_from(moved) {
        Ok(moved) if moved == length => Ok(()),
        Ok(moved) => Err(io::Error::other(format!("{moved} of {length} bytes were moved"))),
        Err(_) => Err(io::Error::last_os_error()),
    }
}
