//! Which workload is meant.

use std::path::Path;

use crate::identity::{Identified, Roster};

/// How many candidates an error lists.
const LISTED: usize = 20;

const FORMS: &str = "write namespace/name, namespace=NS,name=N,labels=k=v;k2=v2 or cgroup=PATH";

/// A workload, and how it was recognised.
pub(super) struct Found<'a> {
    pub(super) identified: &'a Identified,
    /// As a sentence.
    pub(super) how: String,
}

/// The workload that `text` means: `namespace/name`, a name, a namespace with one workload, `cgroup=PATH` (of the workload, or of
/// anything below it), or any of `namespace=`, `name=` and `labels=`.
pub(super) fn find<'a>(roster: &'a Roster, text: &str) -> Result<Found<'a>, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err(format!("no workload is named; {FORMS}{}", candidates(roster, text)));
    }
    let matching = if text.contains('=') { by_pairs(roster, text)? } else { by_name(roster, text) };
    let (there, gone): (Vec<&Identified>, Vec<_>) =
        matching.into_iter().partition(|identified| identified.cgroup.is_some());
    match (&there[..], gone.first()) {
        ([one], _) => Ok(Found { identified: one, how: how(one) }),
        ([], Some(gone)) => Err(format!(
            "the workload {} is configured, but its cgroup {} is not there",
            gone.full_name(),
            gone.workload.cgroup.display()
        )),
        ([], None) => Err(format!("no workload of this node is {text:?}{}", candidates(roster, text))),
        (several, _) => {
            let names: Vec<String> = several.iter().map(|one| one.full_name()).collect();
            Err(format!("{text:?} is more than one workload: {}; {FORMS}", some_of(&names)))
        }
    }
}

fn how(identified: &Identified) -> String {
    let id =
        identified.cgroup.as_ref().map(|cgroup| format!(" (id {})", cgroup.id.get())).unwrap_or_default();
    format!(
        "The workload is {}: the processes at or below the cgroup {}{id}, by --workload.",
        identified.full_name(),
        identified.workload.cgroup.display()
    )
}

/// `namespace/name`, else a name, else a namespace.
fn by_name<'a>(roster: &'a Roster, text: &str) -> Vec<&'a Identified> {
    let all = |fits: &dyn Fn(&Identified) -> bool| -> Vec<&'a Identified> {
        roster.workloads.iter().filter(|identified| fits(identified)).collect()
    };
    if let Some((namespace, name)) = text.split_once('/') {
        return all(&|one| one.workload.namespace.as_str() == namespace && one.workload.name == name);
    }
    let named = all(&|one| one.workload.name == text);
    if named.is_empty() { all(&|one| one.workload.namespace.as_str() == text) } else { named }
}

fn by_pairs<'a>(roster: &'a Roster, text: &str) -> Result<Vec<&'a Identified>, String> {
    let mut matching: Vec<&Identified> = roster.workloads.iter().collect();
    for pair in text.split(',') {
        let Some((key, value)) = pair.split_once('=') else {
            return Err(format!("{pair:?} of {text:?} is not key=value; {FORMS}"));
        };
        match key {
            "cgroup" => matching = innermost(matching, Path::new(value)),
            "namespace" => matching.retain(|one| one.workload.namespace.as_str() == value),
            "name" => matching.retain(|one| one.workload.name == value),
            "labels" => {
                for label in value.split(';').filter(|label| !label.is_empty()) {
                    let Some((key, value)) = label.split_once('=') else {
                        return Err(format!("{label:?} of {text:?} is no label; write labels=k=v;k2=v2"));
                    };
                    matching.retain(|one| one.workload.labels.get(key).is_some_and(|is| is == value));
                }
            }
            _ => return Err(format!("no field is called {key:?}; {FORMS}")),
        }
    }
    Ok(matching)
}

/// The workload that the kernel would take: the first of the cgroup's ancestors that is one.
fn innermost<'a>(all: Vec<&'a Identified>, path: &Path) -> Vec<&'a Identified> {
    let depth = |identified: &Identified| {
        let own = Some(identified.workload.cgroup.as_path());
        let resolved = identified.cgroup.as_ref().map(|cgroup| cgroup.path.as_path());
        let above = own.into_iter().chain(resolved).filter(|above| path.starts_with(above));
        above.map(|above| above.components().count()).max()
    };
    let deepest = all.iter().filter_map(|identified| depth(identified)).max();
    all.into_iter().filter(|identified| deepest.is_some() && depth(identified) == deepest).collect()
}

/// `; there are: ...`, those that look most like `text` first.
fn candidates(roster: &Roster, text: &str) -> String {
    let mut names: Vec<(usize, String)> = roster
        .workloads
        .iter()
        .filter(|identified| identified.cgroup.is_some())
        .map(|identified| {
            let (name, full) = (&identified.workload.name, identified.full_name());
            (distance(text, name).min(distance(text, &full)), full)
        })
        .collect();
    if names.is_empty() {
        return "; there are none".to_owned();
    }
    names.sort();
    let names: Vec<String> = names.into_iter().map(|(_, name)| name).collect();
    format!("; there are: {}", some_of(&names))
}

