//! The flags of the policy.

use enforcer_common::mode::Enforcement;
use enforcer_core::policy::{DirectEndpoints, NodePolicy};
use enforcer_core::registry::model::OutboundMode;

use crate::cli::args::PolicyArgs;
use crate::config::PolicyConfig;
use crate::config::resolve::{Faults, Wrong, exempt, names, switch, word};

pub(super) fn policy(args: &PolicyArgs, faults: &mut Faults) -> Option<PolicyConfig> {
    let outbound = faults.take("--outbound-traffic-policy", &args.outbound_traffic_policy, outbound_policy);
    let direct = faults.take("--direct-endpoints", &args.direct_endpoints, direct_endpoints);
    let allow_override = faults.take("--allow-override", &args.allow_override, switch);
    let any_address = faults.take("--permit-any-address", &args.permit_any_address, switch);
    let exempt = faults.take_all("--allow", &args.allow, exempt::range);
    let exporters = faults.take_all("--trusted-exporters", &args.trusted_exporters, names::namespace);
    Some(PolicyConfig {
        outbound_policy: outbound?,
        allow_override: allow_override?,
        exempt,
        permit_any_address: any_address?,
        direct_endpoints: direct?,
        trusted_exporters: (!exporters.is_empty()).then_some(exporters),
    })
}

pub(super) fn enforcement(text: &str) -> Result<Enforcement, Wrong> {
    let known = [Enforcement::Enforce, Enforcement::Audit, Enforcement::Off];
    word(text, &known.map(|mode| (mode.as_str(), mode)))
}

fn outbound_policy(text: &str) -> Result<NodePolicy, Wrong> {
    word(
        text,
        &[
            ("REGISTRY_ONLY", NodePolicy::Fixed(OutboundMode::RegistryOnly)),
            ("ALLOW_ANY", NodePolicy::Fixed(OutboundMode::AllowAny)),
            ("mesh", NodePolicy::Mesh),
        ],
    )
}

fn direct_endpoints(text: &str) -> Result<DirectEndpoints, Wrong> {
    word(
        text,
        &[
            ("none", DirectEndpoints::None),
            ("kubernetes", DirectEndpoints::Kubernetes),
            ("all", DirectEndpoints::All),
        ],
    )
}
