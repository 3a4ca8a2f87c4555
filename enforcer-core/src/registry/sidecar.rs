//! Sidecars.
//!
//! A Sidecar takes away, so leaving out a whole one because of one bad line would open what it closed. Only the bad line
//! is left out: what it would import is not imported, and a policy that cannot be read is `REGISTRY_ONLY`. One that cannot
//! be read at all imports nothing.
//! Source: istio `pkg/config/validation/validation.go` (`ValidateSidecar`).

use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::name::{Host, Labels};
use crate::registry::mesh::outbound_policy;
use crate::registry::model::{EgressHost, EgressListener, ObjectRef, OutboundMode, Sidecar};
use crate::registry::object::typed_or;
use crate::registry::report::Report;
use crate::registry::service_entry::WorkloadSelector;
use crate::registry::shape;
use crate::registry::validate::host::{is_label, wildcard};
use crate::registry::validate::ports;

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    workload_selector: Option<WorkloadSelector>,
    egress: Option<Vec<Egress>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Egress {
    port: Option<Port>,
    hosts: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Port {
    number: i64,
}

/// What becomes of a Sidecar that cannot be read.
pub(crate) const CLOSED: &str = "until it is repaired the workloads it governs reach nothing";

/// The Sidecar that stands for one that cannot be read: it imports nothing. A selector that cannot be read is as none, so
/// that it governs its namespace.
pub(crate) fn closed(
    document: &Value,
    object: &ObjectRef,
    source: &Arc<str>,
    created: Option<Timestamp>,
) -> Sidecar {
    let selector = document.get("spec").and_then(|spec| spec.get("workloadSelector"));
    Sidecar {
        object: object.clone(),
        source: source.clone(),
        created,
        selector: selector.and_then(|selector| WorkloadSelector::deserialize(selector).ok()).and_then(labels),
        egress: Some(Vec::new()),
        outbound_policy: Some(OutboundMode::RegistryOnly),
    }
}

/// A selector without labels is the namespace's default.
fn labels(selector: WorkloadSelector) -> Option<Labels> {
    Some(selector.labels).filter(|labels| !labels.is_empty())
}

/// Reads a Sidecar, or makes a [`closed`] one.
pub(crate) fn read(
    document: &Value,
    object: &ObjectRef,
    source: &Arc<str>,
    created: Option<Timestamp>,
    report: &mut Report,
) -> Sidecar {
    let raw = document.get("spec").unwrap_or(&Value::Null);
    // An empty list would be read as a mapping without fields, which imports everything.
    if raw.is_array() {
        report.error("spec", "invalid type: sequence, expected a mapping", CLOSED);
        return closed(document, object, source, created);
    }
    let Some(spec) = typed_or::<Spec>(document, "spec", CLOSED, report) else {
        return closed(document, object, source, created);
    };
    shape::SIDECAR.check(&without_policy(raw), "spec", report);
    let policy = outbound_policy(raw.get("outboundTrafficPolicy"), "spec.outboundTrafficPolicy", report)
        .unwrap_or(Some(OutboundMode::RegistryOnly));
    // An empty list of listeners is as good as none: protocol buffers do not tell them apart.
    let egress = spec.egress.filter(|listeners| !listeners.is_empty());
    Sidecar {
        object: object.clone(),
        source: source.clone(),
        created,
        selector: spec.workload_selector.and_then(labels),
        egress: egress.map(|listeners| {
            listeners
                .iter()
                .enumerate()
                .filter_map(|(index, listener)| read_listener(index, listener, report))
                .collect()
        }),
        outbound_policy: policy,
    }
}

/// Its policy is checked where it is read.
fn without_policy(spec: &Value) -> Value {
    let mut spec = spec.clone();
    if let Some(fields) = spec.as_object_mut() {
        fields.shift_remove("outboundTrafficPolicy");
    }
    spec
}

fn read_listener(index: usize, listener: &Egress, report: &mut Report) -> Option<EgressListener> {
    let at = |field: &str| format!("spec.egress[{index}].{field}");
    if listener.hosts.is_empty() {
        report.error(
            at("hosts"),
            "an egress listener without hosts imports nothing",
            "list namespace/host, or */*",
        );
    }
    let port = match &listener.port {
        None => None,
        Some(port) if ports::is_port(port.number) => u16::try_from(port.number).ok(),
        Some(port) => {
            ports::check_number(port.number, at("port.number"), report);
            return None;
        }
    };
    let hosts = listener.hosts.iter().enumerate();
    let hosts = hosts.filter_map(|(line, text)| {
        let host = egress_host(text);
        if let Err(why) = &host {
            report.error(
                format!("spec.egress[{index}].hosts[{line}]"),
                why,
                "write NAMESPACE/HOST: ./*, prod/api.example.com, */*",
            );
        }
        host.ok()
    });
    Some(EgressListener { port, hosts: hosts.collect() })
}

/// `namespace/host`, where the namespace is `.`, `*`, `~`, a name, or a name behind `~`, which takes out.
fn egress_host(text: &str) -> Result<EgressHost, String> {
    let Some((namespace, host)) = text.split_once('/') else {
        return Err(format!("{text:?} has no namespace"));
    };
    let bare = namespace.strip_prefix('~').unwrap_or(namespace);
    if !(matches!(namespace, "*" | "." | "~" | "~*" | "~.") || is_label(bare)) {
        return Err(format!("{namespace:?} is not a namespace"));
    }
    if host != "*" {
        wildcard(host)?;
    }
    Ok(EgressHost { namespace: namespace.into(), host: Host::new(host) })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(spec: &Value) -> (Sidecar, Vec<String>) {
        let object = ObjectRef {
            kind: "Sidecar".into(),
            namespace: crate::name::Namespace::new("n"),
            name: "s".into(),
        };
        let mut report = Report::new(&"s".into(), None);
        let sidecar = read(&json!({"spec": spec}), &object, &"s".into(), None, &mut report);
        let problems = report.into_problems();
        (sidecar, problems.iter().map(|p| format!("{}: {}", p.field, p.message)).collect())
    }

    #[test]
    fn a_sidecar_says_what_it_imports() {
        let (sidecar, problems) = shown(&json!({
            "workloadSelector": {"labels": {"app": "a"}},
            "egress": [{"port": {"number": 443, "protocol": "TLS", "name": "x"}, "hosts": ["./*", "~bad/*"]}, {"hosts": ["*/*.x.com"]}],
            "outboundTrafficPolicy": {},
        }));
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(sidecar.selector, Some([("app".to_owned(), "a".to_owned())].into()));
        assert_eq!(sidecar.outbound_policy, Some(OutboundMode::RegistryOnly));
        let egress = sidecar.egress.unwrap();
        let shown: Vec<_> = egress
            .iter()
            .map(|l| {
                (l.port, l.hosts.iter().map(|h| format!("{}/{}", h.namespace, h.host)).collect::<Vec<_>>())
            })
            .collect();
        assert_eq!(
            shown,
            [(Some(443), vec!["./*".to_owned(), "~bad/*".to_owned()]), (None, vec!["*/*.x.com".to_owned()])]
        );
    }

    #[test]
    fn a_bad_line_is_left_out_and_never_opens() {
        for (spec, listeners, policy, expected) in [
            (json!({}), None, None, ""),
            (json!({"egress": []}), None, None, ""),
            (
                json!({"egress": [{"hosts": []}]}),
                Some(1),
                None,
                "spec.egress[0].hosts: an egress listener without hosts imports nothing",
            ),
            (
                json!({"egress": [{"hosts": ["x.com"]}]}),
                Some(1),
                None,
                "spec.egress[0].hosts[0]: \"x.com\" has no namespace",
            ),
            (
                json!({"egress": [{"hosts": ["a b/x.com"]}]}),
                Some(1),
                None,
                "spec.egress[0].hosts[0]: \"a b\" is not a namespace",
            ),
            (
                json!({"egress": [{"hosts": ["*/*x.com"]}]}),
                Some(1),
                None,
                "spec.egress[0].hosts[0]: \"*x.com\" also matches names of other owners; only `*.` may stand in front",
            ),
            (
                json!({"egress": [{"port": {"number": 0}, "hosts": ["*/*"]}]}),
                Some(0),
                None,
                "spec.egress[0].port.number: 0 is not a port",
            ),
            (
                json!({"outboundTrafficPolicy": {"mode": "ALLOW_ANY_DYNAMIC_DNS"}}),
                None,
                Some(OutboundMode::RegistryOnly),
                "spec.outboundTrafficPolicy.mode: \"ALLOW_ANY_DYNAMIC_DNS\" is not a mode that can be enforced",
            ),
            (json!({"outboundTrafficPolicy": {"mode": "ALLOW_ANY"}}), None, Some(OutboundMode::AllowAny), ""),
            (
                json!({"outboundTrafficPolicy": {"Mode": "ALLOW_ANY"}}),
                None,
                Some(OutboundMode::RegistryOnly),
                "spec.outboundTrafficPolicy.Mode: there is no field \"Mode\": it is ignored",
            ),
        ] {
            let (sidecar, problems) = shown(&spec);
            assert_eq!(problems.join("\n"), expected, "{spec}");
            assert_eq!(
                (sidecar.egress.map(|egress| egress.len()), sidecar.outbound_policy),
                (listeners, policy),
                "{spec}"
            );
        }
    }

    #[test]
    fn a_sidecar_that_cannot_be_read_imports_nothing() {
        let app = Some([("app".to_owned(), "a".to_owned())].into());
        let any = json!({"mode": "ALLOW_ANY"});
        for (spec, selector, expected) in [
            (json!("x"), None, "spec: invalid type: string \"x\", expected struct Spec"),
            (json!([]), None, "spec: invalid type: sequence, expected a mapping"),
            (
                json!({"egress": [{"hosts": "./*"}], "outboundTrafficPolicy": any}),
                None,
                "spec.egress[0].hosts: invalid type: string \"./*\", expected a sequence",
            ),
            (
                json!({"workloadSelector": {"labels": {"app": "a"}}, "egress": {"hosts": ["*/*"]}}),
                app,
                "spec.egress: invalid type: map, expected a sequence",
            ),
            (
                json!({"workloadSelector": {"labels": {"app": 1}}, "egress": [{"hosts": ["*/*"]}]}),
                None,
                "spec.workloadSelector.labels.app: invalid type: integer `1`, expected a string",
            ),
        ] {
            let (sidecar, problems) = shown(&spec);
            assert_eq!(problems, [expected], "{spec}");
            let shown = (sidecar.selector, sidecar.egress, sidecar.outbound_policy);
            assert_eq!(shown, (selector, Some(vec![]), Some(OutboundMode::RegistryOnly)), "{spec}");
        }
    }
}
