//! Text in, objects and problems out.

use super::*;

/// `kind namespace/name @line` of every object, then every problem's first line.
fn shown(text: &str) -> String {
    let parsed = match parse("f", text) {
        Ok(parsed) => parsed,
        Err(problem) => return format!("!! {problem}").lines().next().unwrap_or_default().to_owned(),
    };
    let objects = parsed.objects.iter().map(|object| format!("{} @{}", object.object, object.source));
    let problems =
        parsed.problems.iter().map(|p| p.to_string().lines().next().unwrap_or_default().to_owned());
    objects.chain(problems).collect::<Vec<_>>().join("\n")
}

const ENTRY: &str = "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: NAME}\n\
                     spec: {hosts: [a.com], ports: [{number: 443, name: tls, protocol: TLS}]}\n";

fn entry(name: &str) -> String {
    ENTRY.replace("NAME", name)
}

#[test]
fn one_bad_object_never_harms_the_others() {
    let bad = entry("bad").replace("443", "x");
    let text = [entry("a"), bad, entry("b"), "text\n".to_owned(), entry("c")].join("---\n");
    assert_eq!(
        shown(&text),
        "ServiceEntry default/a @f:1\n\
         ServiceEntry default/b @f:11\n\
         ServiceEntry default/c @f:18\n\
         error: f:6: ServiceEntry default/bad: spec.ports[0].number: invalid type: string \"x\", expected i64\n\
         error: f:16: \"text\" is not an object"
    );
}

#[test]
fn texts() {
    for (text, expected) in [
        ("", ""),
        ("# nothing\n", ""),
        ("a: [", "!! error: f: not valid YAML or JSON: line 1, column 4: unclosed bracket '['"),
        ("{\"apiVersion\": \"v1\", \"kind\": \"List\", \"items\": []}", ""),
        ("[]", ""),
        ("[1]", "error: f:1: [0]: not a record of registryz: it has no hostname"),
        ("spec: {}", "error: f:1: kind: the document has no kind"),
        ("trustDomain: x", "MeshConfig default/mesh @f:1"),
        (
            "defaultConfig: {}\noutboundTrafficPolicy: {mode: X}",
            "MeshConfig default/mesh @f:1\nerror: f:1: MeshConfig default/mesh: outboundTrafficPolicy.mode: \"X\" is not a mode that can be enforced",
        ),
        ("apiVersion: v1\nkind: Pod", ""),
        ("apiVersion: networking.istio.io/v1\nkind: VirtualService", ""),
        (
            "apiVersion: x/v1\nkind: ServicEntry",
            "warning: f:1: kind: the kind \"ServicEntry\" is not known and not used",
        ),
        (
            "apiVersion: networking.istio.io/v2\nkind: ServiceEntry",
            "warning: f:1: apiVersion: ServiceEntry of apiVersion \"networking.istio.io/v2\" is not known and not used",
        ),
        (
            "apiVersion: serving.knative.dev/v1\nkind: Service",
            "warning: f:1: apiVersion: Service of apiVersion \"serving.knative.dev/v1\" is not known and not used",
        ),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio-ca-root-cert}\ndata: {x: y}", ""),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: other}\ndata: {mesh: 'a: ['}", ""),
        (
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio-canary, namespace: istio-system}\ndata: {mesh: 'trustDomain: x'}",
            "ConfigMap istio-system/istio-canary @f:1",
        ),
        (
            "apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nmetadata: {name: o}\nspec: {meshConfig: {}}",
            "IstioOperator default/o @f:1",
        ),
        ("apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nmetadata: {name: o}\nspec: {}", ""),
        (
            "apiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: {name: w}\nspec: {address: 'a b'}",
            "error: f:1: WorkloadEntry default/w: spec.address: \"a b\" is neither an IP nor a host name: \"a b\" cannot be a part of the name \"a b\"",
        ),
    ] {
        assert_eq!(shown(text), expected, "{text}");
    }
}

/// A document that is refused might have been a Sidecar: the file's last good objects stay.
#[test]
fn refused_yaml_refuses_the_whole_text() {
    let deep = format!("a: {}{}\n", "[".repeat(70), "]".repeat(70));
    let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(100_000), ["*a"; 50].join(", "));
    for (refused, expected) in [
        ("kind: Sidecar\nkind: Sidecar\n", "line 7, column 1: the key kind is given twice"),
        ("a: {b: 1, b: 2}\n", "the key b is given twice"),
        (&deep, "nested deeper than 64"),
        (&long, "its aliases repeat more than 4 times what is written"),
        ("a: !!int x\n", "line 6, "),
    ] {
        let shown = shown(&[&entry("a"), refused, &entry("b")].map(String::from).join("---\n"));
        let fits =
            shown.starts_with("!! error: f: not valid YAML or JSON: line ") && shown.contains(expected);
        assert!(fits, "{expected}: {shown}");
    }
}

