//! Running the built command.

use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// How a command ended.
pub(crate) struct Finished {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The user that files belong to who belong to nobody.
const NOBODY: u32 = 65_534;

fn enforcer(program: &str, line: &[String]) -> Command {
    let mut command = Command::new(program);
    // The environment of who runs the tests must not answer for the command line.
    command.args(line).env_clear().stdin(Stdio::null());
    command
}

fn finish(mut command: Command) -> Finished {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Finished { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

const PROGRAM: &str = env!("CARGO_BIN_EXE_enforcer");

pub(crate) fn run(line: &[String]) -> Finished {
    finish(enforcer(PROGRAM, line))
}

/// As somebody without privileges, who may not read the build directory: from a copy in `dir`.
pub(crate) fn run_as_nobody(dir: &Path, line: &[String]) -> Finished {
    if !nix::unistd::geteuid().is_root() {
        return run(line);
    }
    let copy = dir.join("enforcer");
    if !copy.exists() {
        // By another process: a program that this one still has open for writing when it forks could not be run.
        assert!(Command::new("cp").arg(PROGRAM).arg(&copy).status().unwrap().success());
    }
    let mut command = enforcer(&copy.to_string_lossy(), line);
    command.uid(NOBODY).gid(NOBODY);
    finish(command)
}

/// With nobody who reads standard output.
pub(crate) fn run_unread(line: &[String]) -> Finished {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = enforcer(PROGRAM, line);
    let child = command.stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    Finished { code: output.status.code(), stdout: String::new(), stderr }
}

/// What stands on a terminal of so many columns.
pub(crate) fn on_a_terminal(line: &[String], columns: u16, no_color: bool) -> String {
    let size = nix::pty::Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    let pty = nix::pty::openpty(Some(&size), None).unwrap();
    let mut command = enforcer(PROGRAM, line);
    if no_color {
        command.env("NO_COLOR", "1");
    }
    let mut child = command.stdout(pty.slave).stderr(Stdio::null()).spawn().unwrap();
    // Its end of the terminal stays open for as long as the command is there.
    drop(command);
    let mut text = Vec::new();
    // A terminal that nobody has open any more is an error (EIO) to who reads it.
    let _ = std::fs::File::from(pty.master).read_to_end(&mut text);
    assert!(child.wait().unwrap().success());
    String::from_utf8_lossy(&text).replace('\r', "")
}
