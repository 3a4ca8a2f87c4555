//! Answers to questions, by the live maps.

mod find;

use std::sync::Arc;

use enforcer_common::id::RuleId;
use enforcer_common::mode::Enforcement;
use enforcer_common::verdict::Workload;
use enforcer_core::flow::Denied;
use enforcer_core::policy::WorkloadSpec;
use enforcer_core::policy::explain::{Asker, Explanation};
use enforcer_core::suggest::{Suggestions, suggest};
use tokio::sync::oneshot;

use crate::clock;
use crate::controller::Controller;
use crate::dataplane::Dataplane;

impl<D: Dataplane> Controller<D> {
    /// Why `workload` may or may not reach `destination`. When the live maps say otherwise than what was compiled, that is in the
    /// warnings.
    pub(super) fn explain(&self, workload: &str, destination: &str) -> Result<Explanation, String> {
        let found = find::find(&self.roster, workload)?;
        let spec = found.identified.spec(false).ok_or("the workload has just gone")?;
        let asker = Asker { spec: &spec, recognised: Some(found.how), enforcement: Some(self.enforcement()) };
        let reading = self.compiler.destination(&spec, destination)?;
        let mut live = self.compiler.explain_to(self.dataplane.tables(), &asker, &reading.destination);
        if let Some(rule) = &mut live.rule {
            rule.flows = Some(self.dataplane.flows(RuleId::new(rule.id)));
        }
        let compiled = self.compiler.explain(self.compiler.image(), &spec, &reading.destination);
        if (&live.verdict, &live.reason) != (&compiled.verdict, &compiled.reason) {
            live.warnings.push(format!(
                "the maps say {} ({}), the compiled registry says {} ({}): report this as a bug",
                live.verdict, live.reason, compiled.verdict, compiled.reason
            ));
        }
        live.warnings.extend(self.other_identity(&spec));
        live.warnings.extend(reading.notes);
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

    /// The node's switch, as it was seen last.
    fn enforcement(&self) -> Enforcement {
        if self.lifted { Enforcement::Off } else { self.switch.at(clock::since_boot()) }
    }

    /// A warning when the programs know the workload as something else than what the answer is about.
    fn other_identity(&self, spec: &WorkloadSpec) -> Option<String> {
        let compiled = self.compiler.image().workloads.get(&spec.cgroup).copied();
        let live = self.dataplane.workload(spec.cgroup);
        if live == Ok(compiled) {
            return None;
        }
        let live = match live {
            Err(_) => "something that cannot be trusted".to_owned(),
            Ok(None) => "nothing: to them its processes have no identity".to_owned(),
            Ok(Some(workload)) => said(workload),
        };
        let compiled = compiled.map_or_else(|| "nothing".to_owned(), said);
        Some(format!(
            "of this workload the maps hold {live}; compiled was {compiled}: what its processes meet may differ from this answer; \
             report this as a bug"
        ))
    }
}

fn said(workload: Workload) -> String {
    let (view, inherits_public) = (workload.view(), workload.inherits_public());
    let (policy, enforcement) = (workload.policy(), workload.enforcement());
    let public = if inherits_public { " and the public part" } else { "" };
    let enforcement = enforcement.map(|enforcement| format!(", {enforcement}")).unwrap_or_default();
    format!("view {view}{public}, {policy}{enforcement}")
}
