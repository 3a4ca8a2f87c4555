//! Whether an interface is there.

use std::io;

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkExtentMask, LinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;

use crate::netlink;

/// Whether our network namespace has no interface of this number. What cannot be told is none that has gone: not so
/// `if_indextoname` of nix 0.31, which makes an empty name of every failure.
pub fn is_gone(index: u32) -> bool {
    let mut request = LinkMessage::default();
    request.header.index = index;
    request.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
    let asked: io::Result<Vec<RouteNetlinkMessage>> =
        netlink::ask(NETLINK_ROUTE, RouteNetlinkMessage::GetLink(request));
    matches!(asked, Err(error) if error.raw_os_error() == Some(libc::ENODEV))
}
