//! `enforcer observe`: flows, as the agent has kept them or as they come.

mod print;

use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use enforcer_core::flow::FlowLine;
use enforcer_core::flow::filter::FilterText;
use jiff::SignedDuration;

use crate::admin::client::{FlowStream, Observe};
use crate::cli::args::AdminArgs;
use crate::cli::output::{self, ClosedPipe, Format, Look};
use crate::cli::{Answer, ask};

/// Flows that are shown when nothing says how many.
const LAST: u64 = 20;

/// How often it is looked whether anybody still reads, while nothing happens.
const LOOK: Duration = Duration::from_secs(1);

/// The flags of `enforcer observe`.
#[allow(clippy::doc_markdown)] // the comments are the help
#[derive(Args, Debug)]
#[command(after_help = "\
Times are UTC. The agent keeps the last denials and the last other flows. Allowed and translated flows are known only \
while somebody follows and wants them (with --follow, unless --verdict is denied alone): the kernel does not tell of them \
otherwise. A line that begins with -- says how many flows are missing at its place.

Of several values of one flag any may fit; every flag that is given must.")]
pub struct ObserveArgs {
    /// Goes on with flows as they happen, until Ctrl-C
    #[arg(short, long)]
    follow: bool,
    /// How many kept flows to begin with, the last that fit; 20 if not given, none with --follow, all with --since
    #[arg(long, value_name = "N")]
    last: Option<u64>,
    /// Only kept flows of so long ago at most: 90s, 15m, 1h30m
    #[arg(long, value_name = "DURATION")]
    since: Option<String>,
    /// allowed, denied (audited denials, too), translated or all; repeatable
    #[arg(long, value_name = "VERDICT", value_delimiter = ',')]
    verdict: Vec<String>,
    /// Flows of workloads of this namespace; repeatable
    #[arg(short, long, value_name = "NS", value_delimiter = ',')]
    namespace: Vec<String>,
    /// Flows of this workload: namespace/name, or a name; repeatable
    #[arg(long, value_name = "NS/NAME", value_delimiter = ',')]
    workload: Vec<String>,
    /// not_registered, needs_name, no_backend, registered, ...; repeatable
    #[arg(long, value_name = "REASON", value_delimiter = ',')]
    reason: Vec<String>,
    /// Where to: 192.0.2.1, 192.0.2.0/24:443, [2001:db8::1]:443, api.example.com, *.example.com:443, :443; repeatable
    #[arg(long, value_name = "DESTINATION", value_delimiter = ',')]
    to: Vec<String>,
    /// tcp, udp, icmp, sctp, ..., or a number; repeatable
    #[arg(long, value_name = "PROTOCOL", value_delimiter = ',')]
    protocol: Vec<String>,
    #[command(flatten)]
    admin: AdminArgs,
}

pub(super) fn run(args: &ObserveArgs, format: Format) -> anyhow::Result<Answer> {
    let question = question(args)?;
    let shown = ask::agent(&args.admin, "", async |agent| {
        let lines = agent.observe(question).await?;
        Ok(show(lines, format, Look::of_stdout()).await)
    })?;
    shown.map(|()| Answer::Yes)
}

fn question(args: &ObserveArgs) -> anyhow::Result<Observe> {
    let filter = FilterText {
        verdicts: args.verdict.clone(),
        namespaces: args.namespace.clone(),
        workloads: args.workload.clone(),
        reasons: args.reason.clone(),
        to: args.to.clone(),
        protocols: args.protocol.clone(),
    };
    // The agent reads it again; here it is to be told without one.
    filter.parse()?;
    let since = args.since.as_deref().map(duration).transpose()?;
    let last = match (args.last, since) {
        (Some(last), _) => Some(last),
        (None, Some(_)) => None,
        (None, None) => Some(if args.follow { 0 } else { LAST }),
    };
    Ok(Observe { filter, since, last, follow: args.follow })
}

fn duration(text: &str) -> anyhow::Result<Duration> {
    let parsed = text.parse::<SignedDuration>().ok().and_then(|duration| Duration::try_from(duration).ok());
    parsed.with_context(|| format!("--since: \"{text}\" is no duration; write 90s, 15m or 1h30m"))
}

/// Prints until the stream, the reader or the person ends it: only the agent's end is a failure.
async fn show(mut lines: FlowStream<'_>, format: Format, look: Look) -> anyhow::Result<()> {
    let printing = async {
        while let Some(line) = lines.next().await? {
            output::print(&text(&line, format, look)?)?;
        }
        Ok(())
    };
    tokio::select! {
        printed = printing => printed,
        pressed = tokio::signal::ctrl_c() => pressed.context("waiting for Ctrl-C"),
        () = reader_is_gone() => Err(ClosedPipe.into()),
    }
}

/// While nothing is written, nothing fails: one who follows a quiet agent would stay for ever behind a closed pipe.
async fn reader_is_gone() {
    while !output::is_closed() {
        tokio::time::sleep(LOOK).await;
    }
}

fn text(line: &FlowLine, format: Format, look: Look) -> anyhow::Result<String> {
    Ok(match format {
        Format::Table => print::human(line, look),
        Format::Json => serde_json::to_string(line).context("writing a flow as JSON")? + "\n",
        Format::Yaml => {
            format!("---\n{}", serde_saphyr::to_string(line).context("writing a flow as YAML")?)
        }
    })
}

#[cfg(test)]
mod tests;
