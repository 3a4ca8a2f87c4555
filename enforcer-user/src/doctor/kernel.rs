//! The kernel: how old it is, how it was built, and what it is known to do wrong.

use crate::doctor::{Area, Check};

const AREA: Area = Area("kernel");

/// What was read of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Kernel {
    /// `uname -r`.
    pub(super) release: String,
    /// `uname -v`: distributions write the real point release here.
    pub(super) version: String,
    /// What is wrong with the release, if anything is.
    pub(super) fault: Option<String>,
    pub(super) btf: bool,
    /// The text of its configuration.
    pub(super) config: Option<String>,
    pub(super) unprivileged_bpf: Option<String>,
    pub(super) jit: Option<String>,
    /// Bytes; `None`: without limit, or not known.
    pub(super) memlock: Option<u64>,
    /// Whether the `net_cls` controller is mounted.
    pub(super) net_cls: bool,
}

/// 5.10.218 is bad and 5.10.262 is good; which of those between mended it is not known.
const NET_CLS_MENDED: u32 = 262;
/// Full maps of the default size.
const MEMLOCK: u64 = 256 << 20;

pub(super) fn checks(kernel: &Kernel) -> Vec<Check> {
    let mut checks = vec![version(kernel), btf(kernel)];
    checks.extend(net_cls(kernel));
    checks.extend(config(kernel));
    checks.push(jit(kernel));
    checks.push(unprivileged(kernel));
    checks.extend(memlock(kernel));
    checks
}

fn version(kernel: &Kernel) -> Check {
    match &kernel.fault {
        None => AREA.ok("version", &kernel.release),
        Some(fault) => AREA.fail("version", fault, "boot a newer kernel; 6.1 and later have everything"),
    }
}

/// On some 5.10 kernels writing any `net_cls` class silences the hooks of all cgroups but the root.
fn net_cls(kernel: &Kernel) -> Option<Check> {
    let point = point_release(kernel, "5.10.")?;
    let mended = point >= NET_CLS_MENDED;
    Some(match (kernel.net_cls, mended) {
        (_, true) => AREA.ok("net_cls", format!("5.10.{point} does not silence the hooks")),
        (false, false) => AREA.ok("net_cls", "not mounted: nobody can silence the hooks by it"),
        (true, false) => AREA.warn(
            "net_cls",
            format!("mounted, and on kernels like 5.10.{point} writing a class silences the hooks"),
            "update the kernel to 5.10.262 or later, or see that nobody writes net_cls.classid",
        ),
    })
}

/// The highest number behind `series` in release and version: `5.10.0-30` is Debian's 5.10.218.
fn point_release(kernel: &Kernel, series: &str) -> Option<u32> {
    if !kernel.release.starts_with(series) {
        return None;
    }
    let words = [&kernel.release, &kernel.version].into_iter().flat_map(|text| text.split(' '));
    let points = words.filter_map(|word| {
        let rest = word.strip_prefix(series)?;
        rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    });
    points.max()
}

fn btf(kernel: &Kernel) -> Check {
    if kernel.btf {
        AREA.ok("BTF", "/sys/kernel/btf/vmlinux")
    } else {
        AREA.fail(
            "BTF",
            "/sys/kernel/btf/vmlinux is missing",
            "use a kernel that is built with CONFIG_DEBUG_INFO_BTF=y; in a container, mount the host's /sys",
        )
    }
}

/// Option, whether nothing works without, and what does not work.
const OPTIONS: &[(&str, bool, &str)] = &[
    ("CONFIG_BPF_SYSCALL", true, "use a kernel with it: there is no eBPF without"),
    ("CONFIG_CGROUP_BPF", true, "use a kernel with it: programs cannot be attached to cgroups"),
    (
        "CONFIG_INET_DIAG_DESTROY",
        false,
        "--terminate-existing cannot close connections; use a kernel with it",
    ),
];

fn config(kernel: &Kernel) -> Vec<Check> {
    let Some(config) = &kernel.config else {
        return vec![AREA.not_looked_at(
            "configuration",
            "neither /proc/config.gz nor /boot/config-* is there",
            "look whether the kernel has CONFIG_CGROUP_BPF, CONFIG_BPF_SYSCALL and CONFIG_INET_DIAG_DESTROY; the \
             features below were tried, whatever it says",
        )];
    };
    let check = |(option, needed, advice): &(&str, bool, &str)| {
        let value = config.lines().find_map(|line| line.strip_prefix(option)?.strip_prefix('='));
        match (value, needed) {
            (Some(value @ ("y" | "m")), _) => AREA.ok(*option, value),
            (_, true) => AREA.fail(*option, "not set", *advice),
            (_, false) => AREA.warn(*option, "not set", *advice),
        }
    };
    OPTIONS.iter().map(check).collect()
}

fn jit(kernel: &Kernel) -> Check {
    match kernel.jit.as_deref() {
        None => AREA.not_looked_at(
            "JIT",
            "/proc/sys/net/core/bpf_jit_enable cannot be read",
            "run as root in the host's network namespace to see whether programs are compiled",
        ),
        Some("0") => AREA.warn(
            "JIT",
            "off: every program is interpreted",
            "sysctl -w net.core.bpf_jit_enable=1, which makes programs several times as fast",
        ),
        Some(value) => AREA.ok("JIT", format!("on (net.core.bpf_jit_enable={value})")),
    }
}

