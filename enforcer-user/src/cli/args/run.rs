//! The flags of `enforcer run`. Each is also a key of the file that `--config` names, by being here: see
//! [`mod@crate::config::settings`].

// The comments are the help, which is not Markdown.
#![allow(clippy::doc_markdown)]

use clap::{Args, ValueHint};

use crate::cli::args::words::{SWITCH, Words};
use crate::cli::args::{AdminArgs, PolicyArgs, RegistryArgs};
use crate::config::defaults;

/// As typed. Lists from the environment stand one on a line (`--registry`, `--cgroup`, `--workload`) or between commas.
#[derive(Args, Clone, Debug)]
pub struct RunArgs {
    /// A YAML file whose keys are the flags below; flags and environment win over it. It is read once, at the start
    #[arg(long, env = "ENFORCER_CONFIG", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<String>,
    /// Checks flags, environment and file, prints the configuration as YAML and where each value comes from, and ends
    #[arg(long)]
    pub check_config: bool,
    /// The node's switch: deny, only record what would be denied, or look at nothing
    #[arg(long, env = "ENFORCER_ENFORCEMENT", value_name = "MODE", default_value = "audit",
        value_parser = Words(&["enforce", "audit", "off"]), help_heading = ENFORCEMENT)]
    pub enforcement: String,
    /// Enforces below this cgroup; repeatable
    #[arg(long, env = "ENFORCER_CGROUP", value_name = "PATH", value_delimiter = '\n',
        value_hint = ValueHint::DirPath, help_heading = ENFORCEMENT)]
    pub cgroup: Vec<String>,
    /// An identity without Kubernetes: cgroup=PATH,namespace=NS and, behind a comma each, name=N, labels=k=v;k2=v2,
    /// enforcement=MODE, interface=IF;IF2, address=IP;IP2, mesh=sidecar or mesh=ambient, mesh-proxy=CGROUP; repeatable
    #[arg(long, env = "ENFORCER_WORKLOAD", value_delimiter = '\n', value_name = "WORKLOAD",
        help_heading = ENFORCEMENT)]
    pub workload: Vec<String>,
    /// What a process below --cgroup without an identity may do
    #[arg(long, env = "ENFORCER_UNKNOWN_WORKLOAD", value_name = "WHAT", default_value = "deny",
        value_parser = Words(&["deny", "allow"]), help_heading = ENFORCEMENT)]
    pub unknown_workload: String,
    /// Host-side interfaces of workloads whose packets are judged: auto, the peer of each enforced workload; a pattern
    /// with * and ?, whose interfaces without a known workload are an unknown workload's; or none; repeatable
    #[arg(long, env = "ENFORCER_INTERFACE", value_name = "auto|none|PATTERN", value_delimiter = ',',
        default_value = "auto", help_heading = ENFORCEMENT)]
    pub interface: Vec<String>,
    /// The node's own interfaces, by a pattern with * and ?, on whose egress packets of workloads without an interface
    /// are judged; repeatable
    #[arg(long, env = "ENFORCER_UPLINK", value_name = "PATTERN", value_delimiter = ',',
        help_heading = ENFORCEMENT)]
    pub uplink: Vec<String>,
    /// How long an established flow goes on to an endpoint that was removed: 0s, 90s, 15m, 8h, 2d
    #[arg(long, env = "ENFORCER_ENDPOINT_GRACE", value_name = "DURATION",
        default_value = defaults::ENDPOINT_GRACE, help_heading = ENFORCEMENT)]
    pub endpoint_grace: String,
    /// Connections that a new policy forbids are closed
    #[arg(long, env = "ENFORCER_TERMINATE_EXISTING", value_name = "true|false", value_parser = SWITCH,
        num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false",
        hide_possible_values = true, help_heading = ENFORCEMENT)]
    pub terminate_existing: String,
    /// Where the registry comes from: file:PATH, a file or directory that is watched; repeatable
    #[arg(
        long,
        env = "ENFORCER_REGISTRY",
        value_name = "SOURCE",
        value_delimiter = '\n',
        help_heading = "Registry"
    )]
    pub registry: Vec<String>,
    /// Registry.
    #[command(flatten)]
    pub reading: RegistryArgs,
    /// Policy.
    #[command(flatten)]
    pub policy: PolicyArgs,
    /// Node.
    #[command(flatten)]
    pub node: NodeArgs,
    /// The admin socket.
    #[command(flatten)]
    pub admin: AdminArgs,
    /// The HTTP endpoint.
    #[command(flatten)]
    pub metrics: MetricsArgs,
    /// The log.
    #[command(flatten)]
    pub log: LogArgs,
}

/// Where the agent can be watched.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Watching")]
pub struct MetricsArgs {
    /// Where /metrics, /healthz, /readyz and /debug/registryz are answered, without authentication; off: nowhere
    #[arg(long, env = "ENFORCER_METRICS", value_name = "ADDRESS|off", default_value = defaults::METRICS)]
    pub metrics: String,
}

/// What the agent writes to standard error.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Watching")]
pub struct LogArgs {
    /// How log lines look: for people, or one JSON object each
    #[arg(long, env = "ENFORCER_LOG_FORMAT", value_name = "FORMAT", default_value = "text",
        value_parser = Words(&["text", "json"]))]
    pub log_format: String,
    /// Which lines are written: error, warn, info, debug, trace or off, or by part as in
    /// info,enforcer_user::sources=debug
    #[arg(long, env = "ENFORCER_LOG", value_name = "LEVEL", default_value = "info")]
    pub log_level: String,
}

/// The heading of what is enforced where.
const ENFORCEMENT: &str = "Enforcement";

/// What the agent keeps on this node, and how much.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Node")]
pub struct NodeArgs {
    /// The bpffs directory for maps and links
    #[arg(long, env = "ENFORCER_PIN_DIR", value_name = "DIR", default_value = defaults::PIN_DIR,
        value_hint = ValueHint::DirPath)]
    pub pin_dir: String,
    /// How many entries of a map the compiled registry may take, as in EXACT=1000000, and how many flows of each
    /// workload are remembered, as in FLOWS=65536; repeatable
    #[arg(long, env = "ENFORCER_MAP_ENTRIES", value_name = "MAP=N", value_delimiter = ',')]
    pub map_entries: Vec<String>,
    /// Events per second and workload that reach the agent
    #[arg(long, env = "ENFORCER_EVENT_RATE", value_name = "N", default_value_t = defaults::EVENT_RATE.to_string())]
    pub event_rate: String,
}
