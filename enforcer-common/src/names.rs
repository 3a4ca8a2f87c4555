//! The names of maps, programs and pins: one list for both sides.

/// The maps. A name is the symbol in the kernel object, the name `bpftool map` shows, and the file name of the pin.
pub mod map {
    /// Cgroup id → workload.
    pub const WORKLOADS: &str = "WORKLOADS";
    /// (view, address) → class.
    pub const EXACT: &str = "EXACT";
    /// (view, prefix) → class.
    pub const PREFIXES: &str = "PREFIXES";
    /// (class, protocol, port) → rule.
    pub const CLASS_RULES: &str = "CLASS_RULES";
    /// (view, protocol, port) → rule.
    pub const ANY_RULES: &str = "ANY_RULES";
    /// (rule, slot) → backend.
    pub const BACKENDS: &str = "BACKENDS";
    /// Rule → flows.
    pub const RULE_HITS: &str = "RULE_HITS";
    /// Reason → decisions, per CPU.
    pub const REASON_HITS: &str = "REASON_HITS";
    /// Workload → events of this second, and how many were suppressed.
    pub const EVENT_BUDGET: &str = "EVENT_BUDGET";
    /// Flow events.
    pub const EVENTS: &str = "EVENTS";
    /// Socket → what it asked for and where it was connected instead. Dies with the socket.
    pub const PEERS: &str = "PEERS";
    /// Socket → what it asked for and where its datagrams went instead. Dies with the socket.
    pub const REPLIES: &str = "REPLIES";
    /// Socket → what was decided over its flow. Dies with the socket.
    pub const JUDGED: &str = "JUDGED";
    /// Workload → a table of its flows.
    pub const FLOWS: &str = "FLOWS";
    /// Interface index → the workload behind it.
    pub const INTERFACES: &str = "INTERFACES";
    /// Network-namespace cookie → the workload in it.
    pub const NAMESPACES: &str = "NAMESPACES";
    /// (workload, address) → it is its own.
    pub const ADDRESSES: &str = "ADDRESSES";
    /// View → when it was narrowed last. The one map that is read without a look-up: the programs' own memory, which the kernel object
    /// and `bpftool map` call [`super::MEMORY`].
    pub const GENERATIONS: &str = "GENERATIONS";
    /// Look-ups, per CPU: of maps, and of sockets' storages. Counted only where a test asks for it ([`super::COUNTS_LOOKUPS`]).
    pub const LOOKUPS: &str = "LOOKUPS";
    /// Settings.
    pub const CONFIG: &str = "CONFIG";

    /// All of them.
    pub const ALL: &[&str] = &[
        WORKLOADS,
        EXACT,
        PREFIXES,
        CLASS_RULES,
        ANY_RULES,
        BACKENDS,
        RULE_HITS,
        REASON_HITS,
        EVENT_BUDGET,
        EVENTS,
        PEERS,
        REPLIES,
        JUDGED,
        FLOWS,
        INTERFACES,
        NAMESPACES,
        ADDRESSES,
        GENERATIONS,
        LOOKUPS,
        CONFIG,
    ];
}

/// The section of the kernel object that [`map::GENERATIONS`] is; a pin cannot have a dot in its name.
pub const MEMORY: &str = ".bss";

/// A byte of the programs' read-only data that the loader writes: 1 where the kernel has `bpf_skc_to_mptcp_sock`.
pub const HAS_MPTCP_HELPER: &str = "HAS_MPTCP_HELPER";

/// A byte of the programs' read-only data that the loader writes: 1 for programs that count their look-ups. Of all others the
/// verifier takes the counting out.
pub const COUNTS_LOOKUPS: &str = "COUNTS_LOOKUPS";

/// Another: 1 where the kernel tells programs of packets the network namespace of a packet's socket.
pub const TELLS_NAMESPACE: &str = "TELLS_NAMESPACE";

/// The [`crate::kernel::KernelOffsets`] of the running kernel, in the programs' read-only data.
pub const KERNEL: &str = "KERNEL";

/// The inode of the node's network namespace, 32 bits beside that.
pub const NODE_NETWORK: &str = "NODE_NETWORK";

/// Another: 1 where the agent does not look where workloads are in the network.
pub const IGNORES_INTERFACES: &str = "IGNORES_INTERFACES";

/// A cgroup program: its symbol in the kernel object, and the kernel's number of its attach point.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CgroupProgram {
    /// The symbol, the name `bpftool prog` shows, and the file name of the link's pin.
    pub name: &'static str,
    /// `enum bpf_attach_type`.
    pub attach_type: u32,
}

/// The cgroup programs, in the order in which they are attached.
pub const CGROUP_PROGRAMS: &[CgroupProgram] = &[
    CgroupProgram { name: "enforcer_conn4", attach_type: 10 },
    CgroupProgram { name: "enforcer_conn6", attach_type: 11 },
    CgroupProgram { name: "enforcer_send4", attach_type: 14 },
    CgroupProgram { name: "enforcer_send6", attach_type: 15 },
    CgroupProgram { name: "enforcer_recv4", attach_type: 19 },
    CgroupProgram { name: "enforcer_recv6", attach_type: 20 },
    CgroupProgram { name: "enforcer_peer4", attach_type: 29 },
    CgroupProgram { name: "enforcer_peer6", attach_type: 30 },
    CgroupProgram { name: "enforcer_sock", attach_type: 2 },
    CgroupProgram { name: "enforcer_skb_in", attach_type: 0 },
    CgroupProgram { name: "enforcer_skb_out", attach_type: 1 },
];

/// A program that sees packets of an interface.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InterfaceProgram {
    /// As for [`CgroupProgram`].
    pub name: &'static str,
    /// What the interface receives, or what it sends.
    pub direction: Direction,
    /// On which interfaces it belongs.
    pub side: Side,
}

/// Which way packets go, as the interface sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// What it receives.
    Ingress,
    /// What it sends.
    Egress,
}

/// Whose interface it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Side {
    /// The host's side of a workload's.
    Workload,
    /// The node's own, `--uplink`.
    Uplink,
}

/// The programs of interfaces, in the order in which they are attached: what comes in is recorded before anything is judged.
pub const INTERFACE_PROGRAMS: &[InterfaceProgram] = &[
    InterfaceProgram { name: "enforcer_tc_out", direction: Direction::Egress, side: Side::Workload },
    InterfaceProgram { name: "enforcer_tc_in", direction: Direction::Ingress, side: Side::Workload },
    InterfaceProgram { name: "enforcer_uplink", direction: Direction::Egress, side: Side::Uplink },
];
