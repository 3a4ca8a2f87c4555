//! Programs of two or four instructions, whose answers are known.

use std::thread;

use nix::mount::{MsFlags, mount};
use nix::net::if_::if_nametoindex;
use nix::sched::{CloneFlags, unshare};

use super::*;
use crate::{cgroup, needs, packets};

/// `exit`.
const EXIT: u64 = 0x95;
const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_OBJ_PIN: libc::c_int = 6;
const BPF_LINK_CREATE: libc::c_int = 28;
const BPF_TCX_INGRESS: u32 = 46;
const SCHED_CLS: u32 = 3;
/// Of every network namespace.
const LOOPBACK: u32 = 1;

/// The first fields of `union bpf_attr` for `BPF_PROG_LOAD`.
#[repr(C)]
struct ProgLoad {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log: [u32; 4],
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; NAME],
}

/// ... for `BPF_LINK_CREATE`.
#[repr(C)]
struct LinkCreate {
    prog_fd: u32,
    target_ifindex: u32,
    attach_type: u32,
    flags: u32,
}

/// Loads a TC program of these instructions, each `struct bpf_insn` as a number.
fn load(name: &str, code: &[u64]) -> Program {
    let mut prog_name = [0; NAME];
    prog_name[..name.len()].copy_from_slice(name.as_bytes());
    let mut attr = ProgLoad {
        prog_type: SCHED_CLS,
        insn_cnt: code.len().try_into().unwrap(),
        insns: code.as_ptr() as u64,
        license: c"GPL".as_ptr() as u64,
        log: [0; 4],
        kern_version: 0,
        prog_flags: 0,
        prog_name,
    };
    Program(opened(BPF_PROG_LOAD, &mut attr).unwrap())
}

/// `mov64 r0, VALUE; exit`.
fn constant(value: i32) -> Program {
    load("tests_constant", &[0xb7 | u64::from(value.cast_unsigned()) << 32, EXIT])
}

/// `ldxw r0, [r1 + OFFSET]` reads a field of `struct __sk_buff`.
fn field(offset: u64) -> u64 {
    0x1061 | offset << 16
}

/// `lsh64 r0, 1` after `and64 r0, 1`: drops what is of odd length.
fn odd_lengths_are_dropped() -> Program {
    load("tests_parity", &[field(0), 0x57 | 1 << 32, 0x67 | 1 << 32, EXIT])
}

#[test]
fn a_program_returns_what_it_says() {
    for (value, expected) in
        [(-1, Some(true)), (0, Some(true)), (2, Some(false)), (7, Some(false)), (1, None)]
    {
        let runner = Runner::new(constant(value), LOOPBACK).unwrap();
        assert_eq!(runner.run(&HARMLESS).unwrap(), Some(value));
        assert_eq!(runner.passes(&HARMLESS).ok().flatten(), expected, "{value}");
    }
}

#[test]
fn a_program_sees_the_frame_that_it_is_given() {
    let runner = Runner::new(odd_lengths_are_dropped(), LOOPBACK).unwrap();
    for length in 14..=60 {
        assert_eq!(runner.passes(&HARMLESS[..length]).unwrap(), Some(length % 2 == 0), "{length} bytes");
    }
}

#[test]
fn frames_that_the_kernel_refuses_are_not_runnable() {
    let runner = Runner::new(constant(-1), LOOPBACK).unwrap();
    assert_eq!(runner.run(&[0; 13]).unwrap(), None);
    assert_eq!(runner.run(&vec![0; 1 << 17]).unwrap(), None);
    let ipv4 = |length: usize| [&[0; 12][..], &[8, 0], &vec![0x45; length - 14]].concat();
    assert_eq!(runner.run(&ipv4(33)).unwrap(), None);
    assert_eq!(runner.run(&ipv4(34)).unwrap(), Some(-1));
}

