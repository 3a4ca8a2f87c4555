//! What a `--workload` says of its place in the network: addresses and mesh.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use crate::config::Mesh;
use crate::config::resolve::{Wrong, absolute, wrong};

/// What `mesh=` says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum MeshKind {
    Sidecar,
    Ambient,
}

/// The words of `mesh=`.
pub(super) const MESHES: &[(&str, MeshKind)] =
    &[("sidecar", MeshKind::Sidecar), ("ambient", MeshKind::Ambient)];

/// What a field says.
pub(super) enum Said<T> {
    /// It is not there.
    Nothing,
    /// It is there and wrong, which has been told.
    Wrong,
    This(T),
}

impl<T> Said<T> {
    pub(super) fn of(is_there: bool, value: Option<T>) -> Self {
        match value {
            Some(value) => Self::This(value),
            None if is_there => Self::Wrong,
            None => Self::Nothing,
        }
    }
}

/// What `mesh=` and `mesh-proxy=` say together, or what is wrong with which of them.
pub(super) fn mesh(
    kind: Said<MeshKind>,
    proxy: Said<&str>,
    cgroup: Option<&Path>,
) -> Result<Option<Mesh>, (&'static str, Wrong)> {
    match (kind, proxy) {
        (Said::Nothing, Said::This(_)) => {
            Err(("mesh-proxy", wrong("the workload is in no mesh", "add mesh=sidecar, or leave it out")))
        }
        (Said::This(MeshKind::Ambient), Said::This(_)) => {
            let what = "an ambient workload has no proxy of its own";
            Err(("mesh-proxy", wrong(what, "leave it out, or write mesh=sidecar")))
        }
        (Said::This(MeshKind::Sidecar), Said::Nothing) => {
            let what = "nobody could tell the sidecar from the application";
            Err(("mesh", wrong(what, "add mesh-proxy=CGROUP, the cgroup of the sidecar's container")))
        }
        (Said::This(MeshKind::Sidecar), Said::This(proxy)) => {
            let proxy = below(cgroup, proxy).map_err(|wrong| ("mesh-proxy", wrong))?;
            Ok(Some(Mesh::Sidecar { proxy }))
        }
        (Said::This(MeshKind::Ambient), Said::Nothing) => Ok(Some(Mesh::Ambient)),
        _ => Ok(None),
    }
}

/// The path of a cgroup below `above`, which is `None` when that is wrong itself.
fn below(above: Option<&Path>, text: &str) -> Result<PathBuf, Wrong> {
    let path = absolute(&above.unwrap_or(Path::new("/")).join(text).to_string_lossy())?;
    match above {
        Some(above) if path == above || !path.starts_with(above) => {
            let what = format!("{} is not below the workload's cgroup {}", path.display(), above.display());
            Err(wrong(what, "name the cgroup of the sidecar's container"))
        }
        _ => Ok(path),
    }
}

/// An address that a workload can have for its own.
pub(super) fn address(text: &str) -> Result<IpAddr, Wrong> {
    let hint = "write single addresses: 10.0.0.7 or 2001:db8::7";
    let Ok(ip) = text.parse::<IpAddr>().map(|ip| ip.to_canonical()) else {
        let what = if text.contains('/') { "not a single address" } else { "not an address" };
        return Err(wrong(format!("{text:?} is {what}"), hint));
    };
    let kind = match ip {
        _ if ip.is_unspecified() => "the unspecified address",
        _ if ip.is_loopback() => "a loopback address, which every workload has",
        _ if ip.is_multicast() => "a multicast address",
        IpAddr::V4(v4) if v4.is_broadcast() => "the broadcast address",
        _ => return Ok(ip),
    };
    Err(wrong(format!("{text:?} is {kind}"), hint))
}
