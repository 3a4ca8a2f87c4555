//! Registries as users write them, over the small universe of [`enforcer_tests::generate`]: names, networks and ports collide
//! all the time.

use enforcer_tests::generate::universe::{
    ADDRESSES, CLUSTER_IPS, ENDPOINTS, EXACT_HOSTS, HOSTS, NAMESPACES, NETWORKS, PORTS, SERVICES,
    WIDE_NETWORKS,
};
use serde_json::{Value, json};

use super::dice::Dice;

/// Objects of each kind.
const ENTRIES: usize = 22;
const CLUSTER_SERVICES: usize = 7;
const SIDECARS: usize = 3;

const PROTOCOLS: [&str; 8] = ["TCP", "TCP", "HTTP", "HTTPS", "TLS", "GRPC", "UDP", "MONGO"];
const EXPORTS: [&[&str]; 7] = [&[], &[], &["*"], &["*"], &["."], &["shop", "north"], &["~"]];

/// JSON documents, which are YAML; they stand in one file, so that their order is one for everybody.
pub(super) fn registry(dice: &mut Dice) -> String {
    let mut documents = Vec::new();
    if !dice.one_in(6) {
        let mode = if dice.one_in(4) { "ALLOW_ANY" } else { "REGISTRY_ONLY" };
        documents.push(json!({ "outboundTrafficPolicy": { "mode": mode } }));
    }
    documents.extend((0..ENTRIES).map(|number| service_entry(dice, number)));
    for number in 0..CLUSTER_SERVICES {
        documents.extend(cluster_service(dice, number));
    }
    documents.extend((0..SIDECARS).map(|number| sidecar(dice, number)));
    documents.iter().map(|document| format!("{document:#}\n")).collect::<Vec<_>>().join("---\n")
}

fn metadata(dice: &mut Dice, name: &str) -> Value {
    json!({
        "name": name,
        "namespace": dice.pick(&NAMESPACES),
        "creationTimestamp": format!("2026-01-01T00:00:0{}Z", dice.below(4)),
    })
}

fn service_entry(dice: &mut Dice, number: usize) -> Value {
    let resolution = dice.pick(&["NONE", "NONE", "STATIC", "STATIC", "STATIC", "DNS", "DNS_ROUND_ROBIN"]);
    let is_dns = resolution.starts_with("DNS");
    let hosts = if is_dns { &HOSTS[..EXACT_HOSTS] } else { &HOSTS[..] };
    let host = dice.pick(hosts);
    let mut addresses = if dice.one_in(3) { Vec::new() } else { dice.some(&ADDRESSES, 0, 2) };
    if dice.one_in(3) {
        addresses.push(dice.pick(&NETWORKS));
    }
    if dice.one_in(12) {
        addresses.push(dice.pick(&WIDE_NETWORKS));
    }
    let ports = ports(dice);
    let mut spec = json!({
        "hosts": [host],
        "addresses": addresses,
        "resolution": resolution,
        "location": dice.pick(&["MESH_EXTERNAL", "MESH_INTERNAL"]),
        "exportTo": EXPORTS[dice.below(EXPORTS.len())],
        "ports": ports,
    });
    let most = match resolution {
        "NONE" => 0,
        "DNS_ROUND_ROBIN" => 1,
        _ => 3,
    };
    let fewest = usize::from(resolution == "STATIC");
    if most > 0 {
        let endpoints = dice.some(&ENDPOINTS, fewest, most);
        spec["endpoints"] = endpoints.into_iter().map(|address| endpoint(dice, address, &ports)).collect();
    }
    json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "ServiceEntry",
        "metadata": metadata(dice, &format!("entry-{number}")),
        "spec": spec,
    })
}

/// One to three ports, with numbers and names of their own; some lead to another port of the endpoints.
fn ports(dice: &mut Dice) -> Value {
    let mut numbers = PORTS;
    dice.shuffle(&mut numbers);
    let many = 1 + dice.below(3);
    let port = |number: &u16| {
        let protocol = dice.pick(&PROTOCOLS);
        let mut port = json!({ "number": number, "name": format!("port-{number}"), "protocol": protocol });
        if dice.one_in(4) {
            port["targetPort"] = PORTS[dice.below(PORTS.len())].into();
        }
        port
    };
    numbers[..many].iter().map(port).collect()
}

fn endpoint(dice: &mut Dice, address: &str, ports: &Value) -> Value {
    let mut endpoint = json!({ "address": address });
    if dice.one_in(3) {
        let name = ports[0]["name"].as_str().unwrap_or_default();
        endpoint["ports"] = json!({ name: PORTS[dice.below(PORTS.len())] });
    }
    if dice.one_in(3) {
        endpoint["weight"] = (1 + dice.below(4)).into();
    }
    endpoint
}

/// A Service with its EndpointSlice; one in three is headless.
fn cluster_service(dice: &mut Dice, number: usize) -> [Value; 2] {
    let name = format!("{}-{number}", dice.pick(&SERVICES));
    let metadata = metadata(dice, &name);
    let is_headless = dice.one_in(3);
    let cluster_ip = if is_headless { "None" } else { dice.pick(&CLUSTER_IPS) };
    let (port, target) = (PORTS[dice.below(PORTS.len())], PORTS[dice.below(PORTS.len())]);
    let protocol = if dice.one_in(4) { "UDP" } else { "TCP" };
    let is_v6 = dice.one_in(4);
    let pool: Vec<&str> = ENDPOINTS.into_iter().filter(|address| address.contains(':') == is_v6).collect();
    let endpoints = dice.some(&pool, 0, 2);
    let endpoints: Value = endpoints
        .into_iter()
        .map(|address| json!({ "addresses": [address], "conditions": { "ready": !dice.one_in(4) } }))
        .collect();
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": format!("{name}-slice"),
            "namespace": metadata["namespace"],
            "labels": { "kubernetes.io/service-name": name },
        },
        "addressType": if is_v6 { "IPv6" } else { "IPv4" },
        "ports": [{ "name": "main", "port": target, "protocol": protocol }],
        "endpoints": endpoints,
    });
    let service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {
            "clusterIP": cluster_ip,
            "clusterIPs": [cluster_ip],
            "selector": { "app": name },
            "ports": [{ "name": "main", "port": port, "targetPort": target, "protocol": protocol }],
        },
    });
    [service, slice]
}

fn sidecar(dice: &mut Dice, number: usize) -> Value {
    let hosts = dice.some(&["./*", "*/*", "shop/*", "*/*.example.com", "north/db.corp", "~/*"], 1, 2);
    let mut spec = json!({ "egress": [{ "hosts": hosts }] });
    if dice.one_in(2) {
        spec["workloadSelector"] = json!({ "labels": { "app": "web" } });
    }
    if dice.one_in(3) {
        let mode = dice.pick(&["REGISTRY_ONLY", "ALLOW_ANY"]);
        spec["outboundTrafficPolicy"] = json!({ "mode": mode });
    }
    json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "Sidecar",
        "metadata": metadata(dice, &format!("sidecar-{number}")),
        "spec": spec,
    })
}
