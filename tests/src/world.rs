//! A world of a test's own: a network namespace in which every address is local and served, a bpffs in a mount namespace
//! that nobody else sees, a cgroup. Another process holds it, so that it vanishes however the test ends.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead as _, BufReader, IsTerminal as _, Read as _};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::pty::{Winsize, openpty};
use nix::sched::CloneFlags;

use crate::pod::Surroundings;
use crate::sys::{self, Birthplace};
use crate::{cgroup, needs};

/// How long a command may take that should end.
const PATIENCE: Duration = Duration::from_secs(30);

/// Namespaces, a bpffs, a cgroup and a directory. Dropping it takes everything away, processes included.
#[derive(Debug)]
pub struct World {
    surroundings: Option<Surroundings>,
    holder: Child,
    directory: PathBuf,
    cgroup: PathBuf,
}

/// What a command did that ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finished {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it complained of.
    pub stderr: String,
}

/// Where a command runs, beside the world's namespaces.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spot<'a> {
    /// A cgroup to join.
    pub cgroup: Option<&'a Path>,
    /// A network namespace other than the node's.
    pub network: Option<&'a Path>,
    /// As the user `nobody`.
    pub nobody: bool,
}

impl World {
    /// Makes one, with servers on `ports`. What it needs of the machine is called `prefix` and a number.
    pub fn new(prefix: &str, ports: &[u16]) -> Result<Self> {
        let ports: Vec<String> = ports.iter().map(ToString::to_string).collect();
        Self::held(prefix, "world", &[&ports.join(",")])
    }

    /// Makes one for pods, which come later: the node forwards to the network outside, which has servers on `ports`.
    pub fn for_pods(prefix: &str, ports: &[u16]) -> Result<Self> {
        let mut world = Self::held(prefix, "node", &[])?;
        world.surroundings = Some(Surroundings::new(&world, ports)?);
        Ok(world)
    }

    fn held(prefix: &str, kind: &str, arguments: &[&str]) -> Result<Self> {
        needs::check()?;
        let cgroup = cgroup::mount()?.join(cgroup::name(prefix));
        let directory = tempfile::Builder::new().prefix(&format!("{prefix}-")).tempdir();
        // The holder removes it.
        let directory = directory.context("making a directory")?.keep();
        let mut holder = Command::new(needs::binary("enforcer-probe")?)
            .arg(kind)
            .args([&directory, &cgroup])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("starting enforcer-probe")?;
        let mut line = String::new();
        let stdout = holder.stdout.take().context("reading from enforcer-probe")?;
        BufReader::new(stdout).read_line(&mut line).context("waiting for the namespaces")?;
        if line != "ready\n" {
            let mut complaint = String::new();
            holder.stderr.take().map(|mut stderr| stderr.read_to_string(&mut complaint));
            holder.wait().context("waiting for enforcer-probe")?;
            bail!("making namespaces failed: {}", complaint.trim());
        }
        Ok(Self { surroundings: None, holder, directory, cgroup })
    }

    /// What is around the node, if it has pods.
    pub(crate) fn surroundings(&self) -> Result<&Surroundings> {
        self.surroundings.as_ref().context("this world is not one for pods")
    }

    /// Whether it is one for pods.
    pub fn has_pods(&self) -> bool {
        self.surroundings.is_some()
    }

    /// The node's network namespace.
    pub fn network(&self) -> Result<File> {
        self.namespace("net")
    }

    fn namespace(&self, name: &str) -> Result<File> {
        let path = format!("/proc/{}/ns/{name}", self.holder.id());
        File::open(&path).with_context(|| format!("opening {path}"))
    }

    /// A directory for whatever is needed, on an ordinary file system.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The cgroup; workloads get theirs below.
    pub fn cgroup(&self) -> &Path {
        &self.cgroup
    }

    /// Where the agent pins: in the bpffs, which only the world's own processes see by this path.
    pub fn pin_dir(&self) -> PathBuf {
        self.directory.join("bpf/enforcer")
    }

    /// The agent's admin socket.
    pub fn admin(&self) -> PathBuf {
        self.directory.join("admin.sock")
    }

    /// Makes a cgroup below the world's.
    pub fn make_cgroup(&self, name: &str) -> Result<PathBuf> {
        let path = self.cgroup.join(name);
        fs::create_dir_all(&path).with_context(|| format!("making the cgroup {}", path.display()))?;
        Ok(path)
    }

