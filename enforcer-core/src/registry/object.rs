//! One object of a source, typed and checked, before all objects together become a registry.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::name::{Labels, Namespace};
use crate::registry::kubernetes::{EndpointSlice, KubernetesService};
use crate::registry::model::{MeshConfig, ObjectRef, Service, Sidecar};
use crate::registry::report::Report;
use crate::registry::service_entry::{ServiceEntry, WorkloadEntry};

/// An object that has no error, or that would open something if it were left out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Object {
    /// Kind, namespace and name.
    pub object: ObjectRef,
    /// The source as a person finds it: `file:registry/a.yaml:12` (line of the document's first key).
    pub source: Arc<str>,
    /// `metadata.creationTimestamp`.
    pub created: Option<Timestamp>,
    /// `metadata.labels`.
    pub labels: Labels,
    /// `metadata.annotations`.
    pub annotations: Labels,
    /// What it says.
    pub body: Body,
}

/// What an object says, by its kind.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Body {
    /// Istio ServiceEntry.
    ServiceEntry(Box<ServiceEntry>),
    /// Kubernetes Service.
    Service(Box<KubernetesService>),
    /// Kubernetes EndpointSlice.
    EndpointSlice(Box<EndpointSlice>),
    /// Istio WorkloadEntry.
    WorkloadEntry(Box<WorkloadEntry>),
    /// Istio Sidecar.
    Sidecar(Arc<Sidecar>),
    /// Istio MeshConfig, whatever it was wrapped in.
    MeshConfig(Arc<MeshConfig>),
    /// One record of a registryz dump, which is a service already. Its key's address index is the builder's to give.
    Registryz(Arc<Service>),
}

/// `metadata` as far as it is used.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Metadata {
    name: String,
    namespace: String,
    pub(crate) labels: Labels,
    pub(crate) annotations: Labels,
    creation_timestamp: Option<String>,
    pub(crate) resource_version: String,
}

impl Metadata {
    /// Reads `metadata` of `document`; `None` when the object cannot even be named.
    pub(crate) fn read(document: &Value, report: &mut Report) -> Option<Self> {
        let metadata: Self = typed(document, "metadata", report)?;
        metadata.is_named("set metadata.name", report).then_some(metadata)
    }

    /// Reads as much of `metadata` as can be read, and whether that is all of it: for objects that must not be left out.
    pub(crate) fn read_partly(document: &Value, hint: &str, report: &mut Report) -> (Self, bool) {
        match typed_or::<Self>(document, "metadata", hint, report) {
            Some(metadata) => {
                let is_named = metadata.is_named(&format!("set metadata.name: {hint}"), report);
                (metadata, is_named)
            }
            None => (Self::salvage(document), false),
        }
    }

    /// Every field of `metadata` that can be read; the others are as absent.
    pub(crate) fn salvage(document: &Value) -> Self {
        fn part<T: Default + for<'de> Deserialize<'de>>(document: &Value, field: &str) -> T {
            let value = document.get("metadata").and_then(|metadata| metadata.get(field));
            value.and_then(|value| T::deserialize(value).ok()).unwrap_or_default()
        }
        Self {
            name: part(document, "name"),
            namespace: part(document, "namespace"),
            labels: part(document, "labels"),
            annotations: part(document, "annotations"),
            creation_timestamp: part(document, "creationTimestamp"),
            resource_version: part(document, "resourceVersion"),
        }
    }

    fn is_named(&self, hint: &str, report: &mut Report) -> bool {
        if self.name.is_empty() {
            report.error("metadata.name", "an object needs a name", hint);
        }
        !self.name.is_empty()
    }

    /// The name of the object. Without a namespace it is in `default`, where `kubectl apply` would put it.
    pub(crate) fn object(&self, kind: &str) -> ObjectRef {
        let namespace = if self.namespace.is_empty() { "default" } else { &self.namespace };
        ObjectRef { kind: kind.into(), namespace: Namespace::new(namespace), name: self.name.as_str().into() }
    }

    /// When it was made. A time that cannot be read is as none: it only decides who is older.
    pub(crate) fn created(&self, report: &mut Report) -> Option<Timestamp> {
        let text = self.creation_timestamp.as_deref()?;
        let created = text.parse();
        if created.is_err() {
            let message = format!("{text:?} is not a time");
            report.warning("metadata.creationTimestamp", message, "write it as 2023-02-04T14:59:57Z");
        }
        created.ok()
    }
}

