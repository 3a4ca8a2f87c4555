//! What the controller says in the log of states that last: each once, when it begins.

use std::collections::BTreeSet;

use enforcer_core::problem::{Problem, Severity};
use enforcer_core::registry::model::ObjectRef;

/// New problems of one update that are logged; a registry that is wrong throughout must not flood the log.
const SHOWN: usize = 20;

/// What makes two problems the same one: where an object stands in its file may change.
type Identity = (Severity, String, Option<ObjectRef>, String, String);

/// What has been said.
#[derive(Debug, Default)]
pub(super) struct Report {
    problems: BTreeSet<Identity>,
    reasons: BTreeSet<String>,
    fault: Option<String>,
    ready: bool,
}

/// What is worth a line.
#[derive(Clone, PartialEq, Eq, Debug)]
struct News<'a> {
    problems: Vec<&'a Problem>,
    /// New problems without a line of their own.
    more: usize,
    /// Problems that are there no more.
    gone: usize,
}

impl Report {
    /// Logs the problems that were not there the last time.
    pub(super) fn problems(&mut self, problems: &[Problem]) {
        let news = self.news(problems);
        for Problem { severity, source, object, field, message, hint } in news.problems {
            let severity = match severity {
                Severity::Warning => "warning",
                Severity::Error => "error",
            };
            let object = object.as_ref().map(tracing::field::display);
            let field = Some(field.as_str()).filter(|field| !field.is_empty());
            let hint = Some(hint.as_str()).filter(|hint| !hint.is_empty());
            tracing::warn!(severity, %source, object, field, hint, "{message}");
        }
        if news.more > 0 {
            tracing::warn!("and {} more problems; see enforcer status", news.more);
        }
        if news.gone > 0 {
            tracing::debug!(problems = news.gone, "problems are gone");
        }
    }

    fn news<'a>(&mut self, problems: &'a [Problem]) -> News<'a> {
        let mut now = BTreeSet::new();
        let mut new: Vec<&Problem> = Vec::new();
        for problem in problems {
            let identity = identity(problem);
            let known = self.problems.contains(&identity);
            if now.insert(identity) && !known {
                new.push(problem);
            }
        }
        let gone = self.problems.difference(&now).count();
        self.problems = now;
        // The worst first, should there be too many.
        new.sort_by_key(|problem| std::cmp::Reverse(problem.severity));
        let more = new.len().saturating_sub(SHOWN);
        new.truncate(SHOWN);
        News { problems: new, more, gone }
    }

    /// Logs reasons of not being ready that were not there the last time, and that there are none any more. `reasons` are those
    /// that are not said elsewhere: as problems, or as the fault.
    pub(super) fn readiness(&mut self, ready: bool, reasons: &[String]) {
        for reason in reasons.iter().filter(|reason| !self.reasons.contains(*reason)) {
            tracing::warn!(reason, "not ready");
        }
        self.reasons = reasons.iter().cloned().collect();
        if ready && !self.ready {
            tracing::info!("ready");
        }
        self.ready = ready;
    }

    /// Logs that the maps may not hold what they should, when that or the reason is new.
    pub(super) fn fault(&mut self, fault: Option<&str>) {
        if let Some(error) = fault.filter(|_| self.fault.as_deref() != fault) {
            tracing::error!(error, "cannot bring the registry into the kernel; it will be tried again");
        }
        self.fault = fault.map(str::to_owned);
    }
}

fn identity(problem: &Problem) -> Identity {
    let Problem { severity, source, object, field, message, hint: _ } = problem;
    let (file, line) = source.rsplit_once(':').unwrap_or((source, ""));
    let is_line = !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_digit());
    let file = if is_line { file } else { source };
    (*severity, file.to_owned(), object.clone(), field.clone(), message.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(severity: Severity, source: &str, message: &str) -> Problem {
        let text = String::new;
        let (source, message) = (source.into(), message.to_owned());
        Problem { severity, source, object: None, field: text(), message, hint: text() }
    }

    fn messages(news: &News<'_>) -> Vec<String> {
        news.problems.iter().map(|problem| problem.message.clone()).collect()
    }

    #[test]
    fn a_problem_is_news_once_wherever_its_lines_move_to() {
        let mut report = Report::default();
        let a = problem(Severity::Warning, "file:/r/a.yaml:3", "a");
        assert_eq!(messages(&report.news(std::slice::from_ref(&a))), ["a"]);
        let moved = [
            problem(Severity::Warning, "file:/r/a.yaml:9", "a"),
            problem(Severity::Warning, "file:/r/b.yaml:1", "b"),
            problem(Severity::Error, "compiler", "c"),
        ];
        assert_eq!(messages(&report.news(&moved)), ["c", "b"]);
        let news = report.news(&moved[2..]);
        assert_eq!((messages(&news), news.gone), (vec![], 2));
        assert_eq!(messages(&report.news(&[a])), ["a"], "it has come again");
    }

    #[test]
    fn a_registry_that_is_wrong_throughout_does_not_flood_the_log() {
        let problems: Vec<Problem> = (0..1_000)
            .map(|number| problem(Severity::Warning, &format!("file:/r:{number}"), &number.to_string()))
            .collect();
        let news = Report::default().news(&problems).clone();
        assert_eq!((news.problems.len(), news.more), (SHOWN, 980));
    }
}
