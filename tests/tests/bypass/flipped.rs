//! Time of check, time of use: packets whose headers lie in memory that the sender flips, between what is registered and what is
//! not, while a program looks at them. One that is judged as the first must stay that for good: a card may read it much later.

use anyhow::Result;

use crate::plain;
use crate::stage::Control::{self, Like};
use crate::stage::{Case, Stage};

/// By the ring of a packet socket. A veth pair copies what lies there, before any program looks; an uplink does not.
const RING: Control =
    Like("unflipped", &["flip-tx-ring {ok4} allowed={ok4}", "flip-tx-ring {ok6} allowed={ok6}"]);
const SPLICED: Control =
    Like("unflipped", &["flip-spliced {ok4} allowed={ok4}", "flip-spliced {ok6} allowed={ok6}"]);

/// Addresses are flipped, and ports, which are in another header. No two go to the same address: one that got through and was
/// answered would be a peer.
const PODS: &[Case] = &[
    (
        "TX_RING, flipped while it is read",
        "interface",
        "not_registered",
        RING,
        &[
            "flip-tx-ring {4} allowed={ok4}",
            "flip-tx-ring [2001:db8:8::10]:9000 allowed={ok6}",
            "flip-tx-ring 192.0.2.10:9001 allowed={ok4}",
        ],
    ),
    (
        "Spliced pages, flipped, by VXLAN",
        "interface",
        "not_registered",
        SPLICED,
        &[
            "flip-spliced {4} allowed={ok4}",
            "flip-spliced [2001:db8:9::10]:9000 allowed={ok6}",
            "flip-spliced 192.0.2.10:9002 allowed={ok4}",
        ],
    ),
];

#[test]
fn packets_are_flipped_behind_the_look() -> Result<()> {
    Stage::new()?.all("74 flipped", PODS)
}

const PLAIN: &[Case] = &[(
    "No veth: TX_RING, flipped",
    "uplink",
    "not_registered",
    Like("unflipped", &["flip-tx-ring {ok4} allowed={ok4} mac=02:00:00:00:ff:02"]),
    &[
        "flip-tx-ring {4} allowed={ok4} mac=02:00:00:00:ff:02",
        "flip-tx-ring [2001:db8:8::10]:9000 allowed={ok6} mac=02:00:00:00:ff:02",
        "flip-tx-ring 192.0.2.10:9001 allowed={ok4} mac=02:00:00:00:ff:02",
    ],
)];

#[test]
fn packets_are_flipped_behind_the_look_at_the_uplink() -> Result<()> {
    plain::stage()?.all("91 flipped", PLAIN)
}
