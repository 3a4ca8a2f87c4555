//! `enforcer registry list`.

use clap::ArgMatches;

use crate::cli::Answer;
use crate::cli::output::{self, Format, Look};
use crate::cli::registry::{PortView, ReadArgs, ServiceView};
use crate::cli::text::{Column, count, or_dash, table};

const COLUMNS: &[Column] = &[
    Column::left("HOST").shrinks(16),
    Column::left("NAMESPACE").shrinks(9),
    Column::left("ADDRESS").shrinks(14),
    Column::left("PORTS").shrinks(12),
    Column::left("RESOLUTION").shrinks(7),
    Column::left("EXPORTED TO").shrinks(5),
];

pub(super) fn run(read: &ReadArgs, matches: &ArgMatches, format: Format) -> anyhow::Result<Answer> {
    let services = read.services(None, matches)?;
    output::answer(format, &services, |services, look| human(services, look))?;
    Ok(Answer::Yes)
}

fn human(services: &[ServiceView], look: Look) -> String {
    if services.is_empty() {
        return "no services\n".to_owned();
    }
    let rows: Vec<Vec<String>> = services.iter().map(|service| row(service, look)).collect();
    let text = table(COLUMNS, &rows, 0, look.width);
    if look.width.is_some() { text + &count(services.len(), "service") + "\n" } else { text }
}

fn row(service: &ServiceView, look: Look) -> Vec<String> {
    let auto = service.auto_addresses.iter().map(ToString::to_string);
    let addresses: Vec<String> = service.addresses.iter().cloned().chain(auto).collect();
    let ports: Vec<String> = service.ports.iter().map(port).collect();
    vec![
        service.host.clone(),
        service.namespace.clone(),
        several(&addresses, look),
        several(&ports, look),
        service.resolution.clone(),
        service.export_to.join(","),
    ]
}

/// All of them; on a terminal the first, and how many more there are.
fn several(values: &[String], look: Look) -> String {
    match values {
        [first, _, ..] if look.width.is_some() => format!("{first} +{}", values.len() - 1),
        values => or_dash(values.join(",")),
    }
}

fn port(port: &PortView) -> String {
    format!("{}/{}", port.number, port.protocol)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::registry::view::tests::service;

    #[test]
    fn fits_eighty_columns() {
        let mut long = service("a.very.long.host.name.of.a.service.far.away.example.com");
        long.auto_addresses = vec!["240.240.0.1".parse().unwrap(), "2001:2::f0f0:1".parse().unwrap()];
        let expected = "\
HOST                       NAMESPACE  ADDRESS       PORTS         RESOLU…  EXPO…
api.example.com            shop       192.0.2.1     443/HTTPS +1  STATIC   *
a.very.long.host.name.of…  shop       192.0.2.1 +2  443/HTTPS +1  STATIC   *
2 services
";
        let text = human(&[service("api.example.com"), long], Look { width: Some(80), colour: false });
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert_eq!(text, expected, "{text}");
    }

    #[test]
    fn is_whole_when_not_for_a_terminal() {
        assert_eq!(
            human(&[service("api.example.com")], Look::default()),
            "HOST             NAMESPACE  ADDRESS    PORTS                RESOLUTION  EXPORTED TO\n\
             api.example.com  shop       192.0.2.1  443/HTTPS,8080/HTTP  STATIC      *\n"
        );
        assert_eq!(human(&[], Look::default()), "no services\n");
    }
}
