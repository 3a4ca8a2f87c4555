//! What a person sees: 80 columns, colours on a terminal only.

use std::io::IsTerminal as _;

/// Columns.
const WIDTH: usize = 80;
/// What a command may use of them.
pub(super) const INNER: u16 = 77;
/// In front of everything that belongs to a step.
const INDENT: &str = "   ";

/// Counts what was as expected and what was not.
#[derive(Debug, Default)]
pub(super) struct Screen {
    good: usize,
    bad: Vec<String>,
    step: String,
}

impl Screen {
    /// The heading of a step.
    pub(super) fn title(&mut self, number: usize, title: &str) {
        self.step = format!("{number}. {title}");
        println!("\n{}\n", paint(&self.step, "1"));
    }

    /// Prose, wrapped.
    pub(super) fn say(text: &str) {
        let mut line = String::new();
        for word in text.split_whitespace() {
            if !line.is_empty() && INDENT.len() + line.chars().count() + 1 + word.chars().count() > WIDTH {
                println!("{INDENT}{line}");
                line.clear();
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        println!("{INDENT}{line}\n");
    }

    /// A command, as it could be typed.
    pub(super) fn command(words: &[String]) {
        let mut line = "$".to_owned();
        for word in words {
            if INDENT.len() + line.chars().count() + 1 + word.chars().count() > WIDTH - 2 {
                println!("{INDENT}{} \\", paint(&line, "36"));
                line = " ".repeat(3);
            }
            line.push(' ');
            line.push_str(word);
        }
        println!("{INDENT}{}", paint(&line, "36"));
    }

    /// What a command printed; lines longer than the screen are folded.
    pub(super) fn output(text: &str) {
        for line in text.trim_end().lines().flat_map(|line| fold(&line.replace('\t', "  "))) {
            println!("{}", format!("{INDENT}{line}").trim_end());
        }
        println!();
    }

    /// An empty line.
    pub(super) fn gap() {
        println!();
    }

    /// An expectation: a check mark, or a cross and what came instead.
    pub(super) fn check(&mut self, what: &str, expected: &str, actual: &str) {
        let is_met = expected == actual;
        let mark = if is_met { paint("✓", "32") } else { paint("✗", "31") };
        println!("{INDENT}{mark} {what:<44} {actual}");
        if is_met {
            self.good += 1;
        } else {
            println!("{INDENT}  {:<44} {}", "", paint(&format!("expected: {expected}"), "31"));
            self.bad.push(format!("{}: {what}: {actual}, expected {expected}", self.step));
        }
    }

    /// The last lines.
    pub(super) fn summary(&self) {
        let all = self.good + self.bad.len();
        println!("\n{} of {all} expectations met.", self.good);
        for bad in &self.bad {
            println!("{INDENT}{} {bad}", paint("✗", "31"));
        }
    }

    /// Whether all was as expected.
    pub(super) fn is_fine(&self) -> bool {
        self.bad.is_empty() && self.good > 0
    }
}

/// Pieces that fit, broken between words where there are some; what is folded is set in.
fn fold(line: &str) -> Vec<String> {
    let room = usize::from(INNER);
    // Colours take no room, and the commands that use them fold by themselves.
    if line.chars().count() <= room || line.contains('\u{1b}') {
        return vec![line.to_owned()];
    }
    let start = line.len() - line.trim_start().len();
    let indent = " ".repeat(start + 2);
    let mut pieces = vec![" ".repeat(start)];
    for word in line.split_whitespace() {
        let last = pieces.last_mut().map(|last| (last.chars().count() + 1 + word.chars().count(), last));
        match last {
            Some((length, last)) if length <= room || last.trim().is_empty() => {
                last.push_str(if last.trim().is_empty() { "" } else { " " });
                last.push_str(word);
            }
            _ => pieces.push(format!("{indent}{word}")),
        }
    }
    pieces
}

fn paint(text: &str, code: &str) -> String {
    let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    if colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::fold;

    #[test]
    fn long_lines_are_folded_between_words() {
        let words = "  rule  ".to_owned() + &"word ".repeat(20);
        let folded = fold(words.trim_end());
        assert_eq!(folded.len(), 2, "{folded:?}");
        assert!(folded[0].starts_with("  rule word") && folded[1].starts_with("    word"), "{folded:?}");
        assert!(folded.iter().all(|line| line.chars().count() <= 77));
        assert_eq!(fold("  short"), ["  short"]);
    }
}