fn unprivileged(kernel: &Kernel) -> Check {
    let name = "unprivileged eBPF";
    match kernel.unprivileged_bpf.as_deref() {
        Some("0") => AREA.note(
            name,
            "allowed to everybody",
            "not needed here; kernel.unprivileged_bpf_disabled=2 is safer for other reasons",
        ),
        Some(value) => AREA.ok(name, format!("off (kernel.unprivileged_bpf_disabled={value})")),
        None => AREA.ok(name, "the kernel has no switch for it"),
    }
}

/// Until 5.11 the memory of maps counts against `RLIMIT_MEMLOCK`, which root has, too.
fn memlock(kernel: &Kernel) -> Option<Check> {
    let mut numbers = kernel.release.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else { return None };
    if (major, minor) >= (5, 11) {
        return None;
    }
    Some(match kernel.memlock {
        Some(limit) if limit < MEMLOCK => AREA.fail(
            "RLIMIT_MEMLOCK",
            format!("{} KiB, and before 5.11 maps count against it", limit >> 10),
            "LimitMEMLOCK=infinity in the agent's systemd unit, or `ulimit -l unlimited` in front of it",
        ),
        Some(limit) => AREA.ok("RLIMIT_MEMLOCK", format!("{} MiB", limit >> 20)),
        None => AREA.ok("RLIMIT_MEMLOCK", "without limit"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Outcome::{self, Fail, Ok, Warn};
    use crate::doctor::{named, told};

    fn new() -> Kernel {
        Kernel {
            release: "6.1.0-56-amd64".to_owned(),
            version: "#1 SMP PREEMPT_DYNAMIC Debian 6.1.170-1 (2026-05-01)".to_owned(),
            btf: true,
            config: Some(
                "CONFIG_BPF_SYSCALL=y\nCONFIG_CGROUP_BPF=y\n# CONFIG_X is not set\nCONFIG_INET_DIAG_DESTROY=y\n"
                    .to_owned(),
            ),
            unprivileged_bpf: Some("2".to_owned()),
            jit: Some("1".to_owned()),
            ..Kernel::default()
        }
    }

    #[test]
    fn a_new_kernel_passes_and_old_limits_are_not_asked_of_it() {
        let checks = checks(&new());
        assert!(told(&checks).iter().all(|(_, result)| *result == Ok), "{checks:#?}");
        assert!(!told(&checks).iter().any(|(name, _)| name == "RLIMIT_MEMLOCK" || name == "net_cls"));
    }

    #[test]
    fn hooks_that_a_class_can_silence_are_told_by_the_point_release() {
        for (release, version, net_cls, expected) in [
            ("5.10.218", "#1 SMP", true, Some(Warn)),
            ("5.10.0-30-cloud-amd64", "#1 SMP Debian 5.10.218-1 (2024-06-01)", true, Some(Warn)),
            ("5.10.0-30-cloud-amd64", "#1 SMP Debian 5.10.218-1 (2024-06-01)", false, Some(Ok)),
            ("5.10.0-40-amd64", "#1 SMP Debian 5.10.262-1 (2026-06-01)", true, Some(Ok)),
            ("5.10.262", "", true, Some(Ok)),
            ("5.100.1", "", true, None),
            ("6.1.5", "", true, None),
        ] {
            let kernel = Kernel { release: release.into(), version: version.into(), net_cls, ..new() };
            let found: Option<Outcome> = super::net_cls(&kernel).map(|check| check.result);
            assert_eq!(found, expected, "{release} {version}");
        }
    }

    #[test]
    fn what_is_missing_is_told_and_what_is_not_known_is_no_pass() {
        let bad = Kernel {
            fault: Some("kernel 5.4 is too old".to_owned()),
            release: "5.4.0".to_owned(),
            btf: false,
            config: Some(
                "CONFIG_BPF_SYSCALL=y\n# CONFIG_CGROUP_BPF is not set\nCONFIG_CGROUP_BPF_X=y\n".to_owned(),
            ),
            jit: Some("0".to_owned()),
            memlock: Some(64 << 10),
            ..new()
        };
        let found = checks(&bad);
        for (name, result) in [
            ("version", Fail),
            ("BTF", Fail),
            ("CONFIG_BPF_SYSCALL", Ok),
            ("CONFIG_CGROUP_BPF", Fail),
            ("CONFIG_INET_DIAG_DESTROY", Warn),
            ("JIT", Warn),
            ("RLIMIT_MEMLOCK", Fail),
        ] {
            assert_eq!(named(&found, name).result, result, "{name}");
        }
        let blind = Kernel { config: None, jit: None, ..new() };
        let found = checks(&blind);
        for name in ["configuration", "JIT"] {
            assert!(named(&found, name).found.starts_with("not looked at"), "{name}");
        }
        told(&found);
    }
}
