//! Filters as tables.

use super::*;
use crate::flow::tests::flow;

/// `kind=value ...` as it would be typed.
fn typed(line: &str) -> FilterText {
    let mut text = FilterText::default();
    for (kind, value) in line.split_whitespace().filter_map(|pair| pair.split_once('=')) {
        let list = match kind {
            "verdict" => &mut text.verdicts,
            "namespace" => &mut text.namespaces,
            "workload" => &mut text.workloads,
            "reason" => &mut text.reasons,
            "to" => &mut text.to,
            "protocol" => &mut text.protocols,
            _ => panic!("{kind}"),
        };
        list.push(value.to_owned());
    }
    text
}

#[test]
fn what_passes() {
    // deny by needs_name of shop/cart to api.example.com, 192.0.2.1:443/tcp; elsewhere translated to 10.0.0.7:8443.
    let denied = flow();
    let translated = Flow {
        verdict: "translate".to_owned(),
        reason: "registered".to_owned(),
        translated: Some("10.0.0.7:8443".parse().unwrap()),
        ..flow()
    };
    let nobody = Flow { workload: None, destination: destination(None, "2001:db8::1", 53), ..flow() };
    for (line, expected) in [
        ("", [true, true, true]),
        ("verdict=denied", [true, false, true]),
        ("verdict=deny", [true, false, true]),
        ("verdict=translated verdict=denied", [true, true, true]),
        ("verdict=denied verdict=all", [true, true, true]),
        ("verdict=allowed", [false, false, false]),
        ("namespace=shop", [true, true, false]),
        ("namespace=bank", [false, false, false]),
        ("namespace=bank namespace=shop", [true, true, false]),
        ("workload=shop/cart", [true, true, false]),
        ("workload=cart", [true, true, false]),
        ("workload=bank/cart", [false, false, false]),
        ("reason=registered", [false, true, false]),
        ("protocol=TCP", [true, true, true]),
        ("protocol=6", [true, true, true]),
        ("protocol=udp", [false, false, false]),
        ("to=192.0.2.1", [true, true, false]),
        ("to=192.0.2.1:443", [true, true, false]),
        ("to=192.0.2.1:443/tcp", [true, true, false]),
        ("to=192.0.2.1:443/udp", [false, false, false]),
        ("to=192.0.2.1:80", [false, false, false]),
        ("to=192.0.2.0/24", [true, true, false]),
        ("to=192.0.2.77/24:443", [true, true, false]),
        ("to=10.0.0.0/8", [false, true, false]),
        ("to=10.0.0.7:8443", [false, true, false]),
        ("to=10.0.0.7:443", [false, false, false]),
        ("to=:53", [false, false, true]),
        ("to=2001:db8::/32", [false, false, true]),
        ("to=2001:db8::1", [false, false, true]),
        ("to=[2001:db8::/32]:53", [false, false, true]),
        ("to=[2001:db8::1]", [false, false, true]),
        ("to=[2001:db8::2]:53", [false, false, false]),
        ("to=API.example.com", [true, true, false]),
        ("to=api.example.com:443", [true, true, false]),
        ("to=api.example.com:80", [false, false, false]),
        ("to=*.example.com", [true, true, false]),
        ("to=*.example.org", [false, false, false]),
        ("to=*.example.org to=:53", [false, false, true]),
        ("namespace=shop verdict=denied to=192.0.2.1", [true, false, false]),
    ] {
        let filter = typed(line).parse().unwrap_or_else(|error| panic!("{line}: {error}"));
        let passes = [&denied, &translated, &nobody].map(|flow| filter.matches(flow));
        assert_eq!(passes, expected, "{line}");
    }
}

fn destination(host: Option<&str>, ip: &str, port: u16) -> crate::flow::FlowDestination {
    crate::flow::FlowDestination { host: host.map(str::to_owned), ip: ip.parse().unwrap(), port }
}

#[test]
fn time_counts_when_it_is_given() {
    for (since, expected) in [("2025-03-01T12:00:00.5Z", true), ("2025-03-01T12:00:01Z", false)] {
        let filter = Filter { since: Some(since.parse().unwrap()), ..Filter::default() };
        assert_eq!(filter.matches(&flow()), expected, "{since}");
    }
}

#[test]
fn every_fault_is_told() {
    for (line, expected) in [
        ("verdict=no", "no verdict is called \"no\""),
        ("reason=no", "no reason is called \"no\"; there are: loopback, exempt,"),
        ("protocol=tpc", "no protocol is called \"tpc\""),
        ("workload=a/b/c", "\"a/b/c\" is no workload"),
        ("workload=/b", "\"/b\" is no workload"),
        ("to=1.2.3", "it is neither a name nor an address"),
        ("to=:", "the port is no number"),
        ("to=192.0.2.1:0", "the port is no number"),
        ("to=192.0.2.0/33", "it is neither a name nor an address"),
        ("to=[2001:db8::1:53", "the bracket is not closed"),
        ("to=2001:db8::1:53:99999", "the port is no number"),
        ("to=[192.0.2]:1", "no IPv6 address or CIDR in brackets"),
    ] {
        let error = typed(line).parse().unwrap_err().to_string();
        assert!(error.contains(expected), "{line}: {error}");
    }
    let error = typed("verdict=no reason=no").parse().unwrap_err().to_string();
    assert_eq!(error.lines().count(), 2, "{error}");
}

#[test]
fn allowed_flows_are_wanted_only_where_one_can_pass() {
    for (line, expected) in [
        ("", true),
        ("namespace=shop", true),
        ("verdict=denied", false),
        ("verdict=denied verdict=translated", true),
        ("verdict=all", true),
        ("reason=not_registered", false),
        ("reason=not_registered reason=registered", true),
    ] {
        assert_eq!(typed(line).parse().unwrap().wants_allowed(), expected, "{line}");
    }
}
