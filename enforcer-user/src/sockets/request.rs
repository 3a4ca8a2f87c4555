//! The bytes of a question about sockets.
//!
//! netlink-packet-sock-diag knows `struct inet_diag_req_v2`, but not the attributes that may follow it. The one that
//! we need names the BPF maps whose socket storage the answer shall carry (`linux/inet_diag.h`, `linux/sock_diag.h`):
//!
//! ```text
//! INET_DIAG_REQ_SK_BPF_STORAGES           nested
//!   SK_DIAG_BPF_STORAGE_REQ_MAP_FD        u32, for each map
//! ```

use std::os::fd::{AsRawFd as _, BorrowedFd};

use netlink_packet_core::{DefaultNla, Emitable as _, NLA_F_NESTED, NetlinkSerializable};
use netlink_packet_sock_diag::SOCK_DIAG_BY_FAMILY;
use netlink_packet_sock_diag::inet::InetRequest;

const INET_DIAG_REQ_SK_BPF_STORAGES: u16 = 2;
const SK_DIAG_BPF_STORAGE_REQ_MAP_FD: u16 = 1;

/// A request with attributes.
pub(super) struct Request {
    inet: InetRequest,
    attributes: Vec<DefaultNla>,
}

impl Request {
    pub(super) fn new(inet: InetRequest, maps: &[BorrowedFd<'_>]) -> Self {
        let map = |map: &BorrowedFd<'_>| {
            DefaultNla::new(SK_DIAG_BPF_STORAGE_REQ_MAP_FD, map.as_raw_fd().to_ne_bytes().to_vec())
        };
        let maps: Vec<_> = maps.iter().map(map).collect();
        // With no map named, the kernel would give the storage of every map.
        let attributes = if maps.is_empty() { Vec::new() } else { vec![nested(&maps)] };
        Self { inet, attributes }
    }
}

fn nested(inner: &[DefaultNla]) -> DefaultNla {
    let mut bytes = vec![0; inner.buffer_len()];
    inner.emit(&mut bytes);
    DefaultNla::new(INET_DIAG_REQ_SK_BPF_STORAGES | NLA_F_NESTED, bytes)
}

impl NetlinkSerializable for Request {
    fn message_type(&self) -> u16 {
        SOCK_DIAG_BY_FAMILY
    }

    fn buffer_len(&self) -> usize {
        self.inet.buffer_len() + self.attributes.as_slice().buffer_len()
    }

    fn serialize(&self, buffer: &mut [u8]) {
        let (inet, attributes) = buffer.split_at_mut(self.inet.buffer_len());
        self.inet.emit(inet);
        self.attributes.as_slice().emit(attributes);
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use netlink_packet_sock_diag::inet::{ExtensionFlags, SocketId, StateFlags};

    use super::*;

    #[test]
    fn maps_follow_the_request_as_one_nested_attribute() {
        let inet = InetRequest {
            family: 2,
            protocol: 6,
            extensions: ExtensionFlags::empty(),
            states: StateFlags::from_bits_retain(u32::MAX),
            socket_id: SocketId::new_v4(),
        };
        let file = std::fs::File::open("/proc/self/stat").unwrap();
        let map = file.as_fd();
        let bytes = |maps: &[BorrowedFd<'_>]| {
            let request = Request::new(inet.clone(), maps);
            let mut bytes = vec![0; request.buffer_len()];
            request.serialize(&mut bytes);
            bytes
        };
        // struct inet_diag_req_v2 has 56 bytes.
        assert_eq!(bytes(&[]).len(), 56);
        let number = map.as_raw_fd().to_ne_bytes();
        let one = [&[8, 0, 1, 0][..], &number].concat();
        assert_eq!(bytes(&[map])[56..], [&[12, 0, 2, 0x80][..], &one].concat());
        assert_eq!(bytes(&[map, map])[56..], [&[20, 0, 2, 0x80][..], &one, &one].concat());
    }
}
