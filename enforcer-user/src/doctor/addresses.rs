//! Infrastructure that workloads may need and that no ServiceEntry names, with the `--allow` lines for it. Nobody is asked whether
//! it answers: these are addresses that are the same everywhere, and what this node's own files say.

use std::net::IpAddr;

use crate::doctor::{Area, Check};

const AREA: Area = Area("addresses");

/// What was read.
#[derive(Clone, Debug, Default)]
pub(super) struct Addresses {
    /// `/etc/resolv.conf`.
    pub(super) resolv_conf: Option<String>,
    /// `KUBERNETES_SERVICE_HOST` and `_PORT`.
    pub(super) api_server: Option<(String, String)>,
    /// Of this node's interfaces.
    pub(super) own: Vec<IpAddr>,
    /// `/sys/class/dmi/id/sys_vendor`.
    pub(super) vendor: Option<String>,
}

/// Where the node-local DNS cache listens.
const NODE_LOCAL_DNS: &str = "169.254.20.10";

pub(super) fn checks(addresses: &Addresses) -> Vec<Check> {
    let mut checks = resolvers(addresses);
    checks.extend(node_local_dns(addresses));
    checks.push(api_server(addresses));
    checks.push(AREA.note(
        "metadata",
        "169.254.169.254 and fd00:ec2::254 are denied unless registered or allowed, and should be: they hand out the node's \
         credentials to whoever asks",
        allow(&["169.254.169.254:80/tcp", "[fd00:ec2::254]:80/tcp"], "only if workloads must ask them"),
    ));
    checks.extend(amazon(addresses));
    checks.push(AREA.ok("kubelet probes", "inbound, and always answered: nothing is needed"));
    checks
}

fn allow(ranges: &[&str], when: &str) -> String {
    let flags: Vec<String> = ranges.iter().map(|range| format!("--allow {range}")).collect();
    format!("{when}: {}", flags.join(" "))
}

/// An address with a port, as `--allow` takes it.
fn range(ip: IpAddr, port: &str) -> String {
    match ip {
        IpAddr::V4(ip) => format!("{ip}:{port}"),
        IpAddr::V6(ip) => format!("[{ip}]:{port}"),
    }
}

fn resolvers(addresses: &Addresses) -> Vec<Check> {
    let Some(text) = &addresses.resolv_conf else {
        return vec![AREA.not_looked_at(
            "resolvers",
            "/etc/resolv.conf cannot be read",
            "allow the resolvers that workloads have: --allow IP:53",
        )];
    };
    let resolvers: Vec<IpAddr> = nameservers(text).collect();
    let (own, far): (Vec<IpAddr>, Vec<IpAddr>) = resolvers.into_iter().partition(IpAddr::is_loopback);
    let mut checks = Vec::new();
    if !far.is_empty() {
        let ranges: Vec<String> = far.iter().map(|ip| range(*ip, "53")).collect();
        let ranges: Vec<&str> = ranges.iter().map(String::as_str).collect();
        let found: Vec<String> = far.iter().map(ToString::to_string).collect();
        checks.push(AREA.note(
            "resolvers",
            format!("{} in /etc/resolv.conf", found.join(", ")),
            allow(
                &ranges,
                "for workloads that use the node's own, not the cluster's (which is a registered Service)",
            ),
        ));
    }
    if !own.is_empty() {
        let found: Vec<String> = own.iter().map(ToString::to_string).collect();
        checks.push(AREA.ok(
            "local resolver",
            format!(
                "{}: loopback is always allowed; what it asks itself is not a workload's",
                found.join(", ")
            ),
        ));
    }
    if checks.is_empty() {
        checks.push(AREA.ok("resolvers", "/etc/resolv.conf names none"));
    }
    checks
}

/// resolv.conf(5); an IPv6 address may have a zone behind it.
fn nameservers(text: &str) -> impl Iterator<Item = IpAddr> {
    text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some("nameserver")).then_some(())?;
        words.next()?.split('%').next()?.parse().ok()
    })
}

fn node_local_dns(addresses: &Addresses) -> Option<Check> {
    let ip: IpAddr = NODE_LOCAL_DNS.parse().ok()?;
    let here = addresses.own.contains(&ip);
    here.then(|| {
        AREA.note(
            "node-local DNS",
            format!("{NODE_LOCAL_DNS} is on an interface of this node"),
            allow(&[&range(ip, "53")], "workloads resolve names through it"),
        )
    })
}

