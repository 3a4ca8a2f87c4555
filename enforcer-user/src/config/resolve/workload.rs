//! `--workload`: an identity, with its cgroup for the agent, without for a question.

use std::path::PathBuf;

use enforcer_common::mode::Enforcement;
use enforcer_core::name::{Labels, Namespace};

use crate::config::StaticWorkload;
use crate::config::file::Field;
use crate::config::resolve::{Faults, Wrong, absolute, either, filled, names, nearest, policy, wrong};

/// Who asks, in a question without the agent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WorkloadName {
    /// Its namespace.
    pub namespace: Namespace,
    /// Its name; empty when it has none.
    pub name: String,
    /// Its labels.
    pub labels: Labels,
}

const FLAG: &str = "--workload";
const STATIC: &[&str] = &["cgroup", "namespace", "name", "labels", "enforcement"];
const NAMED: &[&str] = &["namespace", "name", "labels"];

/// What is wrong, and with which field; `None`: with the whole.
type Found = Vec<(Option<usize>, Wrong)>;

/// What the fields say. What is `None` was not there, or is wrong.
#[derive(Default)]
struct Draft {
    cgroup: Option<PathBuf>,
    namespace: Option<Namespace>,
    name: Option<String>,
    labels: Labels,
    enforcement: Option<Enforcement>,
}

/// Every `--workload` of the agent: each below a `--cgroup`, when there are any, and no cgroup twice.
pub(super) fn workloads(values: &[String], cgroups: &[PathBuf], faults: &mut Faults) -> Vec<StaticWorkload> {
    let mut known: Vec<StaticWorkload> = Vec::new();
    // A cgroup that could not be read may be the one above.
    let cgroups = if faults.has("--cgroup") { &[] } else { cgroups };
    for (at, text) in filled(values) {
        let Some(workload) = workload(at, text, faults) else { continue };
        let cgroup = workload.cgroup.display();
        if known.iter().any(|other| other.cgroup == workload.cgroup) {
            let what = format!("the cgroup {cgroup} has an identity already");
            faults.add(FLAG, Some(at), text, wrong(what, "keep one"));
        } else if !cgroups.is_empty() && !cgroups.iter().any(|above| workload.cgroup.starts_with(above)) {
            let what =
                format!("the cgroup {cgroup} is not below any --cgroup, so nothing would be enforced there");
            faults.add(FLAG, Some(at), text, wrong(what, format!("add --cgroup {cgroup}")));
        }
        known.push(workload);
    }
    known
}

fn workload(at: usize, text: &str, faults: &mut Faults) -> Option<StaticWorkload> {
    let mapping = faults.given.and_then(|given| given.fields(FLAG, at));
    let fields = match mapping {
        Some(fields) => fields.to_vec(),
        None => split(text, STATIC).map_err(|wrong| faults.add(FLAG, Some(at), text, wrong)).ok()?,
    };
    let (draft, found) = draft(&fields, STATIC);
    let good = found.is_empty();
    for (field, wrong) in found {
        match field {
            Some(field) if mapping.is_some() => faults.add_field(FLAG, at, &fields[field], wrong),
            Some(field) => faults.add(FLAG, Some(at), text, named(&fields[field], wrong)),
            None => faults.add(FLAG, Some(at), text, wrong),
        }
    }
    let cgroup = draft.cgroup.filter(|_| good)?;
    let own = || cgroup.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Some(StaticWorkload {
        name: draft.name.unwrap_or_else(own),
        namespace: draft.namespace?,
        labels: draft.labels,
        enforcement: draft.enforcement,
        cgroup,
    })
}

