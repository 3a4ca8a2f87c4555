//! One flow, or a few, and what is made of them.

use super::*;

/// What it is about, the flows (who, and where to), and the entries.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [String]);

/// `shop/suggested-NAME NAME.invalid REST`
fn nameless(name: &str, rest: &str) -> String {
    format!("shop/suggested-{name} {name}.invalid {rest}")
}

fn check(cases: &[Case]) {
    for (story, flows, expected) in cases {
        let suggestions = suggested(flows);
        assert_eq!(lines(&suggestions), *expected, "{story}");
        assert_eq!(suggestions.notes, [""; 0], "{story}");
        let mut backwards = flows.to_vec();
        backwards.reverse();
        assert_eq!(suggested(&backwards), suggestions, "{story}: in whatever order they come");
    }
}

#[test]
fn flows_become_as_few_entries_as_stay_exact() {
    check(&[
        (
            "ports of one address in one entry, UDP beside TCP",
            &[
                ("shop/a", "203.0.113.9:443/tcp"),
                ("shop/b", "203.0.113.9:80/tcp"),
                ("shop/b", "203.0.113.9:443/tcp"),
                ("shop/b", "203.0.113.9:123/udp"),
            ],
            &[nameless("ip-203-0-113-9", "203.0.113.9 80/TCP,123/UDP,443/TCP")],
        ),
        (
            "one number by both protocols makes two",
            &[("shop/a", "203.0.113.9:53/tcp"), ("shop/a", "203.0.113.9:53/udp")],
            &[
                nameless("ip-203-0-113-9", "203.0.113.9 53/TCP"),
                nameless("ip-203-0-113-9-53-udp", "203.0.113.9 53/UDP"),
            ],
        ),
        (
            "addresses of one host with the same ports in one entry",
            &[
                ("shop/a", "203.0.113.9:443/tcp x.example.com"),
                ("shop/a", "203.0.113.8:443/tcp x.example.com"),
            ],
            &["shop/suggested-x-example-com x.example.com 203.0.113.8,203.0.113.9 443/TCP".to_owned()],
        ),
        (
            "with other ports in another, which would be wider together",
            &[
                ("shop/a", "203.0.113.9:443/tcp x.example.com"),
                ("shop/a", "203.0.113.8:80/tcp x.example.com"),
            ],
            &[
                "shop/suggested-x-example-com x.example.com 203.0.113.8 80/TCP".to_owned(),
                nameless("ip-203-0-113-9", "203.0.113.9 443/TCP"),
            ],
        ),
    ]);
}

#[test]
fn entries_are_named_after_what_is_known() {
    check(&[
        (
            "a name that is known once is the address's name",
            &[("shop/a", "203.0.113.9:443/tcp"), ("shop/a", "203.0.113.9:80/tcp x.example.com")],
            &["shop/suggested-x-example-com x.example.com 203.0.113.9 80/TCP,443/TCP".to_owned()],
        ),
        (
            "namespaces apart",
            &[("shop/a", "203.0.113.9:443/tcp"), ("test/a", "203.0.113.9:443/tcp")],
            &[
                nameless("ip-203-0-113-9", "203.0.113.9 443/TCP"),
                "test/suggested-ip-203-0-113-9 ip-203-0-113-9.invalid 203.0.113.9 443/TCP".to_owned(),
            ],
        ),
        (
            "IPv6, and IPv4 in its mapped form",
            &[("shop/a", "[2001:db8::1]:443/tcp"), ("shop/a", "[::ffff:203.0.113.9]:443/tcp")],
            &[
                nameless("ip-203-0-113-9", "203.0.113.9 443/TCP"),
                nameless("ip-2001-db8-0-0-0-0-0-1", "2001:db8::1 443/TCP"),
            ],
        ),
        (
            "a name that is none is not used",
            &[("shop/a", "203.0.113.9:443/tcp a_b\n: {}"), ("shop/a", "203.0.113.8:443/tcp *.example.com")],
            &[
                nameless("ip-203-0-113-8", "203.0.113.8 443/TCP"),
                nameless("ip-203-0-113-9", "203.0.113.9 443/TCP"),
            ],
        ),
        (
            "two hosts whose names of objects are one",
            &[
                ("shop/a", "203.0.113.9:443/tcp a-b.example.com"),
                ("shop/a", "203.0.113.8:443/tcp a.b.example.com"),
            ],
            &[
                "shop/suggested-a-b-example-com a-b.example.com 203.0.113.9 443/TCP".to_owned(),
                "shop/suggested-a-b-example-com-2 a.b.example.com 203.0.113.8 443/TCP".to_owned(),
            ],
        ),
    ]);
}

