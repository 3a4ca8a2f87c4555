//! Maps of maps, and the maps in them.

use std::io;
use std::mem::size_of;
use std::os::fd::{BorrowedFd, OwnedFd};

use aya::Pod;

use super::{BPF_OBJ_GET_INFO_BY_FD, GetInfo, bpf, make, number};

const BPF_MAP_CREATE: libc::c_int = 0;
const BPF_MAP_LOOKUP_ELEM: libc::c_int = 1;
const BPF_MAP_UPDATE_ELEM: libc::c_int = 2;
const BPF_MAP_DELETE_ELEM: libc::c_int = 3;
const BPF_MAP_GET_NEXT_KEY: libc::c_int = 4;
const BPF_MAP_GET_FD_BY_ID: libc::c_int = 14;
/// `BPF_MAP_TYPE_LRU_HASH`
const LRU_HASH: u32 = 9;

/// The first fields of `union bpf_attr` for `BPF_MAP_CREATE`.
#[repr(C)]
struct MapCreate {
    map_type: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    map_flags: u32,
    inner_map_fd: u32,
    numa_node: u32,
    map_name: [u8; 16],
}

/// The first fields of `struct bpf_map_info`.
#[repr(C)]
#[derive(Default)]
struct MapInfo {
    map_type: u32,
    id: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    map_flags: u32,
}

/// ... for `BPF_MAP_LOOKUP_ELEM`, `BPF_MAP_UPDATE_ELEM`, `BPF_MAP_DELETE_ELEM` and, with the next key for a value,
/// `BPF_MAP_GET_NEXT_KEY`.
#[repr(C)]
struct Element {
    map_fd: u32,
    padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// ... for `BPF_MAP_GET_FD_BY_ID`.
#[repr(C)]
struct MapById {
    map_id: u32,
    next_id: u32,
    flags: u32,
}

/// Makes a hash map of which the least used element goes when it is full.
pub(in crate::dataplane) fn create_lru(
    key_size: usize,
    value_size: usize,
    max_entries: u32,
) -> io::Result<OwnedFd> {
    let size = |size: usize| u32::try_from(size).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput));
    let mut attr = MapCreate {
        map_type: LRU_HASH,
        key_size: size(key_size)?,
        value_size: size(value_size)?,
        max_entries,
        map_flags: 0,
        inner_map_fd: 0,
        numa_node: 0,
        map_name: *b"FLOWS.workload\0\0",
    };
    make(BPF_MAP_CREATE, &mut attr)
}

/// Whether a map of maps has this key.
pub(in crate::dataplane) fn has_element(map: BorrowedFd<'_>, key: &[u8; 8]) -> io::Result<bool> {
    // What is read there is a map's number.
    let mut value = [0_u8; 4];
    found(element(BPF_MAP_LOOKUP_ELEM, map, key.as_ptr() as u64, value.as_mut_ptr() as u64))
}

/// What is in a map of maps under `key`.
pub(in crate::dataplane) fn inner_map(map: BorrowedFd<'_>, key: &[u8; 8]) -> io::Result<OwnedFd> {
    let mut value = [0_u8; 4];
    element(BPF_MAP_LOOKUP_ELEM, map, key.as_ptr() as u64, value.as_mut_ptr() as u64)?;
    make(BPF_MAP_GET_FD_BY_ID, &mut MapById { map_id: u32::from_ne_bytes(value), next_id: 0, flags: 0 })
}

/// How many elements a map was made for.
pub(in crate::dataplane) fn max_entries(map: BorrowedFd<'_>) -> io::Result<u32> {
    let mut info = MapInfo::default();
    let info_len = u32::try_from(size_of::<MapInfo>()).unwrap_or(u32::MAX);
    let pointer = std::ptr::from_mut(&mut info) as u64;
    bpf(BPF_OBJ_GET_INFO_BY_FD, &mut GetInfo { bpf_fd: number(map), info_len, info: pointer })?;
    Ok(info.max_entries)
}

/// The key after this one in a map, or the first; `None` after the last.
pub(in crate::dataplane) fn next_key<const N: usize>(
    map: BorrowedFd<'_>,
    key: Option<&[u8; N]>,
) -> io::Result<Option<[u8; N]>> {
    let mut next = [0; N];
    let key = key.map_or(0, |key| key.as_ptr() as u64);
    found(element(BPF_MAP_GET_NEXT_KEY, map, key, next.as_mut_ptr() as u64))
        .map(|found| found.then_some(next))
}

/// The number under a key of a map.
pub(in crate::dataplane) fn look_up<K: Pod>(map: BorrowedFd<'_>, key: &K) -> io::Result<Option<u64>> {
    let mut value = 0_u64;
    let pointer = std::ptr::from_mut(&mut value) as u64;
    found(element(BPF_MAP_LOOKUP_ELEM, map, std::ptr::from_ref(key) as u64, pointer))
        .map(|found| found.then_some(value))
}

/// Puts a number into a map.
pub(in crate::dataplane) fn insert_element<K: Pod>(
    map: BorrowedFd<'_>,
    key: &K,
    mut value: u64,
) -> io::Result<()> {
    let key = std::ptr::from_ref(key) as u64;
    element(BPF_MAP_UPDATE_ELEM, map, key, std::ptr::from_mut(&mut value) as u64)
}

/// Puts `inner` into a map of maps.
pub(in crate::dataplane) fn insert_map(
    map: BorrowedFd<'_>,
    key: &[u8; 8],
    inner: BorrowedFd<'_>,
) -> io::Result<()> {
    let mut value = number(inner).to_ne_bytes();
    element(BPF_MAP_UPDATE_ELEM, map, key.as_ptr() as u64, value.as_mut_ptr() as u64)
}

/// Takes out of a map what is under `key`, if anything is.
pub(in crate::dataplane) fn remove_element(map: BorrowedFd<'_>, key: &[u8; 8]) -> io::Result<()> {
    found(element(BPF_MAP_DELETE_ELEM, map, key.as_ptr() as u64, 0)).map(drop)
}

/// Whether the key was there.
fn found(result: io::Result<()>) -> io::Result<bool> {
    match result {
        Ok(()) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(false),
        Err(error) => Err(error),
    }
}

fn element(command: libc::c_int, map: BorrowedFd<'_>, key: u64, value: u64) -> io::Result<()> {
    bpf(command, &mut Element { map_fd: number(map), padding: 0, key, value, flags: 0 }).map(drop)
}
