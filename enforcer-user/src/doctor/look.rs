//! What the checks are about, read from this node. Reading only; a file that cannot be read is told as such.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use nix::ifaddrs::getifaddrs;
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
use nix::unistd::{AccessFlags, Uid, access};

use crate::dataplane::probe::attached::{attached, program_names};
use crate::dataplane::probe::feature::{self, Feature};
use crate::dataplane::probe::{self, pinned};
use crate::dataplane::switch::{NodeSwitch, SwitchError};
use crate::doctor::Request;
use crate::doctor::addresses::Addresses;
use crate::doctor::cgroups::{Cgroups, KUBEPODS};
use crate::doctor::kernel::Kernel;
use crate::doctor::mounts::Place;
use crate::doctor::neighbours::{Attachments, Neighbours, Process};
use crate::doctor::pins::{Holder, Pinned};
use crate::doctor::privileges::Privileges;
use crate::mountinfo::{self, Mount};
use crate::{clock, identity};

mod gzip;
mod interfaces;

pub(super) use interfaces::interfaces;

/// The content of a file, without space at its ends.
fn text(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

fn is_root() -> bool {
    Uid::effective().is_root()
}

pub(super) fn kernel() -> Kernel {
    let release = probe::kernel_release();
    let memlock = getrlimit(Resource::RLIMIT_MEMLOCK).map_or(0, |(soft, _)| soft);
    Kernel {
        version: text("/proc/sys/kernel/version").unwrap_or_default(),
        fault: probe::old_kernel(&release),
        btf: Path::new("/sys/kernel/btf/vmlinux").exists(),
        config: fs::read("/proc/config.gz")
            .ok()
            .and_then(|bytes| gzip::text(&bytes))
            .or_else(|| fs::read_to_string(format!("/boot/config-{release}")).ok()),
        unprivileged_bpf: text("/proc/sys/kernel/unprivileged_bpf_disabled"),
        jit: text("/proc/sys/net/core/bpf_jit_enable"),
        memlock: (memlock != RLIM_INFINITY).then_some(memlock),
        net_cls: mountinfo::read().iter().any(|mount| mount.kind == "cgroup" && mount.has("net_cls")),
        release,
    }
}

pub(super) fn features() -> Vec<Feature> {
    feature::features()
}

pub(super) fn privileges() -> Privileges {
    Privileges { root: is_root(), status: text("/proc/self/status") }
}

pub(super) fn mounts(request: &Request) -> Place {
    let nearest = probe::nearest_existing(&request.pin_dir);
    let denied = access(&nearest, AccessFlags::W_OK).err().map(|errno| errno.desc().to_owned());
    Place {
        all: mountinfo::read(),
        fault: probe::no_bpffs(&request.pin_dir),
        denied,
        root: is_root(),
        nearest,
    }
}

pub(super) fn cgroups(request: &Request) -> Cgroups {
    let mounts = mountinfo::read();
    let v2 = mounts.iter().find(|mount| mount.kind == "cgroup2");
    let inode = v2.and_then(|mount| fs::metadata(&mount.point).ok()).map(|metadata| metadata.ino());
    let given = request.cgroups.iter().map(|path| {
        let fault = identity::cgroup(path).err().map(|error| format!("{error:#}"));
        (path.clone(), fault)
    });
    Cgroups {
        inode,
        given: given.collect(),
        kubepods: kubepods(&mounts, "cgroup2"),
        kubepods_v1: kubepods(&mounts, "cgroup"),
        mounts,
    }
}

/// Where pods are, in hierarchies of this kind.
fn kubepods(mounts: &[Mount], kind: &str) -> Vec<PathBuf> {
    let of_kind = mounts.iter().filter(|mount| mount.kind == kind);
    let places = of_kind.flat_map(|mount| KUBEPODS.iter().map(|below| mount.point.join(below)));
    places.filter(|path| path.is_dir()).collect()
}

pub(super) fn neighbours(request: &Request) -> Neighbours {
    let names = program_names();
    Neighbours {
        // Without names nobody can say whose they are.
        attached: names.clone().and_then(|names| attachments(request, &names)),
        loaded: names.unwrap_or_default().into_values().collect(),
        processes: processes(),
        files: istio_files(),
    }
}

/// The cgroups from the root down to where programs are to go.
fn attachments(request: &Request, names: &BTreeMap<u32, String>) -> Result<Vec<Attachments>, String> {
    let mounts = mountinfo::read();
    let Some(v2) = mounts.iter().find(|mount| mount.kind == "cgroup2") else {
        return Err("no cgroup2 hierarchy is mounted".to_owned());
    };
    let targets =
        if request.cgroups.is_empty() { kubepods(&mounts, "cgroup2") } else { request.cgroups.clone() };
    let on_path = targets.iter().flat_map(|target| target.ancestors());
    let mut places: Vec<PathBuf> =
        on_path.filter(|path| path.starts_with(&v2.point)).map(Path::to_path_buf).collect();
    places.push(v2.point.clone());
    places.sort();
    places.dedup();
    // One that is not there is told elsewhere.
    let there = places.into_iter().filter(|path| path.is_dir());
    there
        .map(|cgroup| {
            let programs = attached(&cgroup, names).map_err(|why| format!("{}: {why}", cgroup.display()))?;
            Ok(Attachments { target: targets.contains(&cgroup), programs, cgroup })
        })
        .collect()
}

/// Every process, where `/proc` is the host's: there process 2 is the one that starts the kernel's own.
fn processes() -> Option<Vec<Process>> {
    if !sees_host() {
        return None;
    }
    let entries = fs::read_dir("/proc").ok()?.flatten();
    let processes = entries.filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        Some(Process { pid, comm: comm(pid)? })
    });
    Some(processes.collect())
}

