//! Every reason in plain words: the only place where they stand. `explain` says them with names, `docs/reference/reasons.md` in
//! general.

mod packets;

use std::fmt::Write as _;

use enforcer_common::addr::Protocol;
use enforcer_common::id::RuleId;
use enforcer_common::reason::{Reason, Subject};
use enforcer_common::verdict::{Action, Verdict};

use crate::name::Namespace;
use crate::policy::offer::RuleKey;

/// A reason in plain words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Words {
    /// In one short sentence.
    pub short: &'static str,
    /// What it means.
    pub meaning: &'static str,
    /// What to do about it.
    pub remedy: &'static str,
    /// Whether it allows.
    pub allows: bool,
}

const fn allows(short: &'static str, meaning: &'static str, remedy: &'static str) -> Words {
    Words { short, meaning, remedy, allows: true }
}

const fn denies(short: &'static str, meaning: &'static str, remedy: &'static str) -> Words {
    Words { short, meaning, remedy, allows: false }
}

/// What `reason` means and what to do about it.
pub const fn words(reason: Reason) -> Words {
    match (reason.subject(), reason.allows()) {
        (Subject::Packet, _) => packets::words(reason),
        (Subject::Destination | Subject::Workload | Subject::Registry | Subject::Kernel, true) => {
            allowance(reason)
        }
        (Subject::Destination | Subject::Workload | Subject::Registry | Subject::Kernel, false) => {
            denial(reason)
        }
    }
}

/// What one means that allows.
const fn allowance(reason: Reason) -> Words {
    match reason {
        Reason::Loopback => allows(
            "Loopback is always allowed.",
            "127.0.0.0/8, ::1, and the unspecified addresses, which connect makes loopback.",
            "Nothing.",
        ),
        Reason::Exempt => allows(
            "An --allow range holds it.",
            "Infrastructure that is reachable from everywhere, whatever the registry says.",
            "Nothing; to close it, take the --allow line from the agent.",
        ),
        Reason::Registered => allows(
            "It is registered.",
            "A service that the workload sees has this address, protocol and port; for ICMP echo the address is enough.",
            "Nothing.",
        ),
        Reason::AllowAny => allows(
            "Nothing is registered there, and the policy is ALLOW_ANY.",
            "No rule names it. Under REGISTRY_ONLY it would be denied.",
            "Register it before the policy becomes REGISTRY_ONLY.",
        ),
        Reason::UnknownWorkloadAllowed => allows(
            "The process has no identity, and --unknown-workload is allow.",
            "It runs below an enforced cgroup, in none that belongs to a workload.",
            "Give its cgroup an identity with --workload.",
        ),
        _ => words(reason),
    }
}

/// The same of one that denies.
const fn denial(reason: Reason) -> Words {
    match reason {
        Reason::NotRegistered => denies(
            "Nothing that the workload sees is registered there.",
            "No visible service has this address, protocol and port, and the policy is REGISTRY_ONLY.",
            "Apply a ServiceEntry, or make the one that is there visible: exportTo, and the Sidecar's egress hosts.",
        ),
        Reason::NeedsName => denies(
            "Only a host name could tell whether it is registered.",
            "A visible service has this port, but no address that would identify it.",
            "Give the ServiceEntry its addresses, or let names be known with --proxy or --dns.",
        ),
        Reason::NoBackend => denies(
            "The service has no endpoint to go to.",
            "It is registered, but none of its endpoints is known and ready.",
            "Look at its endpoints; names among them have to be addresses, or known with --dns.",
        ),
        Reason::PolicyUnknown => denies(
            "Nobody has told the outbound policy yet.",
            "Nothing is registered there, the policy is the mesh's, and no source has a MeshConfig.",
            "Add the MeshConfig to a source, or set --outbound-traffic-policy.",
        ),
        Reason::UnknownWorkload => denies(
            "The process has no identity, and --unknown-workload is deny.",
            "It runs below an enforced cgroup, in none that belongs to a workload.",
            "Give its cgroup an identity with --workload.",
        ),
        Reason::Protocol => denies(
            "Neither TCP, UDP nor ICMP echo: nothing can allow it.",
            "A registry has TCP and UDP ports, and an address that is registered answers ICMP echo.",
            "Use TCP or UDP; nothing allows other protocols.",
        ),
        Reason::TableFault => denies(
            "The maps changed under the look-up.",
            "An entry was another one's twice in a row, and what cannot be trusted is denied.",
            "Try again. If it stays, start the agent again, which writes the maps anew, and report it as a bug.",
        ),
        Reason::NoStorage => denies(
            "The kernel had no memory to remember the VIP by.",
            "Without it, the program would get answers from an address that it never asked.",
            "Look at net.core.optmem_max and at the memory limit of the workload's cgroup.",
        ),
        Reason::WrongFamily => denies(
            "The service has no endpoint of the socket's address family.",
            "An IPv4 socket cannot be sent to an IPv6 endpoint, nor a datagram of an IPv6 socket to an IPv4 one.",
            "Add an endpoint of that family, or dial an address of the other.",
        ),
        _ => words(reason),
    }
}

