//! A process of a workload, from the test's side.

use std::fmt;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, Stdio};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::needs;
use crate::node::OUTSIDE;
use crate::pod::Pod;
use crate::world::{Spot, World};

/// A process that dials. It joined its cgroup before it made its first socket.
#[derive(Debug)]
pub struct Probe {
    child: Child,
    answers: BufReader<ChildStdout>,
}

/// What became of a dial.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// A server answered and said that it was reached here.
    Reached {
        /// The server's own address.
        at: SocketAddr,
        /// The other end as the socket has it, or who answered an unconnected one.
        peer: Option<SocketAddr>,
    },
    /// The datagram went out, and nobody answered.
    Silence,
    /// The system call failed.
    Errno(String),
    /// What the process says of a call that no server answers.
    Said(String),
    /// One each of several destinations.
    All(Vec<Self>),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reached { at, peer } => {
                write!(f, "reached {at}")?;
                match peer {
                    Some(peer) if peer != at => write!(f, " under the name {peer}"),
                    _ => Ok(()),
                }
            }
            Self::Silence => f.write_str("silence"),
            Self::Errno(text) | Self::Said(text) => f.write_str(text),
            Self::All(outcomes) => {
                let lines: Vec<String> = outcomes.iter().map(ToString::to_string).collect();
                f.write_str(&lines.join(", "))
            }
        }
    }
}

impl Probe {
    /// Starts one in `cgroup`.
    pub fn start(world: &World, cgroup: &Path) -> Result<Self> {
        Self::start_at(world, Spot { cgroup: Some(cgroup), ..Spot::default() })
    }

    /// Starts one in a pod.
    pub fn start_in_pod(world: &World, pod: &Pod) -> Result<Self> {
        let network = pod.network();
        Self::start_at(world, Spot { cgroup: Some(pod.cgroup()), network: Some(&network), nobody: false })
    }

    /// Starts one in the network outside, in a cgroup that is no workload's.
    pub fn start_outside(world: &World) -> Result<Self> {
        let (cgroup, network) = (world.make_cgroup(OUTSIDE)?, world.outside_network()?);
        Self::start_at(world, Spot { cgroup: Some(&cgroup), network: Some(&network), nobody: false })
    }

    /// Starts one anywhere.
    pub fn start_at(world: &World, spot: Spot<'_>) -> Result<Self> {
        let mut command = world.command(&needs::binary("enforcer-probe")?, spot)?;
        let mut child = command
            .arg("workload")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting a process in {spot:?}"))?;
        let answers = BufReader::new(child.stdout.take().context("a probe without output")?);
        Ok(Self { child, answers })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Dials: `tcp ADDR:PORT`, `udp ADDR:PORT`, `udp-send ADDR:PORT`, and the other commands of one outcome.
    pub fn dial(&mut self, command: &str) -> Result<Outcome> {
        let answer = self.ask(command)?;
        outcome(&answer).with_context(|| format!("{command}: the probe answered {answer}"))
    }

    /// Any command, and the answer as it is.
    pub fn ask(&mut self, command: &str) -> Result<Value> {
        self.tell(command)?;
        self.answer()
    }

    /// A command whose answer is read later.
    pub fn tell(&mut self, command: &str) -> Result<()> {
        let stdin = self.child.stdin.as_mut().context("a probe without input")?;
        writeln!(stdin, "{command}").with_context(|| format!("telling a probe: {command}"))
    }

    /// The answer to a command that was told.
    pub fn answer(&mut self) -> Result<Value> {
        let mut line = String::new();
        self.answers.read_line(&mut line).context("waiting for a probe's answer")?;
        serde_json::from_str(&line).with_context(|| format!("reading a probe's answer {line:?}"))
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // It may be dialling for a while: nobody listens any more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn outcome(answer: &Value) -> Result<Outcome> {
    let address = |field: &str| -> Result<Option<SocketAddr>> {
        let text = answer[field].as_str().filter(|text| !text.is_empty());
        let parsed = text.map(str::parse::<SocketAddr>).transpose().context("no address")?;
        Ok(parsed.map(|addr| SocketAddr::new(addr.ip().to_canonical(), addr.port())))
    };
    if let Some(errno) = answer["errno"].as_str() {
        return Ok(Outcome::Errno(errno.to_owned()));
    }
    if let Some(text) = answer["said"].as_str() {
        return Ok(Outcome::Said(text.to_owned()));
    }
    if let Some(all) = answer["all"].as_array() {
        return Ok(Outcome::All(all.iter().map(outcome).collect::<Result<_>>()?));
    }
    Ok(address("at")?
        .map_or(Outcome::Silence, |at| Outcome::Reached { at, peer: address("peer").unwrap_or_default() }))
}