/// What becomes of most objects that cannot be read.
const LEFT_OUT: &str = "the object is left out until its type is right";

/// Reads `document`'s field `field` as a `T`; a type error is an error at its path. An absent field is an empty one.
pub(crate) fn typed<T: for<'de> Deserialize<'de>>(
    document: &Value,
    field: &str,
    report: &mut Report,
) -> Option<T> {
    typed_or(document, field, LEFT_OUT, report)
}

/// [`typed`], where `hint` says what becomes of an object that cannot be read.
pub(crate) fn typed_or<T: for<'de> Deserialize<'de>>(
    document: &Value,
    field: &str,
    hint: &str,
    report: &mut Report,
) -> Option<T> {
    let empty = Value::Object(serde_json::Map::new());
    let value = document.get(field).unwrap_or(&empty);
    typed_value_or(value, field, hint, report)
}

/// Reads `value`, found at `path`, as a `T`.
pub(crate) fn typed_value<T: for<'de> Deserialize<'de>>(
    value: &Value,
    path: &str,
    report: &mut Report,
) -> Option<T> {
    typed_value_or(value, path, LEFT_OUT, report)
}

/// [`typed_value`], where `hint` says what becomes of an object that cannot be read.
pub(crate) fn typed_value_or<T: for<'de> Deserialize<'de>>(
    value: &Value,
    path: &str,
    hint: &str,
    report: &mut Report,
) -> Option<T> {
    match serde_path_to_error::deserialize(value) {
        Ok(typed) => Some(typed),
        Err(error) => {
            let inner = error.path().to_string();
            let field = match (path, inner.as_str()) {
                (path, ".") => path.to_owned(),
                ("", inner) => inner.to_owned(),
                (path, inner) if inner.starts_with('[') => format!("{path}{inner}"),
                (path, inner) => format!("{path}.{inner}"),
            };
            report.error(field, error.inner().to_string(), hint);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn metadata_is_read_or_explained() {
        for (document, expected) in [
            (json!({"metadata": {"name": "a"}}), "K default/a"),
            (json!({"metadata": {"name": "a", "namespace": "b"}}), "K b/a"),
            (json!({"metadata": {"namespace": "b"}}), "error: s: metadata.name: an object needs a name"),
            (json!({}), "error: s: metadata.name: an object needs a name"),
            (
                json!({"metadata": {"name": "a", "labels": {"v": 1}}}),
                "error: s: metadata.labels.v: invalid type: integer `1`, expected a string",
            ),
            (
                json!({"metadata": {"name": "a", "creationTimestamp": "yesterday"}}),
                "warning: s: metadata.creationTimestamp: \"yesterday\" is not a time",
            ),
        ] {
            let mut report = Report::new(&"s".into(), None);
            let metadata = Metadata::read(&document, &mut report);
            let named = metadata.map(|metadata| {
                metadata.created(&mut report);
                metadata.object("K").to_string()
            });
            let problems = report.into_problems();
            let shown = problems.first().map_or(named.unwrap_or_default(), ToString::to_string);
            assert_eq!(shown.lines().next(), Some(expected));
        }
    }

    #[test]
    fn metadata_is_read_as_far_as_it_can_be() {
        for (metadata, expected) in [
            (json!({"name": "a", "namespace": "b"}), ("K b/a", true, 0)),
            (json!({"name": "a", "namespace": "b", "labels": {"v": 1}}), ("K b/a", false, 1)),
            (json!({"name": 1, "namespace": "b"}), ("K b/", false, 1)),
            (json!({"namespace": "b"}), ("K b/", false, 1)),
            (json!("x"), ("K default/", false, 1)),
        ] {
            let mut report = Report::new(&"s".into(), None);
            let (read, is_whole) = Metadata::read_partly(&json!({"metadata": metadata}), "hint", &mut report);
            let problems = report.into_problems();
            assert_eq!((read.object("K").to_string().as_str(), is_whole, problems.len()), expected);
            assert!(problems.iter().all(|problem| problem.hint.ends_with("hint")));
        }
    }
}
