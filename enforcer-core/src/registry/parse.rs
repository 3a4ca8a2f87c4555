//! Text → objects, each checked. An object that is wrong never harms the others; YAML that is refused harms the whole text.
//!
//! An object with an error is left out, except where that would open something: a Sidecar or a MeshConfig that cannot be
//! read closes.

use std::sync::Arc;

use serde_json::Value;

use crate::problem::{Problem, Severity};
use crate::registry::kubernetes::{self, EndpointSlice, KubernetesService};
use crate::registry::model::ObjectRef;
use crate::registry::object::{Body, Metadata, Object, typed, typed_value};
use crate::registry::report::Report;
use crate::registry::service_entry::{HEALTH_CHECKED, Health, ServiceEntry, Status, WorkloadEntry};
use crate::registry::{document, mesh, registryz, shape, sidecar, validate};

/// What a text or a document holds.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Parsed {
    /// The objects without errors and those that close because of theirs, in the order of the text.
    pub objects: Vec<Arc<Object>>,
    /// What is wrong with these and with the others.
    pub problems: Vec<Problem>,
}

/// Reads `text`, which a person finds at `source` (`file:registry/a.yaml`): YAML or JSON documents of Istio and Kubernetes
/// objects, lists of them, or the array that `/debug/registryz` answers. An error is about the text as a whole: one document
/// whose YAML is refused is enough, so that the last good objects of the file stay, whatever that document was.
#[allow(clippy::result_large_err)] // made once per text
pub fn parse(source: &str, text: &str) -> Result<Parsed, Problem> {
    let documents = document::read(text).map_err(|message| Problem {
        severity: Severity::Error,
        source: source.into(),
        object: None,
        field: String::new(),
        message: format!("not valid YAML or JSON: {message}"),
        hint: "nothing of the file was read, and its last good objects stay: correct that line".to_owned(),
    })?;
    let mut parsed = Parsed::default();
    for document in documents {
        let source: Arc<str> = format!("{source}:{}", document.line).into();
        parsed.extend(parse_value(&source, document.value));
    }
    Ok(parsed)
}

/// Reads one document, object or list, as [`parse`] does: for sources that have values instead of text.
pub fn parse_value(source: &Arc<str>, value: Value) -> Parsed {
    let value = mesh::without_nulls(value);
    let mut report = Report::new(source, None);
    let mut parsed = Parsed::default();
    match &value {
        Value::Null => {}
        Value::Array(records) => parsed.extend(registryz::import(source, records)),
        Value::Object(_) if value.get("kind").is_some() => parse_kind(source, &value, &mut parsed),
        Value::Object(_) if mesh::is_bare(&value) => {
            let object = ObjectRef { name: "mesh".into(), ..Metadata::default().object("MeshConfig") };
            report.name(&object);
            let found = mesh::from_value(&value, "", source, &mut report);
            parsed.objects.push(plain(object, source, Body::MeshConfig(Arc::new(found))));
        }
        Value::Object(_) => report.error("kind", "the document has no kind", "set apiVersion and kind"),
        _ => {
            report.error(
                "",
                format!("{value} is not an object"),
                "write apiVersion, kind, metadata and spec",
            );
        }
    }
    parsed.problems.extend(report.into_problems());
    parsed
}

impl Parsed {
    fn extend(&mut self, other: Self) {
        self.objects.extend(other.objects);
        self.problems.extend(other.problems);
    }
}

fn plain(object: ObjectRef, source: &Arc<str>, body: Body) -> Arc<Object> {
    let (labels, annotations) = Default::default();
    Arc::new(Object { object, source: source.clone(), created: None, labels, annotations, body })
}

/// Kinds that are known and not used: no problem, whatever their version.
const SILENT: &[&str] = &[
    "APIService",
    "AuthorizationPolicy",
    "CertificateSigningRequest",
    "ClusterRole",
    "ClusterRoleBinding",
    "ControllerRevision",
    "CronJob",
    "CustomResourceDefinition",
    "DaemonSet",
    "Deployment",
    "DestinationRule",
    "Endpoints",
    "EnvoyFilter",
    "Event",
    "GRPCRoute",
    "Gateway",
    "GatewayClass",
    "HTTPRoute",
    "HorizontalPodAutoscaler",
    "Ingress",
    "IngressClass",
    "Job",
    "Lease",
    "LimitRange",
    "MutatingWebhookConfiguration",
    "Namespace",
    "NetworkPolicy",
    "Node",
    "PeerAuthentication",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Pod",
    "PodDisruptionBudget",
    "PriorityClass",
    "ProxyConfig",
    "ReferenceGrant",
    "ReplicaSet",
    "RequestAuthentication",
    "ResourceQuota",
    "Role",
    "RoleBinding",
    "Secret",
    "ServiceAccount",
    "StatefulSet",
    "StorageClass",
    "TCPRoute",
    "TLSRoute",
    "Telemetry",
    "ValidatingWebhookConfiguration",
    "VirtualService",
    "WasmPlugin",
    "WorkloadGroup",
];

