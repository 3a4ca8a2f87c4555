//! `bpf(2)` calls that aya 0.14 has no way to make: a link whose program can be replaced, on every kind of cgroup hook.

mod maps;

use std::ffi::CString;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

pub(super) use maps::{
    create_lru, has_element, inner_map, insert_element, insert_map, look_up, max_entries, next_key,
    remove_element,
};

const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_OBJ_PIN: libc::c_int = 6;
const BPF_OBJ_GET: libc::c_int = 7;
const BPF_OBJ_GET_INFO_BY_FD: libc::c_int = 15;
const BPF_PROG_QUERY: libc::c_int = 16;
const BPF_LINK_CREATE: libc::c_int = 28;
const BPF_LINK_UPDATE: libc::c_int = 29;
const BPF_LINK_DETACH: libc::c_int = 34;

/// `BPF_PROG_TYPE_SCHED_CLS`; no link has this number that is pinned for an interface.
pub(super) const PROG_TYPE_SCHED_CLS: u32 = 3;
/// `BPF_LINK_TYPE_TCX`
const LINK_TYPE_TCX: u32 = 11;
/// With no other program named, before all of them.
const BPF_F_BEFORE: u32 = 1 << 3;
/// A hook takes no more.
const MOST_PROGRAMS: usize = 64;

/// The first fields of `union bpf_attr` for `BPF_LINK_CREATE`.
#[repr(C)]
struct LinkCreate {
    prog_fd: u32,
    /// Or an interface's index.
    target_fd: u32,
    attach_type: u32,
    flags: u32,
}

/// ... for `BPF_LINK_UPDATE`.
#[repr(C)]
struct LinkUpdate {
    link_fd: u32,
    new_prog_fd: u32,
    flags: u32,
    old_prog_fd: u32,
}

/// ... for `BPF_LINK_DETACH`.
#[repr(C)]
struct LinkDetach {
    link_fd: u32,
}

/// ... for `BPF_OBJ_PIN` and `BPF_OBJ_GET`.
#[repr(C)]
struct Object {
    pathname: u64,
    bpf_fd: u32,
    file_flags: u32,
}

/// ... for `BPF_PROG_LOAD`, up to what kernel 4.17 knows.
#[repr(C)]
struct ProgLoad {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; 16],
    prog_ifindex: u32,
    expected_attach_type: u32,
}

/// ... for `BPF_PROG_QUERY`.
#[repr(C)]
struct ProgQuery {
    target: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    prog_ids: u64,
    prog_cnt: u32,
    padding: u32,
    prog_attach_flags: u64,
    link_ids: u64,
}

/// ... for `BPF_OBJ_GET_INFO_BY_FD`.
#[repr(C)]
struct GetInfo {
    bpf_fd: u32,
    info_len: u32,
    info: u64,
}

/// `struct bpf_link_info` of a cgroup's link. Of every link and program the first two are the same.
#[repr(C)]
#[derive(Default)]
struct Info {
    kind: u32,
    id: u32,
    prog_id: u32,
    padding: u32,
    cgroup_id: u64,
    attach_type: u32,
    rest: u32,
}

/// A number that is neither an open descriptor (they end far below) nor an interface (they count from 1).
const NOWHERE: u32 = 0x7fff_ffff;

/// Loads the smallest program there is, `return 1`, which every hook takes. It is gone with its descriptor.
pub(super) fn load_trivial(prog_type: u32, attach_type: u32) -> io::Result<OwnedFd> {
    // mov64 r0, 1; exit: `struct bpf_insn` as a number.
    let code: [u64; 2] = [0xb7 | 1 << 32, 0x95];
    let license = c"GPL";
    let mut attr = ProgLoad {
        prog_type,
        insn_cnt: 2,
        insns: code.as_ptr() as u64,
        license: license.as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log_buf: 0,
        kern_version: 0,
        prog_flags: 0,
        prog_name: *b"enforcer_probe\0\0",
        prog_ifindex: 0,
        expected_attach_type: attach_type,
    };
    make(BPF_PROG_LOAD, &mut attr)
}

