//! What the unit tests share.

use std::sync::Arc;

use enforcer_core::registry::{BuildOptions, Registry, build, parse};

/// The registry of `file:a.yaml` with this text, as without flags.
pub(crate) fn registry(text: &str) -> Arc<Registry> {
    let parsed = parse("file:a.yaml", text).unwrap();
    assert!(parsed.problems.is_empty(), "{:?}", parsed.problems);
    Arc::new(build(&parsed.objects, &BuildOptions::default()).0)
}
