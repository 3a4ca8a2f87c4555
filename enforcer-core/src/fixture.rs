//! What the unit tests share.

use std::sync::Arc;

use crate::problem::Severity;
use crate::registry::{BuildOptions, Registry, build, parse};

/// The registry of `file:a.yaml` with this text, as without flags. All of it can be read, and all of it counts.
pub(crate) fn registry(text: &str) -> Arc<Registry> {
    let parsed = parse("file:a.yaml", text).unwrap();
    let (registry, problems) = build(&parsed.objects, &BuildOptions::default());
    let lost = problems.iter().filter(|problem| problem.severity == Severity::Error);
    let problems: Vec<String> = parsed.problems.iter().chain(lost).map(ToString::to_string).collect();
    assert_eq!(problems, [""; 0]);
    Arc::new(registry)
}
