//! Every instrument, in the order in which they are shown. Counters per rule or workload are not here: a registry has a
//! hundred thousand rules, and `enforcer explain` shows one.

use crate::metrics::instrument::{Instrument, Unit, counter, gauge, histogram, number, real, whole};
use crate::metrics::read;

/// The table. A row: kind, name, meaning, how it is read; then unit and labels.
#[rustfmt::skip]
pub(super) static INSTRUMENTS: &[Instrument] = &[
    gauge("build_info", "What this binary is; always 1", read::build)
        .by(&["version", "commit", "abi", "kernel_object"]),

    gauge("agent_ready", "1 when the agent does what it was told, as /readyz says", |scrape| {
        whole(scrape.applied.status.ready.into())
    }),
    gauge("agent_not_ready_reasons", "Reasons why the agent is not ready", |scrape| {
        whole(number(scrape.applied.status.not_ready.len()))
    }),
    gauge("enforcement_mode", "The node's switch as the kernel has it: 1 for the mode it is in", read::enforcement)
        .by(&["mode"]),
    gauge("outbound_policy", "The node's outbound policy: 1 for the one that holds", read::policy)
        .by(&["policy"]),
    gauge("attached_cgroups", "Cgroups that have the programs; everything below them is covered", |scrape| {
        whole(number(scrape.applied.status.attached.len()))
    }),
    gauge("workloads", "Workloads of this node by what is done with their denials", read::workloads)
        .by(&["enforcement"]),
    gauge("workloads_covered", "Workloads by whether their packets are judged at their interfaces, or only what their sockets do", read::covered)
        .by(&["covered"]),
    gauge("attached_interfaces", "Interfaces that have the programs", read::interfaces)
        .by(&["side"]),
    gauge("unattached_interfaces", "Interfaces that should have the programs and cannot", |scrape| {
        whole(number(scrape.applied.status.unattached_interfaces.len()))
    }),
    counter("interface_order_lost", "Times that other programs were found before ours on an interface, or ours gone, since the agent started", |scrape| {
        whole(scrape.applied.status.order_lost)
    }),

    counter("canary_rounds", "How often canaries were sent: processes that the programs must notice", |scrape| {
        whole(scrape.applied.status.canary.rounds)
    }),
    counter("canary_failures", "Canaries that the programs did not notice", |scrape| {
        whole(scrape.applied.status.canary.failures)
    }),

    gauge("registry_revision", "Counts the registries that reached the kernel since the agent started", |scrape| {
        whole(scrape.applied.status.revision)
    }),
    gauge("registry_services", "Services in the registry that is in force", |scrape| {
        whole(number(scrape.applied.status.services))
    }),
    gauge("source_objects", "Objects that a source has given", |scrape| {
        read::sources(scrape, |source| number(source.objects))
    }).by(&["source"]),
    gauge("source_revision", "Counts the changes of a source since the agent started", |scrape| {
        read::sources(scrape, |source| source.revision)
    }).by(&["source"]),
    gauge("source_age", "Time since a source changed", |scrape| {
        let more = scrape.applied.age_seconds();
        read::sources(scrape, |source| source.age_seconds + more)
    }).in_unit(Unit::Seconds).by(&["source"]),
    gauge("source_stale_files", "Files of a source that cannot be read or parsed now: their last good objects stay", |scrape| {
        read::sources(scrape, |source| number(source.stale_files.len()))
    }).by(&["source"]),
    gauge("source_problems", "Problems of the input by source; source \"other\" has those that no source is to blame for", read::problems)
        .by(&["source", "severity"]),

    histogram("update_duration", "From a change to the kernel: building, compiling and applying a registry", read::updates)
        .in_unit(Unit::Seconds),
    gauge("update_last_duration", "How long the last update took", |scrape| {
        real(scrape.applied.updates.last_seconds)
    }).in_unit(Unit::Seconds),
    gauge("update_applied_timestamp", "Unix time at which an update last brought its registry into the kernel", read::applied_at)
        .in_unit(Unit::Seconds),
    counter("update_failures", "Updates whose registry is not in force: refused for its size, or failed in the kernel", read::failures)
        .by(&["cause"]),

    gauge("map_entries", "Entries of the compiled registry in a map", |scrape| {
        read::maps(scrape, |map| number(map.used))
    }).by(&["map"]),
    gauge("map_entries_limit", "How many entries there may be: --map-entries", |scrape| {
        read::maps(scrape, |map| number(map.limit))
    }).by(&["map"]),
    gauge("map_memory", "Kernel memory of a map's entries, by the arithmetic of enforcer-common/src/limits.rs", |scrape| {
        read::maps(scrape, |map| number(map.used) * enforcer_common::limits::entry_bytes(&map.map))
    }).in_unit(Unit::Bytes).by(&["map"]),

    counter("decisions", "Decisions of the kernel programs since the maps were made; under audit a deny is only recorded", read::decisions)
        .by(&["verdict", "reason", "enforcement"]),
    counter("connections_closed", "Connections that were closed because they may not be, since the agent started", read::closed)
        .by(&["cause"]),
    counter("events_received", "Flow events that reached the agent", |scrape| whole(scrape.events_received)),
    counter("events_suppressed", "Flow events that the programs did not send: over --event-rate, or the ring was full", |scrape| {
        whole(scrape.events_suppressed)
    }),
    counter("events_lost", "Records in the ring that were no events of this version", |scrape| whole(scrape.events_lost)),
    gauge("events_ring", "Size of the ring between programs and agent", |_| {
        whole(enforcer_common::limits::EVENTS_BYTES.into())
    }).in_unit(Unit::Bytes),
    gauge("flows_kept", "Denials that the agent remembers", |scrape| whole(number(scrape.flows))),
    gauge("flows_kept_limit", "How many it remembers at most", |scrape| whole(number(scrape.flows_limit))),

    gauge("process_start_time", "Unix time at which the agent started", |scrape| real(scrape.process.start_seconds))
        .in_unit(Unit::Seconds),
    counter("process_cpu", "User and system time of the agent", |scrape| real(scrape.process.cpu_seconds))
        .in_unit(Unit::Seconds),
    gauge("process_resident_memory", "Memory of the agent that is resident", |scrape| {
        whole(scrape.process.resident_bytes)
    }).in_unit(Unit::Bytes),
    gauge("process_open_fds", "File descriptors that the agent has open", |scrape| whole(scrape.process.open_fds)),
    gauge("process_max_fds", "How many it may have open", |scrape| whole(scrape.process.max_fds)),
];