/// `namespace/name selector imports policy`.
fn sidecars(parsed: &Parsed) -> Vec<String> {
    let shown = |object: &Arc<Object>| match &object.body {
        Body::Sidecar(s) => Some(format!(
            "{}/{} {:?} {:?} {:?}",
            s.object.namespace, s.object.name, s.selector, s.egress, s.outbound_policy
        )),
        _ => None,
    };
    parsed.objects.iter().filter_map(shown).collect()
}

#[test]
fn a_sidecar_that_cannot_be_read_closes() {
    let good = "{workloadSelector: {labels: {app: a}}, egress: [{hosts: ['*/*']}], outboundTrafficPolicy: {mode: ALLOW_ANY}}";
    let app = "Some({\"app\": \"a\"})";
    for (version, metadata, spec, expected, field) in [
        (
            "v1",
            "{name: s, namespace: n}",
            "{egress: [{hosts: './*'}]}",
            "n/s None".to_owned(),
            "spec.egress[0].hosts",
        ),
        ("v1", "{name: s, namespace: n, labels: {v: 1}}", good, format!("n/s {app}"), "metadata.labels.v"),
        ("v1", "{name: s, namespace: [n]}", good, format!("default/s {app}"), "metadata.namespace"),
        ("v1", "{name: 1, namespace: n}", good, format!("n/ {app}"), "metadata.name"),
        ("v1", "{namespace: n}", good, format!("n/ {app}"), "metadata.name"),
        ("v1", "[]", good, format!("default/ {app}"), "metadata.name"),
        ("v1", "x", good, format!("default/ {app}"), "metadata"),
        ("v2", "{name: s, namespace: n}", good, format!("n/s {app}"), "apiVersion"),
        ("v2", "{name: s}", "{workloadSelector: x}", "default/s None".to_owned(), "apiVersion"),
        ("", "{name: s}", "x", "default/s None".to_owned(), "apiVersion"),
    ] {
        let text = format!(
            "apiVersion: networking.istio.io/{version}\nkind: Sidecar\nmetadata: {metadata}\nspec: {spec}\n"
        );
        for text in [text.clone(), format!("kind: List\nitems:\n- {}", text.trim_end().replace('\n', "\n  "))]
        {
            let parsed = parse("f", &text).unwrap();
            assert_eq!(sidecars(&parsed), [format!("{expected} Some([]) Some(RegistryOnly)")], "{text}");
            let [problem] = &*parsed.problems else { panic!("{text}: {:?}", parsed.problems) };
            assert_eq!((problem.severity, problem.field.as_str()), (Severity::Error, field), "{text}");
            assert!(problem.hint.ends_with(sidecar::CLOSED) && problem.object.is_some(), "{problem}");
        }
    }
    let foreign = "apiVersion: other.io/v1\nkind: Sidecar\nmetadata: {name: s}\nspec: x";
    assert_eq!(sidecars(&parse("f", foreign).unwrap()), Vec::<String>::new());
}

#[test]
fn a_mesh_config_that_cannot_be_read_closes() {
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: ";
    let operator = "apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nmetadata: {name: o}\nspec: ";
    let closed = "RegistryOnly {\"~\"}";
    let open = "AllowAny {\"*\"}";
    for (text, expected, field) in [
        (format!("{map}{{name: istio}}\ndata: {{mesh: 'a: ['}}"), closed, "data.mesh"),
        (format!("{map}{{name: istio}}\ndata: {{mesh: {{a: b}}}}"), closed, "data.mesh"),
        (format!("{map}{{name: istio}}\ndata: x"), closed, "data"),
        (format!("{map}{{name: istio, labels: {{v: 1}}}}\ndata: {{mesh: ''}}"), open, "metadata.labels.v"),
        (format!("{map}{{name: [istio]}}\ndata: {{mesh: 'a: ['}}"), closed, "metadata.name data.mesh"),
        (format!("{operator}{{meshConfig: x}}"), closed, "spec.meshConfig"),
        (format!("{operator}x"), closed, "spec"),
        (
            "trustDomain: x\ndefaultServiceExportTo: x".to_owned(),
            "AllowAny {\"~\"}",
            "defaultServiceExportTo",
        ),
    ] {
        let parsed = parse("f", &text).unwrap();
        let [object] = &*parsed.objects else { panic!("{text}: {:?}", parsed.problems) };
        let Body::MeshConfig(mesh) = &object.body else { panic!("{object:?}") };
        assert_eq!(
            format!("{:?} {:?}", mesh.outbound_policy, mesh.default_service_export_to),
            expected,
            "{text}"
        );
        let fields: Vec<_> = parsed.problems.iter().map(|problem| problem.field.as_str()).collect();
        assert_eq!(fields.join(" "), field, "{text}");
    }
}

