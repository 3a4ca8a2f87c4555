//! MeshConfig, whatever it comes in: a ConfigMap, an IstioOperator, or a document of its own.
//!
//! What cannot be read of it closes, since leaving it out would open what it closed: a policy is `REGISTRY_ONLY`, and a
//! default of exportTo hides what has none of its own.
//!
//! Source: istio `pkg/config/mesh/mesh.go` (`DefaultMeshConfig`), `mesh/v1alpha1/config.proto`.

use std::sync::Arc;

use serde_json::Value;

use crate::name::Namespace;
use crate::registry::document;
use crate::registry::model::{MeshConfig, ObjectRef, OutboundMode};
use crate::registry::object::typed_value_or;
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

/// What becomes of a MeshConfig that cannot be read.
pub(crate) const CLOSED: &str =
    "until it is repaired the mesh is REGISTRY_ONLY, and what has no exportTo of its own is seen by nobody";
const POLICY: &str = "until then the policy is REGISTRY_ONLY";
const EXPORT_TO: &str =
    "list *, . or namespaces: until then what has no exportTo of its own is seen by nobody";
const ROOT: &str = "write the name of a namespace: until then that of --root-namespace counts";

/// The MeshConfig that stands for one that cannot be read.
fn closed(source: &Arc<str>) -> MeshConfig {
    MeshConfig {
        source: source.clone(),
        outbound_policy: OutboundMode::RegistryOnly,
        default_service_export_to: ["~".into()].into(),
        root_namespace: None,
    }
}

/// That of a ConfigMap `istio*` with the key `mesh`, or of an IstioOperator with `spec.meshConfig`; others have none. A
/// name that cannot be read may be Istio's.
pub(crate) fn from_object(
    document: &Value,
    object: &ObjectRef,
    source: &Arc<str>,
    report: &mut Report,
) -> Option<MeshConfig> {
    let is_operator = &*object.kind == "IstioOperator";
    if !(is_operator || object.name.is_empty() || object.name.starts_with("istio")) {
        return None;
    }
    let (holder, key) = if is_operator { ("spec", "meshConfig") } else { ("data", "mesh") };
    let fields = document.get(holder)?;
    if !fields.is_object() {
        report.error(holder, format!("{fields} is not a mapping"), CLOSED);
        return Some(closed(source));
    }
    match fields.get(key)? {
        mesh if is_operator => Some(from_value(mesh, "spec.meshConfig", source, report)),
        Value::String(text) => Some(from_text(text, source, report)),
        other => {
            report.error("data.mesh", format!("{other} is not a text"), CLOSED);
            Some(closed(source))
        }
    }
}

/// Reads the text under `data.mesh` of a ConfigMap.
fn from_text(text: &str, source: &Arc<str>, report: &mut Report) -> MeshConfig {
    const FIELD: &str = "data.mesh";
    let document = match document::read(text) {
        Ok(mut documents) => {
            documents.pop().map_or_else(|| Value::Object(serde_json::Map::new()), |document| document.value)
        }
        Err(message) => {
            report.error(FIELD, message, format!("the value is itself YAML: {CLOSED}"));
            return closed(source);
        }
    };
    from_value(&without_nulls(document), FIELD, source, report)
}

/// Reads the MeshConfig `mesh`, found at `path`; an empty path is the document itself.
pub(crate) fn from_value(mesh: &Value, path: &str, source: &Arc<str>, report: &mut Report) -> MeshConfig {
    let at = |field: &str| if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") };
    if !mesh.is_object() {
        report.error(path, "a MeshConfig is a mapping", format!("list its fields: {CLOSED}"));
        return closed(source);
    }
    let policy = outbound_policy(mesh.get("outboundTrafficPolicy"), &at("outboundTrafficPolicy"), report)
        .unwrap_or(Some(OutboundMode::RegistryOnly));
    let export_to: Vec<String> =
        read(mesh, "defaultServiceExportTo", &at("defaultServiceExportTo"), EXPORT_TO, report)
            .unwrap_or_else(|Reported| Some(vec!["~".to_owned()]))
            .filter(|export_to: &Vec<_>| !export_to.is_empty())
            .unwrap_or_else(|| vec!["*".to_owned()]);
    let root: Option<String> =
        read(mesh, "rootNamespace", &at("rootNamespace"), ROOT, report).unwrap_or(None);
    MeshConfig {
        source: source.clone(),
        outbound_policy: policy.unwrap_or(OutboundMode::AllowAny),
        default_service_export_to: export_to.iter().map(|to| to.as_str().into()).collect(),
        root_namespace: root.filter(|root| !root.is_empty()).map(|root| Namespace::new(&root)),
    }
}

