//! What the agent tells of denials, as they happen.

use std::io::{BufRead as _, BufReader};
use std::net::IpAddr;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use enforcer_tests::needs;
use enforcer_tests::probe::Probe;
use enforcer_tests::world::{Spot, World};
use serde_json::Value;

/// The workload of what has no identity.
pub(crate) const NOBODY: &str = "nobody";
/// How long a denial may take to be told on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);

/// One denial.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Denial {
    /// Without the family's number: `connect`, `sendmsg`, `sock_create`, `interface`, `packet`, `uplink`.
    pub(crate) hook: String,
    pub(crate) reason: String,
    workload: String,
    to: Option<IpAddr>,
}

impl Denial {
    /// None: what the table says of a limit.
    pub(crate) fn nowhere() -> Self {
        Self::known("nowhere", "a limit")
    }

    /// One of which no event tells.
    pub(crate) fn known(hook: &str, reason: &str) -> Self {
        Self { hook: hook.to_owned(), reason: reason.to_owned(), workload: String::new(), to: None }
    }
}

/// `enforcer observe --follow`.
#[derive(Debug)]
pub(crate) struct Events {
    child: Child,
    lines: Receiver<String>,
    /// The number of the last call that tells how far we are.
    calls: u16,
}

impl Events {
    /// Begins to listen.
    pub(crate) fn follow(world: &World) -> Result<Self> {
        let mut command = world.command(&needs::binary("enforcer")?, Spot::default())?;
        command.args(["observe", "--follow", "--verdict", "denied", "-o", "json", "--admin"]);
        command.arg(world.admin()).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().context("starting enforcer observe")?;
        let stdout = BufReader::new(child.stdout.take().context("enforcer observe without output")?);
        let (sender, lines) = channel();
        thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Ok(Self { child, lines, calls: 0 })
    }

    /// Reads until nothing of what was done before is left: `probe`, of an enforced workload, asks for what is denied, and that
    /// is told last.
    pub(crate) fn drain(&mut self, probe: &mut Probe) -> Result<()> {
        let since = Instant::now();
        self.calls += 1;
        let [high, low] = self.calls.to_be_bytes();
        let to = IpAddr::from([198, 18, high, low]);
        while since.elapsed() < PATIENCE {
            probe.dial(&format!("udp-send {to}:7"))?;
            while let Some(denial) = self.next_within(Duration::from_millis(200))? {
                if denial.to == Some(to) {
                    return Ok(());
                }
            }
        }
        bail!("the agent does not tell that {to} was denied")
    }

    /// The first denial of a workload from now on to whom `meets`; none within ten seconds is none.
    pub(crate) fn first_of(
        &self,
        workload: &str,
        meets: impl Fn(Option<IpAddr>) -> bool,
    ) -> Result<Option<Denial>> {
        let since = Instant::now();
        while let Some(left) = PATIENCE.checked_sub(since.elapsed()) {
            match self.next_within(left)? {
                Some(denial) if denial.workload == workload && meets(denial.to) => return Ok(Some(denial)),
                _ => {}
            }
        }
        Ok(None)
    }

    fn next_within(&self, limit: Duration) -> Result<Option<Denial>> {
        let line = match self.lines.recv_timeout(limit) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => return Ok(None),
            Err(RecvTimeoutError::Disconnected) => bail!("enforcer observe has ended"),
        };
        let flow: Value = serde_json::from_str(&line).with_context(|| format!("reading {line:?}"))?;
        if !flow["lost"].is_null() {
            bail!("events are missing: {line}");
        }
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Ok(Some(Denial {
            hook: text(&flow["hook"]).trim_end_matches(['4', '6']).to_owned(),
            reason: text(&flow["reason"]),
            workload: flow["workload"]["name"].as_str().unwrap_or(NOBODY).to_owned(),
            to: flow["destination"]["ip"].as_str().and_then(|ip| ip.parse().ok()),
        }))
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        // It may have ended with the agent.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