/// `docs/reference/reasons.md`.
pub fn reference() -> String {
    let mut text = String::from(
        "# Reasons\n\nWhy a flow was allowed or denied: `reason` in `enforcer explain`, events and metrics. The names are stable.\n\n\
         <!-- Written by `cargo xtask codegen` from `enforcer docs reasons`; edit what that prints instead. -->\n",
    );
    for (heading, allows) in [("Allowed", true), ("Denied", false)] {
        let _ = write!(text, "\n## {heading}\n");
        for reason in Reason::ALL {
            let words = words(*reason);
            if words.allows == allows {
                let _ = write!(
                    text,
                    "\n### `{reason}`\n\n{} {}\n\nWhat to do: {}\n",
                    words.short, words.meaning, words.remedy
                );
            }
        }
    }
    text
}

/// The reason of one verdict over `protocol`, with names: for workloads of `namespace`, by `rule`.
pub(crate) fn message(
    verdict: &Verdict,
    protocol: Protocol,
    namespace: &Namespace,
    rule: Option<&RuleKey>,
) -> String {
    let of = rule.map_or_else(|| "a service".to_owned(), |rule| format!("{} ({})", rule.object, rule.host));
    match verdict.reason {
        Reason::Loopback => "loopback is always allowed".to_owned(),
        Reason::Exempt => format!("within {}", rule.map_or("an --allow range", |rule| &*rule.object.name)),
        Reason::Registered if verdict.action == Action::Translate => {
            format!("a VIP of {of}, translated to one of its endpoints")
        }
        Reason::Registered if verdict.rule == RuleId::NONE => {
            "the address is registered, which is all that an ICMP echo asks for".to_owned()
        }
        Reason::Registered => format!("registered by {of}"),
        Reason::AllowAny => "nothing is registered there, but the outbound policy is ALLOW_ANY".to_owned(),
        Reason::UnknownWorkloadAllowed => {
            "the process has no identity, and --unknown-workload is allow".to_owned()
        }
        Reason::NotRegistered if !protocol.is_registrable() => format!(
            "no service that namespace {namespace} can see has this address, which is all that an ICMP echo asks for"
        ),
        Reason::NotRegistered => {
            format!("no service that namespace {namespace} can see has this address, protocol and port")
        }
        Reason::NeedsName => format!(
            "{of} has this port, but only a host name could tell whether this address is its own; \
             names are known with --proxy or --dns"
        ),
        Reason::NoBackend => format!("{of} is registered, but none of its endpoints is known and ready"),
        Reason::PolicyUnknown => {
            "the policy is the mesh's, and no source has told a MeshConfig yet; set --outbound-traffic-policy or add one"
                .to_owned()
        }
        Reason::UnknownWorkload => "the process has no identity, and --unknown-workload is deny".to_owned(),
        Reason::Protocol => "neither TCP, UDP nor ICMP echo: nothing can allow it".to_owned(),
        Reason::TableFault => "the maps changed under the look-up; try again".to_owned(),
        Reason::NoStorage => "the kernel had no memory to remember the VIP by".to_owned(),
        Reason::WrongFamily => format!("{of} has no endpoint of the address family that the socket can reach"),
        Reason::Grace => format!("{of} had this endpoint when the flow began, and --endpoint-grace is not over"),
        Reason::NotTranslated => {
            format!("a VIP of {of}, and nothing has translated it: the packet came past connect and sendto")
        }
        Reason::Inbound
        | Reason::Related
        | Reason::LinkControl
        | Reason::FragmentOfAllowed
        | Reason::Malformed
        | Reason::SourceRoute
        | Reason::Fragment
        | Reason::ExtensionHeaders
        | Reason::NotIp
        | Reason::SpoofedSource
        | Reason::NoFlow
        | Reason::IcmpType
        | Reason::Martian => packets::message(verdict.reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_says_three_sentences() {
        for reason in Reason::ALL {
            let words = words(*reason);
            for text in [words.short, words.meaning, words.remedy] {
                assert!(text.ends_with('.') && text.len() < 120, "{reason}: {text}");
            }
            assert_eq!(words.allows, reason.allows(), "{reason}");
        }
    }
}
