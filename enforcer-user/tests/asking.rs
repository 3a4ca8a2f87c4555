//! Commands that ask the agent, and everything that can be wrong with who answers. A new command is a row of [`COMMANDS`].

#[path = "asking/agent.rs"]
mod agent;
#[path = "asking/run.rs"]
mod run;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::Path;

use agent::{Answers, serve};
use run::{Finished, on_a_terminal, run, run_as_nobody, run_unread};

/// A command that asks the agent one question.
struct Command {
    /// As typed.
    arguments: &'static [&'static str],
    /// What a good agent answers: the JSON in the first field of each message.
    answer: fn() -> serde_json::Value,
    /// Whether an answer can be of another shape: an export is passed on as it is.
    shaped: bool,
}

const COMMANDS: &[Command] = &[
    Command { arguments: &["status"], answer: agent::status, shaped: true },
    Command { arguments: &["registry", "list"], answer: agent::service, shaped: true },
    Command { arguments: &["registry", "get", "api.example.com"], answer: agent::service, shaped: true },
    Command { arguments: &["registry", "export"], answer: || serde_json::json!([]), shaped: false },
    Command {
        arguments: &["explain", "--workload", "shop/cart", "192.0.2.1:443"],
        answer: agent::explanation,
        shaped: true,
    },
    Command { arguments: &["observe", "--last", "5"], answer: agent::flow, shaped: true },
    Command { arguments: &["suggest"], answer: agent::suggestions, shaped: true },
];

impl Command {
    fn with(&self, socket: &Path) -> Vec<String> {
        let own = ["--admin".to_owned(), socket.display().to_string()];
        self.arguments.iter().map(ToString::to_string).chain(own).collect()
    }
}

/// Every command, all at once, fails with all of `expected`, as text on standard error, whatever the format.
#[track_caller]
fn all_fail(socket: &Path, expected: &[&str]) {
    fail(&COMMANDS.iter().collect::<Vec<_>>(), socket, expected);
}

#[track_caller]
fn fail(commands: &[&Command], socket: &Path, expected: &[&str]) {
    let formats = [&[][..], &["-o", "json"]];
    let lines = commands.iter().flat_map(|command| formats.map(|format| (command.with(socket), format)));
    let lines: Vec<Vec<String>> = lines
        .map(|(line, format)| line.into_iter().chain(format.iter().map(ToString::to_string)).collect())
        .collect();
    let finished: Vec<Finished> = std::thread::scope(|scope| {
        let runs: Vec<_> = lines.iter().map(|line| scope.spawn(|| run(line))).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    for (line, finished) in lines.iter().zip(finished) {
        failed(&line.join(" "), &finished, expected);
    }
}

#[track_caller]
fn failed(line: &str, finished: &Finished, expected: &[&str]) {
    let Finished { code, stdout, stderr } = finished;
    assert_eq!((*code, stdout.as_str()), (Some(2), ""), "{line}: {stderr}");
    assert!(stderr.starts_with("error: ") && !stderr.contains('\u{1b}'), "{line}: {stderr}");
    for expected in expected {
        assert!(stderr.contains(expected), "{line}: {expected:?} is not in: {stderr}");
    }
}

#[test]
fn no_agent() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("admin.sock");
    all_fail(&socket, &["no agent answers at", &socket.to_string_lossy(), "is `enforcer run` running?"]);
    drop(UnixListener::bind(&socket).unwrap());
    all_fail(&socket, &["no agent answers at", &socket.to_string_lossy(), "is `enforcer run` running?"]);
}

#[test]
fn what_is_there_is_no_socket() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "precious").unwrap();
    all_fail(&file, &[&file.to_string_lossy(), "it is a file", "--admin"]);
    all_fail(dir.path(), &[&dir.path().to_string_lossy(), "it is a directory", "--admin"]);
    assert_eq!(fs::read_to_string(file).unwrap(), "precious");
    let long = dir.path().join("x".repeat(200));
    all_fail(&long, &["bytes, and that of a socket at most 107", "--admin"]);
    all_fail(Path::new(""), &["--admin", "the path is empty"]);
}

#[test]
fn a_socket_for_somebody_else() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("admin.sock");
    let _listener = UnixListener::bind(&socket).unwrap();
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o000)).unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    for command in COMMANDS {
        let line = command.with(&socket);
        let finished = run_as_nobody(dir.path(), &line);
        failed(&line.join(" "), &finished, &["permission denied at the admin socket", "(root)"]);
    }
}

