//! MeshConfig, whatever it comes in: a ConfigMap, an IstioOperator, or a document of its own.
//!
//! Source: istio `pkg/config/mesh/mesh.go` (`DefaultMeshConfig`), `mesh/v1alpha1/config.proto`.

use serde_json::Value;

use crate::name::Namespace;
use crate::registry::document;
use crate::registry::model::{MeshConfig, OutboundMode};
use crate::registry::object::typed_value;
use crate::registry::report::Report;
use crate::registry::shape;

/// Fields that tell a MeshConfig from any other document without a kind.
const TELLING: [&str; 9] = [
    "outboundTrafficPolicy",
    "defaultConfig",
    "rootNamespace",
    "trustDomain",
    "defaultServiceExportTo",
    "accessLogFile",
    "enableAutoMtls",
    "discoverySelectors",
    "meshMTLS",
];

/// Whether a document without `kind` is a MeshConfig.
pub(crate) fn is_bare(document: &Value) -> bool {
    document.get("apiVersion").is_none() && TELLING.iter().any(|field| document.get(field).is_some())
}

/// Reads the text under `data.mesh` of a ConfigMap.
pub(crate) fn from_text(text: &str, source: &std::sync::Arc<str>, report: &mut Report) -> Option<MeshConfig> {
    const FIELD: &str = "data.mesh";
    let hint = "the value is itself YAML: correct it there";
    let document =
        match document::read(text).map(|mut documents| documents.pop().map(|document| document.value)) {
            Ok(None) => Value::Object(serde_json::Map::new()),
            Ok(Some(Ok(value))) => value,
            Ok(Some(Err(message))) | Err(message) => {
                report.error(FIELD, message, hint);
                return None;
            }
        };
    from_value(&without_nulls(document), FIELD, source, report)
}

/// Reads the MeshConfig `mesh`, found at `path`; an empty path is the document itself.
pub(crate) fn from_value(
    mesh: &Value,
    path: &str,
    source: &std::sync::Arc<str>,
    report: &mut Report,
) -> Option<MeshConfig> {
    let at = |field: &str| if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") };
    if !mesh.is_object() {
        report.error(path, "a MeshConfig is a mapping", "list its fields");
        return None;
    }
    let policy =
        outbound_policy(mesh.get("outboundTrafficPolicy"), &at("outboundTrafficPolicy"), report).ok()?;
    let export_to: Option<Vec<String>> =
        read(mesh, "defaultServiceExportTo", &at("defaultServiceExportTo"), report).ok()?;
    let root: Option<String> = read(mesh, "rootNamespace", &at("rootNamespace"), report).ok()?;
    let export_to =
        export_to.filter(|export_to| !export_to.is_empty()).unwrap_or_else(|| vec!["*".to_owned()]);
    Some(MeshConfig {
        source: source.clone(),
        outbound_policy: policy.unwrap_or(OutboundMode::AllowAny),
        default_service_export_to: export_to.iter().map(|to| to.as_str().into()).collect(),
        root_namespace: root.filter(|root| !root.is_empty()).map(|root| Namespace::new(&root)),
    })
}

/// A problem has been reported.
pub(crate) struct Reported;

fn read<T: for<'de> serde::Deserialize<'de>>(
    mesh: &Value,
    field: &str,
    path: &str,
    report: &mut Report,
) -> Result<Option<T>, Reported> {
    let Some(value) = mesh.get(field) else { return Ok(None) };
    typed_value(value, path, report).map(Some).ok_or(Reported)
}

/// The mode of an `outboundTrafficPolicy` found at `path`. 1. Absent is none of its own; 2. present without a mode is
/// `REGISTRY_ONLY`, the zero value of the enum, which is why Istio itself prints `{}` for it; 3. other modes are refused.
pub(crate) fn outbound_policy(
    policy: Option<&Value>,
    path: &str,
    report: &mut Report,
) -> Result<Option<OutboundMode>, Reported> {
    let Some(policy) = policy else { return Ok(None) };
    if !policy.is_object() {
        report.error(path, format!("{policy} is not a policy"), "write {mode: REGISTRY_ONLY}");
        return Err(Reported);
    }
    shape::OUTBOUND.check(policy, path, report);
    match policy.get("mode") {
        None => Ok(Some(OutboundMode::RegistryOnly)),
        Some(Value::String(mode)) if mode == "REGISTRY_ONLY" => Ok(Some(OutboundMode::RegistryOnly)),
        Some(Value::String(mode)) if mode == "ALLOW_ANY" => Ok(Some(OutboundMode::AllowAny)),
        Some(other) => {
            let message = format!("{other} is not a mode that can be enforced");
            report.error(format!("{path}.mode"), message, "write REGISTRY_ONLY or ALLOW_ANY");
            Err(Reported)
        }
    }
}

/// `value` without fields that are null: in the JSON of protocol buffers and of Kubernetes null is absent.
pub(crate) fn without_nulls(mut value: Value) -> Value {
    strip_nulls(&mut value);
    value
}

fn strip_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(strip_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(strip_nulls),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_mesh_config_says() {
        for (text, expected) in [
            ("", "AllowAny {\"*\"} None"),
            ("trustDomain: x", "AllowAny {\"*\"} None"),
            ("outboundTrafficPolicy: {}", "RegistryOnly {\"*\"} None"),
            ("outboundTrafficPolicy:", "AllowAny {\"*\"} None"),
            ("outboundTrafficPolicy: {mode: REGISTRY_ONLY}", "RegistryOnly {\"*\"} None"),
            ("outboundTrafficPolicy: {mode: ALLOW_ANY}", "AllowAny {\"*\"} None"),
            (
                "defaultServiceExportTo: ['.']\nrootNamespace: mesh\noutboundTrafficPolicy: {mode: }",
                "RegistryOnly {\".\"} Some(\"mesh\")",
            ),
            ("defaultServiceExportTo: []", "AllowAny {\"*\"} None"),
            (
                "outboundTrafficPolicy: ALLOW_ANY",
                "data.mesh.outboundTrafficPolicy: \"ALLOW_ANY\" is not a policy",
            ),
            (
                "outboundTrafficPolicy: {mode: VIRTUAL_SERVICE_ONLY}",
                "data.mesh.outboundTrafficPolicy.mode: \"VIRTUAL_SERVICE_ONLY\" is not a mode that can be enforced",
            ),
            (
                "outboundTrafficPolicy: {mod: ALLOW_ANY}",
                "data.mesh.outboundTrafficPolicy.mod: there is no field \"mod\": it is ignored",
            ),
            ("rootNamespace: [a]", "data.mesh.rootNamespace: invalid type: sequence, expected a string"),
            (
                "defaultServiceExportTo: [1]",
                "data.mesh.defaultServiceExportTo[0]: invalid type: integer `1`, expected a string",
            ),
            ("a: [", "data.mesh: line 1, column 4: unclosed bracket '['"),
            ("a: 1\na: 2", "data.mesh: line 2, column 1: the key a is given twice"),
            ("text", "data.mesh: a MeshConfig is a mapping"),
        ] {
            let mut report = Report::new(&"s".into(), None);
            let mesh = from_text(text, &"s".into(), &mut report);
            let shown = mesh.map(|m| {
                format!("{:?} {:?} {:?}", m.outbound_policy, m.default_service_export_to, m.root_namespace)
            });
            let problems: Vec<_> =
                report.into_problems().iter().map(|p| format!("{}: {}", p.field, p.message)).collect();
            let shown = problems.first().cloned().or(shown);
            assert_eq!(shown.as_deref(), Some(expected), "{text}");
        }
    }
}
