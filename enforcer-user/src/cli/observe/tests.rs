//! What is asked, and how lines are written.

use clap::Parser as _;
use enforcer_core::flow::Lost;

use super::*;
use crate::cli::{Cli, Command};

fn asked(line: &str) -> anyhow::Result<Observe> {
    let cli = Cli::try_parse_from(format!("enforcer observe {line}").split_whitespace())?;
    let Command::Observe(args) = cli.command else { panic!("{line}") };
    question(&args)
}

#[test]
fn how_far_back_is_what_one_expects() {
    let minutes = |minutes: u64| Some(Duration::from_secs(60 * minutes));
    for (line, last, since, follow) in [
        ("", Some(20), None, false),
        ("-f", Some(0), None, true),
        ("--follow --last 5", Some(5), None, true),
        ("--last 5", Some(5), None, false),
        ("--since 15m", None, minutes(15), false),
        ("--since 1h30m -f", None, minutes(90), true),
        ("--since 15m --last 5", Some(5), minutes(15), false),
    ] {
        let asked = asked(line).unwrap();
        assert_eq!((asked.last, asked.since, asked.follow), (last, since, follow), "{line}");
    }
}

#[test]
fn filters_are_checked_before_the_agent_is_asked() {
    let filter =
        asked("--verdict denied,translated -n shop --to 192.0.2.1:443 --reason needs_name").unwrap().filter;
    assert_eq!((filter.verdicts.len(), filter.namespaces, filter.to.len()), (2, vec!["shop".to_owned()], 1));
    for (line, expected) in [
        ("--verdict no", "no verdict is called \"no\""),
        ("--to 1.2.3", "\"1.2.3\" is no destination"),
        ("--since soon", "--since: \"soon\" is no duration; write 90s, 15m or 1h30m"),
        ("--since=-5m", "is no duration"),
    ] {
        let error = asked(line).unwrap_err().to_string();
        assert!(error.contains(expected), "{line}: {error}");
    }
}

#[test]
fn json_is_a_line_and_yaml_a_document() {
    let lost = Lost {
        time: "2025-03-01T12:00:01Z".parse().unwrap(),
        events: 2,
        workload: Some("shop/cart".to_owned()),
        why: Lost::SUPPRESSED.to_owned(),
    };
    let line = FlowLine::Lost { lost };
    assert_eq!(
        text(&line, Format::Json, Look::default()).unwrap(),
        "{\"lost\":{\"time\":\"2025-03-01T12:00:01Z\",\"events\":2,\"workload\":\"shop/cart\",\
         \"why\":\"rate limit or full ring\"}}\n"
    );
    let yaml = text(&line, Format::Yaml, Look::default()).unwrap();
    assert!(yaml.starts_with("---\nlost:\n"), "{yaml}");
    assert_eq!(serde_saphyr::from_str::<FlowLine>(&yaml).unwrap(), line, "{yaml}");
}
