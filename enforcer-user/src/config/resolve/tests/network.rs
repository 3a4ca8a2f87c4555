//! Interfaces, uplinks, grace, and what a workload says of its place in the network.

use std::time::Duration;

use super::*;
use crate::config::Mesh;

#[test]
fn the_peers_of_workloads_are_looked_at_unless_something_else_is_said() {
    for (flags, auto, patterns) in [
        (&[][..], true, &[][..]),
        (&["--interface=auto"], true, &[]),
        (&["--interface=NONE"], false, &[]),
        (&["--interface=veth*"], false, &["veth*"]),
        (&["--interface=auto,veth*", "--interface=cali?"], true, &["veth*", "cali?"]),
    ] {
        let config = resolve(flags).unwrap();
        let found: Vec<_> = config.interfaces.patterns.iter().map(ToString::to_string).collect();
        assert_eq!(
            (config.interfaces.auto, found),
            (auto, patterns.iter().map(ToString::to_string).collect())
        );
    }
    let config = resolve(&[]).unwrap();
    assert_eq!((config.uplinks, config.terminate_existing), (Vec::new(), false));
    let config = resolve(&["--uplink=eth0,ens*", "--terminate-existing"]).unwrap();
    assert!(config.uplinks[1].matches("ens5") && !config.uplinks[0].matches("eth1"), "{config:?}");
    assert!(config.terminate_existing);
}

#[test]
fn a_grace_is_ten_minutes_none_or_up_to_a_week() {
    let grace = |flags: &[&str]| resolve(flags).unwrap().endpoint_grace;
    assert_eq!(grace(&[]), Duration::from_mins(10));
    for (text, seconds) in [("0", 0), ("0s", 0), ("90s", 90), ("7d", 604_800), ("168h", 604_800)] {
        assert_eq!(grace(&["--endpoint-grace", text]).as_secs(), seconds, "{text}");
    }
}

#[test]
fn a_workload_says_where_it_is() {
    let config = resolve(&[
        "--workload=cgroup=/a,namespace=n,interface=veth1;veth2,address=10.0.0.7;::ffff:10.0.0.8;fe80::1",
        "--workload=cgroup=/b,namespace=n,mesh=sidecar,mesh-proxy=istio/proxy",
        "--workload=cgroup=/c,namespace=n,mesh-proxy=/c//proxy/,mesh=Sidecar",
        "--workload=cgroup=/d,namespace=n,mesh=ambient",
    ])
    .unwrap();
    let [veth, sidecar, absolute, ambient] = &config.workloads[..] else { panic!("{config:?}") };
    assert_eq!(veth.interfaces, ["veth1", "veth2"]);
    let addresses: Vec<_> = veth.addresses.iter().map(ToString::to_string).collect();
    assert_eq!(
        (addresses, &veth.mesh),
        (["10.0.0.7", "10.0.0.8", "fe80::1"].map(str::to_owned).into(), &None)
    );
    assert_eq!(sidecar.mesh, Some(Mesh::Sidecar { proxy: "/b/istio/proxy".into() }));
    assert_eq!(absolute.mesh, Some(Mesh::Sidecar { proxy: "/c/proxy".into() }));
    assert_eq!(ambient.mesh, Some(Mesh::Ambient));
    assert!(ambient.interfaces.is_empty() && ambient.addresses.is_empty());
}

#[test]
fn how_many_flows_each_workload_has() {
    assert_eq!(resolve(&[]).unwrap().limits.flows, 4_096);
    for (text, flows) in [("flows=256", 256), ("FLOWS=1_048_576", 1_048_576)] {
        assert_eq!(resolve(&["--map-entries", text]).unwrap().limits.flows, flows);
    }
}

