//! Adding up the result lines of test programs.

use std::fmt;

/// How many tests passed and failed, and how many nobody ran: a test that is skipped shows nothing, and counts against the whole.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) ignored: u64,
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        if self.ignored > 0 { write!(f, ", {} ignored", self.ignored) } else { Ok(()) }
    }
}

impl Count {
    /// Adds another count.
    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
    }

    /// Whether every test ran and passed.
    pub(crate) fn is_success(&self) -> bool {
        self.failed == 0 && self.ignored == 0
    }

    /// Adds what a line like `test result: ok. 3 passed; 0 failed; 1 ignored; ...` says; other lines say nothing.
    pub(crate) fn read_line(&mut self, line: &str) {
        let Some(result) = line.trim_start().strip_prefix("test result: ") else { return };
        self.passed += number_before(result, " passed");
        self.failed += number_before(result, " failed");
        self.ignored += number_before(result, " ignored");
    }
}

fn number_before(text: &str, word: &str) -> u64 {
    let before = text.find(word).map_or("", |at| &text[..at]);
    let start = before.rfind(|c: char| !c.is_ascii_digit()).map_or(0, |at| at + 1);
    before[start..].parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(output: &str, expected: &str) {
        let mut count = Count::default();
        output.lines().for_each(|line| count.read_line(line));
        assert_eq!(count.to_string(), expected);
    }

    #[test]
    fn result_lines_are_added_up() {
        check(
            "running 3 tests\ntest result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; finished in 0.00s\n\
             test result: FAILED. 10 passed; 2 failed; 1 ignored; 0 measured; 4 filtered out\n",
            "13 passed, 2 failed, 1 ignored",
        );
    }

    #[test]
    fn an_ignored_test_is_no_success() {
        for (output, expected) in [
            ("test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured", true),
            ("test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured", false),
            ("test result: FAILED. 3 passed; 1 failed; 0 ignored; 0 measured", false),
        ] {
            let mut count = Count::default();
            count.read_line(output);
            assert_eq!(count.is_success(), expected, "{output}");
        }
    }

    #[test]
    fn other_lines_say_nothing() {
        check(
            "5 passed; 5 failed\ntest result_of_x ... ok\nthe test result: 1 passed\ntest result: broken",
            "0 passed, 0 failed",
        );
    }
}
