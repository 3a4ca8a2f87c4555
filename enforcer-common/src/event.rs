//! What a program tells the agent about one decision.

use crate::addr::{Addr, Port, Protocol};
use crate::id::RuleId;
use crate::key::CgroupId;
use crate::mode::Enforcement;
use crate::reason::Reason;
use crate::verdict::{Action, Verdict};

/// Where a decision was made.
#[repr(u8)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Hook {
    /// `connect` of an IPv4 socket.
    Connect4 = 1,
    /// `connect` of an IPv6 socket.
    Connect6 = 2,
    /// `sendto` and `sendmsg` with an address, IPv4.
    Sendmsg4 = 3,
    /// `sendto` and `sendmsg` with an address, IPv6.
    Sendmsg6 = 4,
    /// `socket` of a protocol that no registry can name; there is no destination yet.
    SockCreate = 5,
    /// A packet that a workload sends, on the host side of its interface.
    Interface = 6,
    /// A packet that a socket of a workload sends.
    Packet = 7,
    /// A packet that leaves the node.
    Uplink = 8,
}

impl Hook {
    /// The stable name in JSON and events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connect4 => "connect4",
            Self::Connect6 => "connect6",
            Self::Sendmsg4 => "sendmsg4",
            Self::Sendmsg6 => "sendmsg6",
            Self::SockCreate => "sock_create",
            Self::Interface => "interface",
            Self::Packet => "packet",
            Self::Uplink => "uplink",
        }
    }

    /// Every hook that decides.
    pub const ALL: &'static [Self] = &[
        Self::Connect4,
        Self::Connect6,
        Self::Sendmsg4,
        Self::Sendmsg6,
        Self::SockCreate,
        Self::Interface,
        Self::Packet,
        Self::Uplink,
    ];

    /// From a code in an event.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Connect4),
            2 => Some(Self::Connect6),
            3 => Some(Self::Sendmsg4),
            4 => Some(Self::Sendmsg6),
            5 => Some(Self::SockCreate),
            6 => Some(Self::Interface),
            7 => Some(Self::Packet),
            8 => Some(Self::Uplink),
            _ => None,
        }
    }
}

/// One decision, 112 bytes in the ring.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct FlowEvent {
    time_ns: u64,
    cgroup: u64,
    cookie: u64,
    source: Addr,
    destination: Addr,
    translated: Addr,
    rule: u32,
    pid: u32,
    command: [u8; 16],
    source_port: Port,
    port: Port,
    translated_port: Port,
    hook: u8,
    protocol: Protocol,
    action: u8,
    reason: u8,
    enforcement: u8,
    pad: [u8; 5],
}

/// Who asked: what a hook reads from the task and the socket.
#[derive(Clone, Copy, Debug)]
pub struct Asker {
    /// Nanoseconds since boot (`bpf_ktime_get_ns`).
    pub time_ns: u64,
    /// The workload's cgroup; the process's own when the workload is unknown.
    pub cgroup: CgroupId,
    /// The socket's cookie.
    pub cookie: u64,
    /// The process (thread group) id, as the initial pid namespace counts.
    pub pid: u32,
    /// `comm` of the thread, NUL-padded.
    pub command: [u8; 16],
}

/// What was asked for.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// The hook that was met.
    pub hook: Hook,
    /// The protocol of the socket.
    pub protocol: Protocol,
    /// The destination before translation.
    pub destination: Addr,
    /// Its port.
    pub port: Port,
    /// The socket's own address, as far as it is chosen: unspecified before a socket is bound.
    pub source: Addr,
    /// The socket's own port, 0 before it is bound.
    pub source_port: Port,
}

impl FlowEvent {
    /// The event of a decision.
    #[inline(always)]
    pub const fn new(who: Asker, asked: Asked, verdict: &Verdict, enforcement: Enforcement) -> Self {
        Self {
            time_ns: who.time_ns,
            cgroup: who.cgroup.get(),
            cookie: who.cookie,
            source: asked.source,
            destination: asked.destination,
            translated: verdict.backend.addr,
            rule: verdict.rule.get(),
            pid: who.pid,
            command: who.command,
            source_port: asked.source_port,
            port: asked.port,
            translated_port: verdict.backend.port,
            hook: asked.hook as u8,
            protocol: asked.protocol,
            action: verdict.action as u8,
            reason: verdict.reason.code(),
            enforcement: enforcement as u8,
            pad: [0; 5],
        }
    }

    /// From the bytes of a ring-buffer record; `None` when they are not as many as this ABI's event has.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != size_of::<Self>() {
            return None;
        }
        // SAFETY: as many bytes as the struct has, which is integers without padding: any bit pattern is valid.
        Some(unsafe { bytes.as_ptr().cast::<Self>().read_unaligned() })
    }

    /// Nanoseconds since boot.
    pub const fn time_ns(&self) -> u64 {
        self.time_ns
    }

    /// The workload's cgroup.
    pub const fn cgroup(&self) -> CgroupId {
        CgroupId::new(self.cgroup)
    }

    /// The socket's cookie.
    pub const fn cookie(&self) -> u64 {
        self.cookie
    }

    /// The socket's own address and port, as far as they were chosen; a packet does not exist yet.
    pub fn source(&self) -> Option<(Addr, Port)> {
        let chosen = !self.source.is_unspecified() || self.source_port != Port::ANY;
        chosen.then_some((self.source, self.source_port))
    }

    /// The destination asked for.
    pub const fn destination(&self) -> (Addr, Port) {
        (self.destination, self.port)
    }

    /// The destination after translation, when there was one.
    pub fn translated(&self) -> Option<(Addr, Port)> {
        (self.action() == Some(Action::Translate)).then_some((self.translated, self.translated_port))
    }

    /// The rule, [`RuleId::NONE`] when none hit.
    pub const fn rule(&self) -> RuleId {
        RuleId::new(self.rule)
    }

    /// The process id.
    pub const fn pid(&self) -> u32 {
        self.pid
    }

    /// The thread's name, up to its first NUL.
    pub fn command(&self) -> &[u8] {
        let end = self.command.iter().position(|byte| *byte == 0).unwrap_or(self.command.len());
        &self.command[..end]
    }

    /// The hook, if its code is known.
    pub const fn hook(&self) -> Option<Hook> {
        Hook::from_code(self.hook)
    }

    /// The protocol.
    pub const fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// What was decided, if its code is known.
    pub const fn action(&self) -> Option<Action> {
        Action::from_code(self.action)
    }

    /// Why, if its code is known.
    pub const fn reason(&self) -> Option<Reason> {
        Reason::from_code(self.reason)
    }

    /// Whether the workload was enforced or audited at that moment.
    pub const fn enforcement(&self) -> Enforcement {
        Enforcement::from_bits(self.enforcement as u32)
    }
}

/// `EVENT_BUDGET`: this second's events of one workload. Programs on several CPUs write it without a lock: near the
/// limit a few events more or less may pass; `suppressed` is exact.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct EventBudget {
    /// Seconds since boot that `sent` belongs to.
    pub second: u64,
    /// Events sent in that second.
    pub sent: u64,
    /// Events not sent since the maps were made: over the rate, or the ring was full.
    pub suppressed: u64,
    /// Seconds since boot that `refusals` belongs to.
    pub refusal_second: u64,
    /// ICMP messages about denied packets sent in that second.
    pub refusals: u64,
}
