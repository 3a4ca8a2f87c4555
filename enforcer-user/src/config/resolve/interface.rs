//! `--interface` and `--uplink`, and what else names interfaces.

use crate::config::resolve::{Faults, Wrong, wrong};
use crate::config::{InterfacePattern, Interfaces, StaticWorkload};

const FLAG: &str = "--interface";
const UPLINK: &str = "--uplink";
const WORKLOAD: &str = "--workload";

/// The longest name that an interface may have (the kernel's `IFNAMSIZ`, less the byte behind it).
const LONGEST: usize = 15;

/// What a value of `--interface` is.
#[derive(Clone, PartialEq, Eq)]
enum Choice {
    Auto,
    None,
    Pattern(InterfacePattern),
}

pub(super) fn interfaces(values: &[String], faults: &mut Faults) -> Interfaces {
    let mut interfaces = Interfaces { auto: false, patterns: Vec::new() };
    let choices = faults.take_each(FLAG, values, choice);
    if choices.is_empty() && !faults.has(FLAG) {
        let what = "no interface given, which might be a mistake";
        faults.add(FLAG, None, "", wrong(what, "use auto or a pattern; none switches it off"));
    }
    for (number, (at, choice)) in choices.iter().enumerate() {
        let text = values[*at].trim();
        if choices[..number].iter().any(|(_, earlier)| earlier == choice) {
            faults.add(FLAG, Some(*at), text, wrong("there twice", "keep one"));
        } else if *choice == Choice::None && choices.len() > 1 {
            faults.add(
                FLAG,
                Some(*at),
                text,
                wrong("none stands beside others", "leave it out, or the others"),
            );
        }
        match choice {
            Choice::Auto => interfaces.auto = true,
            Choice::None => {}
            Choice::Pattern(pattern) => interfaces.patterns.push(pattern.clone()),
        }
    }
    interfaces
}

/// One interface cannot be a workload's and the node's.
pub(super) fn uplinks(
    values: &[String],
    interfaces: &Interfaces,
    faults: &mut Faults,
) -> Vec<InterfacePattern> {
    let mut uplinks: Vec<InterfacePattern> = Vec::new();
    for (at, uplink) in faults.take_each(UPLINK, values, pattern) {
        if uplinks.contains(&uplink) {
            faults.add(UPLINK, Some(at), uplink.as_str(), wrong("there twice", "keep one"));
        } else if interfaces.patterns.contains(&uplink) {
            let what =
                "the same pattern is an --interface, and one interface cannot be a workload's and the node's";
            faults.add(UPLINK, Some(at), uplink.as_str(), wrong(what, "keep one of them"));
        }
        uplinks.push(uplink);
    }
    uplinks
}

/// Workloads whose interfaces the flags make something else of.
pub(super) fn contradictions(
    values: &[String],
    workloads: &[(usize, StaticWorkload)],
    interfaces: &Interfaces,
    uplinks: &[InterfacePattern],
    faults: &mut Faults,
) {
    // A value that could not be read may be the one that settles it.
    let none = interfaces.is_none() && !faults.has(FLAG);
    for (at, workload) in workloads {
        for interface in &workload.interfaces {
            let wrong = if none {
                let what = format!("the interface {interface} would not be looked at: --interface is none");
                wrong(what, "leave the interface out, or give --interface auto")
            } else if let Some(uplink) = uplinks.iter().find(|uplink| uplink.matches(interface)) {
                let what = format!("the interface {interface} is one of --uplink {uplink}, the node's own");
                wrong(what, "name the host-side interface of the workload, or give a narrower --uplink")
            } else {
                continue;
            };
            faults.add(WORKLOAD, Some(*at), values[*at].trim(), wrong);
        }
    }
}

fn choice(text: &str) -> Result<Choice, Wrong> {
    match text {
        _ if text.eq_ignore_ascii_case("auto") => Ok(Choice::Auto),
        _ if text.eq_ignore_ascii_case("none") => Ok(Choice::None),
        _ => pattern(text).map(Choice::Pattern),
    }
}

fn pattern(text: &str) -> Result<InterfacePattern, Wrong> {
    let pattern = InterfacePattern::new(text);
    if text.bytes().all(|byte| b"*?".contains(&byte)) {
        let hint = "name what its interfaces have in common: veth*";
        return Err(wrong("the pattern is every interface's, the node's own, too", hint));
    }
    if pattern.matches("lo") {
        let what = "the pattern is lo's, too, and loopback is always allowed";
        return Err(wrong(what, "write one that is not: eth*, not *o"));
    }
    characters(text)?;
    Ok(pattern)
}

/// The name of one interface.
pub(super) fn name(text: &str) -> Result<String, Wrong> {
    if text.contains(['*', '?']) {
        return Err(wrong(
            format!("{text:?} is a pattern"),
            "name the interface; --interface takes patterns",
        ));
    }
    if ["lo", "auto", "none"].iter().any(|word| word.eq_ignore_ascii_case(text)) {
        let what = format!("{text:?} is not the host-side interface of a workload");
        return Err(wrong(what, "name it, or leave it out: then it is looked for"));
    }
    characters(text)?;
    Ok(text.to_owned())
}

/// What the kernel takes for a name (`dev_valid_name`), without what separates names for us, and without the signs of
/// patterns that we do not have: taken literally they would stand for no interface, and nobody would notice.
fn characters(text: &str) -> Result<(), Wrong> {
    let odd = |c: &char| c.is_whitespace() || c.is_control() || "/:,;[]{}!\\".contains(*c);
    if let Some(c) = text.chars().find(odd) {
        return Err(wrong(
            format!("{c:?} is in no name of an interface"),
            "only * and ? are special: eth*, ens?f0",
        ));
    }
    match text.len() {
        _ if matches!(text, "." | "..") => Err(wrong("not the name of an interface", "name one: eth0")),
        0 => Err(wrong("the name is empty", "name an interface: eth0")),
        1..=LONGEST => Ok(()),
        length => {
            let what = format!("{length} bytes long, and names of interfaces are at most {LONGEST}");
            Err(wrong(what, "write it as `ip link` shows it, without what follows the @"))
        }
    }
}
