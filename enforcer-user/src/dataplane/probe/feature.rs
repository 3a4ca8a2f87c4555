//! What this kernel can do, found out by asking for it: programs are loaded and dropped, links are asked for to nowhere. Nothing is
//! attached, and nothing is left behind.

use std::os::fd::AsFd as _;

use aya::maps::MapType;
use aya::programs::ProgramType;
use aya::sys::{BpfHelper, is_helper_supported, is_map_supported};

use crate::dataplane::probe::{plain, reads_memory, told};
use crate::dataplane::sys;

/// One thing that a kernel has or has not.
#[derive(Clone, Debug)]
pub struct Feature {
    /// As `doctor` names it.
    pub name: &'static str,
    /// The first kernel that has it.
    pub since: &'static str,
    /// What becomes of it without; `None`: nothing works without.
    pub fallback: Option<&'static str>,
    /// Whether it is there, or why that cannot be told.
    pub supported: Result<bool, String>,
}

/// `enum bpf_prog_type`.
const SCHED_CLS: u32 = 3;
const CGROUP_SKB: u32 = 8;
const CGROUP_SOCK: u32 = 9;
const SOCK_OPS: u32 = 13;
const CGROUP_SOCK_ADDR: u32 = 18;
const CGROUP_SOCKOPT: u32 = 25;

/// `enum bpf_attach_type`.
const INET4_CONNECT: u32 = 10;
const TCX_INGRESS: u32 = 46;

/// Hooks: name, since, program type, attach type, fallback.
type Hook = (&'static str, &'static str, u32, u32, Option<&'static str>);

#[rustfmt::skip]
const HOOKS: &[Hook] = &[
    ("hook connect4", "4.17", CGROUP_SOCK_ADDR, 10, None),
    ("hook connect6", "4.17", CGROUP_SOCK_ADDR, 11, None),
    ("hook sendmsg4", "4.18", CGROUP_SOCK_ADDR, 14, None),
    ("hook sendmsg6", "4.18", CGROUP_SOCK_ADDR, 15, None),
    ("hook recvmsg4", "5.2", CGROUP_SOCK_ADDR, 19, Some("replies of a translated UDP service show the backend's address")),
    ("hook recvmsg6", "5.2", CGROUP_SOCK_ADDR, 20, Some("replies of a translated UDP service show the backend's address")),
    ("hook getpeername4", "5.8", CGROUP_SOCK_ADDR, 29, Some("getpeername() shows the backend, not the VIP")),
    ("hook getpeername6", "5.8", CGROUP_SOCK_ADDR, 30, Some("getpeername() shows the backend, not the VIP")),
    ("hook sock_create", "4.10", CGROUP_SOCK, 2, Some("a socket's cgroup is taken from the task that uses it")),
    ("hook getsockopt", "5.3", CGROUP_SOCKOPT, 21, Some("a proxy cannot ask for the original destination")),
    ("hook sock_ops", "4.13", SOCK_OPS, 3, Some("a proxy cannot ask for the original destination")),
    ("hook cgroup_skb", "4.10", CGROUP_SKB, 1, Some("raw sockets of workloads without a veth are not seen")),
    ("TC classifier", "4.1", SCHED_CLS, 0, Some("raw, packet and VM traffic of pods is not seen")),
];

/// Every feature that this project uses or has a fallback for.
pub fn features() -> Vec<Feature> {
    let hooks = HOOKS.iter().map(|(name, since, prog_type, attach_type, fallback)| Feature {
        name,
        since,
        fallback: *fallback,
        supported: loads(*prog_type, *attach_type),
    });
    hooks.chain(links()).chain(maps()).chain(helpers()).chain([reading()]).collect()
}

/// Whether programs can be attached to interfaces by TCX links, or why that cannot be told.
pub fn has_tcx() -> Result<bool, String> {
    links_to(SCHED_CLS, 0, TCX_INGRESS)
}

fn reading() -> Feature {
    Feature {
        name: "bpf_probe_read_kernel",
        since: "5.5",
        fallback: None,
        supported: reads_memory().map_err(|error| told(&error)),
    }
}

fn links() -> [Feature; 2] {
    [
        Feature {
            name: "cgroup links",
            since: "5.7",
            fallback: None,
            supported: links_to(CGROUP_SOCK_ADDR, INET4_CONNECT, INET4_CONNECT),
        },
        Feature {
            name: "TCX links",
            since: "6.6",
            fallback: Some(
                "TC programs are attached by clsact: by filters that others can put theirs before",
            ),
            supported: has_tcx(),
        },
    ]
}

fn maps() -> [Feature; 3] {
    let map = |name, since, fallback, kind| Feature {
        name,
        since,
        fallback,
        supported: is_map_supported(kind).map_err(|error| told(&error)),
    };
    [
        map("map LPM trie", "4.11", None, MapType::LpmTrie),
        map("map ring buffer", "5.8", None, MapType::RingBuf),
        map("map socket storage", "5.2", Some("every packet is decided anew"), MapType::SkStorage),
    ]
}

fn helpers() -> [Feature; 8] {
    let helper = |name, since, fallback, helper| Feature {
        name,
        since,
        fallback,
        supported: is_helper_supported(ProgramType::CgroupSockAddr, helper).map_err(|error| told(&error)),
    };
    [
        helper(
            "bpf_get_current_ancestor_cgroup_id",
            "5.7",
            None,
            BpfHelper::BPF_FUNC_get_current_ancestor_cgroup_id,
        ),
        helper("bpf_get_socket_cookie", "4.12", None, BpfHelper::BPF_FUNC_get_socket_cookie),
        helper("bpf_ktime_get_ns", "4.1", None, BpfHelper::BPF_FUNC_ktime_get_ns),
        helper(
            "bpf_sk_storage_get",
            "5.8",
            Some("every packet is decided anew"),
            BpfHelper::BPF_FUNC_sk_storage_get,
        ),
        helper(
            "bpf_get_netns_cookie",
            "5.7",
            Some("a process that works inside a pod's network namespace is not known as that pod's"),
            BpfHelper::BPF_FUNC_get_netns_cookie,
        ),
        helper(
            "bpf_set_retval",
            "5.18",
            Some("what is denied fails with EPERM, never with another error"),
            BpfHelper::BPF_FUNC_set_retval,
        ),
        helper(
            "bpf_skc_to_mptcp_sock",
            "5.19",
            Some("a subflow of MPTCP is a TCP connection like any other"),
            BpfHelper::BPF_FUNC_skc_to_mptcp_sock,
        ),
        Feature {
            name: "bpf_get_netns_cookie of packets",
            since: "6.15",
            fallback: Some(
                "a ztunnel below --cgroup that is no workload reaches nothing: leave it out of --cgroup",
            ),
            supported: is_helper_supported(ProgramType::CgroupSkb, BpfHelper::BPF_FUNC_get_netns_cookie)
                .map_err(|error| told(&error)),
        },
    ]
}

fn loads(prog_type: u32, attach_type: u32) -> Result<bool, String> {
    match sys::load_trivial(prog_type, attach_type) {
        Ok(_) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(false),
        Err(error) => Err(plain(&error)),
    }
}

fn links_to(prog_type: u32, program_for: u32, attach_type: u32) -> Result<bool, String> {
    let program = match sys::load_trivial(prog_type, program_for) {
        Ok(program) => program,
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => return Ok(false),
        Err(error) => return Err(plain(&error)),
    };
    sys::knows_link(program.as_fd(), attach_type).map_err(|error| plain(&error))
}
