//! `cargo xtask setup`: installs what is missing, nothing else, and says what it does. It can be run twice.

mod apt;
mod items;
mod progress;

use std::fs::File;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::command;
use crate::stop::Stop;
use crate::tree;

use items::{Fix, Item};

/// How to set up.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only says what is missing
    #[arg(long)]
    check: bool,
    /// Also what only `cargo xtask ci` needs
    #[arg(long)]
    ci: bool,
}

/// How much is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Building, testing and the demo.
    Build,
    /// Linters and auditors as well.
    Ci,
}

/// The task: one line per item.
pub(crate) fn run(args: &Args) -> Result<()> {
    let items = items::list(if args.ci { Scope::Ci } else { Scope::Build });
    if !args.check {
        return install(&items, true);
    }
    for item in &items {
        match &item.found {
            Some(detail) => say("present", &item.name, detail),
            None => say("missing", &item.name, ""),
        }
    }
    if items.iter().all(|item| item.found.is_some()) { Ok(()) } else { Err(Stop::Failed.into()) }
}

/// What other tasks start with: silent about what is there.
pub(crate) fn ensure(scope: Scope) -> Result<()> {
    let items = items::list(scope);
    if items.iter().all(|item| item.found.is_some()) {
        println!("setup: everything is here");
        return Ok(());
    }
    install(&items, false)
}

fn install(items: &[Item], verbose: bool) -> Result<()> {
    for item in items.iter().filter(|_| verbose) {
        if let Some(detail) = &item.found {
            say("present", &item.name, detail);
        }
    }
    let missing: Vec<_> = items.iter().filter(|item| item.found.is_none()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    refuse_what_needs_the_user(&missing)?;
    let _alone = lock()?;
    for item in missing {
        install_one(item)?;
    }
    Ok(())
}

/// Says what only the user can do, all of it at once.
fn refuse_what_needs_the_user(missing: &[&Item]) -> Result<()> {
    let mut by_hand: Vec<String> = Vec::new();
    let packages: Vec<_> = missing.iter().flat_map(|item| item.fix.packages()).copied().collect();
    if !packages.is_empty() && apt::exists() && !command::is_root() {
        by_hand.push(format!("sudo {}", apt::INSTALL.join(" ")) + " " + &packages.join(" "));
    }
    for item in missing {
        match &item.fix {
            Fix::Apt { otherwise, .. } if !apt::exists() => by_hand.push((*otherwise).to_owned()),
            Fix::ByHand(command) => by_hand.push((*command).to_owned()),
            Fix::Apt { .. } | Fix::Cargo { .. } => {}
        }
    }
    if by_hand.is_empty() {
        return Ok(());
    }
    for item in missing {
        say("missing", &item.name, "");
    }
    println!("\nTo install by hand, then run this again:");
    for line in by_hand {
        println!("  {line}");
    }
    Err(Stop::NeedsUser.into())
}

/// Two of us at a time would build the same tools twice.
fn lock() -> Result<File> {
    let path = progress::log_dir()?.join("lock");
    let file = File::create(&path).with_context(|| format!("creating {}", path.display()))?;
    if file.try_lock().is_err() {
        println!("  waiting     for another `cargo xtask setup` to finish");
        file.lock().with_context(|| format!("locking {}", path.display()))?;
    }
    Ok(file)
}

fn install_one(item: &Item) -> Result<()> {
    // Whoever held the lock before us may have installed it.
    if let Some(detail) = (item.check)() {
        say("present", &item.name, &detail);
        return Ok(());
    }
    let start = Instant::now();
    let done = match &item.fix {
        Fix::Apt { packages, otherwise } => apt::install(&item.name, packages, otherwise),
        Fix::Cargo { args, env } => {
            let mut cargo = command::cargo(["install", "--locked"]);
            progress::run(&item.name, cargo.args(*args).envs(env.iter().copied()).current_dir(tree::target()))
        }
        Fix::ByHand(command) => bail!("{} is missing; run `{command}`", item.name),
    };
    done.with_context(|| format!("installing {}", item.name))?;
    if (item.check)().is_none() {
        bail!("{} was installed, but is still not found; is it on PATH?", item.name);
    }
    say("installed", &item.name, &format!("{:.0} s", start.elapsed().as_secs_f64()));
    Ok(())
}

fn say(state: &str, name: &str, detail: &str) {
    let detail = if detail.is_empty() { String::new() } else { format!("  ({detail})") };
    println!("  {state:<11} {name}{detail}");
}