#[test]
fn versions_and_lists() {
    for version in ["v1", "v1beta1", "v1alpha3"] {
        let text = entry("a").replace("istio.io/v1", &format!("istio.io/{version}"));
        assert_eq!(shown(&text), "ServiceEntry default/a @f:1");
    }
    let item =
        "- metadata: {name: a, namespace: n}\n  spec: {hosts: [a.com], ports: [{number: 443, name: t}]}\n";
    assert_eq!(
        shown(&format!("apiVersion: networking.istio.io/v1\nkind: ServiceEntryList\nitems:\n{item}")),
        "ServiceEntry n/a @f:1"
    );
    let list = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Pod}\n- {apiVersion: v1, kind: Service, metadata: {name: s}, spec: {clusterIP: 10.0.0.1}}\n";
    assert_eq!(shown(list), "Service default/s @f:1");
}

#[test]
fn kubernetes_objects_are_checked() {
    let service = |spec: &str| {
        shown(&format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: s, annotations: {{networking.istio.io/exportTo: '*,x'}}}}\nspec: {spec}"
        ))
    };
    let export = "error: f:1: Service default/s: metadata.annotations[\"networking.istio.io/exportTo\"][0]: \"*\" cannot be combined";
    assert_eq!(service("{clusterIP: None}"), export);
    let service =
        |spec: &str| shown(&format!("apiVersion: v1\nkind: Service\nmetadata: {{name: s}}\nspec: {spec}"));
    for (spec, expected) in [
        ("{clusterIP: 10.0.0.1, ports: [{port: 80}]}", "Service default/s @f:1"),
        (
            "{clusterIP: 10.0.0.1, ports: [{port: 53, name: a}, {port: 53, name: b, protocol: UDP}]}",
            "Service default/s @f:1",
        ),
        (
            "{ports: [{port: 80}]}",
            "Service default/s @f:1\nwarning: f:1: Service default/s: spec.clusterIP: no ClusterIP: it has no address to be reached at",
        ),
        ("{clusterIP: x}", "error: f:1: Service default/s: spec.clusterIPs[0]: \"x\" is not an address"),
        (
            "{clusterIP: None, ports: [{port: 0}]}",
            "error: f:1: Service default/s: spec.ports[0].port: 0 is not a port",
        ),
        (
            "{clusterIP: None, ports: [{port: 1, name: a}, {port: 2}]}",
            "error: f:1: Service default/s: spec.ports[1].name: a port needs a name",
        ),
        (
            "{clusterIP: None, ports: [{port: 1, name: a}, {port: 1, name: b}]}",
            "error: f:1: Service default/s: spec.ports[1].port: port 1 is listed twice",
        ),
        (
            "{clusterIP: None, ports: [{port: 1, protocol: tcp}]}",
            "error: f:1: Service default/s: spec.ports[0].protocol: \"tcp\" is not a protocol",
        ),
        (
            "{clusterIP: None, selectors: {a: b}}",
            "Service default/s @f:1\nwarning: f:1: Service default/s: spec.selectors: there is no field \"selectors\": it is ignored",
        ),
        ("{type: ExternalName, externalName: b.com}", "Service default/s @f:1"),
        (
            "{type: ExternalName}",
            "error: f:1: Service default/s: spec.externalName: a name has 1 to 255 characters, this one 0",
        ),
    ] {
        assert_eq!(service(spec), expected, "{spec}");
    }
}

#[test]
fn endpoint_slices_are_checked() {
    let slice = |rest: &str| {
        shown(&format!(
            "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: e, labels: {{kubernetes.io/service-name: s}}}}\n{rest}"
        ))
    };
    for (rest, expected) in [
        (
            "addressType: IPv4\nendpoints: [{addresses: [10.0.0.1]}]\nports: [{port: 80}]",
            "EndpointSlice default/e @f:1",
        ),
        (
            "endpoints: [{addresses: [x]}]",
            "error: f:1: EndpointSlice default/e: endpoints[0].addresses[0]: \"x\" is not an address",
        ),
        ("ports: [{port: 0}]", "error: f:1: EndpointSlice default/e: ports[0].port: 0 is not a port"),
        (
            "ports: [{port: a}]",
            "error: f:1: EndpointSlice default/e: ports[0].port: invalid type: string \"a\", expected i64",
        ),
    ] {
        assert_eq!(slice(rest), expected, "{rest}");
    }
}

/// Istio's own data files and what the seeds list, where they are at hand.
#[test]
fn shared_fixtures_load_without_errors_where_they_exist() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/fixtures");
    let files = [folder.clone(), folder.join("istio")]
        .into_iter()
        .filter_map(|folder| std::fs::read_dir(folder).ok());
    for file in files.flatten().flatten().map(|file| file.path()) {
        let Some("yaml" | "json") = file.extension().and_then(|extension| extension.to_str()) else {
            continue;
        };
        let name = file.display().to_string();
        let parsed = parse(&name, &std::fs::read_to_string(&file).unwrap()).unwrap();
        let errors: Vec<_> =
            parsed.problems.iter().filter(|problem| problem.severity == Severity::Error).collect();
        assert_eq!((parsed.objects.is_empty(), errors), (false, Vec::new()), "{name}");
    }
}