/// Each flag with the beginning of the one fault it makes.
#[test]
#[rustfmt::skip]
fn faults() {
    for (flag, expected) in [
        ("--interface=", "--interface: no interface given, which might be a mistake; use auto or a pattern; none switches it off"),
        ("--interface=*", "--interface \"*\": the pattern is every interface's, the node's own, too; name what"),
        ("--interface=?*", "--interface \"?*\": the pattern is every interface's"),
        ("--interface=auto,????", "--interface \"????\": the pattern is every interface's"),
        ("--interface=lo", "--interface \"lo\": the pattern is lo's, too, and loopback is always allowed; write one that is not: eth*, not *o"),
        ("--interface=l*", "--interface \"l*\": the pattern is lo's, too"),
        ("--interface=?o", "--interface \"?o\": the pattern is lo's, too"),
        ("--interface=..", "--interface \"..\": not the name of an interface"),
        ("--interface=veth 1", "--interface \"veth 1\": ' ' is in no name of an interface; only * and ? are special"),
        ("--interface=a/b", "--interface \"a/b\": '/' is in no name of an interface"),
        ("--interface=eth[01]", "--interface \"eth[01]\": '[' is in no name of an interface"),
        ("--interface=eth0:1", "--interface \"eth0:1\": ':' is in no name of an interface"),
        ("--interface=veth0123456789ab", "--interface \"veth0123456789ab\": 16 bytes long, and names of interfaces are at most 15"),
        ("--interface=auto,auto", "--interface \"auto\": there twice; keep one"),
        ("--interface=a*,b*,a*", "--interface \"a*\": there twice; keep one"),
        ("--interface=none,auto", "--interface \"none\": none stands beside others; leave it out, or the others"),
        ("--uplink=*", "--uplink \"*\": the pattern is every interface's"),
        ("--uplink=lo", "--uplink \"lo\": the pattern is lo's, too"),
        ("--uplink=eth0,eth0", "--uplink \"eth0\": there twice; keep one"),
        ("--endpoint-grace=", "--endpoint-grace: not a time; write a whole number and one of s, m, h and d"),
        ("--endpoint-grace=10", "--endpoint-grace \"10\": not a time"),
        ("--endpoint-grace=-5m", "--endpoint-grace \"-5m\": not a time"),
        ("--endpoint-grace=8d", "--endpoint-grace \"8d\": longer than 7 days; give at most 7d"),
        ("--endpoint-grace=99999999999999999999d", "--endpoint-grace \"99999999999999999999d\": longer than 7 days"),
        ("--terminate-existing=x", "--terminate-existing \"x\": neither true nor false"),
        ("--map-entries=FLOWS=255", "--map-entries \"FLOWS=255\": \"255\" is no number of entries; use a number from 256 to 1048576"),
        ("--map-entries=flows=1048577", "--map-entries \"flows=1048577\": \"1048577\" is no number of entries; use a number from 256"),
    ] {
        let faults = resolve(&[flag]).unwrap_err();
        assert_eq!(faults.len(), 1, "{flag}: {faults:?}");
        assert!(faults[0].starts_with(expected), "{flag}: {}", faults[0]);
    }
}

/// Fields behind `cgroup=/a,namespace=b`, with the beginning of the one fault they make.
#[test]
#[rustfmt::skip]
fn faults_of_workloads() {
    for (fields, expected) in [
        ("interface=", "interface: empty; give it a value"),
        ("interface=veth*", "interface: \"veth*\" is a pattern; name the interface; --interface takes patterns"),
        ("interface=lo", "interface: \"lo\" is not the host-side interface of a workload; name it, or leave it out"),
        ("interface=auto", "interface: \"auto\" is not the host-side interface of a workload"),
        ("interface=a;", "interface: the name is empty; name an interface"),
        ("interface=a;b c", "interface: ' ' is in no name of an interface"),
        ("interface=a;b;a", "interface: the interface a is there twice; keep one"),
        ("address=10.0.0.0/24", "address: \"10.0.0.0/24\" is not a single address; write single addresses"),
        ("address=10.0.0.1;x", "address: \"x\" is not an address"),
        ("address=0.0.0.0", "address: \"0.0.0.0\" is the unspecified address"),
        ("address=::", "address: \"::\" is the unspecified address"),
        ("address=127.0.0.1", "address: \"127.0.0.1\" is a loopback address, which every workload has"),
        ("address=::1", "address: \"::1\" is a loopback address"),
        ("address=224.0.0.1", "address: \"224.0.0.1\" is a multicast address"),
        ("address=ff02::1", "address: \"ff02::1\" is a multicast address"),
        ("address=255.255.255.255", "address: \"255.255.255.255\" is the broadcast address"),
        ("address=10.0.0.1;::ffff:10.0.0.1", "address: the address 10.0.0.1 is there twice; keep one"),
        ("mesh=envoy", "mesh: not one of the known values; use sidecar or ambient"),
        ("mesh=envoy,mesh-proxy=p", "mesh: not one of the known values"),
        ("mesh=sidecar", "mesh: nobody could tell the sidecar from the application; add mesh-proxy=CGROUP"),
        ("mesh=sidecar,mesh-proxy=", "mesh-proxy: empty; give it a value"),
        ("mesh=ambient,mesh-proxy=p", "mesh-proxy: an ambient workload has no proxy of its own; leave it out"),
        ("mesh-proxy=p", "mesh-proxy: the workload is in no mesh; add mesh=sidecar"),
        ("mesh=sidecar,mesh-proxy=/a", "mesh-proxy: /a is not below the workload's cgroup /a; name the cgroup of"),
        ("mesh=sidecar,mesh-proxy=.", "mesh-proxy: /a is not below the workload's cgroup /a"),
        ("mesh=sidecar,mesh-proxy=/ab/p", "mesh-proxy: /ab/p is not below the workload's cgroup /a"),
        ("mesh=sidecar,mesh-proxy=../b", "mesh-proxy: the path has \"..\" in it"),
    ] {
        let workload = format!("cgroup=/a,namespace=b,{fields}");
        let faults = resolve(&[&format!("--workload={workload}")]).unwrap_err();
        assert_eq!(faults.len(), 1, "{fields}: {faults:?}");
        let expected = format!("--workload {workload:?}: {expected}");
        assert!(faults[0].starts_with(&expected), "{fields}: {}", faults[0]);
    }
}

