//! The import rules as tables, and how a file is held against them.

use super::Violation;
use super::paths;
use crate::source;
use crate::tree::SourceFile;

/// What a crate may depend on.
pub(super) struct CrateRule {
    pub(super) dir: &'static str,
    /// Our own crates it may use.
    pub(super) ours: &'static [&'static str],
    /// Other crates it may use (`name*` is a prefix); `None`: any.
    pub(super) others: Option<&'static [&'static str]>,
    /// Other crates it may never use.
    pub(super) never: &'static [&'static str],
    /// What must be optional.
    pub(super) optional: &'static [&'static str],
    pub(super) why: &'static str,
}

/// common ← ebpf; common ← core ← user ← tests; xtask depends on none of them.
#[rustfmt::skip]
pub(super) const CRATE_RULES: &[CrateRule] = &[
    CrateRule { dir: "enforcer-common", ours: &[], others: Some(&["aya"]), never: &[], optional: &["aya"],
        why: "it is linked into the kernel programs: no_std, and no dependency but aya::Pod for the agent" },
    CrateRule { dir: "enforcer-ebpf", ours: &["enforcer-common"], others: Some(&["aya-*"]), never: &[], optional: &[],
        why: "the kernel programs see only the shared bytes and the verdict" },
    CrateRule { dir: "enforcer-core", ours: &["enforcer-common"], others: None, optional: &[],
        never: &["aya*", "hickory-*", "hyper*", "kube*", "nix", "notify", "tokio*", "tonic*"],
        why: "core is pure logic: it must run in a test without privileges, files or a clock" },
    CrateRule { dir: "enforcer-user", ours: &["enforcer-common", "enforcer-core"],
        others: None, never: &[], optional: &[],
        why: "the agent stands above core and below the tests" },
    CrateRule { dir: "tests", ours: &["enforcer-common", "enforcer-core", "enforcer-user"],
        others: None, never: &[], optional: &[],
        why: "nothing needs the project's own tool at run time" },
    CrateRule { dir: "xtask", ours: &[], others: None, never: &[], optional: &[],
        why: "xtask must build in seconds, also when the agent does not" },
];

/// Paths that some files may not name.
struct PathRule {
    /// Files (beginnings of their path) it is about.
    within: &'static [&'static str],
    except: &'static [&'static str],
    /// Beginnings of paths; `*::a::b` stands for a path with `a::b` anywhere in it.
    paths: &'static [&'static str],
    /// Whether it holds below `#[cfg(test)]` too.
    in_tests: bool,
    why: &'static str,
}

/// What speaks netlink.
const NETLINK: &[&str] = &[
    "enforcer-user/src/dataplane/interface/clsact.rs",
    "enforcer-user/src/dataplane/interface/presence.rs",
    "enforcer-user/src/links",
    "enforcer-user/src/netlink.rs",
    "enforcer-user/src/sockets",
];

#[rustfmt::skip]
const PATH_RULES: &[PathRule] = &[
    PathRule { within: &["enforcer-common/src/"], except: &[], in_tests: false, paths: &["std"],
        why: "the kernel programs are no_std" },
    PathRule { within: &["enforcer-core/src/"], except: &[], in_tests: true,
        paths: &["aya", "hickory_proto", "hickory_resolver", "hyper", "kube", "tokio", "tonic"],
        why: "core is pure logic: protocols and the kernel belong to enforcer-user" },
    PathRule { within: &["enforcer-core/src/"], except: &["enforcer-core/src/fixture"], in_tests: false,
        paths: &["std::fs", "std::env", "std::process", "std::thread",
            "std::net::TcpStream", "std::net::TcpListener", "std::net::UdpSocket", "std::os::unix::net",
            "*::Instant::now", "*::SystemTime::now", "*::Timestamp::now", "*::Zoned::now"],
        why: "core has no IO and no clock: the caller hands in bytes and the time" },
    PathRule { within: &["enforcer-user/src/"], except: &["enforcer-user/src/dataplane"], in_tests: true,
        paths: &["aya", "aya_log"],
        why: "only the dataplane speaks to the kernel" },
    PathRule { within: &["enforcer-user/src/"], in_tests: true,
        except: &["enforcer-user/src/sources/kube", "enforcer-user/src/identity"],
        paths: &["kube", "kube_runtime", "k8s_openapi"],
        why: "Kubernetes is one source among others (and tells pod identities); nothing else depends on it" },
    PathRule { within: &["enforcer-user/src/"], in_tests: true, paths: &["crate::proto"],
        except: &["enforcer-user/src/admin", "enforcer-user/src/cli", "enforcer-user/src/proto"],
        why: "generated types stay where the wire is; the rest speaks core's words" },
    PathRule { within: &["enforcer-user/src/"], in_tests: true, paths: &["hyper"], except: &["enforcer-user/src/http"],
        why: "one part serves HTTP; the others give it text and plain values" },
    PathRule { within: &["enforcer-user/src/"], in_tests: true, paths: &["prometheus_client"],
        except: &["enforcer-user/src/metrics"],
        why: "one table has every instrument; the others count, and are read when somebody asks" },
    PathRule { within: &["enforcer-user/src/"], in_tests: true,
        except: NETLINK,
        paths: &["netlink_packet_core", "netlink_packet_route", "netlink_packet_sock_diag", "netlink_sys"],
        why: "links and sockets ask over netlink, and filters are attached by it; the others get plain values" },
    PathRule { within: &["enforcer-user/src/"], in_tests: true, paths: &["crate::netlink"],
        except: NETLINK,
        why: "links and sockets ask over netlink, and filters are attached by it; the others get plain values" },
    PathRule { within: &["enforcer-user/src/dataplane"], except: &[], in_tests: true, paths: &["tonic", "kube"],
        why: "the dataplane knows the kernel and nobody's protocol" },
    PathRule { within: &["enforcer-user/src/"], in_tests: true, paths: &["crate::app"],
        except: &["enforcer-user/src/app", "enforcer-user/src/main.rs", "enforcer-user/src/lib.rs",
            "enforcer-user/src/cli"],
        why: "app wires the parts; a part that knows app knows everything" },
];

