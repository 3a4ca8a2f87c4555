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
        CONFIG,
    ];
}

/// A byte of the programs' read-only data that the loader writes: 1 where the kernel has `bpf_skc_to_mptcp_sock`.
pub const HAS_MPTCP_HELPER: &str = "HAS_MPTCP_HELPER";

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
];
