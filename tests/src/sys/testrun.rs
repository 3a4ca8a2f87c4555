//! `BPF_PROG_TEST_RUN`: a frame through a loaded TC program, without an interface that carries it.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};

const BPF_OBJ_GET: libc::c_int = 7;
const BPF_PROG_TEST_RUN: libc::c_int = 10;
const BPF_PROG_GET_NEXT_ID: libc::c_int = 11;
const BPF_PROG_GET_FD_BY_ID: libc::c_int = 13;
const BPF_OBJ_GET_INFO_BY_FD: libc::c_int = 15;

/// What a TC program may answer, of `linux/pkt_cls.h`; `TCX_NEXT` is the first of them.
const TC_ACT_UNSPEC: i32 = -1;
const TC_ACT_OK: i32 = 0;
const TC_ACT_SHOT: i32 = 2;
const TC_ACT_REDIRECT: i32 = 7;

/// The longest name that the kernel keeps, with its zero.
const NAME: usize = 16;
/// A frame that every kernel takes: of the ethertype for local experiments, as long as the shortest on a wire.
const HARMLESS: [u8; 60] = {
    let mut frame = [0; 60];
    (frame[0], frame[6], frame[12], frame[13]) = (2, 2, 0x88, 0xb5);
    frame
};

/// The first fields of `union bpf_attr` for `BPF_PROG_TEST_RUN`.
#[repr(C)]
struct TestRun {
    prog_fd: u32,
    retval: u32,
    data_size_in: u32,
    data_size_out: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
    ctx_size_in: u32,
    ctx_size_out: u32,
    ctx_in: u64,
    ctx_out: u64,
}

/// The first fields of `struct __sk_buff`; the kernel takes the rest as zero.
#[repr(C)]
#[derive(Default)]
struct SkBuff {
    before: [u32; 9],
    ingress_ifindex: u32,
    ifindex: u32,
    padding: u32,
}

/// ... for `BPF_OBJ_GET`.
#[repr(C)]
struct Object {
    pathname: u64,
    bpf_fd: u32,
    file_flags: u32,
}

/// ... for `BPF_PROG_GET_NEXT_ID` and `BPF_PROG_GET_FD_BY_ID`.
#[repr(C)]
struct GetId {
    id: u32,
    next_id: u32,
    open_flags: u32,
}

/// ... for `BPF_OBJ_GET_INFO_BY_FD`.
#[repr(C)]
struct GetInfo {
    bpf_fd: u32,
    info_len: u32,
    info: u64,
}

/// `struct bpf_prog_info` up to the name.
#[repr(C)]
#[derive(Default)]
struct ProgInfo {
    kind: u32,
    id: u32,
    tag: [u8; 8],
    lengths: [u32; 2],
    instructions: [u64; 2],
    load_time: u64,
    created_by_uid: u32,
    nr_map_ids: u32,
    map_ids: u64,
    name: [u8; NAME],
}

/// A loaded program. It stays loaded as long as this is held.
#[derive(Debug)]
pub struct Program(OwnedFd);

impl Program {
    /// The program that is pinned there, or that of the link that is. A path of another mount namespace begins with
    /// `/proc/PID/root`.
    pub fn pinned(path: &Path) -> Result<Self> {
        let shown = path.display();
        let name = CString::new(path.as_os_str().as_bytes()).with_context(|| format!("the path {shown}"))?;
        let mut attr = Object { pathname: name.as_ptr() as u64, bpf_fd: 0, file_flags: 0 };
        let object = opened(BPF_OBJ_GET, &mut attr).with_context(|| format!("opening the pin {shown}"))?;
        let told = format!("/proc/thread-self/fdinfo/{}", object.as_raw_fd());
        let told = fs::read_to_string(&told).with_context(|| format!("reading {told}"))?;
        let id = told.lines().find_map(|line| line.strip_prefix("prog_id:")?.trim().parse().ok());
        let id = id.with_context(|| format!("{shown} is neither a program nor a link of one"))?;
        Self::with_id(id).with_context(|| format!("opening the program of the pin {shown}"))
    }

    /// Every program of that name on this machine, whoever loaded it, in the order of loading. The kernel keeps the first 15
    /// bytes of a name.
    pub fn named(name: &str) -> Result<Vec<Self>> {
        let wanted = &name.as_bytes()[..name.len().min(NAME - 1)];
        let mut found = Vec::new();
        let mut attr = GetId { id: 0, next_id: 0, open_flags: 0 };
        loop {
            match bpf(BPF_PROG_GET_NEXT_ID, &mut attr) {
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => return Ok(found),
                answer => answer.context("asking for the next program")?,
            };
            attr.id = attr.next_id;
            match Self::with_id(attr.next_id) {
                Ok(program) if program.name()? == wanted => found.push(program),
                Ok(_) => {}
                // It went while we looked.
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {}
                Err(error) => return Err(error).context("opening a program by its id"),
            }
        }
    }