#[test]
fn what_no_entry_mends_becomes_a_note() {
    for (workload, to, expected) in [
        ("-", "203.0.113.9:443/tcp", "--workload"),
        ("Shop/a", "203.0.113.9:443/tcp", "not the name of a namespace"),
        ("shop/a", "203.0.113.9:443/sctp", "nor ICMP echo: Istio cannot register it, and no flag"),
        ("shop/a", "203.0.113.9:0/icmp", "--allow 203.0.113.9/32 would"),
        ("shop/a", "203.0.113.9:443/nonsense", "and no flag lets it pass"),
        ("shop/a", "203.0.113.9:0/tcp", "port 0 cannot be registered"),
        (
            "shop/a",
            "169.254.169.254:80/tcp",
            "credentials, and no service: if workloads of this node need it, --allow 169.254.169.254/32:80/tcp",
        ),
        ("shop/a", "[fd00:ec2::254]:80/tcp", "--allow [fd00:ec2::254/128]:80/tcp"),
        (
            "shop/a",
            "169.254.20.10:53/udp",
            "link-local, another machine on every link, and no service: if workloads of this node need it, --allow 169.254.20.10/32:53/udp",
        ),
        ("shop/a", "224.0.0.251:5353/udp", "--allow 224.0.0.251/32:5353/udp"),
        ("shop/a", "255.255.255.255:67/udp", "--allow 255.255.255.255/32:67/udp"),
        ("shop/a", "[ff02::fb]:5353/udp", "--allow [ff02::fb/128]:5353/udp"),
        ("shop/a", "240.240.9.9:443/tcp", "remembers an old DNS answer"),
        (
            "shop/a",
            "10.96.0.10:5433/tcp",
            "belongs to Service shop/db, which has no port 5433/tcp: add it to spec.ports of Service shop/db",
        ),
        ("shop/a", "10.1.0.5:9090/tcp", "belongs to Service shop/db, which has no port 9090/tcp"),
        (
            "shop/a",
            "198.51.100.9:8443/tcp",
            "only stands for ServiceEntry shop/vip (vip.example.com), which has no port 8443/tcp",
        ),
        (
            "shop/a",
            "198.51.100.8:443/tcp",
            "another entry would not change that; `enforcer registry get empty.example.com`",
        ),
        (
            "shop/a",
            "203.0.113.50:443/tcp",
            "ServiceEntry bank/ledger (ledger.example.com) has this destination, but is exported to bank only, not to shop: add shop to spec.exportTo of ServiceEntry bank/ledger",
        ),
        (
            "shop/a",
            "203.0.113.51:443/tcp ledger.example.com",
            "add shop to spec.exportTo of ServiceEntry bank/ledger",
        ),
        (
            "lab/a",
            "203.0.113.9:443/tcp",
            "Sidecar lab/narrow does not import it; import lab/ip-203-0-113-9.invalid in spec.egress of Sidecar lab/narrow and ask again",
        ),
        ("shop/a", "203.0.113.1:443/tcp", "is allowed by the registry as it is now"),
    ] {
        let suggestions = suggested(&[(workload, to)]);
        assert_eq!(lines(&suggestions), [""; 0], "{to}");
        let [note] = &suggestions.notes[..] else { panic!("{to}: {:?}", suggestions.notes) };
        assert!(note.contains(expected), "{to}: {note}");
    }
}

#[test]
fn where_something_is_better_the_entry_comes_with_a_note() {
    for (to, entry, expected) in [
        // The port of a service that has others.
        (
            "203.0.113.1:8443/tcp api.example.com",
            "shop/suggested-ip-203-0-113-1 ip-203-0-113-1.invalid 203.0.113.1 8443/TCP",
            "ServiceEntry shop/api has the host api.example.com already: adding this port to spec.ports of it is better",
        ),
        // An address that it does not have yet.
        (
            "203.0.113.2:443/tcp api.example.com",
            "shop/suggested-ip-203-0-113-2 ip-203-0-113-2.invalid 203.0.113.2 443/TCP",
            "adding this address to spec.addresses of it is better",
        ),
        (
            "203.0.113.9:8883/tcp",
            "shop/suggested-ip-203-0-113-9 ip-203-0-113-9.invalid 203.0.113.9 8883/TCP",
            "names are known with --proxy or --dns; the suggested entry pins the address",
        ),
    ] {
        let suggestions = suggested(&[("shop/a", to)]);
        assert_eq!(lines(&suggestions), [entry], "{to}");
        assert!(suggestions.notes[0].contains(expected), "{to}: {:?}", suggestions.notes);
    }
}