    /// A path of the world as everybody sees it.
    pub fn outside(&self, path: &Path) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.id()));
        root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Everything that is pinned, as paths below the pin directory.
    pub fn pins(&self) -> Vec<String> {
        let root = self.outside(&self.pin_dir());
        let mut found = files(&root);
        found.sort();
        found
            .iter()
            .filter_map(|path| Some(path.strip_prefix(&root).ok()?.to_string_lossy().into_owned()))
            .collect()
    }

    /// A command that runs in the namespaces, without what the environment would tell an agent.
    pub fn command(&self, program: &Path, spot: Spot<'_>) -> Result<Command> {
        let mut command = needs::tool(&program.to_string_lossy());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("ENFORCER_") {
                command.env_remove(name);
            }
        }
        let network = match spot.network {
            Some(path) => File::open(path).with_context(|| format!("opening {}", path.display()))?,
            None => self.network()?,
        };
        let namespaces =
            vec![(network, CloneFlags::CLONE_NEWNET), (self.namespace("mnt")?, CloneFlags::CLONE_NEWNS)];
        let open = |path: &Path| {
            let path = path.join("cgroup.procs");
            OpenOptions::new().write(true).open(&path).with_context(|| format!("opening {}", path.display()))
        };
        let cgroup = spot.cgroup.map(open).transpose()?;
        let directory = std::env::current_dir().context("finding the working directory")?;
        let directory =
            CString::new(directory.into_os_string().into_vec()).context("a path with a zero byte")?;
        sys::born(&mut command, Birthplace { cgroup, namespaces, directory, nobody: spot.nobody });
        Ok(command)
    }

    /// Runs `enforcer` to its end.
    pub fn enforcer(&self, arguments: &[&str]) -> Result<Finished> {
        let mut command = self.command(&needs::binary("enforcer")?, Spot::default())?;
        finish(command.args(arguments))
    }

    /// Runs `enforcer` to its end on a terminal of so many columns; standard output has all that appeared there.
    pub fn enforcer_on_terminal(&self, arguments: &[&str], columns: u16) -> Result<Finished> {
        let size = Winsize { ws_row: 1_000, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let terminal = openpty(&size, None).context("opening a terminal")?;
        let mut command = self.command(&needs::binary("enforcer")?, Spot::default())?;
        command.args(arguments).stdin(Stdio::null());
        if !std::io::stdout().is_terminal() {
            command.env("NO_COLOR", "1");
        }
        command.stdout(terminal.slave.try_clone()?).stderr(terminal.slave);
        let mut child = command.spawn().context("starting enforcer")?;
        // It has copies of the terminal's other end: while we hold them, too, reading would not end.
        drop(command);
        let screen = read_all(File::from(terminal.master)).join().unwrap_or_default();
        let status = child.wait().context("waiting for enforcer")?;
        Ok(Finished { code: status.code(), stdout: screen.replace('\r', ""), stderr: String::new() })
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.surroundings = None;
        drop(self.holder.stdin.take());
        let ended = self.holder.wait();
        let mut complaint = String::new();
        self.holder.stderr.take().map(|mut stderr| stderr.read_to_string(&mut complaint));
        if ended.is_err() || !complaint.is_empty() {
            eprintln!("cleaning up: {ended:?} {}", complaint.trim());
        }
    }
}

/// Runs a command that should end.
pub fn finish(command: &mut Command) -> Result<Finished> {
    let shown = format!("{command:?}");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("starting {shown}"))?;
    // Read while it runs: what it prints may be longer than a pipe.
    let stdout = child.stdout.take().map(read_all);
    let stderr = child.stderr.take().map(read_all);
    let since = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().context("waiting for a command")? {
            break Some(status);
        }
        if since.elapsed() > PATIENCE {
            child.kill().context("ending a command that hangs")?;
            child.wait().context("waiting for a command")?;
            break None;
        }
        sleep(Duration::from_millis(2));
    };
    let text = |reader: Option<std::thread::JoinHandle<String>>| {
        reader.and_then(|it| it.join().ok()).unwrap_or_default()
    };
    let (stdout, stderr) = (text(stdout), text(stderr));
    let Some(status) = status else {
        bail!("{shown} should have ended within {} s; it said:\n{stdout}{stderr}", PATIENCE.as_secs())
    };
    Ok(Finished { code: status.code(), stdout, stderr })
}

fn read_all(mut from: impl std::io::Read + Send + 'static) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // What was read before an error is what there is to show.
        let _ = from.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}
