//! Processes that hold a network namespace until they are ended: a pod's, as the pause container does, and that of the
//! network outside, with its servers. And what a node that forwards for them needs.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result};
use nix::sched::{CloneFlags, unshare};

use crate::inside::servers;

/// Addresses are usable at once, and the kernel's own filters do not hide what ours should stop.
const LENIENT: [(&str, &str); 10] = [
    ("ipv4/conf/all/rp_filter", "0"),
    ("ipv4/conf/default/rp_filter", "0"),
    ("ipv4/conf/all/accept_source_route", "1"),
    ("ipv4/conf/default/accept_source_route", "1"),
    ("ipv4/conf/all/accept_local", "1"),
    ("ipv4/conf/all/send_redirects", "0"),
    ("ipv4/conf/default/send_redirects", "0"),
    ("ipv6/conf/all/accept_dad", "0"),
    ("ipv6/conf/default/accept_dad", "0"),
    ("ipv6/conf/default/accept_ra", "0"),
];

/// Forwards, also by segments.
const FORWARDING: [(&str, &str); 7] = [
    ("ipv4/ip_forward", "1"),
    ("ipv4/conf/all/route_localnet", "0"),
    ("ipv4/conf/default/proxy_arp", "1"),
    ("ipv6/conf/all/forwarding", "1"),
    ("ipv6/conf/default/forwarding", "1"),
    ("ipv6/conf/all/seg6_enabled", "1"),
    ("ipv6/conf/default/seg6_enabled", "1"),
];

/// Prepares the namespace of a node that forwards. Its interfaces come later and take these settings over.
pub fn node() -> Result<()> {
    set(&LENIENT)?;
    set(&FORWARDING)
}

/// Holds a pod's namespace. The first segment of a TCP connection may carry data, and everybody may ping.
pub fn pod() -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNET).context("making a network namespace")?;
    set(&LENIENT)?;
    set(&[("ipv4/tcp_fastopen", "5"), ("ipv4/ping_group_range", "0 2147483647")])?;
    wait()
}

/// Holds the network outside, with servers on `ports` of every address that is routed there.
pub fn outside(ports: &[u16]) -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNET).context("making a network namespace")?;
    set(&LENIENT)?;
    // UDP answers come from whatever address was asked, and data of a first segment is taken without a cookie.
    set(&[("ipv6/ip_nonlocal_bind", "1"), ("ipv4/tcp_fastopen", "1538")])?;
    servers::start(ports)?;
    wait()
}

fn set(settings: &[(&str, &str)]) -> Result<()> {
    settings.iter().try_for_each(|(name, value)| {
        let path = Path::new("/proc/sys/net").join(name);
        fs::write(&path, value).with_context(|| format!("setting {}", path.display()))
    })
}

fn wait() -> Result<()> {
    println!("ready");
    std::io::stdout().flush().context("saying that all is ready")?;
    std::io::stdin().read_to_end(&mut Vec::new()).context("waiting for the end")?;
    Ok(())
}
