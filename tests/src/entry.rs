//! ServiceEntries of which only the address and the ports matter to a story.

/// One of namespace web: for this address, at port 443.
pub fn entry(name: &str, address: &str) -> String {
    entry_at(name, address, &[443])
}

/// The same at these ports.
pub fn entry_at(name: &str, address: &str, ports: &[u16]) -> String {
    let ports: Vec<String> =
        ports.iter().map(|port| format!("{{number: {port}, name: tcp-{port}, protocol: TCP}}")).collect();
    format!(
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: {name}, namespace: web}}\n\
         spec:\n  hosts: [{name}.example.com]\n  addresses: [{address}]\n  resolution: NONE\n  ports: [{}]\n",
        ports.join(", ")
    )
}