fn some_of(names: &[String]) -> String {
    let listed = names.iter().take(LISTED).cloned().collect::<Vec<_>>().join(", ");
    match names.len().checked_sub(LISTED) {
        Some(more @ 1..) => format!("{listed} and {more} more"),
        _ => listed,
    }
}

/// How many characters have to be put in, taken out or changed (Levenshtein); of long texts only the beginning counts.
fn distance(one: &str, other: &str) -> usize {
    const COUNTED: usize = 128;
    let one: Vec<char> = one.chars().take(COUNTED).collect();
    let mut row: Vec<usize> = (0..=one.len()).collect();
    for (line, there) in other.chars().take(COUNTED).enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (at, here) in one.iter().enumerate() {
            let changed = diagonal + usize::from(*here != there);
            diagonal = row[at + 1];
            row[at + 1] = changed.min(row[at] + 1).min(diagonal + 1);
        }
    }
    row[one.len()]
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use enforcer_common::key::CgroupId;
    use enforcer_core::name::Namespace;

    use super::*;
    use crate::config::StaticWorkload;
    use crate::identity::Cgroup;

    fn workload(full: &str, path: &str, labels: &[(&str, &str)]) -> Identified {
        let (namespace, name) = full.split_once('/').unwrap();
        let path = PathBuf::from(path);
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let namespace = Namespace::new(namespace);
        let workload = StaticWorkload { namespace, labels, ..StaticWorkload::plain(path.clone(), name) };
        Identified { workload, cgroup: Some(Cgroup { id: CgroupId::new(7), level: 1, path }), proxy: None }
    }

    fn roster() -> Roster {
        let mut gone = workload("ops/gone", "/c/gone", &[]);
        gone.cgroup = None;
        Roster {
            workloads: vec![
                workload("shop/cart", "/c/shop/cart", &[("app", "cart"), ("v", "1")]),
                workload("shop/desk", "/c/shop/desk", &[("app", "desk"), ("v", "1")]),
                workload("shop/inner", "/c/shop/desk/inner", &[]),
                workload("bank/cart", "/c/bank", &[]),
                gone,
            ],
            ..Roster::default()
        }
    }

    #[test]
    fn a_workload_in_every_notation() {
        let roster = roster();
        for (text, expected) in [
            ("shop/cart", "shop/cart"),
            (" shop/cart ", "shop/cart"),
            ("desk", "shop/desk"),
            ("bank", "bank/cart"),
            ("namespace=bank", "bank/cart"),
            ("namespace=shop,name=cart", "shop/cart"),
            ("namespace=shop,labels=app=cart", "shop/cart"),
            ("labels=v=1;app=desk", "shop/desk"),
            ("cgroup=/c/shop/cart", "shop/cart"),
            ("cgroup=/c/shop/cart/", "shop/cart"),
            ("cgroup=/c/shop/cart/session/1", "shop/cart"),
            ("cgroup=/c/shop/desk/inner/x", "shop/inner"),
            ("cgroup=/c/shop/desk/innermost", "shop/desk"),
        ] {
            match find(&roster, text) {
                Ok(found) => assert_eq!(found.identified.full_name(), expected, "{text}"),
                Err(error) => panic!("{text}: {error}"),
            }
        }
        let how = find(&roster, "bank").map(|found| found.how).ok().unwrap();
        assert_eq!(
            how,
            "The workload is bank/cart: the processes at or below the cgroup /c/bank (id 7), by --workload."
        );
    }

    #[test]
    fn what_is_no_workload_lists_those_nearest() {
        let roster = roster();
        for (text, expected) in [
            ("", "no workload is named; write namespace/name"),
            (
                "dask",
                "no workload of this node is \"dask\"; there are: shop/desk, bank/cart, shop/cart, shop/inner",
            ),
            ("cart", "\"cart\" is more than one workload: shop/cart, bank/cart; write namespace/name"),
            ("labels=v=1", "\"labels=v=1\" is more than one workload: shop/cart, shop/desk; write"),
            ("shop/", "no workload of this node is \"shop/\"; there are: "),
            ("a/b/c", "no workload of this node is \"a/b/c\"; there are: "),
            ("cgroup=/c", "no workload of this node is \"cgroup=/c\"; there are: "),
            ("cgroup=", "no workload of this node is \"cgroup=\"; there are: "),
            ("namespace=shop,cart", "\"cart\" of \"namespace=shop,cart\" is not key=value; write"),
            ("pod=cart", "no field is called \"pod\"; write"),
            ("labels=app", "\"app\" of \"labels=app\" is no label; write labels=k=v;k2=v2"),
            ("gone", "the workload ops/gone is configured, but its cgroup /c/gone is not there"),
        ] {
            let error = find(&roster, text).map(|found| found.how).unwrap_err();
            assert!(error.starts_with(expected), "{text}: {error}");
        }
        let many = (0..30).map(|number| workload(&format!("shop/w{number}"), &format!("/c/{number}"), &[]));
        let many = Roster { workloads: many.collect(), ..Roster::default() };
        let error = find(&many, "w7x").map(|found| found.how).unwrap_err();
        assert!(error.contains("there are: shop/w7, ") && error.ends_with(" and 10 more"), "{error}");
        let none = find(&Roster::default(), "x").map(|found| found.how).unwrap_err();
        assert_eq!(none, "no workload of this node is \"x\"; there are none");
    }
}