/// The kinds that are used, with their group and its versions.
const USED: [(&str, &str, &[&str]); 7] = [
    ("ServiceEntry", "networking.istio.io/", &["v1", "v1beta1", "v1alpha3"]),
    ("WorkloadEntry", "networking.istio.io/", &["v1", "v1beta1", "v1alpha3"]),
    ("Sidecar", "networking.istio.io/", &["v1", "v1beta1", "v1alpha3"]),
    ("Service", "", &["v1"]),
    ("EndpointSlice", "discovery.k8s.io/", &["v1", "v1beta1"]),
    ("ConfigMap", "", &["v1"]),
    ("IstioOperator", "install.istio.io/", &["v1alpha1"]),
];

fn parse_kind(source: &Arc<str>, document: &Value, parsed: &mut Parsed) {
    let mut report = Report::new(source, None);
    let text = |field: &str| document.get(field).and_then(Value::as_str).unwrap_or_default();
    let (kind, api_version) = (text("kind"), text("apiVersion"));
    if let (Some(of), Some(Value::Array(items))) = (kind.strip_suffix("List"), document.get("items")) {
        for item in items {
            parsed.extend(parse_value(source, with_kind(item, of, api_version)));
        }
    } else if let Some((_, group, versions)) = USED.iter().find(|(used, _, _)| *used == kind) {
        let version = api_version.strip_prefix(group);
        let is_known = version.is_some_and(|version| versions.contains(&version));
        let hint = || {
            let known: Vec<_> = versions.iter().map(|version| format!("{group}{version}")).collect();
            format!("{kind} is read from {}", known.join(", "))
        };
        let object = match kind {
            "Sidecar" if is_known => Some(read_sidecar(document, source, &mut report)),
            "Sidecar" if version.is_some() => {
                report.name(&Metadata::salvage(document).object(kind));
                let message = format!("Sidecar of apiVersion {api_version:?} is not known");
                report.error("apiVersion", message, format!("{}: {}", hint(), sidecar::CLOSED));
                Some(closed_sidecar(document, source, &mut report))
            }
            _ if !is_known => {
                let message = format!("{kind} of apiVersion {api_version:?} is not known and not used");
                report.warning("apiVersion", message, hint());
                None
            }
            "ConfigMap" | "IstioOperator" => read_mesh(kind, document, source, &mut report),
            _ => read_object(kind, document, source, &mut report),
        };
        parsed.objects.extend(object.map(Arc::new));
    } else if !SILENT.contains(&kind) {
        let hint = "remove it from the registry's directory, or correct the kind";
        report.warning("kind", format!("the kind {kind:?} is not known and not used"), hint);
    }
    parsed.problems.extend(report.into_problems());
}

/// An item of a typed list, as the API server answers it: without kind and apiVersion of its own.
fn with_kind(item: &Value, of: &str, api_version: &str) -> Value {
    let mut item = item.clone();
    if let Some(fields) = item.as_object_mut()
        && !of.is_empty()
    {
        fields.entry("kind").or_insert_with(|| of.into());
        fields.entry("apiVersion").or_insert_with(|| api_version.into());
    }
    item
}

/// Reads a Sidecar. Whatever is wrong with it, there is one: see [`sidecar`].
fn read_sidecar(document: &Value, source: &Arc<str>, report: &mut Report) -> Object {
    report.name(&Metadata::salvage(document).object("Sidecar"));
    let (metadata, is_readable) = Metadata::read_partly(document, sidecar::CLOSED, report);
    if !is_readable {
        return closed_sidecar(document, source, report);
    }
    let (object, created) = (metadata.object("Sidecar"), metadata.created(report));
    let sidecar = sidecar::read(document, &object, source, created, report);
    with_metadata(object, source, created, metadata, Body::Sidecar(Arc::new(sidecar)))
}

