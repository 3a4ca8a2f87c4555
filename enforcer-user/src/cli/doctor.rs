//! `enforcer doctor`.

use std::fmt::Write as _;

use clap::Args;

use crate::cli::Answer;
use crate::cli::args::PinArgs;
use crate::cli::output::{self, Format, Look, Tone};
use crate::cli::text::{count, wrap};
use crate::config::resolve::{self, Faulty};
use crate::doctor::{Check, Outcome, Report, examine};

/// The flags of `enforcer doctor`.
#[derive(Args, Debug)]
pub struct DoctorArgs {
    /// Where things are pinned.
    #[command(flatten)]
    pins: PinArgs,
    /// Where the agent is to enforce, if not below the kubepods cgroup; repeatable
    #[arg(long, env = "ENFORCER_CGROUP", value_name = "PATH", value_delimiter = '\n')]
    cgroup: Vec<String>,
}

pub(super) fn run(args: &DoctorArgs, format: Format) -> anyhow::Result<Answer> {
    let request = resolve::doctor(&args.pins, &args.cgroup).map_err(Faulty)?;
    let report = examine(&request);
    output::answer(format, &report, human)?;
    Ok(Answer::from_bool(report.ok))
}

/// Behind the widest result and a space on each side.
const INDENT: usize = 7;

fn human(report: &Report, look: Look) -> String {
    let mut text = String::new();
    let mut area = "";
    for check in &report.checks {
        if check.area != area {
            area = check.area;
            let gap = if text.is_empty() { "" } else { "\n" };
            let _ = writeln!(text, "{gap}{}", area.to_uppercase());
        }
        text.push_str(&lines(check, look));
    }
    let _ = writeln!(text, "\n{}", summary(report, look));
    text
}

/// The result, what was found, and what to do below it.
fn lines(check: &Check, look: Look) -> String {
    let (word, tone) = match check.result {
        Outcome::Ok => ("OK", Tone::Good),
        Outcome::Warn => ("WARN", Tone::Doubtful),
        Outcome::Fail => ("FAIL", Tone::Bad),
    };
    let width = look.width.map(|width| width.saturating_sub(INDENT));
    let found = wrap(&format!("{}: {}", check.check, check.found), width);
    let advice = check.advice.iter().flat_map(|advice| wrap(&format!("-> {advice}"), width));
    let mut text = String::new();
    for (at, line) in found.into_iter().chain(advice).enumerate() {
        let word = if at == 0 { look.paint(&format!("{word:<4}"), tone) } else { "    ".to_owned() };
        text.push_str(format!("  {word} {line}").trim_end());
        text.push('\n');
    }
    text
}

fn summary(report: &Report, look: Look) -> String {
    let number = |result| report.checks.iter().filter(|check| check.result == result).count();
    let (warnings, failures) = (number(Outcome::Warn), number(Outcome::Fail));
    let counted = format!("{}, {}", count(failures, "failure"), count(warnings, "warning"));
    let (said, tone) = match (failures, warnings) {
        (1.., _) => ("this node cannot enforce like this", Tone::Bad),
        (0, 1..) => ("this node can enforce, as far as could be looked at", Tone::Doubtful),
        (0, 0) => ("this node can enforce", Tone::Good),
    };
    let said = wrap(&format!("{said}: {counted}"), look.width).join("\n");
    look.paint(&said, tone)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let check = |area, check: &str, result, found: &str, advice: Option<&str>| Check {
            area,
            check: check.to_owned(),
            result,
            found: found.to_owned(),
            advice: advice.map(str::to_owned),
        };
        Report {
            checks: vec![
                check("kernel", "version", Outcome::Ok, "6.18.44", None),
                check(
                    "kernel",
                    "JIT",
                    Outcome::Warn,
                    "off: every program is interpreted",
                    Some("switch it on"),
                ),
                check("mounts", "bpffs", Outcome::Fail, "none", Some("mount -t bpf bpf /sys/fs/bpf")),
            ],
            ok: false,
        }
    }

    #[test]
    fn results_stand_in_front_and_advice_below() {
        let text = human(&report(), Look { width: Some(40), colour: false });
        assert_eq!(
            text,
            "KERNEL\n  OK   version: 6.18.44\n  WARN JIT: off: every program is\n       interpreted\n       \
             -> switch it on\n\nMOUNTS\n  FAIL bpffs: none\n       -> mount -t bpf bpf /sys/fs/bpf\n\n\
             this node cannot enforce like this: 1\nfailure, 1 warning\n"
        );
    }

    #[test]
    fn programs_read_the_same() {
        let json = serde_json::to_value(report()).unwrap();
        assert_eq!(json["ok"], false);
        assert_eq!(
            json["checks"][1],
            serde_json::json!({
                "area": "kernel", "check": "JIT", "result": "warn",
                "found": "off: every program is interpreted", "advice": "switch it on",
            })
        );
        assert!(json["checks"][0]["advice"].is_null());
    }
}
