//! Flows: from the kernel's events under the names of what was published to those who observe.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use enforcer_common::addr::Protocol;
use enforcer_common::id::RuleId;
use enforcer_common::key::CgroupId;
use enforcer_core::flow::FlowWorkload;
use enforcer_core::flow::filter::Filter;
use enforcer_core::name::Host;
use enforcer_core::registry::model::ObjectRef;
use tokio_stream::StreamExt as _;

use crate::admin::server::FlowLines;
use crate::app::TICK;
use crate::app::view::View;
use crate::controller::Applied;
use crate::dataplane::allowed::AllowedEvents;
use crate::dataplane::ring::EventRing;
use crate::flows::{FlowStore, Names};

impl Names for Applied {
    fn workload(&self, cgroup: CgroupId) -> Option<&FlowWorkload> {
        self.workloads.get(&cgroup)
    }

    fn rule(&self, rule: RuleId) -> Option<(ObjectRef, Host)> {
        self.rules.get(rule).map(|rule| (rule.object.clone(), rule.host.clone()))
    }

    fn host(&self, to: SocketAddr, protocol: Protocol) -> Option<&Host> {
        self.hosts.host(to, protocol)
    }
}

/// Keeps every event under the names of its moment.
pub(super) async fn read_events(mut ring: EventRing, view: Arc<View>) -> Result<()> {
    loop {
        ring.drain(|event| view.record(event)).await.context("cannot read flow events")?;
    }
}

/// Tells observers what the kernel has counted and not sent. The counters are read only while somebody observes.
pub(super) async fn watch_suppressed(view: Arc<View>) -> Result<()> {
    let View { flows, counters, .. } = &*view;
    loop {
        flows.observed().await;
        flows.knows_suppressed(counters.suppressed());
        while flows.is_observed() {
            tokio::time::sleep(TICK).await;
            flows.tell_suppressed(counters.suppressed(), &*view.applied());
        }
    }
}

/// What is kept, and with `follow` what comes. Whoever follows and wants allowed flows has the kernel send them.
pub(super) fn observe(
    flows: &FlowStore,
    allowed: &Arc<AllowedEvents>,
    filter: Filter,
    last: usize,
    follow: bool,
) -> Result<FlowLines> {
    let wanted = (follow && filter.wants_allowed()).then(|| allowed.want()).transpose()?;
    let lines = flows.observe(filter, last, follow);
    Ok(Box::pin(lines.map(move |line| {
        // Lives as long as the stream does.
        let _wanted = &wanted;
        line
    })))
}
