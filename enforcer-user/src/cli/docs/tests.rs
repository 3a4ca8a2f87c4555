//! The references: complete, and tables stay tables.

use super::*;
use crate::cli::{command, reference};
use crate::config::settings;

/// Lines that begin a row have as many cells as the head of their table.
fn tables_are_whole(text: &str) {
    let mut cells = None;
    for line in text.lines() {
        let count = line.starts_with('|').then(|| line.replace("\\|", "").matches('|').count());
        if let (Some(above), Some(here)) = (cells, count) {
            assert_eq!(above, here, "{line}");
        }
        cells = count;
    }
}

#[test]
fn every_command_is_in_the_reference() {
    let text = commands::markdown();
    tables_are_whole(&text);
    let root = command();
    for command in reference::all(&root).into_iter().filter(|command| !command.has_subcommands()) {
        assert!(text.contains(&format!("\n## `{}`\n", reference::path(command))), "{}", command.get_name());
    }
}

#[test]
fn every_key_is_in_the_reference() {
    let text = config::markdown();
    tables_are_whole(&text);
    for setting in settings::all() {
        let row = format!("\n| `{}` |", setting.key);
        assert!(text.contains(&row), "{}: give the flag a help heading", setting.key);
    }
}

/// Exit codes are told of commands by name: a command that was renamed would lose its own.
#[test]
fn exit_codes_belong_to_commands() {
    let root = command();
    let paths: Vec<_> = reference::all(&root).into_iter().map(reference::path).collect();
    for (name, _) in reference::NO {
        assert!(paths.iter().any(|path| path == name), "{name}");
    }
}
