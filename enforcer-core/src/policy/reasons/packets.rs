//! The words of what only a packet shows: `docs/packets.md` has the rules.

use enforcer_common::reason::Reason;

use crate::policy::reasons::{Words, allows, denies};

/// What a reason means that only the programs on packets give.
pub(super) const fn words(reason: Reason) -> Words {
    match reason {
        Reason::Inbound => allows(
            "It answers what the other side has begun.",
            "The flow came in before, and an answer is nobody's way out.",
            "Nothing.",
        ),
        Reason::Related => allows(
            "An ICMP error about a packet that came in.",
            "It quotes a packet which the workload has received, and goes back to who sent it.",
            "Nothing.",
        ),
        Reason::LinkControl => allows(
            "It keeps the link itself working.",
            "ARP, neighbour discovery and multicast listener discovery, which no router passes on.",
            "Nothing.",
        ),
        Reason::FragmentOfAllowed => allows(
            "A later fragment of a datagram that was allowed.",
            "Its first fragment, which has the ports, was allowed a moment ago.",
            "Nothing.",
        ),
        Reason::Grace => allows(
            "The endpoint is gone, and the flow is older than that.",
            "The service does not have this endpoint any more, and --endpoint-grace is not over.",
            "Nothing; a new flow goes to an endpoint that is there.",
        ),
        _ => denial(reason),
    }
}

const fn denial(reason: Reason) -> Words {
    match reason {
        Reason::Malformed => denies(
            "The packet cannot be read for certain.",
            "It is too short, or its lengths contradict each other.",
            "Look at what builds this packet: no kernel sends it by itself.",
        ),
        Reason::SourceRoute => denies(
            "The packet says itself which way to go.",
            "With a source route its destination is not where it ends.",
            "Send it without the option or the routing header.",
        ),
        Reason::Fragment => denies(
            "A fragment without the first one, or one that could change it.",
            "The ports are in the first fragment, and that was not allowed before this one came.",
            "Let the path MTU be discovered, so that nothing is cut; or look why the first one was denied.",
        ),
        Reason::ExtensionHeaders => denies(
            "More IPv6 extension headers than are looked through.",
            "Six come before a transport header at most, which is more than anybody needs.",
            "Look at what builds this packet: no kernel sends it by itself.",
        ),
        Reason::NotIp => denies(
            "Neither IP nor ARP.",
            "The frame is of another protocol, which no registry can name.",
            "Nothing allows it.",
        ),
        Reason::SpoofedSource => denies(
            "The source address is not the workload's own.",
            "An answer to it would go to somebody else.",
            "Send from an address of the workload; who forwards for others is no workload.",
        ),
        Reason::NoFlow => denies(
            "An answer to nothing.",
            "Nobody has asked for it, or the flow that it belongs to is over.",
            "Look whether the flow is older than the agent, or was quiet for longer than it is remembered.",
        ),
        Reason::IcmpType => denies(
            "An ICMP message that no workload needs to send.",
            "Echo, errors about packets that came in, and neighbour discovery are what is let through.",
            "Nothing allows it.",
        ),
        Reason::NotTranslated => denies(
            "A VIP, and nothing has translated it.",
            "The address stands for endpoints; the packet came past connect and sendto, which choose one.",
            "Dial it with an ordinary socket, or dial an endpoint.",
        ),
        Reason::Martian => denies(
            "An address that exists on no link.",
            "Loopback, unspecified addresses, and IPv4 within IPv6 never go out of an interface.",
            "Dial the address that is meant.",
        ),
        _ => super::words(reason),
    }
}

/// The same of one packet.
pub(super) fn message(reason: Reason) -> String {
    let told = match reason {
        Reason::Inbound => "the answer to what the other side has begun",
        Reason::Related => "an ICMP error about a packet that the workload has received",
        Reason::LinkControl => "what keeps the link itself working",
        Reason::FragmentOfAllowed => "a later fragment of a datagram whose first one was allowed",
        Reason::Malformed => "the packet cannot be read for certain",
        Reason::SourceRoute => {
            "the packet says which way to go, so that its destination is not where it goes"
        }
        Reason::Fragment => "a fragment without the first one, or one that could change what was decided",
        Reason::ExtensionHeaders => "more IPv6 extension headers than are looked through",
        Reason::NotIp => "neither IP nor ARP",
        Reason::SpoofedSource => "the source address is not the workload's own",
        Reason::NoFlow => "an answer to nothing: nobody has asked, or the flow is over",
        Reason::IcmpType => "an ICMP message that no workload needs to send",
        Reason::Martian => "an address that exists on no link",
        _ => super::words(reason).short,
    };
    told.to_owned()
}
