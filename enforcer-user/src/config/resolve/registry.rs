//! The flags of the registry.

use std::path::Path;

use enforcer_core::vip::VipAllocation;

use crate::cli::args::{RegistryArgs, SOURCE_FORMS};
use crate::config::resolve::{Faults, Wrong, names, word, wrong};
use crate::config::{RegistryConfig, RegistrySource};

/// Forms of a later version: recognised, so that the message is about the version and not about a typing error.
const NOT_YET: [&str; 3] = ["registryz", "istiod", "kube"];

pub(super) fn registry(
    sources: &[String],
    args: &RegistryArgs,
    faults: &mut Faults,
) -> Option<RegistryConfig> {
    let mut known = Vec::new();
    for (at, source) in faults.take_each("--registry", sources, source) {
        if known.contains(&source) {
            let twice = wrong("the source is there twice", "keep one");
            faults.add("--registry", Some(at), sources[at].trim(), twice);
        } else {
            known.push(source);
        }
    }
    let how = [VipAllocation::IstioV2, VipAllocation::IstioLegacy, VipAllocation::Off];
    let names: Vec<String> = how.iter().map(ToString::to_string).collect();
    let how: Vec<_> = names.iter().map(String::as_str).zip(how).collect();
    let vip_allocation = faults.take("--vip-allocation", &args.vip_allocation, |text| word(text, &how));
    let cluster_id = faults.take("--cluster-id", &args.cluster_id, |text| match text {
        "" => Err(wrong(
            "the name is empty",
            "use the clusterID of Istio's values; Kubernetes when it has none",
        )),
        id => Ok(id.to_owned()),
    });
    let cluster_domain = faults.take("--cluster-domain", &args.cluster_domain, names::domain);
    let root_namespace = faults.take("--root-namespace", &args.root_namespace, names::namespace);
    Some(RegistryConfig {
        sources: known,
        vip_allocation: vip_allocation?,
        cluster_id: cluster_id?,
        cluster_domain: cluster_domain?,
        root_namespace: root_namespace?,
    })
}

/// The fault of an agent without a registry.
pub(super) fn none() -> Wrong {
    wrong(
        "no source given: an empty registry would deny everything",
        format!("give one or more: {SOURCE_FORMS}"),
    )
}

fn source(text: &str) -> Result<RegistrySource, Wrong> {
    match text.split_once(':') {
        Some(("file", "")) => Err(wrong("the path is empty", "write file:PATH")),
        Some(("file", path)) => Ok(RegistrySource::File(Path::new(path).components().collect())),
        Some((scheme, _)) if NOT_YET.contains(&scheme) => {
            Err(wrong(format!("this version has no {scheme}: source"), format!("use {SOURCE_FORMS}")))
        }
        None if NOT_YET.contains(&text) => {
            Err(wrong(format!("this version has no {text}: source"), format!("use {SOURCE_FORMS}")))
        }
        _ if text.contains(['/', '.']) && !text.contains("://") => {
            Err(wrong("the kind of source is missing", format!("for a path, write file:{text}")))
        }
        _ => Err(wrong("not a known kind of source", format!("use {SOURCE_FORMS}"))),
    }
}