/// Whether links of this kind exist: asks for one to nowhere, which a kernel that knows them refuses because of the target.
pub(super) fn knows_link(program: BorrowedFd<'_>, attach_type: u32) -> io::Result<bool> {
    let mut attr = LinkCreate { prog_fd: number(program), target_fd: NOWHERE, attach_type, flags: 0 };
    match make(BPF_LINK_CREATE, &mut attr) {
        // The link goes with its descriptor.
        Ok(_) => Ok(true),
        Err(error) => match error.raw_os_error() {
            Some(libc::EBADF | libc::ENODEV) => Ok(true),
            Some(libc::EINVAL) => Ok(false),
            _ => Err(error),
        },
    }
}

/// The ids of the programs that are attached to the cgroup `target` itself.
pub(super) fn attached_programs(target: BorrowedFd<'_>, attach_type: u32) -> io::Result<Vec<u32>> {
    // Kernels before 6.6 know no ids of links here, and refuse a place for them.
    let mut programs = [0; MOST_PROGRAMS];
    let count = query(number(target), attach_type, &mut programs, None)?;
    Ok(programs.into_iter().take(count).collect())
}

/// A program at a TCX hook, and the link that keeps it there; 0 when it is there without one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Attached {
    pub(super) program: u32,
    pub(super) link: u32,
}

/// What is attached to an interface at a TCX hook, in the order in which it runs; nothing when there is no such interface.
pub(super) fn attached_to_interface(index: u32, attach_type: u32) -> io::Result<Vec<Attached>> {
    let (mut programs, mut links) = ([0; MOST_PROGRAMS], [0; MOST_PROGRAMS]);
    let count = match query(index, attach_type, &mut programs, Some(&mut links)) {
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENODEV)) => 0,
        count => count?,
    };
    let attached = programs.into_iter().zip(links).map(|(program, link)| Attached { program, link });
    Ok(attached.take(count).collect())
}

fn query(
    target: u32,
    attach_type: u32,
    programs: &mut [u32; MOST_PROGRAMS],
    links: Option<&mut [u32; MOST_PROGRAMS]>,
) -> io::Result<usize> {
    let mut attr = ProgQuery {
        target,
        attach_type,
        query_flags: 0,
        attach_flags: 0,
        prog_ids: programs.as_mut_ptr() as u64,
        prog_cnt: 64,
        padding: 0,
        prog_attach_flags: 0,
        link_ids: links.map_or(0, |links| links.as_mut_ptr() as u64),
    };
    bpf(BPF_PROG_QUERY, &mut attr)?;
    Ok(attr.prog_cnt as usize)
}

/// The id of the cgroup that `link` is attached to; 0 when that has gone.
pub(super) fn cgroup_of(link: BorrowedFd<'_>) -> io::Result<u64> {
    info(link).map(|info| info.cgroup_id)
}

/// The index of the interface that a TCX link is attached to; 0 when that has gone. Not necessarily one of our network namespace.
pub(super) fn interface_of(link: BorrowedFd<'_>) -> io::Result<u32> {
    // Where a cgroup's link has the id, this one has the index, and the attach type after it.
    let [a, b, c, d, ..] = cgroup_of(link)?.to_ne_bytes();
    Ok(u32::from_ne_bytes([a, b, c, d]))
}

/// What is pinned for an interface.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum PinnedObject {
    /// A TCX link, by its id.
    Link(u32),
    /// A classifier, by its id.
    Program(u32),
    /// Neither.
    Other,
}

/// Tells what `object` is.
pub(super) fn identify(object: BorrowedFd<'_>) -> io::Result<PinnedObject> {
    let info = info(object)?;
    Ok(match info.kind {
        LINK_TYPE_TCX => PinnedObject::Link(info.id),
        PROG_TYPE_SCHED_CLS => PinnedObject::Program(info.id),
        _ => PinnedObject::Other,
    })
}

