//! Answers to questions, by the live maps.

use std::path::Path;
use std::sync::Arc;

use enforcer_common::id::RuleId;
use enforcer_core::flow::Denied;
use enforcer_core::policy::WorkloadSpec;
use enforcer_core::policy::destination::Destination;
use enforcer_core::policy::explain::Explanation;
use enforcer_core::suggest::{Suggestions, suggest};
use tokio::sync::oneshot;

use crate::controller::Controller;
use crate::dataplane::Dataplane;
use crate::identity::Identified;

impl<D: Dataplane> Controller<D> {
    /// Why `workload` may or may not reach `destination`. When the live maps say otherwise than what was compiled, that is in the
    /// warnings.
    pub(super) fn explain(&self, workload: &str, destination: &str) -> Result<Explanation, String> {
        let spec = self.find(workload)?;
        let destination: Destination = destination.parse().map_err(|error| format!("{error}"))?;
        let mut live = self.compiler.explain(self.dataplane.tables(), &spec, &destination);
        if let Some(rule) = &mut live.rule {
            rule.flows = Some(self.dataplane.flows(RuleId::new(rule.id)));
        }
        let compiled = self.compiler.explain(self.compiler.image(), &spec, &destination);
        if (&live.verdict, &live.reason) != (&compiled.verdict, &compiled.reason) {
            live.warnings.push(format!(
                "the maps say {} ({}), the compiled registry says {} ({}): report this as a bug",
                live.verdict, live.reason, compiled.verdict, compiled.reason
            ));
        }
        Ok(live)
    }

    /// Which ServiceEntries `denied` lacks, by the registry in force. The whole registry is compiled once more for it, which
    /// takes a while when it is large: beside the controller, which has a registry to keep in force, and for one at a time.
    pub(super) fn suggest(
        &mut self,
        denied: Vec<Denied>,
        reply: oneshot::Sender<Result<Suggestions, String>>,
    ) {
        // Whoever asked may have gone.
        if self.suggesting.as_ref().is_some_and(|thread| !thread.is_finished()) {
            let _ =
                reply.send(Err("suggestions are being worked out for somebody else; ask again".to_owned()));
            return;
        }
        let (registry, settings) = (Arc::clone(self.compiler.registry()), self.compiler.settings().clone());
        self.suggesting = Some(std::thread::spawn(move || {
            let suggestions = suggest(&registry, &settings, &denied);
            let _ =
                reply.send(suggestions.map_err(|problems| {
                    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
                }));
        }));
    }

    /// The workload that `text` means: `cgroup=PATH`, `namespace=NS,name=N`, `namespace/name`, a name, or a namespace with one
    /// workload.
    fn find(&self, text: &str) -> Result<WorkloadSpec, String> {
        let there = || self.roster.workloads.iter().filter(|identified| identified.cgroup.is_some());
        let matching: Vec<&Identified> = there().filter(|identified| means(text, identified)).collect();
        let names = |all: &[&Identified]| {
            all.iter().map(|identified| identified.full_name()).collect::<Vec<_>>().join(", ")
        };
        match matching[..] {
            [one] => one.spec().ok_or_else(|| "the workload has just gone".to_owned()),
            [] => {
                let all: Vec<&Identified> = there().collect();
                Err(format!("no workload of this node is \"{text}\"; there are: {}", names(&all)))
            }
            _ => Err(format!(
                "\"{text}\" is more than one workload: {}; write namespace/name",
                names(&matching)
            )),
        }
    }
}

fn means(text: &str, identified: &Identified) -> bool {
    let workload = &identified.workload;
    if let Some((namespace, name)) = text.split_once('/')
        && !text.contains('=')
    {
        return namespace == workload.namespace.as_str() && name == workload.name;
    }
    if !text.contains('=') {
        return text == workload.name;
    }
    text.split(',').all(|pair| match pair.split_once('=') {
        Some(("cgroup", path)) => Path::new(path) == workload.cgroup,
        Some(("namespace", namespace)) => namespace == workload.namespace.as_str(),
        Some(("name", name)) => name == workload.name,
        _ => false,
    })
}
