//! `enforcer suggest`: the ServiceEntries that denied flows lack, as YAML to review and apply. What else there is to say stands
//! in comments, so that the output is a file as it is.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use clap::{ArgMatches, Args};
use enforcer_core::suggest::{Suggestions, suggest};

use crate::cli::args::{AdminArgs, JunkArgs, OfflineArgs, PolicyArgs, RegistryArgs};
use crate::cli::output::{self, Format};
use crate::cli::text::{count, wrap};
use crate::cli::{Answer, ask, offline, progress, recorded};
use crate::config;
use crate::config::resolve::{self, Faulty};

/// Comments are read in editors and reviews: no wider than this, whatever the terminal.
const COMMENT: usize = 80;

/// What to do when no agent answers.
const INSTEAD: &str = " Offline: give --flows FILE and --registry file:PATH";

/// The flags of `enforcer suggest`.
#[allow(clippy::doc_markdown)] // the comments are the help
#[derive(Args, Debug)]
pub struct SuggestArgs {
    /// Only for workloads of this namespace
    #[arg(short, long, value_name = "NS")]
    namespace: Option<String>,
    /// Suggests for these flows instead of asking the agent: a file of JSON lines as `enforcer observe -o json` writes
    /// them, or - for standard input; with --registry
    #[arg(long, value_name = "FILE", requires = "registry")]
    flows: Option<String>,
    #[command(flatten)]
    offline: OfflineArgs,
    #[command(flatten)]
    junk: JunkArgs,
    #[command(flatten)]
    admin: AdminArgs,
    #[command(flatten)]
    policy: PolicyArgs,
    #[command(flatten)]
    reading: RegistryArgs,
}

pub(super) fn run(args: &SuggestArgs, matches: &ArgMatches, format: Format) -> anyhow::Result<Answer> {
    let namespace = args.namespace.as_deref();
    match &args.flows {
        Some(flows) => by_files(args, flows, format),
        None if !args.offline.registry.is_empty() => {
            anyhow::bail!(
                "--registry needs the flows to suggest for; add --flows FILE, or leave --registry out"
            )
        }
        None => {
            ask::nothing_offline(matches)?;
            let suggestions = ask::agent(&args.admin, INSTEAD, async |agent| agent.suggest(namespace).await)?;
            answer(format, &suggestions)
        }
    }
}

fn by_files(args: &SuggestArgs, flows: &str, format: Format) -> anyhow::Result<Answer> {
    let sources = &args.offline.registry;
    let (registry, policy) = resolve::judging(sources, &args.reading, &args.policy).map_err(Faulty)?;
    let recorded = recorded::read(flows)?;
    let loaded = offline::load(&registry)?;
    loaded.tell();
    let mut denied = recorded.recording.destinations();
    if let Some(namespace) = &args.namespace {
        denied.retain(|denied| denied.workload.as_ref().is_some_and(|who| who.namespace == *namespace));
    }
    let settings = config::settings(&policy, &registry, BTreeSet::new());
    let suggestions =
        progress::during("working suggestions out", || suggest(&loaded.registry, &settings, &denied));
    let suggestions = suggestions.map_err(offline::not_compiled)?;
    let result = answer(format, &Suggestions { not_kept: recorded.lost, ..suggestions });
    recorded.check(&args.junk)?;
    result
}

/// YAML means the documents here, as `kubectl apply` takes them.
fn answer(format: Format, suggestions: &Suggestions) -> anyhow::Result<Answer> {
    match format {
        Format::Table | Format::Yaml => output::print(&documents(suggestions))?,
        Format::Json => output::answer(format, suggestions, |_, _| String::new())?,
    }
    Ok(Answer::Yes)
}

/// Comments, and a document for each entry.
fn documents(suggestions: &Suggestions) -> String {
    let Suggestions { entries, notes, not_kept } = suggestions;
    let flows = |flows: u64| count(usize::try_from(flows).unwrap_or(usize::MAX), "flow");
    let were = |flows: u64| if flows == 1 { "was" } else { "were" };
    let mut text = match (entries.len(), notes.is_empty()) {
        (0, true) => comment("Nothing to suggest: no flow that was seen is denied.", ""),
        (0, false) => comment("No ServiceEntry to suggest.", ""),
        (number, _) => {
            let of = entries.iter().map(|entry| entry.count).sum();
            let (entries, of, were) = (count(number, "ServiceEntry"), flows(of), were(of));
            comment(
                &format!("{entries} for {of} that {were} denied or would be: review before you apply."),
                "",
            )
        }
    };
    if *not_kept > 0 {
        let destinations = if *not_kept == 1 { "destination" } else { "destinations" };
        let (more, were) = (flows(*not_kept), were(*not_kept));
        text += &comment(&format!("The {destinations} of {more} more {were} not kept: ask again later."), "");
    }
    for note in notes {
        text += "#\n";
        text += &comment(note, "* ");
    }
    for entry in entries {
        text += "---\n";
        text += &entry.yaml;
    }
    text
}

/// `text` in lines of a comment, the first behind `mark` and the others below it.
fn comment(text: &str, mark: &str) -> String {
    let lines = wrap(text, Some(COMMENT - "# ".len() - mark.len()));
    let mut comment = String::new();
    for (at, line) in lines.iter().enumerate() {
        let mark = if at == 0 { mark } else { &" ".repeat(mark.len()) };
        let _ = writeln!(comment, "# {mark}{line}");
    }
    comment
}

#[cfg(test)]
mod tests;
