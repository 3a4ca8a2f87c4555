//! The reference of the metrics, as a person reads it: written from the table that the agent itself reads from.

use std::fmt::Write as _;

use crate::metrics::instrument::Instrument;
use crate::metrics::table::INSTRUMENTS;

const HEAD: &str = "\
# Metrics

<!-- Written by `cargo xtask codegen` from `enforcer docs metrics`; edit what that prints instead. -->

`GET /metrics` at the address of `--metrics` (default `127.0.0.1:15090`) answers in Prometheus's text format, or in OpenMetrics when
the request's `Accept` has `application/openmetrics-text`. Names, labels and units here are stable: some may be added, none is
renamed or removed without a major version. Everything is read when it is asked for; while the agent starts the answer is 503.

What `enforcer_decisions_total` and `enforcer_events_suppressed_total` count lives in the kernel's maps: a restart of the agent
does not reset it, `enforcer detach` does. Among the decisions are those over the agent's own canaries: one a minute for each cgroup that
has programs, of a process that asks for 192.0.2.1:9/udp (`enforcer status -o json` has their number in `canary.decisions`). There are no counters per rule, workload or destination: `enforcer explain` shows a rule's
flows, `enforcer status` the last denials.

| metric | type | unit | labels | meaning |
|---|---|---|---|---|
";

const LABELS: &str = "
## Labels

| label | values |
|---|---|
| `verdict` | `allow` (translated flows included), `deny` |
| `reason` | as in [`enforcer explain`](json.md); each is there from the start, with 0 |
| `enforcement`, `mode` | `enforce`, `audit`, `off`; a deny under `audit` is recorded and not blocked |
| `covered` | `true` (judged at its interfaces), `false` (at its sockets only) |
| `side` | `workload`, `uplink` |
| `policy` | `REGISTRY_ONLY`, `ALLOW_ANY`, `unknown` |
| `source` | as typed with `--registry`; `other` for problems that belong to none |
| `severity` | `error`, `warning` |
| `cause` | of updates: `refused` (the registry does not fit the maps), `failed` (the kernel did not take it); of closed connections: `narrowed` (`--terminate-existing`), `denied` (a packet of theirs was) |
| `map` | as in `enforcer status` |
";

const ALERTS: &str = r#"
## Alerts

```yaml
groups:
  - name: enforcer
    rules:
      - alert: EnforcerDown
        # What was in force stays in force, and nothing new gets there.
        expr: up{job="enforcer"} == 0
        for: 5m
      - alert: EnforcerNotReady
        # GET /readyz says why.
        expr: enforcer_agent_ready == 0
        for: 5m
      - alert: EnforcerNotEnforcing
        # Somebody switched this node off or to audit. Only where enforcing is what you want.
        expr: enforcer_enforcement_mode{mode="enforce"} == 0
        for: 15m
      - alert: EnforcerNotFirst
        # Whoever is before ours decides what ours sees; `enforcer status` and the log name the programs.
        expr: increase(enforcer_interface_order_lost_total[10m]) > 0
      - alert: EnforcerBlind
        # The programs are attached, and do not notice what they must.
        expr: increase(enforcer_canary_failures_total[10m]) > 0
      - alert: EnforcerDenies
        # Blocked: either something is registered wrongly, or something tries what it must not.
        expr: sum by (instance, reason) (rate(enforcer_decisions_total{verdict="deny",enforcement="enforce"}[5m])) > 0
        for: 10m
      - alert: EnforcerTableFaults
        # A denial for doubt, not for policy; never expected.
        expr: increase(enforcer_decisions_total{reason="table_fault"}[1h]) > 0
      - alert: EnforcerUpdatesFail
        expr: increase(enforcer_update_failures_total[10m]) > 0
        for: 10m
      - alert: EnforcerMapNearlyFull
        # At the limit a registry is refused as a whole: raise --map-entries before.
        expr: enforcer_map_entries / enforcer_map_entries_limit > 0.8
        for: 15m
      - alert: EnforcerSourceStale
        # Files that cannot be read or parsed: their last good objects stay in force.
        expr: enforcer_source_stale_files > 0
        for: 10m
      - alert: EnforcerRegistryErrors
        # Objects that are left out; `enforcer status` names them.
        expr: enforcer_source_problems{severity="error"} > 0
        for: 30m
```

What would be denied, before enforcing: `sum by (reason) (increase(enforcer_decisions_total{verdict="deny",enforcement="audit"}[1d]))`.
The slowest tenth of updates: `histogram_quantile(0.9, sum by (le) (rate(enforcer_update_duration_seconds_bucket[1h])))`.
Nodes whose registry lags behind a source's change: compare `enforcer_source_age_seconds` across nodes.
"#;

/// All of it, as Markdown: what `docs/reference/metrics.md` holds.
pub fn reference() -> String {
    let mut text = HEAD.to_owned();
    for instrument in INSTRUMENTS {
        text.push_str(&row(instrument));
    }
    text + LABELS + ALERTS
}

fn row(instrument: &Instrument) -> String {
    let labels: Vec<String> = instrument.labels.iter().map(|label| format!("`{label}`")).collect();
    let unit = instrument.unit.map_or("", |unit| unit.as_str());
    let mut row = String::new();
    let _ = writeln!(
        row,
        "| `{}` | {} | {unit} | {} | {} |",
        instrument.name(),
        instrument.kind,
        labels.join(", "),
        instrument.help
    );
    row
}
