//! A whole node for one test: a world, a registry, workloads, and the agent over them.

use std::cell::{RefCell, RefMut};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::agent::{self, RunningAgent, Until};
use crate::probe::{Outcome, Probe};
use crate::world::{Finished, World};

/// The ports that somebody listens on, at every address.
pub const PORTS: [u16; 13] = [53, 80, 443, 3306, 5432, 7443, 8080, 8443, 9000, 9090, 15008, 15012, 27018];

/// Where the workloads' cgroups are, below the node's.
pub const PODS: &str = "pods";

/// The process that is no workload's.
pub const OUTSIDE: &str = "outside";

/// What is to be built.
#[derive(Clone, Debug, Default)]
pub struct Builder {
    files: Vec<(String, String)>,
    workloads: Vec<(String, String)>,
    flags: Vec<(String, String)>,
    pods: bool,
}

/// A node with a running agent. Everything of it goes when it is dropped, in the order of the fields.
#[derive(Debug)]
pub struct Node {
    probes: RefCell<BTreeMap<String, Probe>>,
    agent: Option<RunningAgent>,
    arguments: Vec<String>,
    world: World,
}

impl Builder {
    /// A file `registry.yaml` with this text.
    pub fn registry(self, text: &str) -> Self {
        self.file("registry.yaml", text)
    }

    /// A file of the registry's directory.
    pub fn file(mut self, name: &str, text: &str) -> Self {
        self.files.push((name.to_owned(), text.to_owned()));
        self
    }

    /// A workload with a cgroup of its own.
    pub fn workload(self, namespace: &str, name: &str) -> Self {
        self.workload_with(name, &format!("namespace={namespace},name={name}"))
    }

    /// A workload in the cgroup `cgroup`, with these fields of `--workload`.
    pub fn workload_with(mut self, cgroup: &str, fields: &str) -> Self {
        self.workloads.push((cgroup.to_owned(), fields.to_owned()));
        self
    }

    /// A flag of `enforcer run`; `{cgroup}` is the node's cgroup. An empty value is none.
    pub fn flag(mut self, name: &str, value: &str) -> Self {
        self.flags.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Each workload so far and from now on is a pod of the same name, with a network namespace of its own.
    pub fn pods(mut self) -> Self {
        self.pods = true;
        self
    }

    /// Builds the node and waits until the agent is ready.
    pub fn start(self) -> Result<Node> {
        self.start_until(Until::Ready)
    }

    /// Builds the node and waits.
    pub fn start_until(self, until: Until) -> Result<Node> {
        let mut node = self.prepare()?;
        node.start_agent(until)?;
        Ok(node)
    }

    /// Builds the node, without an agent.
    pub fn prepare(self) -> Result<Node> {
        let world = if self.pods {
            World::for_pods("enforcer-test", &PORTS)?
        } else {
            World::new("enforcer-test", &PORTS)?
        };
        let registry = world.directory().join("registry");
        fs::create_dir(&registry).context("making the registry's directory")?;
        let arguments = self.arguments(&world, &registry)?;
        let node = Node { probes: RefCell::default(), agent: None, arguments, world };
        self.files.iter().try_for_each(|(name, text)| node.write(name, text))?;
        Ok(node)
    }

    fn arguments(&self, world: &World, registry: &Path) -> Result<Vec<String>> {
        world.make_cgroup(OUTSIDE)?;
        let mut arguments = Vec::new();
        let defaults = [
            ("--enforcement", "enforce".to_owned()),
            ("--outbound-traffic-policy", "REGISTRY_ONLY".to_owned()),
            ("--registry", format!("file:{}", registry.display())),
        ];
        for (name, value) in defaults {
            if !self.flags.iter().any(|(flag, _)| flag == name) {
                arguments.extend([name.to_owned(), value]);
            }
        }
        for (name, value) in &self.flags {
            let value = value.replace("{cgroup}", &world.cgroup().to_string_lossy());
            arguments.push(name.clone());
            arguments.extend((!value.is_empty()).then_some(value));
        }
        for (cgroup, fields) in &self.workloads {
            let path = world.make_cgroup(&format!("{PODS}/{cgroup}"))?;
            if self.pods {
                world.add_pod(cgroup)?;
            }
            arguments.extend(["--workload".to_owned(), format!("cgroup={},{fields}", path.display())]);
        }
        Ok(arguments)
    }
}

impl Node {
    /// Nothing yet.
    #[allow(clippy::new_ret_no_self)] // the beginning of a sentence: Node::new().registry(...).start()
    pub fn new() -> Builder {
        Builder::default()
    }

    /// Its world.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// The arguments of its agent, without `run`, pin directory and admin socket.
    pub fn arguments(&self) -> &[String] {
        &self.arguments
    }

    /// The agent, when it runs.
    pub fn agent(&self) -> Option<&RunningAgent> {
        self.agent.as_ref()
    }

    /// Starts the agent, which does not run.
    pub fn start_agent(&mut self, until: Until) -> Result<()> {
        self.agent = Some(RunningAgent::start(&self.world, &self.arguments, until)?);
        Ok(())
    }

    /// `kill -9`.
    pub fn kill_agent(&mut self) -> Result<()> {
        self.agent.take().context("no agent runs")?.kill()
    }

    /// SIGTERM; the exit code.
    pub fn stop_agent(&mut self) -> Result<Option<i32>> {
        self.agent.take().context("no agent runs")?.stop()
    }

