//! Istio's dumps in and out.

use std::sync::Arc;

use crate::registry::registryz::export;
use crate::registry::{BuildOptions, Registry, build, parse};
use crate::vip::VipAllocation;

fn load(text: &str, vip_allocation: VipAllocation) -> (Registry, Vec<String>) {
    let parsed = parse("file:a", text).unwrap();
    let options = BuildOptions { vip_allocation, ..BuildOptions::default() };
    let (registry, problems) = build(&parsed.objects, &options);
    let problems =
        parsed.problems.iter().chain(&problems).map(|p| p.to_string().lines().next().unwrap().to_owned());
    (registry, problems.collect())
}

/// `host address auto4 auto6 resolution external [exportTo] [name:port/protocol]`
fn shown(record: &str) -> String {
    let (registry, problems) = load(record, VipAllocation::Off);
    let Some(service) = registry.services.first() else { return problems.join("\n") };
    let auto = (service.auto_v4.map(|ip| ip.to_string()), service.auto_v6.map(|ip| ip.to_string()));
    let ports: Vec<_> = service
        .ports
        .iter()
        .map(|p| format!("{}:{}/{}{:?}", p.name, p.number, p.protocol, p.target))
        .collect();
    format!(
        "{} {} {:?} {:?} {:?} {:?} {}",
        service.key.object,
        service.host(),
        service.address,
        service.resolution,
        auto,
        service.export_to,
        ports.join(" ")
    )
}

#[test]
fn the_shapes_of_all_versions() {
    for (record, expected) in [
        // 1.11
        (
            r#"[{"Mutex":{},"hostname":"a.com","address":"0.0.0.0","cluster-vips":null,"autoAllocatedAddress":"240.240.0.1","Resolution":1,
                 "MeshExternal":true,"ports":[{"name":"tls","port":443,"protocol":"TLS"}],
                 "Attributes":{"ServiceRegistry":"External","Name":"a.com","Namespace":"n","UID":"","ExportTo":{"*":true}}}]"#,
            "ServiceEntry n/a.com a.com Unspecified Dns (Some(\"240.240.0.1\"), None) {\"*\"} tls:443/TLSNone",
        ),
        (
            r#"[{"hostname":"a.n.svc.cluster.local","address":"10.0.0.9","cluster-vips":{"Kubernetes":"10.0.0.1"},"Resolution":0,
                 "Attributes":{"ServiceRegistry":"Kubernetes","Name":"a","Namespace":"n"}}]"#,
            "Service n/a a.n.svc.cluster.local Ip(10.0.0.1) Static (None, None) {} ",
        ),
        // until 1.20
        (
            r#"[{"hostname":"a.n.svc.cluster.local","defaultAddress":"0.0.0.0","clusterVIPs":{"Addresses":null},"Resolution":1,
                 "MeshExternal":true,"Attributes":{"ServiceRegistry":"Kubernetes","Name":"a","Namespace":"n","ClusterExternalAddresses":null}}]"#,
            "Service n/a a.n.svc.cluster.local Unspecified Alias (None, None) {} ",
        ),
        // 1.24 and later
        (
            r#"[{"hostname":"a.com","defaultAddress":"1.1.1.0/16","Resolution":2,"MeshExternal":true,
                 "ports":[{"name":"db","port":1,"protocol":"TCP"}],"serviceAccounts":["s"],
                 "Attributes":{"ServiceRegistry":"External","Name":"a.com","ObjectName":"o","Namespace":"n","ExportTo":{".":{}},
                   "Visibility":0,"PassthroughTargetPorts":{"1":2},"TrafficDistribution":0,"NodeLocal":false}}]"#,
            "ServiceEntry n/o a.com Cidr(1.1.0.0/16, \"1.1.1.0/16\") None (None, None) {\".\"} db:1/TCPSome(2)",
        ),
        (
            r#"[{"hostname":"*.a.com","Resolution":5,"autoAllocatedIPv4Address":"240.240.0.1","autoAllocatedIPv6Address":"2001:2::1","Attributes":{}}]"#,
            "ServiceEntry default/*.a.com *.a.com Unspecified DynamicDns (Some(\"240.240.0.1\"), Some(\"2001:2::1\")) {} ",
        ),
        // wrong
        (
            r#"[{"hostname":"a.com","Resolution":6}]"#,
            "error: file:a:1: ServiceEntry default/a.com: [0].Resolution: there is no resolution 6",
        ),
        (
            r#"[{"hostname":"a.com","defaultAddress":"x"}]"#,
            "error: file:a:1: ServiceEntry default/a.com: [0].defaultAddress: \"x\" is neither an address nor a network",
        ),
        (
            r#"[{"hostname":"a.com","ports":[{"port":"80"}]}]"#,
            "error: file:a:1: [0].ports[0].port: invalid type: string \"80\", expected i64",
        ),
    ] {
        assert_eq!(shown(record), expected, "{record}");
    }
}