fn closed_sidecar(document: &Value, source: &Arc<str>, report: &mut Report) -> Object {
    let metadata = Metadata::salvage(document);
    let (object, created) = (metadata.object("Sidecar"), metadata.created(report));
    let sidecar = sidecar::closed(document, &object, source, created);
    with_metadata(object, source, created, metadata, Body::Sidecar(Arc::new(sidecar)))
}

/// Reads the MeshConfig in a ConfigMap or an IstioOperator, if it has one. Whatever is wrong with it, there is one then.
fn read_mesh(kind: &str, document: &Value, source: &Arc<str>, report: &mut Report) -> Option<Object> {
    let hint = "correct it; a MeshConfig in it is read all the same";
    report.name(&Metadata::salvage(document).object(kind));
    let (metadata, _) = Metadata::read_partly(document, hint, report);
    let (object, created) = (metadata.object(kind), metadata.created(report));
    let mesh = mesh::from_object(document, &object, source, report)?;
    Some(with_metadata(object, source, created, metadata, Body::MeshConfig(Arc::new(mesh))))
}

/// Reads and checks one object of another used kind.
fn read_object(kind: &str, document: &Value, source: &Arc<str>, report: &mut Report) -> Option<Object> {
    let metadata = Metadata::read(document, report)?;
    let object = metadata.object(kind);
    report.name(&object);
    let created = metadata.created(report);
    let body = match kind {
        "ServiceEntry" => Body::ServiceEntry(service_entry(document, &object, report)?),
        "WorkloadEntry" => Body::WorkloadEntry(workload_entry(document, &metadata, report)?),
        "Service" => Body::Service(service(document, &object, &metadata, report)?),
        _ => Body::EndpointSlice(endpoint_slice(document, &metadata, report)?),
    };
    let object = with_metadata(object, source, created, metadata, body);
    (!report.has_errors()).then_some(object)
}

fn with_metadata(
    object: ObjectRef,
    source: &Arc<str>,
    created: Option<jiff::Timestamp>,
    metadata: Metadata,
    body: Body,
) -> Object {
    let Metadata { labels, annotations, .. } = metadata;
    Object { object, source: source.clone(), created, labels, annotations, body }
}

fn check_shape(shape: &shape::Shape, document: &Value, report: &mut Report) {
    shape.check(document.get("spec").unwrap_or(&Value::Null), "spec", report);
}

fn service_entry(document: &Value, object: &ObjectRef, report: &mut Report) -> Option<Box<ServiceEntry>> {
    let mut entry: ServiceEntry = typed(document, "spec", report)?;
    let status: Status = typed(document, "status", report)?;
    entry.told = status.addresses;
    check_shape(&shape::SERVICE_ENTRY, document, report);
    validate::service_entry::check(&entry, &object.namespace, report);
    Some(Box::new(entry))
}

fn workload_entry(document: &Value, metadata: &Metadata, report: &mut Report) -> Option<Box<WorkloadEntry>> {
    let mut entry: WorkloadEntry = typed(document, "spec", report)?;
    if metadata.annotations.get(HEALTH_CHECKED).is_some_and(|value| value == "true") {
        let health: Health = typed(document, "status", report)?;
        entry.unhealthy = !health.is_healthy();
    }
    check_shape(&shape::WORKLOAD_ENTRY, document, report);
    validate::endpoint::workload_entry(&entry, report);
    Some(Box::new(entry))
}

fn service(
    document: &Value,
    object: &ObjectRef,
    metadata: &Metadata,
    report: &mut Report,
) -> Option<Box<KubernetesService>> {
    let mut service: KubernetesService = typed(document, "spec", report)?;
    service.resource_version.clone_from(&metadata.resource_version);
    check_shape(&shape::SERVICE, document, report);
    validate::kubernetes::service(&service, report);
    let export_to = kubernetes::export_to(&metadata.annotations);
    let field = format!("metadata.annotations[{:?}]", kubernetes::EXPORT_TO);
    validate::export_to::check(&export_to, &object.namespace, &field, report);
    Some(Box::new(service))
}

fn endpoint_slice(document: &Value, metadata: &Metadata, report: &mut Report) -> Option<Box<EndpointSlice>> {
    let slice: EndpointSlice = typed_value(document, "", report)?;
    validate::kubernetes::endpoint_slice(&slice, metadata.labels.get(kubernetes::SERVICE_NAME), report);
    Some(Box::new(slice))
}

#[cfg(test)]
mod tests;
