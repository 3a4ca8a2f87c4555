//! Adding up the result lines of test programs.

use std::fmt;

/// How many tests passed and failed.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

impl Count {
    /// Adds another count.
    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }

    /// Adds what a line like `test result: ok. 3 passed; 0 failed; 1 ignored; ...` says; other lines say nothing.
    pub(crate) fn read_line(&mut self, line: &str) {
        let Some(result) = line.trim_start().strip_prefix("test result: ") else { return };
        self.passed += number_before(result, " passed");
        self.failed += number_before(result, " failed");
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
            "13 passed, 2 failed",
        );
    }

    #[test]
    fn other_lines_say_nothing() {
        check(
            "5 passed; 5 failed\ntest result_of_x ... ok\nthe test result: 1 passed\ntest result: broken",
            "0 passed, 0 failed",
        );
    }
}