    /// `enforcer detach`.
    pub fn detach(&self) -> Result<Finished> {
        self.world.enforcer(&["detach", "--pin-dir", &self.world.pin_dir().to_string_lossy()])
    }

    /// What the agent says of itself.
    pub fn status(&self) -> Result<Value> {
        agent::status(&self.world)
    }

    /// What the agent says of a destination.
    pub fn explain(&self, workload: &str, destination: &str) -> Result<Value> {
        agent::explain(&self.world, workload, destination)
    }

    /// Writes a file of the registry, at once.
    pub fn write(&self, name: &str, text: &str) -> Result<()> {
        let draft = self.world.directory().join("draft");
        fs::write(&draft, text).context("writing a draft")?;
        fs::rename(&draft, self.file(name)).with_context(|| format!("writing {name}"))
    }

    /// Removes a file of the registry.
    pub fn remove(&self, name: &str) -> Result<()> {
        fs::remove_file(self.file(name)).with_context(|| format!("removing {name}"))
    }

    /// The path of a file of the registry.
    pub fn file(&self, name: &str) -> PathBuf {
        self.world.directory().join("registry").join(name)
    }

    /// The cgroup of `who`: a workload's, or another one below `pods`, or that of the process outside.
    pub fn cgroup(&self, who: &str) -> PathBuf {
        let below = if who == OUTSIDE { OUTSIDE.to_owned() } else { format!("{PODS}/{who}") };
        self.world.cgroup().join(below)
    }

    /// The process of `who`, started when first asked for: in the pod of this name, if there is one, and in the network outside, if
    /// there is any.
    pub fn probe(&self, who: &str) -> Result<RefMut<'_, Probe>> {
        if !self.probes.borrow().contains_key(who) {
            let probe = match self.world.pod(who) {
                Ok(pod) => Probe::start_in_pod(&self.world, &pod)?,
                Err(_) if who == OUTSIDE && self.world.has_pods() => Probe::start_outside(&self.world)?,
                Err(_) => Probe::start(&self.world, &self.cgroup(who))?,
            };
            self.probes.borrow_mut().insert(who.to_owned(), probe);
        }
        RefMut::filter_map(self.probes.borrow_mut(), |probes| probes.get_mut(who))
            .map_err(|_| anyhow::anyhow!("nobody is called {who}"))
    }

    /// From now on this process is called `name`.
    pub fn add_probe(&self, name: &str, probe: Probe) {
        self.probes.borrow_mut().insert(name.to_owned(), probe);
    }

    /// Dials as `who`.
    pub fn dial(&self, who: &str, command: &str) -> Result<Outcome> {
        self.probe(who)?.dial(command)
    }

    /// What becomes of each dial of `who`, beside what should: equal, or this panics with the whole table.
    #[track_caller]
    pub fn expect(&self, who: &str, table: &[(&str, &str)]) {
        let line = |(command, outcome): (&str, &str)| format!("{who}: {command}: {outcome}\n");
        let actual: String =
            table.iter().map(|(command, _)| line((command, &self.outcome(who, command)))).collect();
        let expected: String = table.iter().map(|row| line(*row)).collect();
        assert!(actual == expected, "met:\n{actual}expected:\n{expected}the agent's log:\n{}", self.log());
    }

    /// As [`Self::expect`], within ten seconds.
    #[track_caller]
    pub fn expect_soon(&self, who: &str, table: &[(&str, &str)]) {
        self.expect_within(Duration::from_secs(10), who, table);
    }

    /// As [`Self::expect`], within `limit`.
    #[track_caller]
    pub fn expect_within(&self, limit: Duration, who: &str, table: &[(&str, &str)]) {
        let since = Instant::now();
        while since.elapsed() < limit {
            if table.iter().all(|(command, outcome)| self.outcome(who, command) == *outcome) {
                return;
            }
            sleep(Duration::from_millis(10));
        }
        self.expect(who, table);
    }

    fn outcome(&self, who: &str, command: &str) -> String {
        match self.dial(who, command) {
            Ok(outcome) => outcome.to_string(),
            Err(error) => format!("{error:#}"),
        }
    }

    /// What the agent wrote to its log.
    pub fn log(&self) -> String {
        fs::read_to_string(self.world.directory().join("agent.log")).unwrap_or_default()
    }

    /// Waits until `found` finds something in the agent's status; fails with the last one.
    pub fn status_soon<T>(&self, found: impl Fn(&Value) -> Option<T>) -> Result<T> {
        let since = Instant::now();
        loop {
            let status = self.status()?;
            if let Some(found) = found(&status) {
                return Ok(found);
            }
            anyhow::ensure!(
                since.elapsed() < Duration::from_secs(5),
                "the status does not become as expected: {status:#}\nthe agent's log:\n{}",
                self.log()
            );
            sleep(Duration::from_millis(50));
        }
    }
}

/// How often a reason was met, but for the agent's own canaries: while enforcing, and while auditing.
pub fn decisions(status: &Value, reason: &str) -> (u64, u64) {
    let count = |decisions: &Value| {
        let all = decisions.as_array().map(Vec::as_slice).unwrap_or_default();
        let count = all.iter().find(|count| count["reason"] == reason);
        count.map_or((0, 0), |count| {
            (count["enforced"].as_u64().unwrap_or(0), count["audited"].as_u64().unwrap_or(0))
        })
    };
    let ((enforced, audited), own) = (count(&status["decisions"]), count(&status["canary"]["decisions"]));
    (enforced - own.0, audited - own.1)
}
