//! The flags of `enforcer run`.

use clap::Args;

use crate::cli::args::words::Words;
use crate::cli::args::{AdminArgs, PolicyArgs, RegistryArgs};
use crate::config::defaults;

/// As typed. Lists from the environment stand one on a line (`--registry`, `--cgroup`, `--workload`) or between commas.
#[derive(Args, Clone, Debug)]
pub struct RunArgs {
    /// The node's switch: deny, only record what would be denied, or look at nothing
    #[arg(long, env = "ENFORCER_ENFORCEMENT", value_name = "MODE", default_value = "audit",
        value_parser = Words(&["enforce", "audit", "off"]))]
    pub enforcement: String,
    /// Where the registry comes from: file:PATH, a file or directory that is watched; repeatable
    #[arg(long, env = "ENFORCER_REGISTRY", value_name = "SOURCE", value_delimiter = '\n')]
    pub registry: Vec<String>,
    /// Enforces below this cgroup; repeatable
    #[arg(long, env = "ENFORCER_CGROUP", value_name = "PATH", value_delimiter = '\n')]
    pub cgroup: Vec<String>,
    /// An identity without Kubernetes; repeatable
    #[arg(
        long,
        env = "ENFORCER_WORKLOAD",
        value_delimiter = '\n',
        value_name = "cgroup=PATH,namespace=NS[,name=N][,labels=k=v;k2=v2][,enforcement=MODE]"
    )]
    pub workload: Vec<String>,
    /// What a process below --cgroup without an identity may do
    #[arg(long, env = "ENFORCER_UNKNOWN_WORKLOAD", value_name = "WHAT", default_value = "deny",
        value_parser = Words(&["deny", "allow"]))]
    pub unknown_workload: String,
    /// Policy.
    #[command(flatten)]
    pub policy: PolicyArgs,
    /// Registry.
    #[command(flatten)]
    pub reading: RegistryArgs,
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
    #[arg(long, env = "ENFORCER_METRICS", value_name = "ADDRESS:PORT|off", default_value = defaults::METRICS)]
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

/// What the agent keeps on this node, and how much.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Node")]
pub struct NodeArgs {
    /// The bpffs directory for maps and links
    #[arg(long, env = "ENFORCER_PIN_DIR", value_name = "DIR", default_value = defaults::PIN_DIR)]
    pub pin_dir: String,
    /// How many entries of a map the compiled registry may take, as in EXACT=1000000; repeatable
    #[arg(long, env = "ENFORCER_MAP_ENTRIES", value_name = "MAP=N", value_delimiter = ',')]
    pub map_entries: Vec<String>,
    /// Events per second and workload that reach the agent
    #[arg(long, env = "ENFORCER_EVENT_RATE", value_name = "N", default_value_t = defaults::EVENT_RATE.to_string())]
    pub event_rate: String,
}
