//! `--workload`: an identity, with its cgroup for the agent, without for a question.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;

use enforcer_common::mode::Enforcement;
use enforcer_core::name::{Labels, Namespace};

use crate::config::file::{Field, Part};
use crate::config::resolve::network::{self, MESHES, MeshKind, Said};
use crate::config::resolve::{
    Faults, Wrong, absolute, either, filled, interface, names, nearest, policy, word, wrong,
};
use crate::config::{Mesh, StaticWorkload};

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
const STATIC: &[&str] =
    &["cgroup", "namespace", "name", "labels", "enforcement", "interface", "address", "mesh", "mesh-proxy"];
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
    interfaces: Vec<String>,
    addresses: BTreeSet<IpAddr>,
    kind: Option<MeshKind>,
    proxy: Option<String>,
}

/// Every `--workload` of the agent, with its number: each below a `--cgroup`, when there are any, and nothing that belongs to
/// two.
pub(super) fn workloads(
    values: &[String],
    cgroups: &[PathBuf],
    faults: &mut Faults,
) -> Vec<(usize, StaticWorkload)> {
    let mut known: Vec<(usize, StaticWorkload)> = Vec::new();
    // A cgroup that could not be read may be the one above.
    let cgroups = if faults.has("--cgroup") { &[] } else { cgroups };
    for (at, text) in filled(values) {
        let Some(workload) = workload(at, text, faults) else { continue };
        let cgroup = workload.cgroup.display();
        if known.iter().any(|(_, other)| other.cgroup == workload.cgroup) {
            let what = format!("the cgroup {cgroup} has an identity already");
            faults.add(FLAG, Some(at), text, wrong(what, "keep one"));
            continue;
        }
        if !cgroups.is_empty() && !cgroups.iter().any(|above| workload.cgroup.starts_with(above)) {
            let what =
                format!("the cgroup {cgroup} is not below any --cgroup, so nothing would be enforced there");
            faults.add(FLAG, Some(at), text, wrong(what, format!("add --cgroup {cgroup}")));
        }
        for wrong in known.iter().flat_map(|(_, other)| shared(other, &workload)) {
            faults.add(FLAG, Some(at), text, wrong);
        }
        known.push((at, workload));
    }
    known
}

/// What both workloads say is theirs, though no packet or process can be of two.
fn shared(earlier: &StaticWorkload, later: &StaticWorkload) -> Vec<Wrong> {
    let own = |workload: &StaticWorkload| -> Vec<String> {
        let mut own = vec![format!("the cgroup {}", workload.cgroup.display())];
        if let Some(Mesh::Sidecar { proxy }) = &workload.mesh {
            own.push(format!("the cgroup {}", proxy.display()));
        }
        own.extend(workload.interfaces.iter().map(|interface| format!("the interface {interface}")));
        own.extend(workload.addresses.iter().map(|address| format!("the address {address}")));
        own
    };
    let name = |of: &StaticWorkload| format!("{}/{} ({})", of.namespace, of.name, of.cgroup.display());
    let earlier_own = own(earlier);
    let both = own(later).into_iter().filter(|one| earlier_own.contains(one));
    let told = |one| format!("{one} of {} is {}'s already", name(later), name(earlier));
    both.map(|one| wrong(told(one), "give it to one of them")).collect()
}

fn workload(at: usize, text: &str, faults: &mut Faults) -> Option<StaticWorkload> {
    let mapping = faults.given.and_then(|given| given.fields(FLAG, at));
    let fields = match mapping {
        Some(fields) => fields.to_vec(),
        None => split(text, STATIC).map_err(|wrong| faults.add(FLAG, Some(at), text, wrong)).ok()?,
    };
    let (draft, mut found) = draft(&fields, STATIC);
    let mesh = mesh(&draft, &fields).map_err(|wrong| found.push(wrong)).ok();
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
        interfaces: draft.interfaces,
        addresses: draft.addresses,
        mesh: mesh?,
        cgroup,
    })
}

fn mesh(draft: &Draft, fields: &[Field]) -> Result<Option<Mesh>, (Option<usize>, Wrong)> {
    let at = |key: &str| fields.iter().position(|field| field.key == key);
    let kind = Said::of(at("mesh").is_some(), draft.kind);
    let proxy = Said::of(at("mesh-proxy").is_some(), draft.proxy.as_deref());
    network::mesh(kind, proxy, draft.cgroup.as_deref()).map_err(|(key, wrong)| (at(key), wrong))
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
            Ok(Field { key: key.to_owned(), part: Part::Whole, value: Some(value.to_owned()), line: 0 })
        }
        None => Err(wrong(format!("{field:?} is not key=value"), format!("write {}", form(known)))),
    };
    text.split(',').map(field).collect()
}

fn form(known: &[&str]) -> &'static str {
    match known {
        STATIC => {
            "cgroup=PATH,namespace=NS[,name=N][,labels=k=v;k2=v2][,enforcement=MODE][,interface=IF;IF2][,address=IP;IP2]\
             [,mesh=ambient][,mesh=sidecar,mesh-proxy=CGROUP]"
        }
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
            Some(value) if field.part == Part::Label => names::label(&field.key, value).map(|()| {
                draft.labels.insert(field.key.clone(), value.clone());
            }),
            Some(value) => fill(&mut draft, field, value, known),
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

fn fill(draft: &mut Draft, field: &Field, value: &str, known: &[&str]) -> Result<(), Wrong> {
    let key = &*field.key;
    match key {
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
        "interface" => {
            for name in elements(field, value) {
                let name = interface::name(name)?;
                if draft.interfaces.contains(&name) {
                    return Err(wrong(format!("the interface {name} is there twice"), "keep one"));
                }
                draft.interfaces.push(name);
            }
        }
        "address" => {
            for address in elements(field, value) {
                let address = network::address(address)?;
                if !draft.addresses.insert(address) {
                    return Err(wrong(format!("the address {address} is there twice"), "keep one"));
                }
            }
        }
        "mesh" => draft.kind = Some(word(value, MESHES)?),
        "mesh-proxy" => draft.proxy = Some(value.to_owned()),
        _ => draft.name = Some(value.to_owned()),
    }
    Ok(())
}

/// The values of a field: an element of a list is one, a text has them behind one another.
fn elements<'a>(field: &Field, value: &'a str) -> Vec<&'a str> {
    match field.part {
        Part::Element(_) => vec![value],
        _ => value.split(';').collect(),
    }
}
