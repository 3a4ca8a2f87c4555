//! Notations as a table.

use super::*;

/// What a text means with its notes, or what is wrong with it.
fn read(text: &str) -> String {
    match Destination::read(text) {
        Ok(Reading { destination, notes }) if notes.is_empty() => destination.to_string(),
        Ok(Reading { destination, notes }) => format!("{destination} ({})", notes.join("; ")),
        Err(error) => format!("error: {}", error.what),
    }
}

#[test]
fn destinations_in_every_notation() {
    for (text, expected) in [
        ("api.example.com:443", "api.example.com:443/tcp"),
        ("API.example.com.:443/TCP", "api.example.com:443/tcp"),
        (" api.example.com:443 ", "api.example.com:443/tcp"),
        ("xn--bcher-kva.example:443", "xn--bcher-kva.example:443/tcp"),
        ("my_service:80", "my_service:80/tcp"),
        ("192.0.2.1:53/udp", "192.0.2.1:53/udp"),
        ("192.0.2.1:53/UDP", "192.0.2.1:53/udp"),
        ("192.0.2.1/icmp", "192.0.2.1/icmp"),
        ("192.0.2.1:9/icmp", "192.0.2.1:9/icmp"),
        ("192.0.2.1:9/sctp", "192.0.2.1:9/sctp"),
        ("[2001:db8::1]:443", "[2001:db8::1]:443/tcp"),
        ("[2001:DB8:0::1]:443/udp", "[2001:db8::1]:443/udp"),
        (
            "[::ffff:192.0.2.1]:80",
            "192.0.2.1:80/tcp (::ffff:192.0.2.1 is judged as 192.0.2.1: to the kernel they are the same)",
        ),
        (
            "[fe80::1%eth0]:80",
            "[fe80::1]:80/tcp (the zone %eth0 does not count: a registry knows addresses, not interfaces)",
        ),
        ("0.0.0.0:80", "0.0.0.0:80/tcp (0.0.0.0 is this host: connect makes it loopback)"),
        ("[::]:80", "[::]:80/tcp (:: is this host: connect makes it loopback)"),
        ("localhost:80", "127.0.0.1:80/tcp (localhost is judged as 127.0.0.1)"),
        (
            "*.example.com:443",
            "*.example.com:443/tcp (*.example.com is judged as a name below it that no service has for itself)",
        ),
    ] {
        assert_eq!(read(text), expected, "{text}");
    }
}

#[test]
fn networks_in_every_notation() {
    for (text, expected) in [
        ("192.0.2.0/24:443", "192.0.2.0/24:443/tcp"),
        ("192.0.2.0/24:443/tcp", "192.0.2.0/24:443/tcp"),
        ("192.0.2.0/24:53/udp", "192.0.2.0/24:53/udp"),
        ("0.0.0.0/0:443", "0.0.0.0/0:443/tcp"),
        (
            "192.0.2.9/24:443",
            "192.0.2.0/24:443/tcp (192.0.2.9/24 has bits beyond its length: all of 192.0.2.0/24 is meant)",
        ),
        ("192.0.2.1/32:443", "192.0.2.1:443/tcp"),
        ("[2001:db8::/32]:443", "[2001:db8::/32]:443/tcp"),
        ("[2001:db8::]/32:443/udp", "[2001:db8::/32]:443/udp"),
        ("2001:db8::/32:443", "[2001:db8::/32]:443/tcp"),
        ("[::ffff:192.0.2.0/120]:443", "192.0.2.0/24:443/tcp"),
        ("192.0.2.0/24", "error: the port is missing"),
        ("192.0.2.0/33:443", "error: the network's length \"33\" is no number from 0 to 32"),
        ("[2001:db8::/129]:443", "error: the network's length \"129\" is no number from 0 to 128"),
        ("example.com/24:443", "error: \"example.com\" before the slash is no address, as a network needs"),
        ("192.0.2.0/24:443/6", "error: the port \"443/6\" is no number from 1 to 65535"),
    ] {
        assert_eq!(read(text), expected, "{text}");
    }
}