#[test]
fn what_is_exported_can_be_imported() {
    let text = "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\n\
        metadata: {name: a, namespace: n, creationTimestamp: '2023-02-04T21:39:56Z', labels: {x: y}}\n\
        spec: {hosts: [a.com, b.com], addresses: [10.0.0.1, 10.1.0.1/16], exportTo: [.], subjectAltNames: [s],\n  \
          ports: [{number: 1, name: db, protocol: mongo, targetPort: 2}]}\n\
        ---\napiVersion: v1\nkind: Service\nmetadata: {name: s, resourceVersion: '7'}\n\
        spec: {clusterIP: 10.0.0.2, clusterIPs: [10.0.0.2, 'fd00::2'], selector: {a: b}, ports: [{port: 80}]}\n\
        ---\napiVersion: v1\nkind: Service\nmetadata: {name: e}\nspec: {type: ExternalName, externalName: b.com}\n";
    let (registry, problems) = load(text, VipAllocation::IstioV2);
    assert_eq!(problems.len(), 1, "{problems:?}");
    let exported = export(&registry);
    let (imported, problems) = load(&exported.to_string(), VipAllocation::IstioV2);
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!(imported.services.len(), 6);
    assert_eq!(export(&imported), exported);
}

#[test]
fn a_record_has_the_keys_that_istio_writes() {
    let text = "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: google}\n\
        spec: {hosts: [www.google.com], resolution: DNS, ports: [{name: https, protocol: TLS, number: 443}]}";
    let (registry, _) = load(text, VipAllocation::IstioV2);
    assert_eq!(
        export(&registry).to_string(),
        concat!(
            r#"[{"Attributes":{"ServiceRegistry":"External","Name":"www.google.com","Namespace":"default","Labels":null,"#,
            r#""ExportTo":null,"LabelSelectors":null,"Aliases":null,"ClusterExternalAddresses":{"Addresses":null},"#,
            r#""ClusterExternalPorts":null,"PassthroughTargetPorts":null,"Type":"","ExternalName":"","NodeLocal":false,"#,
            r#""TrafficDistribution":0,"ObjectName":"google","DNSConnectStrategy":0,"PublishNotReadyAddresses":false},"#,
            r#""ports":[{"name":"https","port":443,"protocol":"TLS"}],"creationTime":"0001-01-01T00:00:00Z","#,
            r#""hostname":"www.google.com","clusterVIPs":{"Addresses":null},"defaultAddress":"0.0.0.0","#,
            r#""autoAllocatedIPv4Address":"240.240.0.1","autoAllocatedIPv6Address":"2001:2::1","Resolution":1,"#,
            r#""MeshExternal":true,"ResourceVersion":""}]"#
        )
    );
}

#[test]
fn the_records_of_the_seeds_survive_where_they_exist() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/fixtures");
    let Ok(text) = std::fs::read_to_string(folder.join("seeds-registryz.json")) else { return };
    let given: serde_json::Value = serde_json::from_str(&text).unwrap();
    let (registry, problems) = load(&text, VipAllocation::IstioV2);
    assert_eq!(problems, Vec::<String>::new());
    let exported = export(&registry);
    for given in given.as_array().unwrap() {
        let same_host = |record: &&serde_json::Value| record["hostname"] == given["hostname"];
        let exported = exported.as_array().unwrap().iter().find(same_host).unwrap();
        for (key, value) in given.as_object().unwrap().iter().filter(|(key, _)| *key != "Attributes") {
            assert_eq!(&exported[key], value, "{key}");
        }
        for (key, value) in given["Attributes"].as_object().unwrap() {
            assert_eq!(&exported["Attributes"][key], value, "{key}");
        }
    }
}

#[test]
fn the_seeds_own_entries_become_their_records_where_they_exist() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/fixtures");
    let Ok(text) = std::fs::read_to_string(folder.join("seeds.yaml")) else { return };
    let google = text.split("\n---").next().unwrap();
    let (registry, _) = load(google, VipAllocation::IstioV2);
    let given = std::fs::read_to_string(folder.join("seeds-registryz.json")).unwrap();
    let given: serde_json::Value = serde_json::from_str(&given).unwrap();
    for key in
        ["hostname", "defaultAddress", "autoAllocatedIPv4Address", "Resolution", "MeshExternal", "ports"]
    {
        assert_eq!(export(&registry)[0][key], given[1][key], "{key}");
    }
    let all: Vec<Arc<_>> = load(&text, VipAllocation::IstioV2).0.services;
    assert_eq!(all.len(), 9);
}