fn sees_host() -> bool {
    comm(2).as_deref() == Some("kthreadd")
}

fn comm(pid: u32) -> Option<String> {
    text(&format!("/proc/{pid}/comm"))
}

/// What istio-cni installs.
fn istio_files() -> Vec<PathBuf> {
    let mut files = vec![PathBuf::from("/opt/cni/bin/istio-cni"), PathBuf::from("/var/run/istio-cni")];
    files.retain(|path| path.exists());
    let configured = fs::read_dir("/etc/cni/net.d").into_iter().flatten().flatten().map(|entry| entry.path());
    files.extend(configured.filter(|path| {
        path.file_name().is_some_and(|name| name.to_string_lossy().contains("istio"))
            || fs::read_to_string(path).is_ok_and(|text| text.contains("istio-cni"))
    }));
    files
}

pub(super) fn addresses() -> Addresses {
    let host = std::env::var("KUBERNETES_SERVICE_HOST").ok().filter(|host| !host.is_empty());
    let port = std::env::var("KUBERNETES_SERVICE_PORT").unwrap_or_else(|_| "443".to_owned());
    let own = getifaddrs().into_iter().flatten().filter_map(|interface| {
        let address = interface.address?;
        let v4 = address.as_sockaddr_in().map(|address| address.ip().into());
        v4.or_else(|| address.as_sockaddr_in6().map(|address| address.ip().into()))
    });
    Addresses {
        resolv_conf: text("/etc/resolv.conf"),
        api_server: host.map(|host| (host, port)),
        own: own.collect(),
        vendor: text("/sys/class/dmi/id/sys_vendor"),
    }
}

pub(super) fn pins(request: &Request) -> Pinned {
    let dir = request.pin_dir.clone();
    let holder = match pinned::lock_holder(&dir) {
        Ok(Some(0)) => Holder::Unknown("a process of another PID namespace holds the lock".to_owned()),
        Ok(Some(pid)) => Holder::Process(pid, comm(pid).unwrap_or_else(|| "somebody".to_owned())),
        Ok(None) if sees_host() || !dir.exists() => Holder::Nobody,
        Ok(None) => {
            Holder::Unknown("locks of other PID namespaces are not to be seen from this one".to_owned())
        }
        Err(error) => Holder::Unknown(format!("{error:#}")),
    };
    let switch = match NodeSwitch::open(&dir) {
        Err(SwitchError::NothingPinned { .. } | SwitchError::OtherAbi { .. }) => None,
        opened => Some(opened.and_then(|node| Ok((node.read()?.settled(clock::since_boot()), node.flag()?)))),
    };
    Pinned {
        abis: pinned::pinned(&dir).map_err(|error| format!("{error:#}")),
        holder,
        switch: switch.map(|read| read.map_err(|error| error.to_string())),
        dir,
    }
}
