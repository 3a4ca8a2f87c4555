//! What the agent keeps for pods: pins, entries of maps, memory.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use enforcer_tests::node::Node;
use enforcer_tests::world::{Spot, finish};
use serde_json::Value;

/// The maps of where pods are.
const MAPS: [&str; 3] = ["INTERFACES", "NAMESPACES", "ADDRESSES"];
/// How long the agent may take to hear that pods are gone.
const SOON: Duration = Duration::from_secs(5);
/// How long to wait for it to keep no more than it did, on a busy machine.
const AT_LAST: Duration = Duration::from_secs(30);
/// How much more memory is none: what an allocator keeps.
const KIBIBYTES: u64 = 8 << 10;

/// All of it.
#[derive(Debug)]
pub(crate) struct Footprint {
    interfaces: Vec<String>,
    entries: BTreeMap<&'static str, usize>,
    attached: Value,
    resident: u64,
}

impl Footprint {
    /// That of the agent, once it has heard of what happened.
    pub(crate) fn of(node: &Node) -> Result<Self> {
        let since = Instant::now();
        let mut last = Self::now(node)?;
        loop {
            sleep(Duration::from_millis(300));
            let now = Self::now(node)?;
            if now.same(&last) || since.elapsed() > SOON {
                return Ok(now);
            }
            last = now;
        }
    }

    fn now(node: &Node) -> Result<Self> {
        let pins = node.world().pins();
        let interfaces = pins.iter().filter(|pin| pin.contains("interfaces/")).cloned().collect();
        let mut entries = BTreeMap::new();
        for map in MAPS {
            let pin = pins.iter().find(|pin| Path::new(pin).file_name().is_some_and(|name| name == map));
            let pin = node.world().pin_dir().join(pin.with_context(|| format!("{map} is not pinned"))?);
            entries.insert(map, count(node, &pin)?);
        }
        Ok(Self {
            interfaces,
            entries,
            attached: node.status()?["attached"].clone(),
            resident: resident(node)?,
        })
    }

    fn same(&self, other: &Self) -> bool {
        (&self.interfaces, &self.entries, &self.attached)
            == (&other.interfaces, &other.entries, &other.attached)
    }

    /// Whether the agent keeps as much now as it did then.
    pub(crate) fn is_that_of(&self, node: &Node) -> Result<()> {
        let since = Instant::now();
        let mut now = Self::of(node)?;
        while !self.same(&now) && since.elapsed() < AT_LAST {
            now = Self::of(node)?;
        }
        println!("before {self:?}\nafter  {now:?}");
        anyhow::ensure!(self.same(&now), "left over: before {self:?}, now {now:?}\n{}", node.log());
        // Two programs of each of the two steady pods and one of the uplink; the loopback interface is known as nobody's.
        anyhow::ensure!(now.entries["INTERFACES"] == 4 && now.interfaces.len() == 5, "{now:?}");
        anyhow::ensure!(now.resident < self.resident + KIBIBYTES, "the agent grows: {self:?}, {now:?}");
        Ok(())
    }
}

/// The entries of a pinned map, as bpftool sees them.
fn count(node: &Node, pin: &Path) -> Result<usize> {
    let mut command = node.world().command(Path::new("bpftool"), Spot::default())?;
    let done = finish(command.args(["-j", "map", "dump", "pinned"]).arg(pin))?;
    let entries: Value = serde_json::from_str(&done.stdout)
        .with_context(|| format!("bpftool: {}{}", done.stdout, done.stderr))?;
    Ok(entries.as_array().with_context(|| format!("bpftool: {entries}"))?.len())
}

/// The agent's memory, in KiB.
fn resident(node: &Node) -> Result<u64> {
    let pid = node.agent().context("no agent runs")?.pid();
    let text = fs::read_to_string(format!("/proc/{pid}/status")).context("reading the agent's memory")?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no memory")?;
    line.trim().trim_end_matches(" kB").parse().context("no number")
}