fn info(object: BorrowedFd<'_>) -> io::Result<Info> {
    let mut info = Info::default();
    let info_len = u32::try_from(size_of::<Info>()).unwrap_or(u32::MAX);
    let pointer = std::ptr::from_mut(&mut info) as u64;
    bpf(BPF_OBJ_GET_INFO_BY_FD, &mut GetInfo { bpf_fd: number(object), info_len, info: pointer })?;
    Ok(info)
}

/// Attaches `program` to `target` (a cgroup's directory).
pub(super) fn link_create(
    program: BorrowedFd<'_>,
    target: BorrowedFd<'_>,
    attach_type: u32,
) -> io::Result<OwnedFd> {
    let mut attr = LinkCreate { prog_fd: number(program), target_fd: number(target), attach_type, flags: 0 };
    make(BPF_LINK_CREATE, &mut attr)
}

/// Attaches `program` to an interface at a TCX hook, before all that is there.
pub(super) fn link_create_first(
    program: BorrowedFd<'_>,
    index: u32,
    attach_type: u32,
) -> io::Result<OwnedFd> {
    let flags = BPF_F_BEFORE;
    let mut attr = LinkCreate { prog_fd: number(program), target_fd: index, attach_type, flags };
    make(BPF_LINK_CREATE, &mut attr)
}

/// Puts `program` into `link` in place of the one that is there.
pub(super) fn link_update(link: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    let mut attr =
        LinkUpdate { link_fd: number(link), new_prog_fd: number(program), flags: 0, old_prog_fd: 0 };
    bpf(BPF_LINK_UPDATE, &mut attr).map(drop)
}

/// Takes the program of `link` off now; without its last pin it would go a little later.
pub(super) fn link_detach(link: BorrowedFd<'_>) -> io::Result<()> {
    bpf(BPF_LINK_DETACH, &mut LinkDetach { link_fd: number(link) }).map(drop)
}

/// Pins a map, program or link at `path` in a bpffs.
pub(super) fn pin(object: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let path = c_path(path)?;
    let mut attr = Object { pathname: path.as_ptr() as u64, bpf_fd: number(object), file_flags: 0 };
    bpf(BPF_OBJ_PIN, &mut attr).map(drop)
}

/// Opens what is pinned at `path`.
pub(super) fn get(path: &Path) -> io::Result<OwnedFd> {
    let path = c_path(path)?;
    let mut attr = Object { pathname: path.as_ptr() as u64, bpf_fd: 0, file_flags: 0 };
    make(BPF_OBJ_GET, &mut attr)
}

/// Waits until every program that runs now has ended: `synchronize_rcu`, which is what the global barrier does.
pub(super) fn wait_for_programs() {
    const MEMBARRIER_CMD_GLOBAL: libc::c_int = 1;
    // SAFETY: the system call takes numbers only.
    let result = unsafe { libc::syscall(libc::SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) };
    if result != 0 {
        // Refused where CPUs run without a tick (nohz_full). A program's run is microseconds.
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

/// A command that gives a descriptor.
fn make<T>(command: libc::c_int, attr: &mut T) -> io::Result<OwnedFd> {
    let fd = bpf(command, attr)?;
    // SAFETY: the kernel has just given us this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn bpf<T>(command: libc::c_int, attr: &mut T) -> io::Result<libc::c_int> {
    // SAFETY: `attr` is a valid prefix of `union bpf_attr` for `command`, with its size; the kernel takes the rest as zero.
    // What it points to lives in the caller, is as long as it says beside it, and is written to only where it is mutable there.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attr), size_of::<T>()) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    libc::c_int::try_from(result).map_err(|_| io::ErrorKind::InvalidData.into())
}

fn number(fd: BorrowedFd<'_>) -> u32 {
    // A borrowed descriptor is never negative.
    fd.as_raw_fd().unsigned_abs()
}

fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| io::ErrorKind::InvalidInput.into())
}