fn api_server(addresses: &Addresses) -> Check {
    let Some((host, port)) = &addresses.api_server else {
        return AREA.ok("API server", "not told: KUBERNETES_SERVICE_HOST is not set here");
    };
    let range = host.parse().map(|ip| range(ip, &format!("{port}/tcp")));
    let Ok(range) = range else {
        return AREA.warn(
            "API server",
            format!("{host} is a name"),
            "allow its addresses: --allow IP:443/tcp",
        );
    };
    AREA.note(
        "API server",
        format!("{host}, port {port}"),
        allow(&[&range], "for workloads that ask it, unless a source has the Service default/kubernetes"),
    )
}

/// Only where it is Amazon's, or where nobody says whose it is.
fn amazon(addresses: &Addresses) -> Vec<Check> {
    let amazon = addresses.vendor.as_deref().is_none_or(|vendor| vendor.to_lowercase().contains("amazon"));
    if !amazon {
        return Vec::new();
    }
    vec![
        AREA.note(
            "EKS Pod Identity",
            "169.254.170.23 and fd00:ec2::23 on Amazon EKS: the node's agent hands out the pod's own credentials",
            allow(&["169.254.170.23:80/tcp", "[fd00:ec2::23]:80/tcp"], "where pods have such an identity"),
        ),
        AREA.note(
            "Amazon time",
            "169.254.169.123 on Amazon EC2",
            allow(&["169.254.169.123:123/udp"], "only for pods that set clocks: the host is not enforced"),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Outcome::{Ok as Fine, Warn};
    use crate::doctor::{named, told};

    #[test]
    fn every_resolver_gets_its_line_and_loopback_needs_none() {
        let text = "# nameserver 9.9.9.9\nsearch svc\nnameserver 10.96.0.10\n nameserver 127.0.0.53\n\
                    nameserver fe80::1%eth0\nnameserver\nnameserver what\n";
        let found = checks(&Addresses { resolv_conf: Some(text.to_owned()), ..Addresses::default() });
        let advice = named(&found, "resolvers").advice.clone().unwrap();
        assert!(advice.ends_with("--allow 10.96.0.10:53 --allow [fe80::1]:53"), "{advice}");
        assert!(named(&found, "local resolver").found.starts_with("127.0.0.53"));
        assert_eq!(named(&checks(&Addresses::default()), "resolvers").result, Warn);
        told(&found);
    }

    #[test]
    fn what_is_offered_is_what_the_agent_takes() {
        let found = checks(&Addresses {
            resolv_conf: Some("nameserver 2001:db8::53\n".to_owned()),
            api_server: Some(("10.96.0.1".to_owned(), "443".to_owned())),
            own: vec![NODE_LOCAL_DNS.parse().unwrap()],
            vendor: None,
        });
        assert!(told(&found).iter().all(|(_, result)| *result == Fine), "{found:#?}");
        let mut offered = Vec::new();
        for advice in found.iter().filter_map(|check| check.advice.as_deref()) {
            offered.extend(advice.split("--allow ").skip(1).map(|range| range.trim().to_owned()));
        }
        assert_eq!(offered.len(), 8, "{offered:?}");
        let flags = offered.iter().flat_map(|range| ["--allow", range.as_str()]);
        let run = <crate::cli::args::run::RunArgs as clap::Args>::augment_args(clap::Command::new("run"));
        let matches =
            run.try_get_matches_from(["run", "--registry", "file:/x"].into_iter().chain(flags)).unwrap();
        let given = crate::config::given::Given::read(&matches).unwrap();
        let config = crate::config::resolve::run(&given).unwrap();
        assert_eq!(config.policy.exempt.len(), 8);
    }

    #[test]
    fn amazons_addresses_are_told_where_it_may_be_amazon() {
        for (vendor, expected) in [(None, true), (Some("Amazon EC2"), true), (Some("Google"), false)] {
            let addresses = Addresses { vendor: vendor.map(str::to_owned), ..Addresses::default() };
            let has = told(&checks(&addresses)).iter().any(|(name, _)| name == "EKS Pod Identity");
            assert_eq!(has, expected, "{vendor:?}");
        }
    }
}
