//! What `enforcer mode` was told.

use std::path::PathBuf;
use std::time::Duration;

use enforcer_common::mode::Enforcement;

use crate::cli::args::mode::ModeArgs;
use crate::config::resolve::{Fault, Faults, Wrong, absolute, policy, time, wrong};

/// The longest time a switch may be turned for: what is meant for longer is `--enforcement`.
const LONGEST: Duration = Duration::from_hours(30 * 24);

/// To what, and for how long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Turn {
    /// To what.
    pub to: Enforcement,
    /// `None`: for good.
    pub limit: Option<Duration>,
}

/// `enforcer mode`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ModeRequest {
    /// `None`: only show.
    pub turn: Option<Turn>,
    /// The bpffs directory.
    pub pin_dir: PathBuf,
    /// Who may know the workloads' names.
    /// The socket of the agent, who may know the workloads' names.
    pub admin: PathBuf,
}

/// What `enforcer mode` was told.
pub fn mode(args: &ModeArgs) -> Result<ModeRequest, Vec<Fault>> {
    let mut faults = Faults::default();
    let to = args.mode.as_deref().map(|text| faults.take("MODE", text, policy::enforcement));
    let limit = args.limit.as_deref().map(|text| faults.take("--for", text, limit));
    if let (None, Some(text)) = (to, &args.limit) {
        faults.add(
            "--for",
            None,
            text,
            wrong("limits nothing", "say to what: enforcer mode audit --for 15m"),
        );
    }
    let pin_dir = faults.take("--pin-dir", &args.pins.pin_dir, absolute);
    // Given and understood, or not given: what was given and not understood is a fault already.
    let turn = to.flatten().map(|to| Turn { to, limit: limit.flatten() });
    let request =
        pin_dir.map(|pin_dir| ModeRequest { turn, pin_dir, admin: PathBuf::from(&args.admin.admin) });
    faults.finish(request)
}

/// `--for`.
fn limit(text: &str) -> Result<Duration, Wrong> {
    match time::duration(text)? {
        Duration::ZERO => Err(wrong("no time at all", "the shortest is 1s")),
        time if time <= LONGEST => Ok(time),
        _ => Err(wrong(
            "longer than 30 days",
            "leave --for out, or start the agent with another --enforcement: a switch for a time is for emergencies",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::AdminArgs;

    #[test]
    fn times_have_one_unit_and_an_end() {
        let seconds = |text| limit(text).map(|time| time.as_secs()).map_err(|(what, _)| what);
        for (text, expected) in [
            ("1s", Ok(1)),
            ("15m", Ok(900)),
            ("8h", Ok(28_800)),
            ("30d", Ok(2_592_000)),
            ("0s", Err("no time at all")),
            ("31d", Err("longer than 30 days")),
            ("720h", Ok(2_592_000)),
            ("721h", Err("longer than 30 days")),
            ("99999999999999999999999d", Err("longer than 30 days")),
            ("18446744073709551615d", Err("longer than 30 days")),
            ("", Err("not a time")),
            ("m", Err("not a time")),
            ("15", Err("not a time")),
            ("1h30m", Err("not a time")),
            ("-5m", Err("not a time")),
            ("5 m", Err("not a time")),
            ("5M", Err("not a time")),
        ] {
            assert_eq!(seconds(text), expected.map_err(str::to_owned), "{text:?}");
        }
    }

    fn args(mode: Option<&str>, limit: Option<&str>) -> ModeArgs {
        ModeArgs {
            mode: mode.map(str::to_owned),
            limit: limit.map(str::to_owned),
            pins: crate::cli::args::PinArgs { pin_dir: "/sys/fs/bpf/enforcer".to_owned() },
            admin: AdminArgs { admin: "/run/enforcer/admin.sock".to_owned() },
        }
    }

    #[test]
    fn a_mode_may_have_a_limit_and_a_limit_must_have_a_mode() {
        let turn = |mode, limit| mode_of(&args(mode, limit));
        assert_eq!(turn(None, None), Ok(None));
        assert_eq!(turn(Some("Audit"), None), Ok(Some((Enforcement::Audit, None))));
        assert_eq!(turn(Some("off"), Some("15m")), Ok(Some((Enforcement::Off, Some(900)))));
        assert_eq!(turn(None, Some("15m")), Err(1));
        assert_eq!(turn(Some("on"), Some("15")), Err(2), "all faults at once");
    }

    fn mode_of(args: &ModeArgs) -> Result<Option<(Enforcement, Option<u64>)>, usize> {
        let request = mode(args).map_err(|faults| faults.len())?;
        Ok(request.turn.map(|turn| (turn.to, turn.limit.map(|limit| limit.as_secs()))))
    }
}