/// Runs something in namespaces of its own, with an interface there, of which it is told the number.
fn on_an_interface<T: Send + 'static>(what: fn(u32) -> T) -> T {
    let apart = move || {
        unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).unwrap();
        let nothing: Option<&str> = None;
        mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing).unwrap();
        let made = needs::tool("ip").args(["link", "add", "one", "type", "veth", "peer", "two"]).status();
        assert!(made.unwrap().success());
        what(if_nametoindex("one").unwrap())
    };
    thread::spawn(apart).join().unwrap()
}

fn pin(object: &OwnedFd, path: &Path) {
    let name = CString::new(path.as_os_str().as_bytes()).unwrap();
    let bpf_fd = object.as_raw_fd().unsigned_abs();
    bpf(BPF_OBJ_PIN, &mut Object { pathname: name.as_ptr() as u64, bpf_fd, file_flags: 0 }).unwrap();
}

#[test]
fn a_program_is_found_by_its_pin_and_by_that_of_its_link() {
    let found = on_an_interface(|ifindex| {
        let directory = tempfile::tempdir().unwrap();
        let nothing: Option<&str> = None;
        mount(Some("bpf"), directory.path(), Some("bpf"), MsFlags::empty(), nothing).unwrap();
        let (program, linked) = (constant(2), constant(0));
        pin(&program.0, &directory.path().join("program"));
        let mut attr = LinkCreate {
            prog_fd: linked.number(),
            target_ifindex: ifindex,
            attach_type: BPF_TCX_INGRESS,
            flags: 0,
        };
        pin(&opened(BPF_LINK_CREATE, &mut attr).unwrap(), &directory.path().join("link"));
        let found = ["program", "link", "nothing"].map(|name| {
            let program = Program::pinned(&directory.path().join(name)).ok()?;
            Runner::new(program, ifindex).unwrap().run(&HARMLESS).unwrap()
        });
        nix::mount::umount(directory.path()).unwrap();
        found
    });
    assert_eq!(found, [Some(2), Some(0), None]);
}

#[test]
fn a_program_sees_the_interface() {
    let (ifindex, seen) = on_an_interface(|ifindex| {
        let runner = Runner::new(load("tests_ifindex", &[field(40), EXIT]), ifindex).unwrap();
        (ifindex, runner.run(&HARMLESS).unwrap())
    });
    assert!(ifindex > LOOPBACK);
    assert_eq!(seen, Some(ifindex.cast_signed()));
    let error = Runner::new(constant(-1), 0x7fff_ffff).unwrap_err();
    assert!(format!("{error:#}").contains("No such device"), "{error:#}");
}

#[test]
fn a_program_is_found_by_its_name() {
    let name = cgroup::name("t").replace('-', "_");
    assert!(Program::named(&name).unwrap().is_empty());
    let first = load(&name, &[0xb7, EXIT]);
    let _second = load(&name, &[0xb7 | 2 << 32, EXIT]);
    let found = Program::named(&name).unwrap();
    let returned: Vec<_> = found
        .into_iter()
        .map(|program| Runner::new(program, LOOPBACK).unwrap().run(&HARMLESS).unwrap())
        .collect();
    assert_eq!(returned, [Some(0), Some(2)]);
    drop(first);
}

#[test]
fn most_generated_frames_are_runnable() {
    let runner = Runner::new(constant(-1), LOOPBACK).unwrap();
    let before = std::time::Instant::now();
    let mut run = |frame: &[u8]| runner.passes(frame).unwrap();
    let comparison = packets::compare(&packets::model(), 1, 50_000, &mut run);
    println!("{:?}: {} not runnable", before.elapsed(), comparison.not_runnable);
    // Who lets everything pass is wrong about what the reference denies, and about nothing else.
    assert!(comparison.denied == 0 && comparison.admitted * 2 > comparison.tried, "{comparison}");
    assert!(comparison.not_runnable * 10 < comparison.tried, "{comparison}");
    assert_eq!(comparison.tried + comparison.not_runnable, 50_000);
}
