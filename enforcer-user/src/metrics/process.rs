//! The agent as the kernel sees it: `/proc/self`, see proc(5).

use std::fs;

use nix::unistd::{SysconfVar, sysconf};

/// What a process costs. A file that cannot be read is zeros: a metric is no reason to fail.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Process {
    /// When it started, as Unix time.
    pub start_seconds: f64,
    /// User and system time.
    pub cpu_seconds: f64,
    /// Resident memory.
    pub resident_bytes: u64,
    /// Open file descriptors.
    pub open_fds: u64,
    /// How many there may be.
    pub max_fds: u64,
}

impl Process {
    /// This process, now.
    pub fn now() -> Self {
        let read = |name: &str| fs::read_to_string(format!("/proc/{name}")).unwrap_or_default();
        let ticks = system(SysconfVar::CLK_TCK);
        let stat = Stat::parse(&read("self/stat")).unwrap_or_default();
        let boot = boot_time(&read("stat")).unwrap_or_default();
        Self {
            start_seconds: boot + stat.start / ticks,
            cpu_seconds: stat.cpu / ticks,
            resident_bytes: resident_pages(&read("self/statm")).unwrap_or_default() * page_size(),
            // The directory that is being read is open, too.
            open_fds: fs::read_dir("/proc/self/fd").map_or(0, |fds| fds.count() as u64).saturating_sub(1),
            max_fds: nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE)
                .map_or(0, |(soft, _)| soft),
        }
    }
}

/// Two fields of `/proc/self/stat`, in clock ticks.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
struct Stat {
    cpu: f64,
    start: f64,
}

impl Stat {
    fn parse(stat: &str) -> Option<Self> {
        // The process's name stands in brackets and may hold anything, brackets included.
        let (_, rest) = stat.rsplit_once(')')?;
        let field = |number: usize| rest.split_ascii_whitespace().nth(number - 3)?.parse::<f64>().ok();
        Some(Self { cpu: field(14)? + field(15)?, start: field(22)? })
    }
}

/// `btime` of `/proc/stat`.
fn boot_time(stat: &str) -> Option<f64> {
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

/// The second number of `/proc/self/statm`.
fn resident_pages(statm: &str) -> Option<u64> {
    statm.split_ascii_whitespace().nth(1)?.parse().ok()
}

fn page_size() -> u64 {
    sysconf(SysconfVar::PAGE_SIZE).ok().flatten().and_then(|size| u64::try_from(size).ok()).unwrap_or(4_096)
}

fn system(what: SysconfVar) -> f64 {
    let value = sysconf(what).ok().flatten().and_then(|value| u32::try_from(value).ok());
    value.map_or(100.0, f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_behind_a_name_with_brackets() {
        let stat = "42 (a) b) S 1 42 42 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 3 0 4711 1000 200 18446744073709551615";
        assert_eq!(Stat::parse(stat), Some(Stat { cpu: 300.0, start: 4711.0 }));
        assert_eq!(Stat::parse("42 (a) S"), None);
        assert_eq!(resident_pages("1000 200 30"), Some(200));
        assert_eq!(boot_time("cpu 1 2\nbtime 1700000000\n"), Some(1.7e9));
    }

    #[test]
    fn this_process_is_alive() {
        let process = Process::now();
        assert!(process.start_seconds > 1.7e9 && process.resident_bytes > 1 << 20, "{process:?}");
        assert!(process.open_fds >= 3 && process.max_fds >= process.open_fds, "{process:?}");
    }
}