/// `namespace=NS[,name=N][,labels=k=v;...]`, or `NS/NAME`.
pub(super) fn name(text: &str) -> Result<WorkloadName, Wrong> {
    let text = text.trim();
    if let Some((namespace, name)) = text.split_once('/')
        && !text.contains('=')
    {
        let (namespace, name) = (names::namespace(namespace)?, name.to_owned());
        return Ok(WorkloadName { namespace, name, labels: Labels::new() });
    }
    let fields = split(text, NAMED)?;
    let (draft, found) = draft(&fields, NAMED);
    let wrong = found.into_iter().next();
    match (draft.namespace, wrong) {
        (Some(namespace), None) => {
            Ok(WorkloadName { namespace, name: draft.name.unwrap_or_default(), labels: draft.labels })
        }
        (_, Some((Some(field), wrong))) => Err(named(&fields[field], wrong)),
        (_, wrong) => Err(wrong.map_or_else(no_namespace, |(_, wrong)| wrong)),
    }
}

/// In a text nothing but its name says which field is meant.
fn named(field: &Field, (what, hint): Wrong) -> Wrong {
    wrong(format!("{}: {what}", field.key), hint)
}

fn no_namespace() -> Wrong {
    wrong("no namespace", "add namespace=NS")
}

/// The fields of the text form.
fn split(text: &str, known: &[&str]) -> Result<Vec<Field>, Wrong> {
    let field = |field: &str| match field.split_once('=') {
        Some((key, value)) => {
            Ok(Field { key: key.to_owned(), label: false, value: Some(value.to_owned()), line: 0 })
        }
        None => Err(wrong(format!("{field:?} is not key=value"), format!("write {}", form(known)))),
    };
    text.split(',').map(field).collect()
}

fn form(known: &[&str]) -> &'static str {
    match known {
        STATIC => "cgroup=PATH,namespace=NS[,name=N][,labels=k=v;k2=v2][,enforcement=MODE]",
        _ => "namespace/name or namespace=NS[,name=N][,labels=k=v;k2=v2]",
    }
}

/// What the fields say, and all that is wrong with them.
fn draft(fields: &[Field], known: &[&str]) -> (Draft, Found) {
    let (mut draft, mut found) = (Draft::default(), Found::new());
    for (at, field) in fields.iter().enumerate() {
        let twice = fields[..at].iter().any(|other| other.name() == field.name());
        let result = match &field.value {
            _ if twice => Err(wrong("there twice", "keep one")),
            // What has no value that can be used has been told.
            Some(value) if field.label => names::label(&field.key, value).map(|()| {
                draft.labels.insert(field.key.clone(), value.clone());
            }),
            Some(value) => fill(&mut draft, &field.key, value, known),
            None => Ok(()),
        };
        found.extend(result.err().map(|wrong| (Some(at), wrong)));
    }
    let missing = |key: &str| known.contains(&key) && !fields.iter().any(|field| field.name() == key);
    if missing("cgroup") {
        found.push((None, wrong("no cgroup", "add cgroup=PATH")));
    }
    if missing("namespace") {
        found.push((None, no_namespace()));
    }
    (draft, found)
}

fn fill(draft: &mut Draft, key: &str, value: &str, known: &[&str]) -> Result<(), Wrong> {
    match key {
        "interface" => {
            let what = "this version has no interfaces: it enforces sockets of cgroups";
            return Err(wrong(what, "leave it out"));
        }
        "cgroup" | "pid" if known == NAMED => {
            let what = format!("a {key} is known to the running agent only");
            return Err(wrong(what, format!("write {}", form(known))));
        }
        _ if !known.contains(&key) => {
            let hint = match nearest(key, known.iter().copied()) {
                Some(near) => format!("did you mean {near}?"),
                None => format!("use {}", either(known)),
            };
            return Err(wrong("no such field", hint));
        }
        _ if value.is_empty() => return Err(wrong("empty", "give it a value, or leave it out")),
        "cgroup" => draft.cgroup = Some(absolute(value)?),
        "namespace" => draft.namespace = Some(names::namespace(value)?),
        "labels" => draft.labels = names::labels(value)?,
        "enforcement" => draft.enforcement = Some(policy::enforcement(value)?),
        _ => draft.name = Some(value.to_owned()),
    }
    Ok(())
}
