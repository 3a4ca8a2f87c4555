//! Running an installer: its output goes to a log, a sign of life to the screen.

use std::fs::{self, File};
use std::io::{IsTerminal, Write, stdout};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::{command, tree};

/// How often a child is looked at, and how often a log that is no terminal gets a dot.
const LOOK: Duration = Duration::from_millis(100);
const DOT: Duration = Duration::from_secs(10);
/// How much of the log a failure shows.
const LAST_LINES: usize = 20;

/// Where the logs are.
pub(super) fn log_dir() -> Result<PathBuf> {
    let dir = tree::target().join("setup");
    fs::create_dir_all(&dir).with_context(|| format!("creating {}", dir.display()))?;
    Ok(dir)
}

/// Runs an installer for `item`. A failure shows the end of its log and where the log is.
pub(super) fn run(item: &str, command: &mut Command) -> Result<()> {
    let log = log_dir()?.join(format!("{}.log", item.replace(|c: char| !c.is_ascii_alphanumeric(), "-")));
    let mut file = File::create(&log).with_context(|| format!("creating {}", log.display()))?;
    let line = command::show(command);
    writeln!(file, "$ {line}").with_context(|| format!("writing {}", log.display()))?;
    command.stdin(Stdio::null()).stdout(file.try_clone().context("sharing the log")?).stderr(file);
    let mut child = command.spawn().with_context(|| format!("starting `{line}`"))?;
    let status = watch(item, &mut child).with_context(|| format!("waiting for `{line}`"))?;
    if !status.success() {
        println!("  failed      {item}: `{line}`");
        println!("  log         {}, which ends with:", log.display());
        let text = fs::read_to_string(&log).unwrap_or_default();
        last_lines(&text, LAST_LINES).for_each(|line| println!("    | {line}"));
        bail!("`{line}` failed with {status}");
    }
    Ok(())
}

/// Waits, with the seconds on a terminal and a dot every ten seconds elsewhere.
fn watch(item: &str, child: &mut Child) -> Result<ExitStatus> {
    let start = Instant::now();
    let terminal = stdout().is_terminal();
    let mut dots = 0;
    print!("  installing  {item} ");
    stdout().flush()?;
    loop {
        if let Some(status) = child.try_wait()? {
            // On a terminal the next line takes this one's place.
            print!("{}", if terminal { "\r\x1b[K" } else { "\n" });
            return Ok(status);
        }
        thread::sleep(LOOK);
        if terminal {
            print!("\r  installing  {item}  {} s", start.elapsed().as_secs());
        } else if start.elapsed() > DOT * (dots + 1) {
            dots += 1;
            print!(".");
        }
        stdout().flush()?;
    }
}

fn last_lines(text: &str, count: usize) -> impl Iterator<Item = &str> {
    text.lines().skip(text.lines().count().saturating_sub(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_log_is_shown() {
        assert_eq!(last_lines("a\nb\nc\n", 2).collect::<Vec<_>>(), ["b", "c"]);
        assert_eq!(last_lines("a\n", 2).collect::<Vec<_>>(), ["a"]);
    }
}
