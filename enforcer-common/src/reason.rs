//! Why a verdict is what it is.

use core::fmt;

macro_rules! reasons {
    ($($(#[doc = $doc:literal])* $name:ident = $code:literal, $text:literal;)*) => {
        /// Why a verdict is what it is. The codes are part of the ABI: append, never renumber.
        #[repr(u8)]
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Reason {
            $($(#[doc = $doc])* $name = $code,)*
        }

        impl Reason {
            /// Every reason, in the order of the codes.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The stable name in JSON, metrics and events.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }

            /// From a code in an event.
            pub const fn from_code(code: u8) -> Option<Self> {
                match code {
                    $($code => Some(Self::$name),)*
                    _ => None,
                }
            }
        }
    };
}

reasons! {
    /// Loopback, and the unspecified addresses that connect turns into loopback.
    Loopback = 0, "loopback";
    /// Within an `--allow` range.
    Exempt = 1, "exempt";
    /// A visible service has this address, protocol and port.
    Registered = 2, "registered";
    /// No rule, and the outbound policy is ALLOW_ANY.
    AllowAny = 3, "allow_any";
    /// No identity, and `--unknown-workload allow`.
    UnknownWorkloadAllowed = 4, "unknown_workload_allowed";
    /// No rule, and the outbound policy is REGISTRY_ONLY.
    NotRegistered = 5, "not_registered";
    /// A visible service has this port, but only a host name could tell whether this address is its own.
    NeedsName = 6, "needs_name";
    /// The service is registered, and none of its endpoints is known or ready.
    NoBackend = 7, "no_backend";
    /// No rule, and the mesh has not told its outbound policy yet.
    PolicyUnknown = 8, "policy_unknown";
    /// No identity for this process, and `--unknown-workload deny`.
    UnknownWorkload = 9, "unknown_workload";
    /// Neither TCP nor UDP: a registry cannot name it.
    Protocol = 10, "protocol";
    /// A map element changed under the reader twice in a row.
    TableFault = 11, "table_fault";
    /// The service has no endpoint of the socket's address family.
    WrongFamily = 12, "wrong_family";
    /// The kernel had no memory to remember the VIP by: the program would get answers from an address that it never asked.
    NoStorage = 13, "no_storage";
    /// The answer to what the other side has begun.
    Inbound = 14, "inbound";
    /// An ICMP error about a packet that the workload has received.
    Related = 15, "related";
    /// What keeps the link itself working: ARP, neighbour discovery, MLD.
    LinkControl = 16, "link_control";
    /// A later fragment of a datagram whose first one was allowed.
    FragmentOfAllowed = 17, "fragment_of_allowed";
    /// The service does not have this endpoint any more, and the flow is older than that: see `--endpoint-grace`.
    Grace = 18, "grace";
    /// The packet cannot be read for certain: too short, or its lengths contradict each other.
    Malformed = 19, "malformed";
    /// The packet says which way to go, so that its destination is not where it goes.
    SourceRoute = 20, "source_route";
    /// A fragment without the first one, or one that could change what was decided.
    Fragment = 21, "fragment";
    /// More IPv6 extension headers than anybody needs.
    ExtensionHeaders = 22, "extension_headers";
    /// Neither IP nor ARP.
    NotIp = 23, "not_ip";
    /// The source address is not the workload's own.
    SpoofedSource = 24, "spoofed_source";
    /// An answer to nothing: nobody has asked, or the flow is over.
    NoFlow = 25, "no_flow";
    /// An ICMP message that no workload needs to send.
    IcmpType = 26, "icmp_type";
    /// The address of a service that stands for its endpoints, and nothing has translated it: the packet did not come through `connect` or `sendto`.
    NotTranslated = 27, "not_translated";
    /// An address that exists on no link: loopback, unspecified, IPv4 within IPv6.
    Martian = 28, "martian";
}

/// What a reason is about: where to look when it is in the way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Subject {
    /// What is asked for, whatever the registry says.
    Destination,
    /// The process that asks.
    Workload,
    /// What is registered, and the outbound policy.
    Registry,
    /// The kernel, which failed.
    Kernel,
    /// The packet or its flow: only the programs on packets give it.
    Packet,
}

impl Reason {
    /// How many there are: the size of the counter map.
    #[allow(clippy::cast_possible_truncation)] // a reason's code is one byte
    pub const COUNT: u32 = Self::ALL.len() as u32;

    /// Whether it is a reason to let pass: each is for one side only. A translated flow passes.
    pub const fn allows(self) -> bool {
        match self {
            Self::Loopback
            | Self::Exempt
            | Self::Registered
            | Self::AllowAny
            | Self::UnknownWorkloadAllowed
            | Self::Inbound
            | Self::Related
            | Self::LinkControl
            | Self::FragmentOfAllowed
            | Self::Grace => true,
            Self::NotRegistered
            | Self::NeedsName
            | Self::NoBackend
            | Self::PolicyUnknown
            | Self::UnknownWorkload
            | Self::Protocol
            | Self::TableFault
            | Self::WrongFamily
            | Self::NoStorage
            | Self::Malformed
            | Self::SourceRoute
            | Self::Fragment
            | Self::ExtensionHeaders
            | Self::NotIp
            | Self::SpoofedSource
            | Self::NoFlow
            | Self::IcmpType
            | Self::NotTranslated
            | Self::Martian => false,
        }
    }

    /// What it is about.
    pub const fn subject(self) -> Subject {
        match self {
            Self::Loopback | Self::Exempt | Self::Protocol => Subject::Destination,
            Self::UnknownWorkload | Self::UnknownWorkloadAllowed => Subject::Workload,
            Self::Registered
            | Self::AllowAny
            | Self::NotRegistered
            | Self::NeedsName
            | Self::NoBackend
            | Self::WrongFamily
            | Self::PolicyUnknown => Subject::Registry,
            Self::TableFault | Self::NoStorage => Subject::Kernel,
            Self::Inbound
            | Self::Related
            | Self::LinkControl
            | Self::FragmentOfAllowed
            | Self::Grace
            | Self::Malformed
            | Self::SourceRoute
            | Self::Fragment
            | Self::ExtensionHeaders
            | Self::NotIp
            | Self::SpoofedSource
            | Self::NoFlow
            | Self::IcmpType
            | Self::NotTranslated
            | Self::Martian => Subject::Packet,
        }
    }

    /// The code in events and counters.
    #[inline(always)]
    pub const fn code(self) -> u8 {
        self as u8
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