#[test]
fn urls_are_taken_for_what_they_are_at() {
    for (text, expected) in [
        ("https://API.example.com/v1?q=1", "api.example.com:443/tcp"),
        ("http://192.0.2.1", "192.0.2.1:80/tcp"),
        ("HTTPS://user:secret@api.example.com:8443/#x", "api.example.com:8443/tcp"),
        ("wss://[2001:db8::1]/chat", "[2001:db8::1]:443/tcp"),
        ("postgres://db.example.com:5432/orders", "db.example.com:5432/tcp"),
        ("udp://192.0.2.1:53", "192.0.2.1:53/udp"),
    ] {
        assert_eq!(read(text), format!("{expected} (of the URL only this counts: {expected})"), "{text}");
    }
    for (text, expected) in [
        ("postgres://db.example.com/orders", "error: the port is missing"),
        ("https:///path", "error: \"\" cannot be a part of a name, and it is no address"),
        ("a b://example.com", "error: \"a b\" is no scheme of a URL"),
    ] {
        assert_eq!(read(text), expected, "{text}");
    }
    let error = Destination::read("https://user:secret@a b").unwrap_err().to_string();
    assert!(!error.contains("secret"), "{error}");
}

#[test]
fn what_is_no_destination_is_told_what_it_lacks() {
    let long_label = format!("{}.com:443", "a".repeat(64));
    let long_name = format!("{}:443", ["abcdefg"; 33].join("."));
    for (text, expected) in [
        ("", "it is empty"),
        ("   ", "it is empty"),
        (":443", "there is nothing before the port"),
        ("192.0.2.1", "the port is missing"),
        ("api.example.com", "the port is missing"),
        ("api.example.com:", "the port is missing"),
        ("api.example.com/udp", "the port is missing"),
        ("[2001:db8::1]", "the port is missing"),
        ("192.0.2.1:0", "the port \"0\" is no number from 1 to 65535"),
        ("192.0.2.1:99999", "the port \"99999\" is no number from 1 to 65535"),
        ("192.0.2.1:+443", "the port \"+443\" is no number from 1 to 65535"),
        ("api.example.com:https", "the port \"https\" is no number from 1 to 65535"),
        ("api.example.com:443/path", "the protocol \"path\" is neither tcp nor udp"),
        ("api.example.com:443/", "nothing follows the slash"),
        ("2001:db8::1:443", "an IPv6 address with a port needs brackets"),
        ("2001:db8::1", "an IPv6 address with a port needs brackets"),
        ("a:b:c", "it has several colons, and is no IPv6 address"),
        ("[2001:db8::1:443", "the bracket is not closed"),
        ("[2001:db8::1]443", "only a port can follow the bracket"),
        ("[192.0.2.1]:443", "no IPv6 address is in the brackets"),
        ("1.2.3:80", "it ends in a number, as only an address can, and is no address"),
        ("010.0.0.1:80", "it ends in a number, as only an address can, and is no address"),
        ("a b:80", "\"a b\" cannot be a part of a name, and it is no address"),
        ("a..b:80", "\"\" cannot be a part of a name, and it is no address"),
        ("api.*.com:80", "\"*\" cannot be a part of a name, and it is no address"),
        ("*:443", "* is every name"),
        ("bücher.example:443", "names of a registry are ASCII"),
        (&long_label, "a part of the name has 64 characters, more than 63"),
        (&long_name, "a name has at most 253 characters, this one 263"),
    ] {
        assert_eq!(read(text), format!("error: {expected}"), "{text}");
    }
    let error = Destination::read(&"x".repeat(100_000)).unwrap_err().to_string();
    assert!(error.contains("it has 100000 bytes") && error.len() < 300, "{error}");
}

#[test]
fn an_error_says_what_to_write() {
    for (text, expected) in [
        ("api.example.com", "write the port behind it: api.example.com:443/tcp"),
        ("192.0.2.1/udp", "write the port behind it: 192.0.2.1:443/udp"),
        ("2001:db8::1:443", "write [2001:db8::1]:443 or [2001:db8::1:443]:PORT"),
        ("bücher.example:443", "xn--"),
        ("x", "x:443/tcp"),
    ] {
        let error = Destination::read(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}
