//! Lengths of time: `15m`.

use std::time::Duration;

use crate::config::resolve::{Wrong, wrong};

/// The longest `--endpoint-grace`: what an endpoint had been allowed to for longer than this is nobody's intent any more.
const LONGEST_GRACE: Duration = Duration::from_hours(7 * 24);
const UNITS: &[(&str, u64)] = &[("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400)];

/// `15m`: whole numbers of one unit. What is longer than a [`Duration`] is its longest.
pub(super) fn duration(text: &str) -> Result<Duration, Wrong> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit = UNITS.iter().find(|(name, _)| *name == unit);
    let (Some((_, seconds)), false) = (unit, number.is_empty()) else {
        return Err(wrong("not a time", "write a whole number and one of s, m, h and d: 90s, 15m, 8h, 2d"));
    };
    // Digits only: what is no number is too large for one.
    let number = number.parse::<u64>().unwrap_or(u64::MAX);
    Ok(Duration::from_secs(number.saturating_mul(*seconds)))
}

/// `--endpoint-grace`. No time at all ends a flow with its endpoint.
pub(super) fn endpoint_grace(text: &str) -> Result<Duration, Wrong> {
    match if text == "0" { Duration::ZERO } else { duration(text)? } {
        time if time <= LONGEST_GRACE => Ok(time),
        _ => Err(wrong("longer than 7 days", "give at most 7d; 0s ends a flow with its endpoint")),
    }
}
