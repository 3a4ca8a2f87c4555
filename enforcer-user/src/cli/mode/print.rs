//! What is in force, and what a switch means, for people.

use std::fmt::Write as _;

use enforcer_common::mode::Enforcement;

use crate::cli::mode::{Mode, Own};
use crate::cli::output::{Look, Tone};
use crate::cli::text::{Column, count, fields, or_dash, table, wrap};
use crate::config::resolve::Turn;

/// What else is told.
pub(super) struct Told {
    /// What was in force, and what was done, if anything was.
    pub(super) turned: Option<(Enforcement, Turn)>,
    /// How many cgroups have programs.
    pub(super) attached: usize,
}

const WORKLOADS: &[Column] = &[
    Column::left("WORKLOAD").shrinks(10),
    Column::left("ENFORCEMENT"),
    Column::left("CGROUP").shrinks(10).keeps_end(),
];

pub(super) fn human(mode: &Mode, told: &Told, look: Look) -> String {
    let mut text = head(mode, told, look);
    if !mode.workloads_with_own.is_empty() {
        let row = |own: &Own| {
            let name = or_dash(own.workload.clone().unwrap_or_default());
            vec![name, own.enforcement.to_owned(), own.cgroup.clone()]
        };
        let rows: Vec<Vec<String>> = mode.workloads_with_own.iter().map(row).collect();
        text.push_str(&table(WORKLOADS, &rows, 2, look.width));
    }
    if let Some((before, turn)) = told.turned {
        let _ = write!(text, "\n{}", paragraph(&meaning(mode, before, turn), look));
    }
    text
}

fn head(mode: &Mode, told: &Told, look: Look) -> String {
    let mut lines = vec![("enforcement", mode.enforcement.to_owned())];
    if let (Some(until), Some(then)) = (&mode.until, mode.then) {
        lines.push(("until", format!("{until}, then {then}")));
    }
    let flag = mode.flag.unwrap_or("not known: no agent has finished its start");
    lines.push(("agent's flag", flag.to_owned()));
    if told.attached == 0 {
        lines.push(("attached to", "nothing: no cgroup has programs, so nothing is decided".to_owned()));
    }
    let own = &mode.workloads_with_own;
    if !own.is_empty() {
        let differ = own.iter().filter(|own| own.enforcement != mode.enforcement).count();
        let which = if mode.enforcement == Enforcement::Off.as_str() {
            "which does not count while the node is off".to_owned()
        } else {
            format!("{differ} other than the node's")
        };
        let has = if own.len() == 1 { "has its" } else { "have their" };
        let what = count(own.len(), "workload");
        lines.push(("exceptions", format!("{what} {has} own enforcement, {which}")));
    }
    let text = fields(&lines, 0, look.width);
    let tone = if mode.overridden { Tone::Doubtful } else { Tone::Good };
    // The first of these is the value: the labels do not have the word by itself.
    text.replacen(
        &format!("  {}\n", mode.enforcement),
        &format!("  {}\n", look.paint(mode.enforcement, tone)),
        1,
    )
}

/// What has just been done, in words, and the way back.
fn meaning(mode: &Mode, before: Enforcement, turn: Turn) -> String {
    let own = mode.workloads_with_own.len();
    let what = match turn.to {
        Enforcement::Off => "Off ends everything on this node, workloads with their own enforcement included: nothing \
                             is decided, counted or recorded, and VIPs are not translated, so a host that is known \
                             by a VIP alone cannot be reached."
            .to_owned(),
        Enforcement::Audit => {
            "Audit blocks nothing: what would be denied is recorded, and VIPs are translated.".to_owned()
        }
        Enforcement::Enforce => "Enforce denies what is not registered.".to_owned(),
    };
    let keep = match (own, turn.to) {
        (0, _) | (_, Enforcement::Off) => String::new(),
        (1, _) => " The workload with its own enforcement keeps it.".to_owned(),
        (_, _) => format!(" The {own} workloads with their own enforcement keep it."),
    };
    let lasts = match (turn.limit, mode.then) {
        (Some(_), Some(then)) => {
            format!(" It ends by itself, whether an agent runs or not; {then} comes then.")
        }
        _ if mode.overridden => {
            " It stays so when the agent is restarted, until its --enforcement changes.".to_owned()
        }
        _ => String::new(),
    };
    let back = if before == turn.to { String::new() } else { format!(" Back: enforcer mode {before}") };
    format!("{what}{keep}{lasts}{back}")
}

