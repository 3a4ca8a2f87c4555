//! `enforcer doctor`: whether this node can enforce, who else is here, and what a policy will have to let through.
//!
//! Each area is a file of pure functions over what was read; `look` does the reading. Nothing is attached or written, and
//! nobody on the network is asked.

mod addresses;
mod cgroups;
mod features;
mod interfaces;
mod kernel;
mod look;
mod mounts;
mod neighbours;
mod pins;
mod privileges;

use std::path::PathBuf;

use serde::Serialize;

/// What a check came to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// As it should be.
    Ok,
    /// Works, but somebody should look; or could not be looked at.
    Warn,
    /// Nothing can be enforced like this.
    Fail,
}

/// One check. The field names are stable.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Check {
    /// `kernel`, `features`, `privileges`, `mounts`, `cgroups`, `neighbours`, `interfaces`, `addresses`, `pins`.
    pub area: &'static str,
    /// What was looked at.
    pub check: String,
    /// What it came to.
    pub result: Outcome,
    /// What was there.
    pub found: String,
    /// What to do; always there where something is wrong.
    pub advice: Option<String>,
}

/// All of them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Report {
    /// Area by area.
    pub checks: Vec<Check>,
    /// Whether none failed.
    pub ok: bool,
}

/// What to look at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    /// The agent's bpffs directory.
    pub pin_dir: PathBuf,
    /// Where it is to enforce; none given: where pods usually are.
    pub cgroups: Vec<PathBuf>,
}

/// Looks at everything.
pub fn examine(request: &Request) -> Report {
    let checks: Vec<Check> = [
        kernel::checks(&look::kernel()),
        features::checks(&look::features()),
        privileges::checks(&look::privileges()),
        mounts::checks(&look::mounts(request)),
        cgroups::checks(&look::cgroups(request)),
        neighbours::checks(&look::neighbours(request)),
        interfaces::checks(&look::interfaces(request)),
        addresses::checks(&look::addresses()),
        pins::checks(&look::pins(request)),
    ]
    .concat();
    let ok = checks.iter().all(|check| check.result != Outcome::Fail);
    Report { checks, ok }
}

/// Makes the checks of one area.
#[derive(Clone, Copy)]
struct Area(&'static str);

impl Area {
    fn ok(self, check: impl Into<String>, found: impl Into<String>) -> Check {
        self.check(check.into(), Outcome::Ok, found.into(), None)
    }

    /// Fine as it is, and good to know.
    fn note(self, check: impl Into<String>, found: impl Into<String>, advice: impl Into<String>) -> Check {
        self.check(check.into(), Outcome::Ok, found.into(), Some(advice.into()))
    }

    fn warn(self, check: impl Into<String>, found: impl Into<String>, advice: impl Into<String>) -> Check {
        self.check(check.into(), Outcome::Warn, found.into(), Some(advice.into()))
    }

    fn fail(self, check: impl Into<String>, found: impl Into<String>, advice: impl Into<String>) -> Check {
        self.check(check.into(), Outcome::Fail, found.into(), Some(advice.into()))
    }

    /// Not known is never passed.
    fn not_looked_at(
        self,
        check: impl Into<String>,
        why: impl std::fmt::Display,
        advice: impl Into<String>,
    ) -> Check {
        self.warn(check, format!("not looked at: {why}"), advice)
    }

    fn check(self, check: String, result: Outcome, found: String, advice: Option<String>) -> Check {
        Check { area: self.0, check, result, found, advice }
    }
}

/// `check: result`, and what was found: what the tests of the areas compare.
#[cfg(test)]
fn told(checks: &[Check]) -> Vec<(String, Outcome)> {
    for check in checks {
        let silent = check.result != Outcome::Ok && check.advice.is_none();
        assert!(!silent, "nothing said about what to do: {check:?}");
    }
    checks.iter().map(|check| (check.check.clone(), check.result)).collect()
}

/// The check of this name.
#[cfg(test)]
fn named<'a>(checks: &'a [Check], name: &str) -> &'a Check {
    checks.iter().find(|check| check.check == name).unwrap_or_else(|| panic!("no {name} in {checks:#?}"))
}
