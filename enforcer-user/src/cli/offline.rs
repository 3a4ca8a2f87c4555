//! The registry of files, read without the agent.

use std::sync::Arc;

use enforcer_core::problem::{Problem, Severity};
use enforcer_core::registry::{Registry, build};

use crate::cli::output::note;
use crate::cli::progress;
use crate::cli::text::count;
use crate::config::{RegistryConfig, RegistrySource};
use crate::sources::files;

/// How many problems are told beside an answer.
const TOLD: usize = 3;

/// What the sources hold.
pub(super) struct Offline {
    pub(super) registry: Arc<Registry>,
    pub(super) objects: usize,
    /// Of the objects, then of the registry as a whole.
    pub(super) problems: Vec<Problem>,
}

/// Reads every source, in their order, and builds the registry.
pub(super) fn load(config: &RegistryConfig) -> anyhow::Result<Offline> {
    progress::during("reading the registry", || {
        let (mut objects, mut problems) = (Vec::new(), Vec::new());
        for RegistrySource::File(path) in &config.sources {
            let loaded = files::load(path)?;
            objects.extend(loaded.objects);
            problems.extend(loaded.problems);
        }
        let (registry, more) = build(&objects, &config.build_options());
        problems.extend(more);
        Ok(Offline { registry: Arc::new(registry), objects: objects.len(), problems })
    })
}

/// The error of a registry that cannot be compiled.
#[allow(clippy::needless_pass_by_value)] // to stand behind `map_err`
pub(super) fn not_compiled(problems: Vec<Problem>) -> anyhow::Error {
    let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
    anyhow::anyhow!("compiling the registry: {}", problems.join("\n"))
}

impl Offline {
    /// Tells of the problems beside the answer: errors first, a few, and how many there are.
    pub(super) fn tell(&self) {
        let mut problems: Vec<&Problem> = self.problems.iter().collect();
        problems.sort_by_key(|problem| std::cmp::Reverse(problem.severity));
        for problem in problems.iter().take(TOLD) {
            note(&problem.to_string());
        }
        if problems.len() > TOLD {
            let (errors, warnings) = tally(&self.problems);
            note(&format!(
                "{} and {} in the registry; `enforcer registry validate PATH` lists them",
                count(errors, "error"),
                count(warnings, "warning")
            ));
        }
    }
}

/// How many errors and warnings there are.
pub(super) fn tally(problems: &[Problem]) -> (usize, usize) {
    let errors = problems.iter().filter(|problem| problem.severity == Severity::Error).count();
    (errors, problems.len() - errors)
}
