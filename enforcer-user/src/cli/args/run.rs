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
