//! Where answers go: as a table, JSON or YAML, with or without colour, and what becomes of a reader that has gone.

use std::io::{self, IsTerminal as _, Write as _};
use std::os::fd::AsFd as _;

use anyhow::Context as _;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::Serialize;

/// `-o`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, clap::ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Table,
    /// For programs; the names are stable
    Json,
    /// The same as YAML
    Yaml,
}

/// Whoever read the output closed it: no fault of ours, and nobody to tell.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the output was closed")]
pub struct ClosedPipe;

/// What text for people may look like.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Look {
    /// Columns of the terminal; `None`: as wide as need be.
    pub width: Option<usize>,
    /// Whether colours may be used.
    pub colour: bool,
}

/// What a colour says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tone {
    /// As wished: green.
    Good,
    /// Look here: yellow.
    Doubtful,
    /// Not as wished: red.
    Bad,
}

impl Look {
    /// That of standard output.
    pub fn of_stdout() -> Self {
        if !io::stdout().is_terminal() {
            return Self::default();
        }
        let colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { width: Some(columns()), colour }
    }

    /// `text` in the colour that says `tone`.
    pub fn paint(self, text: &str, tone: Tone) -> String {
        let code = match tone {
            Tone::Good => 32,
            Tone::Doubtful => 33,
            Tone::Bad => 31,
        };
        if self.colour { format!("\u{1b}[1;{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// Columns of the terminal at standard output; 80 when it does not tell.
fn columns() -> usize {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCGWINSZ writes a winsize, and only that, through the pointer, which outlives the call.
    let result = unsafe { libc::ioctl(libc::STDOUT_FILENO, libc::TIOCGWINSZ, &raw mut size) };
    if result == 0 && size.ws_col >= 20 { size.ws_col.into() } else { 80 }
}

/// Prints `value` as JSON or YAML, or what `human` makes of it.
pub fn answer<T: Serialize>(
    format: Format,
    value: &T,
    human: impl FnOnce(&T, Look) -> String,
) -> anyhow::Result<()> {
    match format {
        Format::Table => print(&human(value, Look::of_stdout())),
        Format::Json => {
            let mut json = serde_json::to_string_pretty(value).context("writing the answer as JSON")?;
            json.push('\n');
            print(&json)
        }
        Format::Yaml => print(&serde_saphyr::to_string(value).context("writing the answer as YAML")?),
    }
}

/// Writes `text` to standard output. A reader that has gone is the error [`ClosedPipe`], which ends the command well.
pub fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(ClosedPipe.into()),
        Err(error) => Err(error).context("writing to standard output"),
    }
}

/// Whether the reader of standard output has gone: who waits for something to write would not notice.
pub fn is_closed() -> bool {
    let stdout = io::stdout();
    let mut look = [PollFd::new(stdout.as_fd(), PollFlags::empty())];
    let looked = poll(&mut look, PollTimeout::ZERO);
    looked.is_ok() && look[0].revents().is_some_and(|events| events.contains(PollFlags::POLLERR))
}

/// A line for people beside the answer. When nobody reads it, it is lost.
pub fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_only_where_they_may_be() {
        let look = Look { width: None, colour: true };
        assert_eq!(look.paint("DENY", Tone::Bad), "\u{1b}[1;31mDENY\u{1b}[0m");
        assert_eq!(Look::default().paint("DENY", Tone::Bad), "DENY");
    }

    #[test]
    fn yaml_keeps_strings_strings() {
        let value =
            serde_json::json!({"a": "yes", "b": "1.10", "c": null, "d": ["x: y", "*.example.com"], "e": ""});
        let yaml = serde_saphyr::to_string(&value).unwrap();
        let back: serde_json::Value = serde_saphyr::from_str(&yaml).unwrap();
        assert_eq!(back, value, "{yaml}");
    }
}