#[test]
fn an_agent_that_hangs() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("admin.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for stream in listener.incoming() {
            kept.push(stream);
        }
    });
    all_fail(&socket, &[&socket.to_string_lossy(), "does not answer within 10 s", "look at its log"]);
}

#[test]
fn somebody_who_hangs_up_or_speaks_otherwise() {
    let dir = tempfile::tempdir().unwrap();
    for (name, said) in
        [("silent", &b""[..]), ("http1", b"HTTP/1.1 400 Bad Request\r\n\r\n"), ("noise", &[0; 64])]
    {
        let socket = dir.path().join(name);
        let listener = UnixListener::bind(&socket).unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let _ = std::io::Write::write_all(&mut &stream, said);
            }
        });
        all_fail(&socket, &["asking the agent at", &socket.to_string_lossy(), "it hung up, or is no agent"]);
    }
}

#[test]
fn an_agent_of_another_version() {
    let dir = tempfile::tempdir().unwrap();
    let old = dir.path().join("old.sock");
    serve(&old, Answers::Unimplemented);
    all_fail(&old, &["it does not know this question: it is of another version"]);
    let strange = dir.path().join("strange.sock");
    serve(&strange, Answers::All(b"{\"revision\": \"seven\"}".to_vec()));
    let shaped: Vec<&Command> = COMMANDS.iter().filter(|command| command.shaped).collect();
    fail(&shaped, &strange, &["the answer is not as this version knows it", "of another version?"]);
    let broken = dir.path().join("broken.sock");
    serve(&broken, Answers::All(b"{".to_vec()));
    all_fail(&broken, &["the answer is not as this version knows it", "of another version?"]);
    let refusing = dir.path().join("refusing.sock");
    serve(
        &refusing,
        Answers::Refused("no workload of this node is \"shop/cart\"; there are none".to_owned()),
    );
    all_fail(&refusing, &["error: no workload of this node is \"shop/cart\"; there are none"]);
}

#[test]
fn an_agent_that_answers() {
    let dir = tempfile::tempdir().unwrap();
    for (number, command) in COMMANDS.iter().enumerate() {
        let socket = dir.path().join(number.to_string());
        serve(&socket, Answers::All(serde_json::to_vec(&(command.answer)()).unwrap()));
        let line = command.with(&socket);
        let shown = line.join(" ");
        let Finished { code, stdout, stderr } = run(&line);
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "{shown}");
        assert!(!stdout.is_empty() && !stdout.contains('\u{1b}'), "{shown}: {stdout}");
        for format in ["json", "yaml"] {
            let line: Vec<String> = line.iter().cloned().chain(["-o".into(), format.into()]).collect();
            let Finished { code, stdout, stderr } = run(&line);
            assert_eq!((code, stderr.as_str()), (Some(0), ""), "{shown} -o {format}");
            assert!(!stdout.contains('\u{1b}'));
            let value: serde_json::Value = serde_saphyr::from_str(&stdout).unwrap();
            assert!(value.is_object() || value.is_array(), "{shown} -o {format}: {stdout}");
        }
        let unread = run_unread(&line);
        assert_eq!((unread.code, unread.stderr.as_str()), (Some(0), ""), "{shown} | true");
    }
}

#[test]
fn a_narrow_terminal() {
    let dir = tempfile::tempdir().unwrap();
    for (number, command) in COMMANDS.iter().enumerate() {
        let socket = dir.path().join(number.to_string());
        serve(&socket, Answers::All(serde_json::to_vec(&(command.answer)()).unwrap()));
        let line = command.with(&socket);
        let plain = on_a_terminal(&line, 40, true);
        assert!(!plain.contains('\u{1b}'), "NO_COLOR: {plain}");
        // What suggest prints is a file, whatever it is printed on.
        let is_a_file = command.arguments[0] == "suggest";
        for text in plain.lines().filter(|_| !is_a_file) {
            assert!(text.chars().count() <= 40, "{}: {text:?} in\n{plain}", line.join(" "));
        }
        let coloured = on_a_terminal(&line, 40, false);
        let has_colour = ["status", "explain", "observe"].contains(&command.arguments[0]);
        assert_eq!(coloured.contains('\u{1b}'), has_colour, "{coloured}");
    }
}
