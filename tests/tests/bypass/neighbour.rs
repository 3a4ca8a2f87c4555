//! At the pod next door, which is no better than an address outside.

use anyhow::Result;

use crate::stage::Control::{self, Like};
use crate::stage::{Case, Stage, builder};

const NEXT: Control = Like("--allow", &["udp 10.244.0.2:9001", "udp [fd00:244::2]:9001"]);
const CRAFTED: Control =
    Like("--allow", &["packet-raw 10.244.0.2:9001", "xdp 10.244.0.2:9001", "packet-raw [fd00:244::2]:9001"]);

const NEIGHBOUR: &[Case] = &[
    (
        "UDP to the next pod",
        "sendmsg",
        "not_registered",
        NEXT,
        &["udp 10.244.0.2:9000", "udp [fd00:244::2]:9000"],
    ),
    (
        "AF_PACKET, AF_XDP to the next pod",
        "interface",
        "not_registered",
        CRAFTED,
        &[
            "packet-raw 10.244.0.2:9000",
            "packet-raw [fd00:244::2]:9000",
            "xdp 10.244.0.2:9000",
            "xdp [fd00:244::2]:9000",
        ],
    ),
    (
        "Forged answers to the next pod",
        "interface",
        "no_flow",
        CRAFTED,
        &["forged-syn-ack 10.244.0.2:9000", "icmp-error 10.244.0.2:9000", "icmp-error [fd00:244::2]:9000"],
    ),
    (
        "The next pod, from a foreign source",
        "interface",
        "spoofed_source",
        CRAFTED,
        &[
            "packet-raw 10.244.0.2:9001 source=192.0.2.10:9000",
            "packet-raw 10.244.0.2:9001 source=10.255.0.1:9000",
            "packet-raw [fd00:244::2]:9001 source=[2001:db8::10]:9000",
        ],
    ),
];

#[test]
fn to_the_neighbour() -> Result<()> {
    let builder =
        builder().flag("--allow", "10.244.0.2/32:9001/udp").flag("--allow", "[fd00:244::2/128]:9001/udp");
    Stage::of(builder)?.all("73 neighbour", NEIGHBOUR)
}
