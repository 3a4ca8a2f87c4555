//! Collects what is wrong with one object, so that a check only says field, message and hint.

use std::sync::Arc;

use crate::problem::{Problem, Severity};
use crate::registry::model::ObjectRef;

/// The problems of one object or document, with its source and name filled in.
#[derive(Clone, Debug)]
pub struct Report {
    source: Arc<str>,
    object: Option<ObjectRef>,
    problems: Vec<Problem>,
}

impl Report {
    /// Nothing wrong yet with the document at `source`.
    pub fn new(source: &Arc<str>, object: Option<ObjectRef>) -> Self {
        Self { source: source.clone(), object, problems: Vec::new() }
    }

    /// From here on the document is known to be `object`.
    pub fn name(&mut self, object: &ObjectRef) {
        self.object = Some(object.clone());
    }

    /// The object, or the part of it that `field` names, is left out, or closes where leaving it out would open.
    pub fn error(&mut self, field: impl Into<String>, message: impl Into<String>, hint: impl Into<String>) {
        self.push(Severity::Error, field.into(), message.into(), hint.into());
    }

    /// Accepted, but someone should look.
    pub fn warning(&mut self, field: impl Into<String>, message: impl Into<String>, hint: impl Into<String>) {
        self.push(Severity::Warning, field.into(), message.into(), hint.into());
    }

    fn push(&mut self, severity: Severity, field: String, message: String, hint: String) {
        let (source, object) = (self.source.clone(), self.object.clone());
        self.problems.push(Problem { severity, source, object, field, message, hint });
    }

    /// Whether anything has to be left out.
    pub fn has_errors(&self) -> bool {
        self.problems.iter().any(|problem| problem.severity == Severity::Error)
    }

    /// What was found, in the order in which it was.
    pub fn into_problems(self) -> Vec<Problem> {
        self.problems
    }
}
