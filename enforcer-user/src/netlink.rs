//! Questions to the kernel over netlink(7): one socket each, in the network namespace of the calling thread.
//!
//! Errors are plain [`io::Error`]s, so that the asking part can tell "there is none" from a failure.

use std::io;

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
        let answer = exchange(protocol, &bytes)?;
        if !answer.interrupted {
            return Ok(answer.messages);
        }
    }
    Err(io::Error::other(format!("what the kernel lists changed each of {ATTEMPTS} times while it was read")))
}

/// What the kernel answers to `request` before it says that it is done.
pub(crate) fn ask<Q: NetlinkSerializable, A: NetlinkDeserializable>(
    protocol: isize,
    request: Q,
) -> io::Result<Vec<A>> {
    Ok(exchange(protocol, &encode(request, NLM_F_REQUEST | NLM_F_ACK))?.messages)
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

struct Answer<A> {
    messages: Vec<A>,
    /// Something changed while the kernel listed it: entries may be missing or twice there.
    interrupted: bool,
}

fn exchange<A: NetlinkDeserializable>(protocol: isize, request: &[u8]) -> io::Result<Answer<A>> {
    let mut socket = Socket::new(protocol)?;
    socket.bind_auto()?;
    // A connected socket hears nobody but the kernel.
    socket.connect(&SocketAddr::new(0, 0))?;
    socket.send(request, 0)?;
    let mut answer = Answer { messages: Vec::new(), interrupted: false };
    let mut buffer = Vec::with_capacity(BUFFER);
    loop {
        receive(&socket, &mut buffer)?;
        if read(&buffer, &mut answer)? {
            return Ok(answer);
        }
    }
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

/// Takes the messages out of one datagram; true when the kernel is done.
fn read<A: NetlinkDeserializable>(datagram: &[u8], answer: &mut Answer<A>) -> io::Result<bool> {
    let mut rest = datagram;
    while !rest.is_empty() {
        let message = NetlinkMessage::<A>::deserialize(rest).map_err(io::Error::other)?;
        answer.interrupted |= message.header.flags & NLM_F_DUMP_INTR != 0;
        let length = message.header.length as usize;
        match message.payload {
            NetlinkPayload::InnerMessage(inner) => answer.messages.push(inner),
            NetlinkPayload::Done(done) if done.code == 0 => return Ok(true),
            NetlinkPayload::Done(done) => return Err(io::Error::from_raw_os_error(done.code.abs())),
            NetlinkPayload::Error(error) if error.code.is_none() => return Ok(true),
            NetlinkPayload::Error(error) => return Err(error.to_io()),
            _ => {}
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(false)
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

    #[test]
    fn an_interrupted_listing_is_known_as_such() {
        for (flags, expected) in [(0, false), (NLM_F_DUMP_INTR, true)] {
            let mut answer = Answer::<RouteNetlinkMessage> { messages: Vec::new(), interrupted: false };
            assert!(read(&datagram(flags, 0), &mut answer).unwrap());
            assert_eq!((answer.messages.len(), answer.interrupted), (1, expected));
        }
    }

    #[test]
    fn a_listing_that_fails_on_the_way_is_an_error() {
        let mut answer = Answer::<RouteNetlinkMessage> { messages: Vec::new(), interrupted: false };
        let error = read(&datagram(0, -libc::ENOMEM), &mut answer).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOMEM));
    }
}
