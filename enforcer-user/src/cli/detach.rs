//! `enforcer detach`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use enforcer_common::key::CgroupId;
use serde::Serialize;

use crate::cli::Answer;
use crate::cli::args::PinArgs;
use crate::cli::output::{self, Format};
use crate::cli::text::count;
use crate::config::resolve::{self, Faulty};
use crate::{canary, identity};

/// How long the cgroups of canaries are looked for.
const PATIENCE: Duration = Duration::from_secs(1);

/// The flags of `enforcer detach`.
#[derive(Args, Debug)]
pub struct DetachArgs {
    /// Where things are pinned.
    #[command(flatten)]
    pins: PinArgs,
}

/// What was taken off. The field names are stable.
#[derive(Serialize)]
struct Detached {
    links: usize,
    maps: usize,
    pins: Vec<PathBuf>,
}

pub(super) fn run(args: &DetachArgs, format: Format) -> anyhow::Result<Answer> {
    let dir = resolve::pin_dir(&args.pins).map_err(Faulty)?;
    let report = crate::dataplane::detach::detach(&dir)
        .with_context(|| format!("taking off what is pinned below {}", dir.display()))?;
    canary::remove(&cgroups(&report.pins));
    let detached = Detached { links: report.links, maps: report.maps, pins: report.pins };
    output::answer(format, &detached, |detached, _| human(detached, &dir))?;
    Ok(Answer::Yes)
}

/// The cgroups that had links, as far as they are found soon.
fn cgroups(pins: &[PathBuf]) -> Vec<PathBuf> {
    // `links/<cgroup id>/<program>`
    let of_link = |pin: &PathBuf| {
        let directory = pin.parent()?;
        directory.parent()?.ends_with("links").then_some(())?;
        directory.file_name()?.to_str()?.parse().ok().map(CgroupId::new)
    };
    let ids: BTreeSet<CgroupId> = pins.iter().filter_map(of_link).collect();
    if ids.is_empty() {
        Vec::new()
    } else {
        identity::paths(&ids, Instant::now() + PATIENCE).into_values().collect()
    }
}

fn human(detached: &Detached, dir: &Path) -> String {
    let dir = dir.display();
    if detached.pins.is_empty() {
        return format!("nothing to detach: nothing is pinned below {dir}\n");
    }
    let mut text = format!(
        "detached: {} and {} taken off below {dir}; nothing is enforced any more\n",
        count(detached.links, "link"),
        count(detached.maps, "map")
    );
    for pin in &detached.pins {
        text.push_str("  ");
        text.push_str(&pin.to_string_lossy());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_off_is_named() {
        let dir = Path::new("/sys/fs/bpf/enforcer");
        let nothing = Detached { links: 0, maps: 0, pins: Vec::new() };
        assert_eq!(human(&nothing, dir), "nothing to detach: nothing is pinned below /sys/fs/bpf/enforcer\n");
        let some = Detached { links: 4, maps: 1, pins: vec![dir.join("v1/maps/EXACT")] };
        assert_eq!(
            human(&some, dir),
            "detached: 4 links and 1 map taken off below /sys/fs/bpf/enforcer; nothing is enforced any more\n  \
             /sys/fs/bpf/enforcer/v1/maps/EXACT\n"
        );
    }
}