#[test]
fn nothing_belongs_to_two_workloads() {
    let second = |first: &str, second: &str| {
        let first = format!("--workload=cgroup=/a,namespace=shop,name=cart,{first}");
        resolve(&[&first, &format!("--workload={second}")]).unwrap_err()
    };
    let cart = "shop/cart (/a)'s already; give it to one of them";
    for (one, other, what) in [
        ("interface=v1;v2", "cgroup=/b,namespace=bank,interface=v2", "the interface v2 of bank/b (/b)"),
        (
            "address=10.0.0.1",
            "cgroup=/b,namespace=bank,address=::ffff:10.0.0.1",
            "the address 10.0.0.1 of bank/b (/b)",
        ),
        ("mesh=sidecar,mesh-proxy=p", "cgroup=/a/p,namespace=bank", "the cgroup /a/p of bank/p (/a/p)"),
        (
            "mesh=sidecar,mesh-proxy=in/p",
            "cgroup=/a/in,namespace=bank,mesh=sidecar,mesh-proxy=p",
            "the cgroup /a/in/p of bank/in (/a/in)",
        ),
    ] {
        let fault = format!("--workload {other:?}: {what} is {cart}");
        assert_eq!(second(one, other), [fault]);
    }
    let faults = second("interface=v,address=::2", "cgroup=/b,namespace=b,interface=v,address=::2");
    assert_eq!(faults.len(), 2, "all at once: {faults:?}");
    let faults = resolve(&[
        "--cgroup=/a",
        "--workload=cgroup=/a/a,namespace=b,interface=v",
        "--workload=cgroup=/b,namespace=b,interface=v",
    ]);
    assert_eq!(faults.unwrap_err().len(), 2, "outside of every cgroup, and with another one's interface");
}

/// One interface is a workload's, or the node's, or nobody looks at it.
#[test]
fn flags_that_contradict_each_other() {
    let workload = "--workload=cgroup=/a,namespace=b,interface=eth7";
    let text = "--workload \"cgroup=/a,namespace=b,interface=eth7\": the interface eth7";
    for (flags, expected) in [
        (
            &[workload, "--interface=none"][..],
            format!("{text} would not be looked at: --interface is none; leave"),
        ),
        (
            &[workload, "--uplink=eth?"],
            format!("{text} is one of --uplink eth?, the node's own; name the host-side"),
        ),
        (
            &["--interface=auto,eth*", "--uplink=eth*"],
            "--uplink \"eth*\": the same pattern is an --interface, and one interface cannot be".to_owned(),
        ),
    ] {
        let faults = resolve(flags).unwrap_err();
        assert!(faults.len() == 1 && faults[0].starts_with(&expected), "{flags:?}: {faults:?}");
    }
    for flags in
        [[workload, "--interface=veth*"], [workload, "--interface=auto"], [workload, "--uplink=eth??"]]
    {
        assert!(resolve(&flags).is_ok(), "{flags:?}");
    }
}

/// A wrong cgroup is not also the wrong place of its proxy; a wrong `--interface` is not `none`.
#[test]
fn one_fault_does_not_make_another() {
    let faults = resolve(&["--workload=cgroup=a,namespace=b,mesh=sidecar,mesh-proxy=/a/p"]).unwrap_err();
    assert!(faults.len() == 1 && faults[0].contains("cgroup: the path is not absolute"), "{faults:?}");
    let faults = resolve(&["--interface=*", "--workload=cgroup=/a,namespace=b,interface=v"]).unwrap_err();
    assert!(faults.len() == 1 && faults[0].starts_with("--interface"), "{faults:?}");
}
