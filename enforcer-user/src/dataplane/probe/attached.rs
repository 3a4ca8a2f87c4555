//! Whose programs are attached where: asked of the kernel, changing nothing.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::AsFd as _;
use std::path::Path;

use aya::programs::loaded_programs;

use crate::dataplane::probe::{plain, told};
use crate::dataplane::sys;

/// A program at a hook of a cgroup or an interface.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct AttachedProgram {
    /// `connect4`, `TCX ingress`.
    pub hook: &'static str,
    /// As `bpftool prog show id` takes it.
    pub id: u32,
    /// Up to fifteen characters; empty when it has none.
    pub name: String,
}

/// `enum bpf_attach_type` of TCX.
const TCX_HOOKS: &[(u32, &str)] = &[(46, "TCX ingress"), (47, "TCX egress")];

/// `enum bpf_attach_type` of everything on a cgroup that has to do with the network.
const HOOKS: &[(u32, &str)] = &[
    (0, "ingress"),
    (1, "egress"),
    (2, "sock_create"),
    (3, "sock_ops"),
    (8, "bind4"),
    (9, "bind6"),
    (10, "connect4"),
    (11, "connect6"),
    (12, "post_bind4"),
    (13, "post_bind6"),
    (14, "sendmsg4"),
    (15, "sendmsg6"),
    (19, "recvmsg4"),
    (20, "recvmsg6"),
    (21, "getsockopt"),
    (22, "setsockopt"),
    (29, "getpeername4"),
    (30, "getpeername6"),
    (31, "getsockname4"),
    (32, "getsockname6"),
    (34, "sock_release"),
];

/// The names of all loaded programs, by id; without those that go while they are looked at.
pub fn program_names() -> Result<BTreeMap<u32, String>, String> {
    let mut names = BTreeMap::new();
    for program in loaded_programs() {
        match program {
            Ok(program) => {
                names.insert(program.id(), String::from_utf8_lossy(program.name()).into_owned());
            }
            Err(error) if names.is_empty() => return Err(told(&error)),
            Err(_) => {}
        }
    }
    Ok(names)
}

/// What is attached to the cgroup at `path` itself.
pub fn attached(path: &Path, names: &BTreeMap<u32, String>) -> Result<Vec<AttachedProgram>, String> {
    let cgroup = File::open(path).map_err(|error| plain(&error))?;
    let mut found = Vec::new();
    for (attach_type, hook) in HOOKS {
        let ids = match sys::attached_programs(cgroup.as_fd(), *attach_type) {
            Ok(ids) => ids,
            // A hook that this kernel does not have.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => continue,
            Err(error) => return Err(plain(&error)),
        };
        let name = |id: &u32| names.get(id).cloned().unwrap_or_default();
        found.extend(ids.iter().map(|id| AttachedProgram { hook, id: *id, name: name(id) }));
    }
    Ok(found)
}

/// What is attached to an interface, in the order in which it runs at each hook; nothing where there is no TCX.
pub fn on_interface(index: u32, names: &BTreeMap<u32, String>) -> Result<Vec<AttachedProgram>, String> {
    let mut found = Vec::new();
    for (attach_type, hook) in TCX_HOOKS {
        let attached = match sys::attached_to_interface(index, *attach_type) {
            Ok(attached) => attached,
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => continue,
            Err(error) => return Err(plain(&error)),
        };
        let name = |id: u32| names.get(&id).cloned().unwrap_or_default();
        found.extend(attached.iter().map(|it| AttachedProgram {
            hook,
            id: it.program,
            name: name(it.program),
        }));
    }
    Ok(found)
}
