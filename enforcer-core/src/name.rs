//! Host names and namespaces as parsed types: lower case, no trailing dot, a wildcard only in front.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A host name as a registry has it: exact (`api.example.com`), wildcard (`*.example.com`) or `*`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Host(Arc<str>);

impl Host {
    /// Normalised: lower case, without a trailing dot. Whether it is well formed is the validator's business.
    pub fn new(host: &str) -> Self {
        Self(host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase().into())
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it stands for more than one name.
    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with('*')
    }

    /// Whether every name that `self` stands for is one of `pattern`'s (Istio `host.Name.SubsetOf`).
    pub fn is_subset_of(&self, pattern: &Self) -> bool {
        match pattern.0.strip_prefix('*') {
            Some(suffix) => {
                let own = self.0.strip_prefix('*').unwrap_or(&self.0);
                own.len() >= suffix.len() && own.ends_with(suffix)
            }
            None => self.0 == pattern.0,
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

/// A Kubernetes namespace.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Namespace(Arc<str>);

impl Namespace {
    /// From its name.
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

/// Labels of an object or a selector: every pair must be there for a match; an empty selector matches all.
pub type Labels = std::collections::BTreeMap<String, String>;

/// Whether `labels` has every pair of `selector`.
pub fn selects(selector: &Labels, labels: &Labels) -> bool {
    selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}
