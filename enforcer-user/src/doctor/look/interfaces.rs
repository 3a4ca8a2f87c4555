//! Interfaces of pods, read from this node.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::dataplane::probe::attached::{on_interface, program_names};
use crate::dataplane::probe::feature;
use crate::doctor::Request;
use crate::doctor::interfaces::{Interfaces, OnInterface, Pod};
use crate::links::{self, Link, PodNetwork};
use crate::mountinfo;

/// How long pods are looked for: a node has hundreds.
const PATIENCE: Duration = Duration::from_secs(5);

pub(in crate::doctor) fn interfaces(request: &Request) -> Interfaces {
    let links = links::read().map_err(|error| format!("{error:#}"));
    Interfaces {
        tcx: feature::has_tcx(),
        programs: links.clone().and_then(|links| programs(&links)),
        pods: links.and_then(|links| pods(request, &links)),
    }
}

/// What is on this side of interfaces whose other end is in another network namespace.
fn programs(links: &[Link]) -> Result<Vec<OnInterface>, String> {
    let names = program_names()?;
    let of_pods = links.iter().filter(|link| link.peer_index.is_some() && link.peer_namespace.is_some());
    let on = |link: &Link| {
        let programs = on_interface(link.index, &names).map_err(|why| format!("{}: {why}", link.name))?;
        Ok(OnInterface { name: link.name.clone(), programs })
    };
    of_pods.map(on).collect()
}

fn pods(request: &Request, links: &[Link]) -> Result<Vec<Pod>, String> {
    let mounts = mountinfo::read();
    let roots = if request.cgroups.is_empty() {
        super::kubepods(&mounts, "cgroup2")
    } else {
        request.cgroups.clone()
    };
    let deadline = Instant::now() + PATIENCE;
    let (mut found, mut seen) = (Vec::new(), BTreeSet::new());
    let mut waiting = roots;
    while let Some(directory) = waiting.pop() {
        if Instant::now() > deadline {
            return Err(format!("there are too many for {} s", PATIENCE.as_secs()));
        }
        waiting.extend(children(&directory));
        let processes = fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
        if processes.is_empty() {
            continue;
        }
        match PodNetwork::of_cgroup(&directory, links) {
            Ok(Some(network)) if seen.insert(network.inode) => found.push(pod(&directory, &network)),
            Ok(_) => {}
            Err(error) => return Err(format!("{}: {error:#}", directory.display())),
        }
    }
    Ok(found)
}

fn pod(cgroup: &Path, network: &PodNetwork) -> Pod {
    let uncovered =
        network.interfaces.iter().filter(|interface| interface.leaves && interface.host.is_none());
    Pod {
        cgroup: cgroup.display().to_string(),
        uncovered: uncovered.map(|interface| interface.name.clone()).collect(),
    }
}

fn children(cgroup: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(cgroup).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}
