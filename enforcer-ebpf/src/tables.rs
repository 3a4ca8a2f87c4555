//! The verdict's tables are the maps.

use enforcer_common::addr::{Addr, Port, Protocol};
use enforcer_common::id::{ClassId, RuleId, ViewId};
use enforcer_common::key::{BackendKey, PortKey};
use enforcer_common::verdict::{Backend, Lookup, Rule, TableFault, Tables};

use crate::maps;

/// The maps of this kernel.
pub struct KernelTables;

impl Tables for KernelTables {
    #[inline(always)]
    fn has_exempt(&self) -> bool {
        maps::has_exempt()
    }

    #[inline(always)]
    fn exact(&self, view: ViewId, addr: &Addr) -> Lookup<ClassId> {
        Ok(maps::exact(view, addr)?.map(ClassId::new))
    }

    #[inline(always)]
    fn longest_prefix(&self, view: ViewId, addr: &Addr) -> Lookup<ClassId> {
        Ok(maps::longest_prefix(view, addr)?.map(ClassId::new))
    }

    #[inline(always)]
    fn class_rule(&self, class: ClassId, protocol: Protocol, port: Port) -> Lookup<Rule> {
        rule(maps::class_rule(PortKey::in_class(class, protocol, port))?)
    }

    #[inline(always)]
    fn any_rule(&self, view: ViewId, protocol: Protocol, port: Port) -> Lookup<Rule> {
        rule(maps::any_rule(&PortKey::any_address(view, protocol, port))?)
    }

    #[inline(always)]
    fn slots(&self, rule: RuleId) -> Lookup<u32> {
        maps::slots(&BackendKey::new(rule, 0))
    }

    #[inline(always)]
    fn backend(&self, rule: RuleId, slot: u32) -> Lookup<Backend> {
        maps::backend(&BackendKey::new(rule, slot))
    }

    #[inline(always)]
    fn has_backend(&self, rule: RuleId, backend: &Backend) -> Result<bool, TableFault> {
        Ok(maps::backend(&BackendKey::member(rule, backend))? == Some(*backend))
    }
}

/// An action that this program does not know is not an answer.
#[inline(always)]
fn rule(payload: Option<u32>) -> Lookup<Rule> {
    match payload {
        None => Ok(None),
        Some(payload) => match Rule::from_payload(payload) {
            Some(rule) => Ok(Some(rule)),
            None => Err(TableFault),
        },
    }
}