fn paragraph(text: &str, look: Look) -> String {
    wrap(text, look.width).iter().fold(String::new(), |text, line| text + line + "\n")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn mode(enforcement: &'static str, then: Option<&'static str>, own: &[(&str, &'static str)]) -> Mode {
        Mode {
            enforcement,
            until: then.map(|_| "2026-11-20T10:15:00Z".to_owned()),
            then,
            flag: Some("enforce"),
            overridden: enforcement != "enforce",
            workloads_with_own: own
                .iter()
                .map(|(name, enforcement)| Own {
                    cgroup: format!("/sys/fs/cgroup/apps/{name}"),
                    workload: Some(format!("shop/{name}")),
                    enforcement,
                })
                .collect(),
        }
    }

    const NARROW: Look = Look { width: Some(40), colour: false };
    const WIDE: Look = Look { width: Some(80), colour: false };

    #[test]
    fn what_is_in_force_until_when_and_who_differs() {
        let told = Told { turned: None, attached: 1 };
        assert_eq!(
            human(&mode("enforce", None, &[]), &told, WIDE),
            "enforcement   enforce\nagent's flag  enforce\n"
        );
        let own = [("cart", "enforce"), ("web", "audit")];
        assert_eq!(
            human(&mode("audit", Some("enforce"), &own), &told, WIDE),
            "enforcement   audit\n\
             until         2026-11-20T10:15:00Z, then enforce\n\
             agent's flag  enforce\n\
             exceptions    2 workloads have their own enforcement, 1 other than the node's\n  \
             WORKLOAD   ENFORCEMENT  CGROUP\n  \
             shop/cart  enforce      /sys/fs/cgroup/apps/cart\n  \
             shop/web   audit        /sys/fs/cgroup/apps/web\n"
        );
    }

    #[test]
    fn a_switch_says_what_it_means_and_the_way_back() {
        let off = Turn { to: Enforcement::Off, limit: Some(Duration::from_mins(15)) };
        let told = |before, turn| Told { turned: Some((before, turn)), attached: 0 };
        let text =
            human(&mode("off", Some("enforce"), &[("web", "audit")]), &told(Enforcement::Enforce, off), WIDE);
        for part in
            ["VIPs are not translated", "does not count", "nothing: no cgroup", "Back: enforcer mode enforce"]
        {
            assert!(text.replace('\n', " ").contains(part), "{part}: {text}");
        }
        let audit = Turn { to: Enforcement::Audit, limit: None };
        let own = [("web", "audit"), ("cart", "enforce")];
        let text = human(&mode("audit", None, &own), &told(Enforcement::Enforce, audit), WIDE);
        for part in ["The 2 workloads with their own enforcement keep it.", "until its --enforcement changes"]
        {
            assert!(text.replace('\n', " ").contains(part), "{part}: {text}");
        }
        let same = human(&mode("audit", None, &[]), &told(Enforcement::Audit, audit), WIDE);
        assert!(!same.contains("Back:"), "{same}");
    }

    #[test]
    fn everything_fits_a_narrow_terminal() {
        let off = Turn { to: Enforcement::Off, limit: Some(Duration::from_mins(15)) };
        let told = Told { turned: Some((Enforcement::Enforce, off)), attached: 0 };
        let text = human(&mode("off", Some("enforce"), &[("a-rather-long-name", "audit")]), &told, NARROW);
        assert!(text.lines().all(|line| line.chars().count() <= 40), "{text}");
    }
}
