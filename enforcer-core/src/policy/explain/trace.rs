//! What the verdict looked at, in its own order: tables that remember what they were asked. Because `decide` itself did the
//! asking, what is told of it cannot differ from it.

use std::cell::RefCell;

use enforcer_common::addr::{Addr, Port, Protocol};
use enforcer_common::id::{ClassId, RuleId, ViewId};
use enforcer_common::verdict::{Backend, Lookup, Rule, TableFault, Tables};

/// One look-up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Asked {
    Class(Level, ViewId, Lookup<ClassId>),
    Rule(Lookup<Rule>),
    Any(ViewId, Lookup<Rule>),
}

/// At what a look is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Level {
    Exact,
    Prefix,
    Any,
}

/// One level of one view, and what was there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Look {
    pub(super) level: Level,
    pub(super) view: ViewId,
    /// The class of the address; never there at [`Level::Any`].
    pub(super) class: Option<ClassId>,
    /// The rule for the port.
    pub(super) rule: Lookup<Rule>,
}

/// Passes questions on and remembers them.
pub(super) struct Recorder<'a, T> {
    tables: &'a T,
    asked: RefCell<Vec<Asked>>,
}

impl<'a, T> Recorder<'a, T> {
    pub(super) fn new(tables: &'a T) -> Self {
        Self { tables, asked: RefCell::default() }
    }

    /// Levels instead of single questions: the rules asked of a class belong to the class before them.
    pub(super) fn into_looks(self) -> Vec<Look> {
        let mut looks: Vec<Look> = Vec::new();
        for asked in self.asked.into_inner() {
            match asked {
                Asked::Class(level, view, class) => looks.push(Look {
                    level,
                    view,
                    class: class.unwrap_or(None),
                    rule: class.err().map_or(Ok(None), Err),
                }),
                // An --allow range is asked twice: for the port, and for everything.
                Asked::Rule(rule) => {
                    if let Some(look) = looks.last_mut()
                        && look.rule == Ok(None)
                    {
                        look.rule = rule;
                    }
                }
                Asked::Any(view, rule) => looks.push(Look { level: Level::Any, view, class: None, rule }),
            }
        }
        looks
    }

    fn note(&self, asked: Asked) {
        self.asked.borrow_mut().push(asked);
    }
}

impl<T: Tables> Tables for Recorder<'_, T> {
    fn has_exempt(&self) -> bool {
        self.tables.has_exempt()
    }

    fn exact(&self, view: ViewId, addr: &Addr) -> Lookup<ClassId> {
        let class = self.tables.exact(view, addr);
        self.note(Asked::Class(Level::Exact, view, class));
        class
    }

    fn longest_prefix(&self, view: ViewId, addr: &Addr) -> Lookup<ClassId> {
        let class = self.tables.longest_prefix(view, addr);
        self.note(Asked::Class(Level::Prefix, view, class));
        class
    }

    fn class_rule(&self, class: ClassId, protocol: Protocol, port: Port) -> Lookup<Rule> {
        let rule = self.tables.class_rule(class, protocol, port);
        self.note(Asked::Rule(rule));
        rule
    }

    fn any_rule(&self, view: ViewId, protocol: Protocol, port: Port) -> Lookup<Rule> {
        let rule = self.tables.any_rule(view, protocol, port);
        self.note(Asked::Any(view, rule));
        rule
    }

    fn slots(&self, rule: RuleId) -> Lookup<u32> {
        self.tables.slots(rule)
    }

    fn backend(&self, rule: RuleId, slot: u32) -> Lookup<Backend> {
        self.tables.backend(rule, slot)
    }

    fn has_backend(&self, rule: RuleId, backend: &Backend) -> Result<bool, TableFault> {
        self.tables.has_backend(rule, backend)
    }
}