/// Modules that do not import each other.
struct Peers {
    modules: &'static [&'static str],
    /// (importer, path, reason) that may be all the same.
    contracts: &'static [(&'static str, &'static str, &'static str)],
    why: &'static str,
}

#[rustfmt::skip]
const PEERS: &[Peers] = &[
    Peers {
        modules: &["crate::admin", "crate::census", "crate::controller", "crate::dataplane", "crate::dns",
            "crate::flows", "crate::http", "crate::identity", "crate::links", "crate::metrics", "crate::network",
            "crate::proxy_xds", "crate::sockets", "crate::sources", "crate::xds"],
        contracts: &[
            ("crate::controller", "crate::dataplane::Dataplane", "the trait it drives"),
            ("crate::controller", "crate::dataplane::InboundFlow", "plain values of that trait"),
            ("crate::controller", "crate::dataplane::Layout", "plain values of that trait"),
            ("crate::controller", "crate::dataplane::Misplaced", "plain values of that trait"),
            ("crate::controller", "crate::dataplane::NodeSettings", "plain values of that trait"),
            ("crate::controller", "crate::dataplane::Placed", "plain values of that trait"),
            ("crate::controller", "crate::dataplane::Trouble", "plain values of that trait"),
            ("crate::controller", "crate::dataplane::Whose", "plain values of that trait"),
            ("crate::controller", "crate::dataplane::fake", "what its tests run on"),
            ("crate::controller", "crate::identity::Cgroup", "plain values: a message to it"),
            ("crate::controller", "crate::identity::Identified", "plain values: a message to it"),
            ("crate::controller", "crate::identity::Roster", "plain values: a message to it"),
            ("crate::controller", "crate::network", "plain values: a message to it"),
            ("crate::controller", "crate::sources::Snapshot", "plain values: a message to it"),
            ("crate::network", "crate::identity", "plain values: whose interfaces it looks for"),
            ("crate::network", "crate::links", "what it makes sense of"),
            ("crate::admin", "crate::controller::Question", "the message it sends"),
            ("crate::census", "crate::links", "a workload's network namespace, whose sockets it asks for"),
            ("crate::census", "crate::sockets", "what it lists and closes"),
            ("crate::dataplane", "crate::links::stage", "what its tests run on"),
            ("crate::metrics", "crate::controller::Applied", "plain values: what it shows"),
            ("crate::sockets", "crate::links::inside", "what its tests look into namespaces with"),
            ("crate::sockets", "crate::links::stage", "what its tests run on"),
            ("crate::sources", "crate::xds", "the client that sources speak xDS with"),
        ],
        why: "the parts do not import each other; app wires them (channels, traits, plain values)" },
    Peers {
        modules: &["crate::sources::files", "crate::sources::istio", "crate::sources::kube",
            "crate::sources::registryz"],
        contracts: &[],
        why: "a source must be removable without touching another" },
];