/// A problem has been reported.
pub(crate) struct Reported;

fn read<T: for<'de> serde::Deserialize<'de>>(
    mesh: &Value,
    field: &str,
    path: &str,
    hint: &str,
    report: &mut Report,
) -> Result<Option<T>, Reported> {
    let Some(value) = mesh.get(field) else { return Ok(None) };
    typed_value_or(value, path, hint, report).map(Some).ok_or(Reported)
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
        let hint = format!("write {{mode: REGISTRY_ONLY}}: {POLICY}");
        report.error(path, format!("{policy} is not a policy"), hint);
        return Err(Reported);
    }
    shape::OUTBOUND.check(policy, path, report);
    match policy.get("mode") {
        None => Ok(Some(OutboundMode::RegistryOnly)),
        Some(Value::String(mode)) if mode == "REGISTRY_ONLY" => Ok(Some(OutboundMode::RegistryOnly)),
        Some(Value::String(mode)) if mode == "ALLOW_ANY" => Ok(Some(OutboundMode::AllowAny)),
        Some(other) => {
            let message = format!("{other} is not a mode that can be enforced");
            let hint = format!("write REGISTRY_ONLY or ALLOW_ANY: {POLICY}");
            report.error(format!("{path}.mode"), message, hint);
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
            ("outboundTrafficPolicy: {mod: ALLOW_ANY}", "RegistryOnly {\"*\"} None"),
        ] {
            assert_eq!(shown(text).0, expected, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_closes_and_the_rest_is_kept() {
        let whole = "RegistryOnly {\"~\"} None";
        let rest = "defaultServiceExportTo: [.]\nrootNamespace: r\n";
        for (text, expected, problem) in [
            (
                "outboundTrafficPolicy: ALLOW_ANY",
                "RegistryOnly {\"*\"} None",
                "data.mesh.outboundTrafficPolicy: \"ALLOW_ANY\" is not a policy",
            ),
            (
                &format!("{rest}outboundTrafficPolicy: {{mode: VIRTUAL_SERVICE_ONLY}}"),
                "RegistryOnly {\".\"} Some(\"r\")",
                "data.mesh.outboundTrafficPolicy.mode: \"VIRTUAL_SERVICE_ONLY\" is not a mode that can be enforced",
            ),
            (
                "rootNamespace: [a]\ndefaultServiceExportTo: [.]\noutboundTrafficPolicy: {mode: ALLOW_ANY}",
                "AllowAny {\".\"} None",
                "data.mesh.rootNamespace: invalid type: sequence, expected a string",
            ),
            (
                "defaultServiceExportTo: x\nrootNamespace: r",
                "AllowAny {\"~\"} Some(\"r\")",
                "data.mesh.defaultServiceExportTo: invalid type: string \"x\", expected a sequence",
            ),
            (
                "defaultServiceExportTo: [1]\noutboundTrafficPolicy: {}",
                "RegistryOnly {\"~\"} None",
                "data.mesh.defaultServiceExportTo[0]: invalid type: integer `1`, expected a string",
            ),
            ("a: [", whole, "data.mesh: line 1, column 4: unclosed bracket '['"),
            ("a: 1\na: 2", whole, "data.mesh: line 2, column 1: the key a is given twice"),
            ("text", whole, "data.mesh: a MeshConfig is a mapping"),
            ("[]", whole, "data.mesh: a MeshConfig is a mapping"),
        ] {
            let (mesh, problems) = shown(text);
            assert_eq!((mesh.as_str(), problems.len()), (expected, 1), "{text}");
            assert_eq!(format!("{}: {}", problems[0].field, problems[0].message), problem, "{text}");
            assert!(problems[0].hint.contains("until"), "{}", problems[0]);
        }
    }

    fn shown(text: &str) -> (String, Vec<crate::problem::Problem>) {
        let mut report = Report::new(&"s".into(), None);
        let m = from_text(text, &"s".into(), &mut report);
        let mesh =
            format!("{:?} {:?} {:?}", m.outbound_policy, m.default_service_export_to, m.root_namespace);
        (mesh, report.into_problems())
    }
}
