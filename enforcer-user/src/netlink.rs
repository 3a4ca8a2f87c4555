//! Questions to the kernel over netlink(7): one socket each, in the network namespace of the calling thread.
//!
//! Errors are plain [`io::Error`]s, so that the asking part can tell "there is none" from a failure.

use std::io;
use std::ops::ControlFlow;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkDeserializable, NetlinkHeader,
    NetlinkMessage, NetlinkPayload, NetlinkSerializable,
};
use netlink_sys::{Socket, SocketAddr};

/// The kernel fills at most 32 KiB at once, and more only for a single message that is longer.
const BUFFER: usize = 64 * 1024;
/// How often a listing is begun anew because something changed meanwhile. Each takes milliseconds.
const ATTEMPTS: usize = 20;

/// Everything that the kernel lists in answer to `request`, as of one moment.
pub(crate) fn dump<Q: NetlinkSerializable, A: NetlinkDeserializable>(
    protocol: isize,
    request: Q,
) -> io::Result<Vec<A>> {
    let bytes = encode(request, NLM_F_REQUEST | NLM_F_DUMP);
    for _ in 0..ATTEMPTS {
        let mut messages = Vec::new();
        if !exchange(protocol, &bytes, &mut all(&mut messages))?.interrupted {
            return Ok(messages);
        }
    }
    Err(io::Error::other(format!("what the kernel lists changed each of {ATTEMPTS} times while it was read")))
}

/// Gives what the kernel lists to `take`, one by one, until that has enough: nothing is kept here. What comes and goes meanwhile may
/// be missing, or twice there.
pub(crate) fn dump_each<Q: NetlinkSerializable, A: NetlinkDeserializable>(
    protocol: isize,
    request: Q,
    take: &mut dyn FnMut(A) -> ControlFlow<()>,
) -> io::Result<()> {
    exchange(protocol, &encode(request, NLM_F_REQUEST | NLM_F_DUMP), take).map(drop)
}

/// What the kernel answers to `request` before it says that it is done.
pub(crate) fn ask<Q: NetlinkSerializable, A: NetlinkDeserializable>(
    protocol: isize,
    request: Q,
) -> io::Result<Vec<A>> {
    let mut messages = Vec::new();
    exchange(protocol, &encode(request, NLM_F_REQUEST | NLM_F_ACK), &mut all(&mut messages))?;
    Ok(messages)
}

fn all<A>(messages: &mut Vec<A>) -> impl FnMut(A) -> ControlFlow<()> {
    |message| {
        messages.push(message);
        ControlFlow::Continue(())
    }
}

fn encode<Q: NetlinkSerializable>(request: Q, flags: u16) -> Vec<u8> {
    let mut header = NetlinkHeader::default();
    header.flags = flags;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(request));
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

/// How far an answer was read.
#[derive(Default)]
struct Progress {
    /// The kernel is done, or whoever asked has enough.
    done: bool,
    /// Something changed while the kernel listed it: entries may be missing or twice there.
    interrupted: bool,
}

fn exchange<A: NetlinkDeserializable>(
    protocol: isize,
    request: &[u8],
    take: &mut dyn FnMut(A) -> ControlFlow<()>,
) -> io::Result<Progress> {
    let mut socket = Socket::new(protocol)?;
    socket.bind_auto()?;
    // A connected socket hears nobody but the kernel.
    socket.connect(&SocketAddr::new(0, 0))?;
    socket.send(request, 0)?;
    let mut progress = Progress::default();
    let mut buffer = Vec::with_capacity(BUFFER);
    while !progress.done {
        receive(&socket, &mut buffer)?;
        read(&buffer, take, &mut progress)?;
    }
    Ok(progress)
}

fn receive(socket: &Socket, buffer: &mut Vec<u8>) -> io::Result<()> {
    loop {
        buffer.clear();
        match socket.recv(buffer, libc::MSG_TRUNC) {
            Ok(length) if length > buffer.len() => {
                return Err(io::Error::other(format!(
                    "the kernel's answer has {length} bytes, more than fit"
                )));
            }
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Takes the messages out of one datagram.
fn read<A: NetlinkDeserializable>(
    datagram: &[u8],
    take: &mut dyn FnMut(A) -> ControlFlow<()>,
    progress: &mut Progress,
) -> io::Result<()> {
    let mut rest = datagram;
    while !rest.is_empty() && !progress.done {
        let message = NetlinkMessage::<A>::deserialize(rest).map_err(io::Error::other)?;
        progress.interrupted |= message.header.flags & NLM_F_DUMP_INTR != 0;
        let length = message.header.length as usize;
        match message.payload {
            NetlinkPayload::InnerMessage(inner) => progress.done = take(inner).is_break(),
            NetlinkPayload::Done(done) if done.code == 0 => progress.done = true,
            NetlinkPayload::Done(done) => return Err(io::Error::from_raw_os_error(done.code.abs())),
            NetlinkPayload::Error(error) if error.code.is_none() => progress.done = true,
            NetlinkPayload::Error(error) => return Err(error.to_io()),
            _ => {}
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use netlink_packet_core::DoneMessage;
    use netlink_packet_route::RouteNetlinkMessage;
    use netlink_packet_route::link::LinkMessage;

    use super::*;

    /// A link and the end of the listing, in one datagram.
    fn datagram(flags: u16, code: i32) -> Vec<u8> {
        let link = encode(RouteNetlinkMessage::NewLink(LinkMessage::default()), flags);
        let mut done = DoneMessage::default();
        done.code = code;
        let payload = NetlinkPayload::<RouteNetlinkMessage>::Done(done);
        let mut done = NetlinkMessage::new(NetlinkHeader::default(), payload);
        done.finalize();
        let mut bytes = vec![0; done.buffer_len()];
        done.serialize(&mut bytes);
        [link, bytes].concat()
    }

    /// What a datagram holds, and how far that goes, for somebody who takes so many messages.
    fn taken(datagram: &[u8], most: usize) -> io::Result<(usize, Progress)> {
        let (mut count, mut progress) = (0, Progress::default());
        let mut take = |_: RouteNetlinkMessage| {
            count += 1;
            if count == most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        read(datagram, &mut take, &mut progress)?;
        Ok((count, progress))
    }

    #[test]
    fn an_interrupted_listing_is_known_as_such() {
        for (flags, expected) in [(0, false), (NLM_F_DUMP_INTR, true)] {
            let (count, progress) = taken(&datagram(flags, 0), usize::MAX).unwrap();
            assert_eq!((count, progress.done, progress.interrupted), (1, true, expected));
        }
    }

    #[test]
    fn a_listing_that_fails_on_the_way_is_an_error() {
        let error = taken(&datagram(0, -libc::ENOMEM), usize::MAX).map(drop).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOMEM));
    }

    #[test]
    fn whoever_has_enough_reads_no_further() {
        let links = [datagram(0, -libc::ENOMEM), datagram(0, 0)].concat();
        let (count, progress) = taken(&links, 1).unwrap();
        assert_eq!((count, progress.done), (1, true));
    }
}
