//! Whether this machine can do it, before anything is touched: every fault at once, with what to do.

pub mod attached;
pub mod feature;
pub mod pinned;

use std::io;
use std::path::{Path, PathBuf};

use aya::programs::{ProgramError, ProgramType};
use aya::sys::{BpfHelper, is_helper_supported};
use nix::sys::statfs::{FsType, statfs};
use nix::unistd::Uid;

/// `BPF_FS_MAGIC` in `linux/magic.h`.
const BPF_FS_MAGIC: FsType = FsType(0xcafe_4a11);
/// The oldest kernel with everything the programs need: cgroup links are of 5.7, ring buffers of 5.8, and 5.10 is the
/// oldest series that is still kept.
const OLDEST_KERNEL: (u32, u32) = (5, 10);

/// What is missing, one line each, with what to do.
pub fn faults(pin_dir: &Path) -> Vec<String> {
    let mut faults = Vec::new();
    if !Uid::effective().is_root() {
        faults.push(
            "not root: loading eBPF programs needs CAP_BPF, CAP_NET_ADMIN and CAP_SYS_ADMIN; run with sudo"
                .into(),
        );
    }
    faults.extend(old_kernel(&kernel_release()));
    if !Path::new("/sys/kernel/btf/vmlinux").exists() {
        faults.push(
            "/sys/kernel/btf/vmlinux is missing: this kernel is built without BTF (CONFIG_DEBUG_INFO_BTF=y)"
                .into(),
        );
    }
    if matches!(reads_memory(), Ok(false)) {
        faults.push(
            "the kernel lets no program of an interface read its memory (bpf_probe_read_kernel): boot it without \
             lockdown=confidentiality; lockdown=integrity is fine"
                .into(),
        );
    }
    faults.extend(no_bpffs(pin_dir));
    faults
}

/// Whether programs can find the MPTCP socket of a subflow (5.19). What cannot be told is taken for no: `getpeername` of an
/// MPTCP socket then shows the endpoint, and nothing else is different.
pub fn has_mptcp_helper() -> bool {
    is_helper_supported(ProgramType::CgroupSockAddr, BpfHelper::BPF_FUNC_skc_to_mptcp_sock).unwrap_or(false)
}

/// Whether the packets of a socket tell its network namespace (6.15). What cannot be told is taken for no: those of a mesh proxy from
/// elsewhere, below `--cgroup`, then have no identity.
pub fn tells_namespace() -> bool {
    is_helper_supported(ProgramType::CgroupSkb, BpfHelper::BPF_FUNC_get_netns_cookie).unwrap_or(false)
}

/// Whether programs of interfaces may read the kernel's memory (5.5): not in lockdown (`confidentiality`; `kernel_lockdown(7)`).
pub fn reads_memory() -> Result<bool, ProgramError> {
    is_helper_supported(ProgramType::SchedClassifier, BpfHelper::BPF_FUNC_probe_read_kernel)
}

/// As `uname -r` says it; empty when nobody tells.
pub fn kernel_release() -> String {
    std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned()
}

/// What is wrong with a kernel of this release.
pub fn old_kernel(release: &str) -> Option<String> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else {
        return Some(format!("cannot tell the kernel's version from \"{release}\""));
    };
    ((major, minor) < OLDEST_KERNEL).then(|| {
        let (oldest_major, oldest_minor) = OLDEST_KERNEL;
        format!("kernel {release} is too old: {oldest_major}.{oldest_minor} is the oldest that can enforce")
    })
}

/// What is wrong with the place of the pins.
pub fn no_bpffs(pin_dir: &Path) -> Option<String> {
    let existing = nearest_existing(pin_dir);
    let is_bpffs = statfs(&existing).is_ok_and(|stat| stat.filesystem_type() == BPF_FS_MAGIC);
    (!is_bpffs).then(|| {
        let mount = pin_dir.ancestors().nth(1).unwrap_or(Path::new("/sys/fs/bpf"));
        format!(
            "--pin-dir {}: no bpffs is mounted there; mount one with `mount -t bpf bpf {}`",
            pin_dir.display(),
            mount.display()
        )
    })
}

/// The directory itself, or the nearest one above it that is there.
pub fn nearest_existing(path: &Path) -> PathBuf {
    path.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(Path::new("/")).to_path_buf()
}

fn plain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "not permitted".to_owned(),
        _ => error.to_string(),
    }
}

/// The system's own error, below what aya says around it.
fn told(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let io = causes.filter_map(|cause| cause.downcast_ref::<io::Error>()).last();
    io.map_or_else(|| error.to_string(), plain)
}

#[cfg(test)]
mod tests {
    use super::old_kernel;

    #[test]
    fn kernels_that_are_too_old_are_named() {
        for (release, is_fine) in [
            ("6.18.44-fc", true),
            ("5.10.0-30-cloud-amd64", true),
            ("5.9.16", false),
            ("4.19", false),
            ("", false),
        ] {
            assert_eq!(old_kernel(release).is_none(), is_fine, "{release}");
        }
    }
}
