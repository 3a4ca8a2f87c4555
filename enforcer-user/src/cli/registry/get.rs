//! `enforcer registry get HOST`.

use clap::ArgMatches;

use crate::cli::Answer;
use crate::cli::output::{self, Format, Look, note};
use crate::cli::registry::{EndpointView, PortView, ReadArgs, ServiceView};
use crate::cli::text::{Column, fields, or_dash, table};

pub(super) fn run(
    host: &str,
    read: &ReadArgs,
    matches: &ArgMatches,
    format: Format,
) -> anyhow::Result<Answer> {
    let services = read.services(Some(host), matches)?;
    if services.is_empty() {
        note(&format!("no service of the registry stands for {host:?}; `enforcer registry list` shows all"));
        if format == Format::Table {
            return Ok(Answer::No);
        }
    }
    output::answer(format, &services, |services, look| human(services, look))?;
    Ok(Answer::from_bool(!services.is_empty()))
}

fn human(services: &[ServiceView], look: Look) -> String {
    services.iter().map(|service| block(service, look)).collect::<Vec<_>>().join("\n")
}

fn block(service: &ServiceView, look: Look) -> String {
    let mut lines: Vec<(&str, String)> = vec![
        ("object", service.object.to_string()),
        ("source", service.source.clone()),
        ("addresses", or_dash(service.addresses.join(", "))),
    ];
    let mut more = |label: &'static str, text: String| {
        if !text.is_empty() {
            lines.push((label, text));
        }
    };
    more("auto-allocated", join(&service.auto_addresses));
    for (cluster, vips) in &service.cluster_vips {
        more("cluster VIPs", format!("{cluster}: {}", join(vips)));
    }
    more("resolution", service.resolution.clone());
    more("location", service.location.clone());
    more("exported to", service.export_to.join(", "));
    more("created", service.created.clone().unwrap_or_default());
    more("external name", service.external_name.clone().unwrap_or_default());
    more("labels", pairs(&service.labels));
    more("selector", pairs(&service.selector));
    more("SANs", service.subject_alt_names.join(", "));
    format!(
        "{}\n{}{}{}",
        service.host,
        fields(&lines, 2, look.width),
        ports(&service.ports, look),
        endpoints(service, look)
    )
}

fn ports(ports: &[PortView], look: Look) -> String {
    if ports.is_empty() {
        return "  no ports\n".to_owned();
    }
    let columns = [
        Column::left("PORT"),
        Column::left("PROTOCOL"),
        Column::left("TARGET"),
        Column::left("NAME").shrinks(8),
    ];
    let row = |port: &PortView| {
        let target = port.target_port.map(|target| target.to_string()).unwrap_or_default();
        vec![port.number.to_string(), port.protocol.clone(), or_dash(target), or_dash(port.name.clone())]
    };
    table(&columns, &ports.iter().map(row).collect::<Vec<_>>(), 2, look.width)
}

fn endpoints(service: &ServiceView, look: Look) -> String {
    if service.endpoints.is_empty() {
        return "  no endpoints\n".to_owned();
    }
    let columns = [
        Column::left("ENDPOINT").shrinks(16),
        Column::left("PORTS").shrinks(8),
        Column::right("WEIGHT"),
        Column::left("READY"),
    ];
    let row = |endpoint: &EndpointView| {
        let ports: Vec<String> = endpoint.ports.iter().map(|(name, port)| format!("{name}:{port}")).collect();
        let ready = if endpoint.ready { "yes" } else { "no" };
        vec![
            endpoint.address.clone(),
            or_dash(ports.join(",")),
            endpoint.weight.to_string(),
            ready.to_owned(),
        ]
    };
    table(&columns, &service.endpoints.iter().map(row).collect::<Vec<_>>(), 2, look.width)
}

fn join<T: ToString>(values: &[T]) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn pairs(labels: &enforcer_core::name::Labels) -> String {
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::registry::view::tests::service;

    #[test]
    fn everything_of_a_service_in_readable_blocks() {
        assert_eq!(
            human(&[service("api.example.com")], Look { width: Some(80), colour: false }),
            "\
api.example.com
  object       ServiceEntry shop/api
  source       file:registry/a.yaml:12
  addresses    192.0.2.1
  resolution   STATIC
  location     MESH_EXTERNAL
  exported to  *
  PORT  PROTOCOL  TARGET  NAME
  443   HTTPS     -       https
  8080  HTTP      80      web
  ENDPOINT   PORTS     WEIGHT  READY
  192.0.2.7  https:44       1  yes
"
        );
    }
}
