//! Checksums that are written after every program has looked, because the node's uplink has no offload: over ports and addresses.

use anyhow::{Context as _, Result, ensure};
use enforcer_tests::frame::{self, protocol};
use enforcer_tests::marker::Marker;
use enforcer_tests::node::OUTSIDE;

use crate::plain;
use crate::stage::Control::{self, Like};
use crate::stage::{Case, Stage};

const OWN: Control = Like("its own", &["checksum-own {ok4}", "checksum-own {ok6}"]);
const GUEST: Control = Like("its own", &["checksum-own {ok4} by=guest", "checksum-own {ok6} by=guest"]);

const CHECKSUMS: &[Case] = &[
    (
        "A checksum over port or address",
        "interface",
        "malformed",
        OWN,
        &[
            "checksum-port 192.0.2.53:9000 allowed=192.0.2.53:53",
            "checksum-port [2001:db8::53]:9000 allowed=[2001:db8::53]:53",
            "checksum-address [2001:db8::bad]:9000 allowed={ok6}",
        ],
    ),
    (
        "A guest's, over port or address",
        "interface",
        "malformed",
        GUEST,
        &[
            "checksum-port 192.0.2.53:9000 allowed=192.0.2.53:53 by=guest",
            "checksum-port [2001:db8::53]:9000 allowed=[2001:db8::53]:53 by=guest",
            "checksum-address [2001:db8::bad]:9000 allowed={ok6} by=guest",
        ],
    ),
    (
        "AF_XDP's, over port or address",
        "interface",
        "malformed",
        Like("its own", &["checksum-own {ok4} by=xdp", "checksum-own {ok6} by=xdp"]),
        &[
            "checksum-port 192.0.2.53:9000 allowed=192.0.2.53:53 by=xdp",
            "checksum-address [2001:db8::bad]:9000 allowed={ok6} by=xdp",
        ],
    ),
    (
        "A checksum where none belongs",
        "interface",
        "malformed",
        OWN,
        &[
            // UDP's own place, counted from elsewhere; and that of TCP.
            "checksum-at {ok4} start=16 offset=10",
            "checksum-at {ok6} start=40 offset=16",
            "checksum-at {ok4} in=tcp start=20 offset=6",
            "checksum-at {ok4} in=icmp start=20 offset=2",
            "checksum-at {ok6} in=icmp start=40 offset=2",
            "checksum-at {ok4} in=fragment start=20 offset=6",
            // The source's port, the IPv4 header, the payload.
            "checksum-at {ok4} start=20 offset=0",
            "checksum-at {ok4} start=6 offset=10",
            "checksum-at {ok4} start=28 offset=6",
        ],
    ),
];

fn stage() -> Result<Stage> {
    let stage = Stage::new()?;
    stage.node.world().uplink_without_offload()?;
    Ok(stage)
}

#[test]
fn a_checksum_is_written_over_what_was_judged() -> Result<()> {
    stage()?.all("74 checksum", CHECKSUMS)
}

const PLAIN: &[Case] = &[(
    "No veth: a checksum over the port",
    "uplink",
    "malformed",
    Like("its own", &["checksum-own {ok4} mac=02:00:00:00:ff:02"]),
    &["checksum-port 192.0.2.53:9000 allowed=192.0.2.53:53 mac=02:00:00:00:ff:02"],
)];

#[test]
fn a_checksum_is_written_over_what_was_judged_at_the_uplink() -> Result<()> {
    let mut stage = plain::stage()?;
    stage.node.world().uplink_without_offload()?;
    stage.all("91 checksum", PLAIN)
}

/// What the kernel writes is right: the tests above are about a device that really leaves it to the kernel.
#[test]
fn its_own_checksum_is_written_and_right() -> Result<()> {
    let stage = stage()?;
    for (to, addresses, header) in [("192.0.2.10:9000", 26..34, 34), ("[2001:db8::10]:9000", 22..54, 54)] {
        let marker = Marker::fresh();
        stage.ask("curl", &format!("try checksum-own {marker} {to}"))?;
        let seen = stage.outside.saw(&marker)?;
        let frame = seen.first().with_context(|| format!("nothing arrives at {to}"))?;
        let datagram = &frame[header..header + 24];
        let pseudo = [&frame[addresses], &[0, protocol::UDP, 0, 24]].concat();
        assert_eq!(frame::checksum(&[&pseudo, datagram].concat()), 0, "{to}");
    }
    Ok(())
}

/// A connection's packets leave the pod longer than any wire takes, with no checksum, and arrive in parts, each with its own.
#[test]
fn connections_are_not_hindered() -> Result<()> {
    const BYTES: usize = 60_000;
    let mut stage = stage()?;
    stage.said(OUTSIDE, "keep server listen 9100")?;
    for (kind, to) in [("tcp4", "192.0.2.10:9100"), ("tcp6", "[2001:db8::10]:9100")] {
        stage.begin()?;
        stage.said("curl", &format!("keep client {kind}"))?;
        assert_eq!(stage.said("curl", &format!("on client connect {to}"))?, "connected");
        stage.said(OUTSIDE, "on server accept other")?;
        stage.said("curl", &format!("on client pour {BYTES}"))?;
        assert_eq!(stage.said(OUTSIDE, &format!("on other drain {BYTES}"))?, format!("{BYTES} bytes"));
        let longest = |frames: Vec<Vec<u8>>| frames.iter().map(Vec::len).max().unwrap_or(0);
        let sent = longest(stage.sent.as_ref().context("a pod's veth pair")?.all()?);
        let arrived = longest(stage.outside.all()?);
        ensure!(sent > 1514 && (1000..=1514).contains(&arrived), "{to}: {sent} bytes, then {arrived}");
    }
    Ok(())
}