/// Files of the kernel programs that may hold `unsafe`, and what main.rs cannot do without.
const UNSAFE_FILES: &[&str] = &[
    "enforcer-ebpf/src/ctx.rs",
    "enforcer-ebpf/src/maps.rs",
    "enforcer-ebpf/src/ctx/",
    "enforcer-ebpf/src/maps/",
];
const UNSAFE_IN_MAIN: &[&str] = &["#[unsafe(link_section", "#[unsafe(no_mangle", "unreachable_unchecked"];

/// Paths that the file may not name.
pub(super) fn check_paths(file: &SourceFile) -> Vec<Violation> {
    let starts = |list: &[&str]| list.iter().any(|start| file.path.starts_with(start));
    let rules: Vec<_> =
        PATH_RULES.iter().filter(|rule| starts(rule.within) && !starts(rule.except)).collect();
    let mut found = Vec::new();
    for path in paths_of(file) {
        for rule in rules.iter().filter(|rule| rule.in_tests || !path.in_test) {
            for pattern in rule.paths.iter().filter(|pattern| matches(&path, pattern)) {
                found.push(violation(file, path.line, format!("`{pattern}` may not be used here"), rule.why));
            }
        }
    }
    found
}

/// Parts of the agent that the file's own part may not know.
pub(super) fn check_peers(file: &SourceFile) -> Vec<Violation> {
    let Some(own) = module_of(file).filter(|_| file.path.starts_with("enforcer-user/src/")) else {
        return Vec::new();
    };
    let own = std::iter::once("crate".to_owned()).chain(own).collect::<Vec<_>>();
    let mut found = Vec::new();
    for peers in PEERS {
        let Some(importer) = peers.modules.iter().find(|module| begins(&own, module)) else { continue };
        for path in paths_of(file) {
            let contract =
                |(from, to, _): &&(&str, &str, &str)| from == importer && begins(&path.segments, to);
            let other =
                peers.modules.iter().find(|module| *module != importer && begins(&path.segments, module));
            if let Some(other) = other.filter(|_| !peers.contracts.iter().any(|c| contract(&c))) {
                found.push(violation(
                    file,
                    path.line,
                    format!("`{importer}` may not import `{other}`"),
                    peers.why,
                ));
            }
        }
    }
    found
}

/// `unsafe` in the kernel programs outside its two files.
pub(super) fn check_unsafe(file: &SourceFile) -> Vec<Violation> {
    let kept = UNSAFE_FILES.iter().any(|start| file.path.starts_with(start));
    if kept || !file.path.starts_with("enforcer-ebpf/src/") {
        return Vec::new();
    }
    let lines: Vec<&str> = file.text.lines().collect();
    let excepted = |line: usize| {
        file.path.ends_with("src/main.rs")
            && UNSAFE_IN_MAIN.iter().any(|known| lines[line - 1].contains(known))
    };
    source::tokens(&file.text)
        .iter()
        .filter(|token| token.text == "unsafe" && !excepted(token.line))
        .map(|token| {
            let why =
                "unsafe is reviewed in two files, ctx.rs and maps.rs; give them a safe function for this";
            violation(file, token.line, "`unsafe` may not be used here".to_owned(), why)
        })
        .collect()
}

fn violation(file: &SourceFile, line: usize, rule: String, why: &'static str) -> Violation {
    Violation { path: file.path.clone(), line, rule, why }
}

fn paths_of(file: &SourceFile) -> Vec<paths::PathUse> {
    let Some(module) = module_of(file) else { return Vec::new() };
    let mut found = paths::scan(&file.text, &module);
    let test_file = module.iter().any(|part| part == "tests");
    for path in &mut found {
        path.in_test |= test_file;
        // The binary names its own library by the crate's name.
        if path.segments[0] == "enforcer_user" && file.path.starts_with("enforcer-user/") {
            "crate".clone_into(&mut path.segments[0]);
        }
    }
    found
}

/// `enforcer-user/src/sources/kube.rs` is `["sources", "kube"]`; `None` for what is not below `src`.
fn module_of(file: &SourceFile) -> Option<Vec<String>> {
    let (_, inside) = file.path.split_once("/src/")?;
    let parts = inside.strip_suffix(".rs")?.split('/');
    Some(parts.filter(|part| !matches!(*part, "lib" | "main")).map(str::to_owned).collect())
}

fn begins(segments: &[String], pattern: &str) -> bool {
    let wanted: Vec<_> = pattern.split("::").collect();
    segments.len() >= wanted.len() && segments.iter().zip(&wanted).all(|(a, b)| a == b)
}

fn matches(path: &paths::PathUse, pattern: &str) -> bool {
    match pattern.strip_prefix("*::") {
        Some(inner) => (0..path.segments.len()).any(|from| begins(&path.segments[from..], inner)),
        None => !path.local && begins(&path.segments, pattern),
    }
}
