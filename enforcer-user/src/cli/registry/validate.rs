//! `enforcer registry validate PATH...`: what the agent would say of these files, without it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use enforcer_core::policy::budget::Limits;
use enforcer_core::policy::compile::Compiler;
use enforcer_core::policy::{DirectEndpoints, NodePolicy};
use enforcer_core::problem::{Problem, Severity};
use enforcer_core::registry::Registry;
use serde::Serialize;

use crate::cli::Answer;
use crate::cli::args::RegistryArgs;
use crate::cli::offline::{self, tally};
use crate::cli::output::{self, Format, Look, Tone};
use crate::cli::text::{count, wrap};
use crate::config::resolve::{self, Faulty};
use crate::config::{self, PolicyConfig, RegistryConfig, RegistrySource};

/// What was found. The field names are stable.
#[derive(Serialize)]
struct Validation {
    objects: usize,
    errors: usize,
    warnings: usize,
    problems: Vec<Problem>,
}

pub(super) fn run(paths: &[PathBuf], reading: &RegistryArgs, format: Format) -> anyhow::Result<Answer> {
    let mut config = resolve::reading(&[], reading).map_err(Faulty)?;
    config.sources = paths.iter().cloned().map(RegistrySource::File).collect();
    let loaded = offline::load(&config)?;
    let mut problems = loaded.problems;
    problems.extend(compiled(&loaded.registry, &config));
    problems.sort_by_cached_key(|problem| place(&problem.source));
    let (errors, warnings) = tally(&problems);
    let validation = Validation { objects: loaded.objects, errors, warnings, problems };
    output::answer(format, &validation, human)?;
    Ok(Answer::from_bool(errors == 0))
}

/// What shows only when all objects meet: conflicts, and what does not fit the maps as they are unless configured.
fn compiled(registry: &Arc<Registry>, config: &RegistryConfig) -> Vec<Problem> {
    let policy = PolicyConfig {
        outbound_policy: NodePolicy::Mesh,
        allow_override: false,
        exempt: Vec::new(),
        permit_any_address: false,
        direct_endpoints: DirectEndpoints::default(),
        trusted_exporters: None,
    };
    let settings = config::settings(&policy, config, BTreeSet::new());
    let mut compiler = Compiler::new(settings, Limits::default());
    match compiler.update(registry, &[], Duration::ZERO) {
        Ok(_) => compiler.conflicts(),
        Err(problems) => problems,
    }
}

/// Path and line, so that line 9 comes before line 10.
fn place(source: &str) -> (String, u32) {
    match source.rsplit_once(':').map(|(path, line)| (path, line.parse())) {
        Some((path, Ok(line))) => (path.to_owned(), line),
        _ => (source.to_owned(), 0),
    }
}

fn human(validation: &Validation, look: Look) -> String {
    let mut text = String::new();
    for problem in &validation.problems {
        text.push_str(&lines(problem, look));
    }
    let tone = match (validation.errors, validation.warnings) {
        (0, 0) => Tone::Good,
        (0, _) => Tone::Doubtful,
        _ => Tone::Bad,
    };
    let summary = format!(
        "{}, {}, {}",
        count(validation.objects, "object"),
        count(validation.errors, "error"),
        count(validation.warnings, "warning")
    );
    text + &look.paint(&summary, tone) + "\n"
}

/// `severity: file:line: Kind ns/name: field: message`, and the hint below it.
fn lines(problem: &Problem, look: Look) -> String {
    let (severity, tone) = match problem.severity {
        Severity::Error => ("error", Tone::Bad),
        Severity::Warning => ("warning", Tone::Doubtful),
    };
    let source = problem.source.strip_prefix("file:").unwrap_or(&problem.source);
    let object = problem.object.as_ref().map(ToString::to_string).unwrap_or_default();
    let parts = [source, &object, &problem.field, &problem.message];
    let said: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    let mut text = format!("{}: {}\n", look.paint(severity, tone), said.join(": "));
    if !problem.hint.is_empty() {
        for line in wrap(&problem.hint, look.width.map(|width| width.saturating_sub(2))) {
            let _ = writeln!(text, "  {line}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_stand_at_their_line() {
        let problem = |severity, source: &str, field: &str| Problem {
            severity,
            source: source.into(),
            object: None,
            field: field.to_owned(),
            message: "is wrong".to_owned(),
            hint: "correct it".to_owned(),
        };
        let mut problems = vec![
            problem(Severity::Warning, "file:a.yaml:10", "spec.hosts"),
            problem(Severity::Error, "file:a.yaml:9", ""),
        ];
        problems.sort_by_cached_key(|problem| place(&problem.source));
        let validation = Validation { objects: 1, errors: 1, warnings: 1, problems };
        assert_eq!(
            human(&validation, Look::default()),
            "error: a.yaml:9: is wrong\n  correct it\nwarning: a.yaml:10: spec.hosts: is wrong\n  correct it\n\
             1 object, 1 error, 1 warning\n"
        );
    }
}
