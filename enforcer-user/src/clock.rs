//! Two clocks: the kernel's seconds since boot, which the switch is limited by, and the one that people read.

use jiff::{SignedDuration, Timestamp, Unit};
use nix::time::{ClockId, clock_gettime};

/// Nanoseconds since boot by `CLOCK_MONOTONIC`: what `bpf_ktime_get_ns` tells the programs.
pub fn since_boot_ns() -> u64 {
    // The clock always exists.
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC)
        .map_or(0, |time| i128::from(time.tv_sec()) * 1_000_000_000 + i128::from(time.tv_nsec()));
    u64::try_from(time).unwrap_or(0)
}

/// Whole seconds of it, as the programs count.
pub fn since_boot() -> u64 {
    since_boot_ns() / 1_000_000_000
}

/// A second since boot as RFC 3339, in UTC.
pub fn rfc3339(second: u64) -> String {
    wall(second, since_boot_ns(), Timestamp::now())
}

fn wall(second: u64, boot_ns: u64, now: Timestamp) -> String {
    let ahead = i128::from(second) * 1_000_000_000 - i128::from(boot_ns);
    // What is out of range by far is not worth an error: it is as far as time goes.
    let ahead = SignedDuration::from_nanos(i64::try_from(ahead).unwrap_or(i64::MAX));
    let then = now.checked_add(ahead).unwrap_or(Timestamp::MAX);
    then.round(Unit::Second).unwrap_or(then).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_since_boot_are_told_as_people_read_them() {
        let now: Timestamp = "2026-11-20T10:00:00.4Z".parse().unwrap();
        assert_eq!(wall(1_900, 1_000_400_000_000, now), "2026-11-20T10:15:00Z");
        assert_eq!(wall(100, 1_000_400_000_000, now), "2026-11-20T09:45:00Z");
        assert!(wall(u64::MAX, 0, now).starts_with("23"), "no panic");
    }
}
