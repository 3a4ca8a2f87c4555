//! `--workload`: an identity, with its cgroup for the agent, without for a question.

use std::collections::BTreeMap;
use std::path::PathBuf;

use enforcer_core::name::{Labels, Namespace};

use crate::config::StaticWorkload;
use crate::config::resolve::{Faults, Wrong, absolute, either, names, policy, wrong};

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

const STATIC: &[&str] = &["cgroup", "namespace", "name", "labels", "enforcement"];
const NAMED: &[&str] = &["namespace", "name", "labels"];

/// Every `--workload` of the agent: each below a `--cgroup`, when there are any, and no cgroup twice.
pub(super) fn workloads(values: &[String], cgroups: &[PathBuf], faults: &mut Faults) -> Vec<StaticWorkload> {
    let mut known: Vec<StaticWorkload> = Vec::new();
    for (workload, text) in
        faults.take_all("--workload", values, |text| Ok((workload(text)?, text.to_owned())))
    {
        let cgroup = workload.cgroup.display();
        if known.iter().any(|other| other.cgroup == workload.cgroup) {
            let what = format!("the cgroup {cgroup} has an identity already");
            faults.add("--workload", &text, wrong(what, "keep one"));
        } else if !cgroups.is_empty() && !cgroups.iter().any(|above| workload.cgroup.starts_with(above)) {
            let what =
                format!("the cgroup {cgroup} is not below any --cgroup, so nothing would be enforced there");
            faults.add("--workload", &text, wrong(what, format!("add --cgroup {cgroup}")));
        }
        known.push(workload);
    }
    known
}

fn workload(text: &str) -> Result<StaticWorkload, Wrong> {
    let fields = fields(text, STATIC)?;
    let cgroup = fields.get("cgroup").ok_or_else(|| wrong("no cgroup", "add cgroup=PATH"))?;
    let cgroup = absolute(cgroup).map_err(|(what, hint)| wrong(format!("cgroup: {what}"), hint))?;
    let named = named(&fields)?;
    let own = || cgroup.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let enforcement = fields.get("enforcement").map(|text| policy::enforcement(text)).transpose();
    let enforcement = enforcement.map_err(|(what, hint)| wrong(format!("enforcement: {what}"), hint))?;
    Ok(StaticWorkload {
        name: if named.name.is_empty() { own() } else { named.name },
        cgroup,
        namespace: named.namespace,
        labels: named.labels,
        enforcement,
    })
}

/// `namespace=NS[,name=N][,labels=k=v;...]`, or `NS/NAME`.
pub(super) fn name(text: &str) -> Result<WorkloadName, Wrong> {
    let text = text.trim();
    match text.split_once('/') {
        Some((namespace, name)) if !text.contains('=') => Ok(WorkloadName {
            namespace: names::namespace(namespace)?,
            name: name.to_owned(),
            labels: Labels::new(),
        }),
        _ => named(&fields(text, NAMED)?),
    }
}

fn named(fields: &BTreeMap<&str, &str>) -> Result<WorkloadName, Wrong> {
    let namespace = fields.get("namespace").ok_or_else(|| wrong("no namespace", "add namespace=NS"))?;
    Ok(WorkloadName {
        namespace: names::namespace(namespace)?,
        name: fields.get("name").copied().unwrap_or_default().to_owned(),
        labels: fields.get("labels").map_or_else(|| Ok(Labels::new()), |text| names::labels(text))?,
    })
}

fn fields<'a>(text: &'a str, known: &[&str]) -> Result<BTreeMap<&'a str, &'a str>, Wrong> {
    let hint = || match known {
        STATIC => "write cgroup=PATH,namespace=NS[,name=N][,labels=k=v;k2=v2][,enforcement=MODE]",
        _ => "write namespace/name or namespace=NS[,name=N][,labels=k=v;k2=v2]",
    };
    let mut fields = BTreeMap::new();
    for field in text.split(',') {
        let Some((key, value)) = field.split_once('=') else {
            return Err(wrong(format!("{field:?} is not key=value"), hint()));
        };
        match key {
            "interface" => {
                let what = "this version has no interfaces: it enforces sockets of cgroups";
                return Err(wrong(what, "leave interface= out"));
            }
            "cgroup" | "pid" if known == NAMED => {
                return Err(wrong(format!("a {key} is known to the running agent only"), hint()));
            }
            _ if !known.contains(&key) => {
                return Err(wrong(format!("no field is called {key:?}"), format!("use {}", either(known))));
            }
            _ if value.is_empty() => return Err(wrong(format!("{key} is empty"), hint())),
            _ if fields.insert(key, value).is_some() => {
                return Err(wrong(format!("{key} is there twice"), "keep one"));
            }
            _ => {}
        }
    }
    Ok(fields)
}
