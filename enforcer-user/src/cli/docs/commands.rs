//! docs/reference/cli.md: every command with its arguments and exit codes.

use std::fmt::Write as _;

use clap::{Arg, Command};

use crate::cli::docs::{code, default, generated, head, help, row, takes_value, variable};
use crate::cli::{command, reference};

pub(super) fn markdown() -> String {
    let root = command();
    let mut text = format!("# The command line\n\n{}", generated("cli"));
    text.push_str(
        "One binary, `enforcer`. `-o table|json|yaml` chooses how a command answers that reads something;\n\
         [json.md](json.md) has the fields. `enforcer help COMMAND` and `enforcer man` say the same as this page,\n\
         and `enforcer completions bash|zsh|fish` prints what a shell needs to complete it.\n\n",
    );
    text.push_str(&exit_codes(&root));
    text.push_str(
        "\nEvery flag with a variable in its row can be given as that variable, too. The flags of `enforcer run` are\n\
         also keys of a file: [config.md](config.md). Beside the flags:\n\n",
    );
    text.push_str(&head(&["variable", "meaning"]));
    for (name, says, _) in reference::VARIABLES {
        text.push_str(&row(&[code(name), (*says).to_owned()]));
    }
    for command in reference::all(&root).into_iter().filter(|command| !command.has_subcommands()) {
        text.push_str(&section(command));
    }
    text
}

fn section(command: &Command) -> String {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").trim();
    let mut text = format!("\n## `{}`\n\n{about}.\n\n```console\n{usage}\n```\n\n", reference::path(command));
    let rows: Vec<&Arg> = reference::arguments(command).filter(|arg| arg.get_id() != "help").collect();
    if !rows.is_empty() {
        text.push_str(&head(&["argument", "meaning", "default", "variable"]));
        for arg in rows {
            text.push_str(&row(&[name(arg), meaning(arg), default(arg), variable(arg)]));
        }
        text.push('\n');
    }
    text + &exit_codes(command)
}

/// `-o, --output <table|json|yaml>`; the forms of a few words are among the meaning.
fn name(arg: &Arg) -> String {
    let value = arg.get_value_names().map(|names| names.join(" ")).unwrap_or_default();
    if arg.is_positional() {
        return code(&format!("<{value}>"));
    }
    let short = arg.get_short().map(|short| format!("-{short}, ")).unwrap_or_default();
    let long = arg.get_long().unwrap_or_default();
    let value = match arg.get_num_args() {
        Some(count) if !count.takes_values() => String::new(),
        Some(count) if count.min_values() == 0 => format!("[={value}]"),
        _ => format!(" <{value}>"),
    };
    code(&format!("{short}--{long}{value}"))
}

fn meaning(arg: &Arg) -> String {
    let words: Vec<String> = arg.get_possible_values().iter().map(|value| code(value.get_name())).collect();
    let told = words.is_empty() || arg.is_hide_possible_values_set() || !takes_value(arg);
    if told { help(arg) } else { format!("{}: {}", help(arg), words.join(", ")) }
}

fn exit_codes(command: &Command) -> String {
    let mut text = String::from("Exit codes:\n\n");
    for (code, says) in reference::exit_codes(command) {
        let _ = writeln!(text, "* {code}: {says}.");
    }
    text
}