    fn with_id(id: u32) -> io::Result<Self> {
        opened(BPF_PROG_GET_FD_BY_ID, &mut GetId { id, next_id: 0, open_flags: 0 }).map(Self)
    }

    fn name(&self) -> Result<Vec<u8>> {
        let mut info = ProgInfo::default();
        let info_len = u32::try_from(size_of::<ProgInfo>())?;
        let mut attr = GetInfo { bpf_fd: self.number(), info_len, info: (&raw mut info) as u64 };
        bpf(BPF_OBJ_GET_INFO_BY_FD, &mut attr).context("asking for a program's name")?;
        Ok(info.name.iter().copied().take_while(|byte| *byte != 0).collect())
    }

    fn number(&self) -> u32 {
        // An owned descriptor is never negative.
        self.0.as_raw_fd().unsigned_abs()
    }
}

/// A program, and the interface that frames seem to come in by.
#[derive(Debug)]
pub struct Runner {
    program: Program,
    ifindex: u32,
}

impl Runner {
    /// The interface is of the calling thread's network namespace, as it is at every run. Runs one harmless frame, so that
    /// what fails later is a frame's own fault.
    pub fn new(program: Program, ifindex: u32) -> Result<Self> {
        let runner = Self { program, ifindex };
        runner
            .run_times(&HARMLESS, 1)
            .with_context(|| format!("running a program as if on interface {ifindex}"))?;
        Ok(runner)
    }

    /// What the program returns for this frame; `None` where the kernel does not take such a frame for a test run: shorter
    /// than its headers, or longer than a page holds.
    pub fn run(&self, frame: &[u8]) -> Result<Option<i32>> {
        self.last_of(frame, 1)
    }

    /// What the program returns the last of so many times.
    ///
    /// What the program makes of the frame is what it meets the next time.
    pub fn last_of(&self, frame: &[u8], times: u32) -> Result<Option<i32>> {
        match self.run_times(frame, times) {
            Ok(returned) => Ok(Some(returned)),
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(None),
            Err(error) => Err(error).with_context(|| format!("running {} bytes", frame.len())),
        }
    }

    /// Whether the program lets this frame pass; `None` as for [`Self::run`].
    pub fn passes(&self, frame: &[u8]) -> Result<Option<bool>> {
        self.run(frame)?.map(passes).transpose()
    }

    /// The same; and a second packet like it must have the same answer, whatever the first has left behind. One that was turned into an answer is
    /// no longer there to be sent again.
    pub fn passes_twice(&self, frame: &[u8]) -> Result<Option<bool>> {
        let Some(first) = self.run(frame)? else { return Ok(None) };
        if first != TC_ACT_REDIRECT {
            let second = self.last_of(frame, 2)?.map(passes).transpose()?;
            ensure!(second == Some(passes(first)?), "first {first}, then passes: {second:?}");
        }
        passes(first).map(Some)
    }

    fn run_times(&self, frame: &[u8], repeat: u32) -> io::Result<i32> {
        let context = SkBuff { ingress_ifindex: self.ifindex, ifindex: self.ifindex, ..SkBuff::default() };
        let size = |bytes: usize| u32::try_from(bytes).map_err(io::Error::other);
        let mut attr = TestRun {
            prog_fd: self.program.number(),
            retval: 0,
            data_size_in: size(frame.len())?,
            data_size_out: 0,
            data_in: frame.as_ptr() as u64,
            data_out: 0,
            repeat,
            duration: 0,
            ctx_size_in: size(size_of::<SkBuff>())?,
            ctx_size_out: 0,
            ctx_in: (&raw const context) as u64,
            ctx_out: 0,
        };
        bpf(BPF_PROG_TEST_RUN, &mut attr)?;
        Ok(attr.retval.cast_signed())
    }
}

/// What the return value of a TC program does with a frame. A redirection is an answer to the sender, not its way out.
pub fn passes(returned: i32) -> Result<bool> {
    match returned {
        TC_ACT_UNSPEC | TC_ACT_OK => Ok(true),
        TC_ACT_SHOT | TC_ACT_REDIRECT => Ok(false),
        other => bail!("a TC program returned {other}, which is neither next, pass, drop nor redirect"),
    }
}

fn opened<T>(command: libc::c_int, attr: &mut T) -> io::Result<OwnedFd> {
    let fd = bpf(command, attr)?;
    // SAFETY: these commands give a new descriptor, which nobody else has.
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

#[cfg(test)]
mod tests;
