//! Which fields there are: a field nobody reads is a typo until proven otherwise, and a typo in a security rule matters.

use serde_json::Value;

use crate::registry::report::Report;

/// The fields of a mapping, with those below them that are checked too.
pub(crate) struct Shape(&'static [(&'static str, Field)]);

enum Field {
    /// Anything.
    Any,
    /// A mapping.
    One(&'static Shape),
    /// A list of mappings.
    Each(&'static Shape),
}

use Field::{Any, Each, One};

/// `ServiceEntry.spec`
pub(crate) const SERVICE_ENTRY: Shape = Shape(&[
    ("hosts", Any),
    ("addresses", Any),
    ("ports", Each(&SERVICE_ENTRY_PORT)),
    ("location", Any),
    ("resolution", Any),
    ("endpoints", Each(&WORKLOAD_ENTRY)),
    ("exportTo", Any),
    ("subjectAltNames", Any),
    ("workloadSelector", One(&SELECTOR)),
]);

const SERVICE_ENTRY_PORT: Shape =
    Shape(&[("number", Any), ("protocol", Any), ("name", Any), ("targetPort", Any)]);

const SELECTOR: Shape = Shape(&[("labels", Any)]);

/// `WorkloadEntry.spec`
pub(crate) const WORKLOAD_ENTRY: Shape = Shape(&[
    ("address", Any),
    ("ports", Any),
    ("labels", Any),
    ("network", Any),
    ("locality", Any),
    ("weight", Any),
    ("serviceAccount", Any),
]);

/// `Sidecar.spec`
pub(crate) const SIDECAR: Shape = Shape(&[
    ("workloadSelector", One(&SELECTOR)),
    ("ingress", Any),
    ("egress", Each(&EGRESS)),
    ("outboundTrafficPolicy", One(&OUTBOUND)),
    ("inboundConnectionPool", Any),
]);

const EGRESS: Shape =
    Shape(&[("port", One(&EGRESS_PORT)), ("bind", Any), ("captureMode", Any), ("hosts", Any)]);

const EGRESS_PORT: Shape = Shape(&[("number", Any), ("protocol", Any), ("name", Any), ("targetPort", Any)]);

/// `outboundTrafficPolicy`
pub(crate) const OUTBOUND: Shape = Shape(&[("mode", Any), ("egressProxy", Any), ("tls", Any)]);

/// `Service.spec`
pub(crate) const SERVICE: Shape = Shape(&[
    ("allocateLoadBalancerNodePorts", Any),
    ("clusterIP", Any),
    ("clusterIPs", Any),
    ("externalIPs", Any),
    ("externalName", Any),
    ("externalTrafficPolicy", Any),
    ("healthCheckNodePort", Any),
    ("internalTrafficPolicy", Any),
    ("ipFamilies", Any),
    ("ipFamilyPolicy", Any),
    ("loadBalancerClass", Any),
    ("loadBalancerIP", Any),
    ("loadBalancerSourceRanges", Any),
    ("ports", Each(&SERVICE_PORT)),
    ("publishNotReadyAddresses", Any),
    ("selector", Any),
    ("sessionAffinity", Any),
    ("sessionAffinityConfig", Any),
    ("topologyKeys", Any),
    ("trafficDistribution", Any),
    ("type", Any),
]);

const SERVICE_PORT: Shape = Shape(&[
    ("appProtocol", Any),
    ("name", Any),
    ("nodePort", Any),
    ("port", Any),
    ("protocol", Any),
    ("targetPort", Any),
]);

impl Shape {
    /// Warns of every field below `value`, which is at `path`, that is not part of the shape.
    pub(crate) fn check(&self, value: &Value, path: &str, report: &mut Report) {
        let Some(fields) = value.as_object() else { return };
        for (name, value) in fields {
            let path = format!("{path}.{name}");
            match self.0.iter().find(|(known, _)| known == name) {
                None => self.warn(name, path, report),
                Some((_, Any)) => {}
                Some((_, One(shape))) => shape.check(value, &path, report),
                Some((_, Each(shape))) => {
                    for (index, value) in value.as_array().into_iter().flatten().enumerate() {
                        shape.check(value, &format!("{path}[{index}]"), report);
                    }
                }
            }
        }
    }

    fn warn(&self, name: &str, path: String, report: &mut Report) {
        let near = self.0.iter().map(|(known, _)| (distance(known, name), known)).min();
        let hint = match near {
            Some((0..=2, known)) => format!("did you mean {known}?"),
            _ => format!(
                "the fields here are {}",
                self.0.iter().map(|(known, _)| *known).collect::<Vec<_>>().join(", ")
            ),
        };
        report.warning(path, format!("there is no field {name:?}: it is ignored"), hint);
    }
}

/// How many letters to add, drop or change (Levenshtein), whatever case and underscores.
fn distance(known: &str, given: &str) -> usize {
    let plain = |text: &str| -> Vec<char> {
        text.chars().filter(|c| c.is_alphanumeric()).take(64).map(|c| c.to_ascii_lowercase()).collect()
    };
    let (known, given) = (plain(known), plain(given));
    let mut row: Vec<usize> = (0..=given.len()).collect();
    for (i, a) in known.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in given.iter().enumerate() {
            let substituted = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[given.len()]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn unknown_fields_are_named_with_the_nearest_known_one() {
        for (spec, expected) in [
            (json!({"hosts": [], "ports": [{"number": 1}], "workloadSelector": {"labels": {"x": "y"}}}), ""),
            (json!({"export_to": []}), "spec.export_to did you mean exportTo?"),
            (json!({"host": []}), "spec.host did you mean hosts?"),
            (json!({"ports": [{}, {"targetport": 1}]}), "spec.ports[1].targetport did you mean targetPort?"),
            (
                json!({"workloadSelector": {"app": "x"}}),
                "spec.workloadSelector.app the fields here are labels",
            ),
        ] {
            let mut report = Report::new(&"s".into(), None);
            SERVICE_ENTRY.check(&spec, "spec", &mut report);
            let shown: Vec<_> = report
                .into_problems()
                .into_iter()
                .map(|problem| format!("{} {}", problem.field, problem.hint))
                .collect();
            assert_eq!(shown.join("\n"), expected);
        }
    }
}
