//! The real agent, as a person would run it.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::needs;
use crate::world::{Spot, World};

/// How long the agent may take to be ready, and to stop.
const PATIENCE: Duration = Duration::from_mins(3);

/// What the agent must have done before it counts as started.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Until {
    /// It is ready.
    Ready,
    /// It answers, ready or not.
    Answers,
}

/// A running agent. Dropping it kills it; what it enforces goes on until its world goes.
#[derive(Debug)]
pub struct RunningAgent {
    child: Child,
    log: PathBuf,
}

impl RunningAgent {
    /// Starts `enforcer run` with `arguments`, the world's pin directory and its admin socket, without metrics.
    pub fn start(world: &World, arguments: &[String], until: Until) -> Result<Self> {
        let log = world.directory().join("agent.log");
        let file =
            OpenOptions::new().create(true).append(true).open(&log).context("opening the agent's log")?;
        let mut command = world.command(&needs::binary("enforcer")?, Spot::default())?;
        command.arg("run").args(arguments).args(own_arguments(world)).env("NO_COLOR", "1");
        command.stdin(std::process::Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let child = command.spawn().context("starting enforcer run")?;
        let mut agent = Self { child, log };
        agent.wait_until(world, until)?;
        Ok(agent)
    }

    fn wait_until(&mut self, world: &World, until: Until) -> Result<()> {
        let since = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().context("looking after the agent")? {
                bail!("the agent ended with {status}:\n{}", self.log());
            }
            let last = match status(world) {
                Ok(_) if until == Until::Answers => return Ok(()),
                Ok(status) if status["ready"] == true && is_settled(&status) => return Ok(()),
                Ok(status) if status["ready"] == true => "its first canaries are not back".to_owned(),
                Ok(status) => format!("not ready: {}", status["not_ready"]),
                Err(error) => format!("{error:#}"),
            };
            if since.elapsed() > PATIENCE {
                bail!(
                    "the agent is not ready after {} s: {last}\nits log:\n{}",
                    PATIENCE.as_secs(),
                    self.log()
                );
            }
            sleep(Duration::from_millis(20));
        }
    }

    /// What it said on standard error.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// `kill -9`.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill().context("killing the agent")?;
        self.child.wait().context("waiting for the agent to die")?;
        Ok(())
    }

    /// SIGTERM, and how it ended.
    pub fn stop(mut self) -> Result<Option<i32>> {
        let pid = Pid::from_raw(self.child.id().try_into().context("a process id that is none")?);
        kill(pid, Signal::SIGTERM).context("stopping the agent")?;
        let since = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().context("waiting for the agent to stop")? {
                return Ok(status.code());
            }
            if since.elapsed() > PATIENCE {
                bail!("the agent does not stop on SIGTERM; its log:\n{}", self.log());
            }
            sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for RunningAgent {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `--pin-dir` and `--admin`, and no metrics: two agents of one world would want the same port.
pub fn own_arguments(world: &World) -> [String; 6] {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let (pins, admin) = (text(&world.pin_dir()), text(&world.admin()));
    ["--pin-dir", &pins, "--admin", &admin, "--metrics", "off"].map(str::to_owned)
}

/// `enforcer status -o json`.
pub fn status(world: &World) -> Result<Value> {
    ask(world, &["status", "-o", "json"])
}

/// Whether its own canaries are done with: from now on a test meets its own decisions only.
fn is_settled(status: &Value) -> bool {
    status["enforcement"] == "off" || status["canary"]["rounds"].as_u64() > Some(0)
}

/// `enforcer explain -o json`.
pub fn explain(world: &World, workload: &str, destination: &str) -> Result<Value> {
    ask(world, &["explain", "-o", "json", "--workload", workload, destination])
}

/// Asks the running agent for JSON.
fn ask(world: &World, arguments: &[&str]) -> Result<Value> {
    let admin = world.admin();
    let finished = world.enforcer(&[arguments, &["--admin", &admin.to_string_lossy()]].concat())?;
    match finished.code {
        Some(0 | 1) => serde_json::from_str(&finished.stdout)
            .with_context(|| format!("enforcer {} printed {:?}", arguments.join(" "), finished.stdout)),
        code => bail!("enforcer {} ended with {code:?}: {}", arguments.join(" "), finished.stderr.trim()),
    }
}
