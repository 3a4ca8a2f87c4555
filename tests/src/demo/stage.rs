//! What the demo plays on: a world with two workloads, and the agent over the examples.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::screen::{INNER, Screen};
use crate::agent::{self, RunningAgent, Until, own_arguments};
use crate::needs;
use crate::node::PORTS;
use crate::probe::Probe;
use crate::world::{Finished, World};

/// Where the examples are, in the repository.
const EXAMPLES: &str = "deploy/examples/registry";

/// The workloads: namespace and name. The name is that of the cgroup, too.
pub(super) const CURL: &str = "web/curl";
pub(super) const TELLER: &str = "bank/teller";

/// Fields go in this order: processes first, the world last.
#[derive(Debug)]
pub(super) struct Stage {
    curl: Probe,
    teller: Probe,
    agent: Option<RunningAgent>,
    world: World,
}

impl Stage {
    pub(super) fn build() -> Result<Self> {
        ensure!(Path::new(EXAMPLES).is_dir(), "{EXAMPLES} is not here: run `cargo xtask demo`");
        ensure!(needs::missing_tool("bpftool", "").is_none(), "bpftool is missing: apt install bpftool");
        let world = World::new("enforcer-demo", &PORTS)?;
        let probe = |who: &str| Probe::start(&world, &world.make_cgroup(name(who))?);
        Ok(Self { curl: probe(CURL)?, teller: probe(TELLER)?, agent: None, world })
    }

    /// Dials, and checks what becomes of it.
    pub(super) fn dial(
        &mut self,
        screen: &mut Screen,
        who: &str,
        command: &str,
        expected: &str,
    ) -> Result<()> {
        let probe = if who == CURL { &mut self.curl } else { &mut self.teller };
        let outcome = probe.dial(command)?;
        screen.check(&format!("{who:<12} {command}"), expected, &outcome.to_string());
        Ok(())
    }

    /// Dials without a word, and gives the server's answers by how often they came.
    pub(super) fn repeat(&mut self, command: &str) -> Result<Value> {
        self.curl.ask(command)
    }

    /// Starts `enforcer run`, and stops the one that runs.
    pub(super) fn run(&mut self, enforcement: &str) -> Result<()> {
        if let Some(agent) = self.agent.take() {
            Screen::command(&["kill", &agent.pid().to_string()].map(str::to_owned));
            agent.stop()?;
        }
        let workload = |who: &str| {
            let namespace = who.split_once('/').map_or(who, |(namespace, _)| namespace);
            format!("cgroup={},namespace={namespace}", self.cgroup(who).display())
        };
        let arguments = [
            ["--enforcement", enforcement].map(str::to_owned),
            ["--registry".to_owned(), format!("file:{EXAMPLES}")],
            ["--workload".to_owned(), workload(CURL)],
            ["--workload".to_owned(), workload(TELLER)],
        ]
        .concat();
        self.show(&[&["run".to_owned()], &arguments[..], &own_arguments(&self.world)].concat());
        self.agent = Some(RunningAgent::start(&self.world, &arguments, Until::Ready)?);
        let log = self.agent.as_ref().map(RunningAgent::log).unwrap_or_default();
        let last = log.lines().rfind(|line| line.contains("registry in force")).unwrap_or("");
        Screen::output(last);
        Ok(())
    }

    /// `kill -9` to the agent.
    pub(super) fn kill(&mut self) -> Result<()> {
        let agent = self.agent.take().context("no agent runs")?;
        Screen::command(&["kill", "-9", &agent.pid().to_string()].map(str::to_owned));
        println!();
        agent.kill()
    }

    /// A command of the CLI that asks the agent, shown with its output.
    pub(super) fn ask(&self, arguments: &[&str]) -> Result<Finished> {
        let admin = ["--admin".to_owned(), self.world.admin().to_string_lossy().into_owned()];
        self.tell(arguments, &admin)
    }

    /// `enforcer detach`.
    pub(super) fn detach(&self) -> Result<Finished> {
        let pins = ["--pin-dir".to_owned(), self.world.pin_dir().to_string_lossy().into_owned()];
        self.tell(&["detach"], &pins)
    }

    fn tell(&self, arguments: &[&str], more: &[String]) -> Result<Finished> {
        let arguments: Vec<String> =
            arguments.iter().map(|argument| (*argument).to_owned()).chain(more.iter().cloned()).collect();
        self.show(&arguments);
        let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let finished = self.world.enforcer_on_terminal(&words, INNER)?;
        Screen::output(&finished.stdout);
        Ok(finished)
    }

    /// What `enforcer status` says, for the demo itself.
    pub(super) fn status(&self) -> Result<Value> {
        agent::status(&self.world)
    }

    /// What `enforcer explain` says, for the demo itself.
    pub(super) fn explain(&self, who: &str, destination: &str) -> Result<Value> {
        agent::explain(&self.world, who, destination)
    }

    /// The cgroup of a workload.
    pub(super) fn cgroup(&self, who: &str) -> PathBuf {
        self.world.cgroup().join(name(who))
    }

    /// What is on the machine because of the demo.
    pub(super) fn made(&self) -> [PathBuf; 2] {
        [self.world.cgroup().to_path_buf(), self.world.directory().to_path_buf()]
    }

    /// Prints what `$CGROUP` and `$DIR` stand for.
    pub(super) fn legend(&self) {
        let cgroup = format!("CGROUP={}", self.world.cgroup().display());
        let directory = format!("DIR={}", self.world.directory().display());
        Screen::output(&format!("{cgroup}\n{directory}"));
    }

    /// With `$CGROUP` and `$DIR`.
    pub(super) fn shortened(&self, text: &str) -> String {
        text.replace(&*self.world.cgroup().to_string_lossy(), "$CGROUP")
            .replace(&*self.world.directory().to_string_lossy(), "$DIR")
    }

    /// A command line, flags beside their values.
    fn show(&self, arguments: &[String]) {
        let mut words = vec!["enforcer".to_owned()];
        for argument in arguments {
            let argument = self.shortened(argument);
            match words.last_mut() {
                Some(flag) if flag.starts_with("--") && !flag.contains(' ') => {
                    *flag = format!("{flag} {argument}");
                }
                _ => words.push(argument),
            }
        }
        Screen::command(&words);
    }
}

fn name(who: &str) -> &str {
    who.rsplit_once('/').map_or(who, |(_, name)| name)
}
