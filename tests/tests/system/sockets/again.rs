//! Sockets that are connected more than once.

use anyhow::Result;
use enforcer_tests::node::OUTSIDE;

use super::services;

#[test]
fn a_udp_socket_that_is_connected_elsewhere_shows_where() -> Result<()> {
    let node = services().start()?;
    for (kind, vip, registered) in [
        ("udp4", "240.240.0.1:53", "192.0.2.10:53"),
        ("udp6", "[::ffff:240.240.0.1]:53", "[::ffff:192.0.2.10]:53"),
    ] {
        node.expect(
            "curl",
            &[
                (&format!("keep a {kind}"), "made"),
                ("on a peer", "ENOTCONN"),
                (&format!("on a connect {vip}"), "connected"),
                ("on a peer", "240.240.0.1:53"),
                ("on a say", "reached 198.51.100.1:9000 under the name 240.240.0.1:53"),
                ("on a say", "reached 198.51.100.1:9000 under the name 240.240.0.1:53"),
                ("on a off", "off"),
                ("on a peer", "ENOTCONN"),
                (&format!("on a connect {registered}"), "connected"),
                ("on a peer", "192.0.2.10:53"),
                ("on a say", "reached 192.0.2.10:53"),
                // Without a word in between, too.
                (&format!("on a connect {vip}"), "connected"),
                ("on a say", "reached 198.51.100.1:9000 under the name 240.240.0.1:53"),
                (&format!("on a connect {registered}"), "connected"),
                ("on a say", "reached 192.0.2.10:53"),
                ("on a close", "closed"),
            ],
        );
    }
    node.expect(
        "curl",
        &[
            ("keep b udp6", "made"),
            ("on b connect [2001:2::1]:53", "connected"),
            ("on b say", "reached [2001:db8:1::1]:9000 under the name [2001:2::1]:53"),
            ("on b off", "off"),
            ("on b connect [2001:db8::10]:53", "connected"),
            ("on b say", "reached [2001:db8::10]:53"),
            ("on b off", "off"),
            ("on b connect [::ffff:240.240.0.1]:53", "connected"),
            ("on b say", "reached 198.51.100.1:9000 under the name 240.240.0.1:53"),
        ],
    );
    // From IPv6 to IPv4 without a word in between: the kernel keeps the IPv6 source address, so nothing can come back.
    for (who, ip, port) in [("curl", "240.240.0.1", 53), (OUTSIDE, "198.51.100.1", 9000)] {
        node.expect(
            who,
            &[
                ("keep c udp6", "made"),
                ("on c connect [2001:db8::10]:53", "connected"),
                (&format!("on c connect [::ffff:{ip}]:{port}"), "connected"),
                ("on c say", "silence"),
                ("on c peer", &format!("{ip}:{port}")),
            ],
        );
    }
    Ok(())
}

#[test]
fn a_connection_that_is_denied_leaves_everything_as_it_was() -> Result<()> {
    let node = services().start()?;
    for (kind, prefix) in [("udp4", ""), ("udp6", "[::ffff:")] {
        let to = |ip: &str| if prefix.is_empty() { format!("{ip}:53") } else { format!("{prefix}{ip}]:53") };
        let (vip, open) =
            (format!("on a connect {}", to("240.240.0.1")), format!("on a connect {}", to("192.0.2.10")));
        let closed = format!("on a connect {}", to("192.0.2.11"));
        node.expect(
            "curl",
            &[
                (&format!("keep a {kind}"), "made"),
                (&closed, "EPERM"),
                ("on a peer", "ENOTCONN"),
                (&vip, "connected"),
                (&closed, "EPERM"),
                ("on a peer", "240.240.0.1:53"),
                ("on a say", "reached 198.51.100.1:9000 under the name 240.240.0.1:53"),
                // Neither does a datagram to somebody else.
                (&format!("on a to {}", to("192.0.2.11")), "EPERM"),
                ("on a peer", "240.240.0.1:53"),
                ("on a say", "reached 198.51.100.1:9000 under the name 240.240.0.1:53"),
                ("on a off", "off"),
                (&closed, "EPERM"),
                ("on a peer", "ENOTCONN"),
                (&open, "connected"),
                (&closed, "EPERM"),
                ("on a peer", "192.0.2.10:53"),
                ("on a say", "reached 192.0.2.10:53"),
            ],
        );
    }
    node.expect(
        "curl",
        &[
            ("keep b udp6", "made"),
            ("on b connect [2001:2::1]:53", "connected"),
            ("on b connect [2001:db8::11]:53", "EPERM"),
            ("on b peer", "[2001:2::1]:53"),
            ("on b say", "reached [2001:db8:1::1]:9000 under the name [2001:2::1]:53"),
        ],
    );
    Ok(())
}

