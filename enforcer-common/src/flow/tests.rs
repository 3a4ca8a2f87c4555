//! The life of flows.

use super::*;
use crate::addr::Addr;
use crate::word::Tagged as _;

const SYN: TcpFlags = TcpFlags::new(0x02);
const SYN_FIN: TcpFlags = TcpFlags::new(0x03);
const SYN_RST: TcpFlags = TcpFlags::new(0x06);
const SYN_ACK: TcpFlags = TcpFlags::new(0x12);
const ACK: TcpFlags = TcpFlags::new(0x10);
const FIN_ACK: TcpFlags = TcpFlags::new(0x11);
const RST: TcpFlags = TcpFlags::new(0x04);

fn arrived(known: Option<Flow>, flags: TcpFlags, second: u32) -> Option<Flow> {
    match Flow::segment_arrived(known, flags, second) {
        Arrival::Keep => known,
        Arrival::Set(flow) => Some(flow),
    }
}

#[test]
fn only_a_syn_that_comes_in_opens_a_connection() {
    for stray in [SYN_ACK, ACK, FIN_ACK, RST] {
        assert_eq!(arrived(None, stray, 5), None);
    }
    let flow = arrived(None, SYN, 5).unwrap();
    assert_eq!(flow.answered_by(SYN_ACK, 0, 6), Some(flow));
    assert_eq!(flow.answered_by(ACK, 1_000, 6), Some(flow));
    for syn in [SYN, SYN_FIN, SYN_RST] {
        assert_eq!(flow.answered_by(syn, 0, 6), None, "{syn:?}");
    }
    assert_eq!(arrived(None, SYN_FIN, 5), Some(flow));
    assert_eq!(arrived(None, SYN_RST, 5), None);
}

#[test]
fn a_connection_that_is_over_has_last_words_and_no_more_data() {
    let flow = arrived(None, SYN, 5).unwrap();
    let flow = arrived(Some(flow), FIN_ACK, 10).unwrap();
    assert!(flow.answered_by(ACK, 1_000, 100).is_some(), "one side may still send");
    let flow = flow.answered_by(FIN_ACK, 0, 20).unwrap();
    assert!(flow.answered_by(ACK, 0, 79).is_some());
    assert!(flow.answered_by(FIN_ACK, 900, 21).is_some(), "the last segment was lost");
    assert!(flow.answered_by(ACK, 0, 80).is_none() && flow.answered_by(ACK, 900, 80).is_none());
    let reset = arrived(arrived(None, SYN, 5), RST, 6).unwrap();
    assert!(reset.answered_by(ACK, 1, 6).is_none() && reset.answered_by(ACK, 0, 6).is_some());
    assert_eq!(arrived(Some(reset), SYN, 7), Some(Flow::begun_by_remote(7)));
}

#[test]
fn a_connection_of_the_workload_ends_without_its_socket() {
    let flow = Flow::closing_here(10);
    assert_eq!(flow.answered_by(ACK, 0, 100), Some(flow));
    assert_eq!(flow.answered_by(ACK, 1, 11), None);
    assert_eq!(flow.answered_by(ACK, 0, 130), None);
    assert_eq!(Flow::begun_here(10).answered_by(ACK, 0, 11), None);
}

#[test]
fn a_datagram_is_an_answer_for_three_minutes_after_the_last_one_that_came_in() {
    let Arrival::Set(flow) = Flow::datagram_arrived(None, false, 1_000) else { panic!("not kept") };
    assert!(flow.answers_datagram(1_179));
    assert!(!flow.answers_datagram(1_180));
    let Arrival::Set(again) = Flow::datagram_arrived(Some(flow), false, 1_100) else { panic!("old") };
    assert!(again.answers_datagram(1_279));
    assert_eq!(again.seconds_left(1_200), 80);
}

#[test]
fn what_answers_the_workload_opens_nothing() {
    let sent = Flow::begun_here(1_000);
    assert_eq!(Flow::datagram_arrived(Some(sent), false, 1_001), Arrival::Keep);
    let Arrival::Set(later) = Flow::datagram_arrived(Some(sent), false, 1_100) else { panic!("old") };
    assert!(!later.answers_datagram(1_100));
    let Arrival::Set(expected) = Flow::datagram_arrived(None, true, 1_100) else { panic!("not kept") };
    assert!(!expected.answers_datagram(1_100));
}

#[test]
fn a_flow_of_long_ago_is_asked_for_anew() {
    let sent = Flow::begun_here(1_000);
    assert!(sent.goes_on(1_179) && !sent.goes_on(1_180));
    let Arrival::Set(flow) = Flow::datagram_arrived(Some(sent), true, 1_181) else { panic!("not kept") };
    assert!(!flow.answers_datagram(1_181));
    let Arrival::Set(flow) = Flow::datagram_arrived(Some(sent), false, 1_181) else { panic!("not kept") };
    assert!(flow.answers_datagram(1_181));
}

#[test]
fn an_error_is_about_what_the_other_side_has_sent() {
    let came = Flow::begun_by_remote(1_000);
    for (protocol, seconds) in [(Protocol::TCP, TCP_SECONDS), (Protocol::UDP, 180), (Protocol::ICMP, 30)] {
        assert!(came.may_be_quoted(protocol, 999 + seconds), "{protocol:?}");
        assert!(!came.may_be_quoted(protocol, 1_000 + seconds), "{protocol:?}");
        assert!(!Flow::begun_here(1_000).may_be_quoted(protocol, 1_000), "{protocol:?}");
    }
    let reset = arrived(Some(came), RST, 1_001).unwrap();
    assert!(!reset.may_be_quoted(Protocol::TCP, 1_001));
}

#[test]
fn what_was_heard_at_a_socket_has_another_key_and_another_tag() {
    let key = FlowKey::neighbour(Addr::UNSPECIFIED);
    let socket = key.heard(Heard::Socket);
    assert!(key != socket && key.tag() != socket.tag() && key == key.heard(Heard::Interface));
}

#[test]
fn time_goes_on_when_the_counter_begins_again() {
    let flow = Flow::begun_by_remote(0xff_fff0);
    assert!(flow.is_within(180, 0x100_0010));
    assert!(!flow.is_within(30, 0x100_0010));
}
