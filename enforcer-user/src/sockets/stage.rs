//! A map of socket local storage, by plain bpf(2): aya stays in the dataplane.

use std::fs;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

const BPF_MAP_CREATE: libc::c_int = 0;
const BPF_MAP_UPDATE_ELEM: libc::c_int = 2;
const BPF_BTF_LOAD: libc::c_int = 18;
const BPF_MAP_TYPE_SK_STORAGE: u32 = 24;
const BPF_F_NO_PREALLOC: u32 = 1;

/// The first fields of `union bpf_attr` for `BPF_MAP_CREATE`.
#[repr(C)]
#[derive(Default)]
struct MapCreate {
    map_type: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    map_flags: u32,
    inner_map_fd: u32,
    numa_node: u32,
    map_name: [u8; 16],
    map_ifindex: u32,
    btf_fd: u32,
    btf_key_type_id: u32,
    btf_value_type_id: u32,
}

/// ... for `BPF_MAP_UPDATE_ELEM`.
#[repr(C)]
struct MapUpdate {
    map_fd: u32,
    padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// ... for `BPF_BTF_LOAD`.
#[repr(C)]
struct BtfLoad {
    btf: u64,
    log: u64,
    btf_size: u32,
    log_size: u32,
    log_level: u32,
    padding: u32,
}

/// A map that stores a value with a socket.
pub(crate) struct Map(OwnedFd);

impl Map {
    /// Of values with so many bytes, a multiple of 4.
    pub(crate) fn create(value_size: usize) -> Self {
        let value_size = u32::try_from(value_size).unwrap();
        let btf = load_btf(value_size / 4);
        let mut attr = MapCreate {
            map_type: BPF_MAP_TYPE_SK_STORAGE,
            key_size: 4,
            value_size,
            map_flags: BPF_F_NO_PREALLOC,
            btf_fd: number(btf.as_fd()),
            btf_key_type_id: 1,
            btf_value_type_id: 2,
            ..MapCreate::default()
        };
        Self(descriptor(bpf(BPF_MAP_CREATE, &mut attr)))
    }

    pub(crate) fn store(&self, socket: BorrowedFd<'_>, value: &[u8]) {
        let key = socket.as_raw_fd();
        let mut attr = MapUpdate {
            map_fd: number(self.as_fd()),
            padding: 0,
            key: (&raw const key) as u64,
            value: value.as_ptr() as u64,
            flags: 0,
        };
        bpf(BPF_MAP_UPDATE_ELEM, &mut attr);
    }

    pub(crate) fn id(&self) -> u32 {
        let text = fs::read_to_string(format!("/proc/self/fdinfo/{}", self.0.as_raw_fd())).unwrap();
        let id = text.lines().find_map(|line| line.strip_prefix("map_id:")).expect("a map's descriptor");
        id.trim().parse().unwrap()
    }
}

impl AsFd for Map {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Socket storage must tell its types. Here are two: `int`, of 32 bits, signed, and an array of them.
fn load_btf(length: u32) -> OwnedFd {
    let strings = b"\0int\0";
    let [kind_int, kind_array]: [u32; 2] = [1 << 24, 3 << 24];
    let words: [u32; 16] = [
        // Magic, version 1; the header's length; where the types are, and the strings.
        0x0001_eb9f,
        24,
        0,
        40,
        40,
        5,
        // The first type: its name, its kind, its size, and how it is encoded.
        1,
        kind_int,
        4,
        1 << 24 | 32,
        // The second: no name, its kind, no size; the type of what is in it and of its index, and how many there are.
        0,
        kind_array,
        0,
        1,
        1,
        length,
    ];
    let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    bytes.extend(strings);
    let mut attr = BtfLoad {
        btf: bytes.as_ptr() as u64,
        log: 0,
        btf_size: u32::try_from(bytes.len()).unwrap(),
        log_size: 0,
        log_level: 0,
        padding: 0,
    };
    descriptor(bpf(BPF_BTF_LOAD, &mut attr))
}

fn number(descriptor: BorrowedFd<'_>) -> u32 {
    u32::try_from(descriptor.as_raw_fd()).unwrap()
}

fn descriptor(number: libc::c_int) -> OwnedFd {
    // SAFETY: the kernel has just given us this descriptor.
    unsafe { OwnedFd::from_raw_fd(number) }
}

fn bpf<T>(command: libc::c_int, attr: &mut T) -> libc::c_int {
    // SAFETY: `attr` has the layout of this command, and everything it points to lives in the caller's frame.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attr), size_of::<T>()) };
    assert!(result >= 0, "bpf({command}): {}", io::Error::last_os_error());
    libc::c_int::try_from(result).unwrap()
}