#[test]
fn a_tcp_socket_can_be_used_again() -> Result<()> {
    let node = services().start()?;
    node.expect(
        "curl",
        &[
            ("keep a tcp4", "made"),
            ("on a connect 240.240.0.1:80", "connected"),
            ("on a peer", "240.240.0.1:80"),
            ("on a say", "reached 198.51.100.1:8080 under the name 240.240.0.1:80"),
            // What is connected is not connected again, and shows what it showed.
            ("on a connect 192.0.2.11:443", "EISCONN"),
            ("on a peer", "240.240.0.1:80"),
            ("on a off", "off"),
            ("on a peer", "ENOTCONN"),
            ("on a connect 192.0.2.10:443", "connected"),
            ("on a peer", "192.0.2.10:443"),
            ("on a say", "reached 192.0.2.10:443"),
            ("on a off", "off"),
            ("on a connect 192.0.2.11:443", "EPERM"),
            ("on a peer", "ENOTCONN"),
            ("on a connect 240.240.0.1:80", "connected"),
            ("on a say", "reached 198.51.100.1:8080 under the name 240.240.0.1:80"),
            ("on a close", "closed"),
            ("keep b tcp6", "made"),
            ("on b connect [2001:2::1]:80", "connected"),
            ("on b say", "reached [2001:db8:1::1]:8080 under the name [2001:2::1]:80"),
            ("on b off", "off"),
            ("on b connect [2001:db8::10]:443", "connected"),
            ("on b say", "reached [2001:db8::10]:443"),
            ("on b off", "off"),
            ("on b connect [::ffff:240.240.0.1]:80", "connected"),
            ("on b say", "reached 198.51.100.1:8080 under the name 240.240.0.1:80"),
        ],
    );
    Ok(())
}

#[test]
fn a_socket_that_was_connected_to_a_vip_still_hears_others() -> Result<()> {
    let node = services().start()?;
    node.expect(
        "curl",
        &[
            ("keep a udp4", "made"),
            ("on a to 240.240.0.1:53", "reached 198.51.100.1:9000 under the name 240.240.0.1:53"),
            ("on a connect 240.240.0.1:53", "connected"),
            ("on a say", "reached 198.51.100.1:9000 under the name 240.240.0.1:53"),
            ("on a off", "off"),
            ("on a to 192.0.2.10:53", "reached 192.0.2.10:53"),
            ("on a to 240.240.0.1:53", "reached 198.51.100.1:9000 under the name 240.240.0.1:53"),
        ],
    );
    Ok(())
}

/// A socket may ask a VIP and, where that is allowed, the endpoint behind it: each answers as it was asked.
#[test]
fn an_endpoint_that_is_asked_by_its_own_name_answers_under_it() -> Result<()> {
    let node = services().flag("--direct-endpoints", "all").start()?;
    for (kind, vip, endpoint) in [
        ("udp4", "240.240.0.1:53", "198.51.100.1:9000"),
        ("udp6", "[::ffff:240.240.0.1]:53", "[::ffff:198.51.100.1]:9000"),
        ("udp6", "[2001:2::1]:53", "[2001:db8:1::1]:9000"),
    ] {
        let plain = |text: &str| {
            text.replace("[::ffff:240.240.0.1]", "240.240.0.1")
                .replace("[::ffff:198.51.100.1]", "198.51.100.1")
        };
        let direct = format!("reached {}", plain(endpoint));
        let translated = format!("{direct} under the name {}", plain(vip));
        let to_vip = format!("on a to {vip}");
        node.expect(
            "curl",
            &[
                (&format!("keep a {kind}"), "made"),
                (&to_vip, &translated),
                (&format!("on a to {endpoint}"), &direct),
                (&to_vip, &translated),
                (&format!("on a connect {endpoint}"), "connected"),
                ("on a peer", &plain(endpoint)),
                ("on a say", &direct),
                (&format!("on a connect {vip}"), "connected"),
                ("on a say", &translated),
                ("on a off", "off"),
                (&format!("on a to {endpoint}"), &direct),
            ],
        );
    }
    Ok(())
}
