//! Flags that several commands share. Each is defined, described and given its default here, once; values stay
//! text, so that [`crate::config::resolve`] can report every fault at once.
//!
//! Every flag is also an environment variable, except `--registry` of commands that read: the agent's own sources in the
//! environment of its container must not turn a question to the agent into one about its files.

// The comments are the help, which is not Markdown.
#![allow(clippy::doc_markdown)]

pub mod mode;
pub mod run;
mod words;

use clap::{Args, ValueHint};

use crate::config::defaults;
pub(in crate::cli) use words::Words;

/// The forms of `--registry`, wherever they are listed.
pub const SOURCE_FORMS: &str =
    "file:PATH (a file or a directory of Istio and Kubernetes YAML or JSON, or a dump of /debug/registryz)";

/// Where the running agent is asked.
#[derive(Args, Clone, Debug)]
pub struct AdminArgs {
    /// The agent's admin socket
    #[arg(long, env = "ENFORCER_ADMIN", value_name = "PATH", default_value = defaults::ADMIN,
        value_hint = ValueHint::FilePath)]
    pub admin: String,
}

/// Where the agent has pinned what it enforces.
#[derive(Args, Clone, Debug)]
pub struct PinArgs {
    /// The agent's bpffs directory
    #[arg(long, env = "ENFORCER_PIN_DIR", value_name = "DIR", default_value = defaults::PIN_DIR,
        value_hint = ValueHint::DirPath)]
    pub pin_dir: String,
}

/// `--registry` of commands that read.
#[derive(Args, Clone, Debug, Default)]
pub struct OfflineArgs {
    /// Answers from this source instead of asking the agent, without privileges: file:PATH, repeatable
    #[arg(long, value_name = "SOURCE")]
    pub registry: Vec<String>,
}

/// What becomes of recorded flows that cannot be read.
#[derive(Args, Clone, Debug)]
pub struct JunkArgs {
    /// Lines of the file that are no flow are left out; without it they are exit code 2
    #[arg(long)]
    pub skip_junk: bool,
}

/// How a registry is read.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Registry")]
pub struct RegistryArgs {
    /// How hosts of file: sources whose VIP nobody tells get one
    #[arg(long, env = "ENFORCER_VIP_ALLOCATION", value_name = "HOW", default_value = "istio-v2",
        value_parser = Words(&["istio-v2", "istio-legacy", "off"]))]
    pub vip_allocation: String,
    /// Our cluster, whose ClusterIPs count
    #[arg(long, env = "ENFORCER_CLUSTER_ID", value_name = "ID", default_value = defaults::CLUSTER_ID)]
    pub cluster_id: String,
    /// The domain of Kubernetes Services
    #[arg(long, env = "ENFORCER_CLUSTER_DOMAIN", value_name = "DOMAIN", default_value = defaults::CLUSTER_DOMAIN)]
    pub cluster_domain: String,
    /// Istio's root namespace
    #[arg(long, env = "ENFORCER_ROOT_NAMESPACE", value_name = "NS", default_value = defaults::ROOT_NAMESPACE)]
    pub root_namespace: String,
}

/// What decides about destinations, beside the registry.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Policy")]
pub struct PolicyArgs {
    /// The node's policy; other than `mesh` it is final
    #[arg(long, env = "ENFORCER_OUTBOUND_TRAFFIC_POLICY", value_name = "POLICY", default_value = "mesh",
        value_parser = Words(&["REGISTRY_ONLY", "ALLOW_ANY", "mesh"]))]
    pub outbound_traffic_policy: String,
    /// A Sidecar may loosen the mesh's policy, not only tighten it
    #[arg(long, env = "ENFORCER_ALLOW_OVERRIDE", value_name = "true|false", value_parser = words::SWITCH,
        num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false",
        hide_possible_values = true)]
    pub allow_override: String,
    /// Infrastructure that is always reachable: CIDR[:PORT[/PROTO]], as in 10.0.0.1/32:443/tcp, [2001:db8::/32]:53;
    /// repeatable
    #[arg(long, env = "ENFORCER_ALLOW", value_name = "RANGE", value_delimiter = ',')]
    pub allow: Vec<String>,
    /// NONE/TCP services without addresses open their port to any address, as in Istio
    #[arg(long, env = "ENFORCER_PERMIT_ANY_ADDRESS", value_name = "true|false", value_parser = words::SWITCH,
        num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false",
        hide_possible_values = true)]
    pub permit_any_address: String,
    /// Services whose endpoints may be dialled past the VIP
    #[arg(long, env = "ENFORCER_DIRECT_ENDPOINTS", value_name = "WHICH", default_value = "kubernetes",
        value_parser = Words(&["none", "kubernetes", "all"]))]
    pub direct_endpoints: String,
    /// Namespaces whose ServiceEntries may be visible beyond their own; repeatable; none given: all
    #[arg(long, env = "ENFORCER_TRUSTED_EXPORTERS", value_name = "NS", value_delimiter = ',')]
    pub trusted_exporters: Vec<String>,
}

/// The ids of the flags that mean something only where a registry is read, for commands that may ask the agent instead.
pub const OFFLINE_ONLY: &[&str] = &[
    "vip_allocation",
    "cluster_id",
    "cluster_domain",
    "root_namespace",
    "outbound_traffic_policy",
    "allow_override",
    "allow",
    "permit_any_address",
    "direct_endpoints",
    "trusted_exporters",
];
