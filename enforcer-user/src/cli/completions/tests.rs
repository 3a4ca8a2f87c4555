//! What shells are told: every command and flag that people are, and the known words of a flag.

use std::process::Command as Process;

use super::*;
use crate::cli::reference;

const SHELLS: [Shell; 3] = [Shell::Bash, Shell::Zsh, Shell::Fish];

#[test]
fn every_shell_knows_every_command_and_flag() {
    let root = command();
    for shell in SHELLS {
        let script = script(shell);
        for command in reference::all(&root) {
            assert!(script.contains(command.get_name()), "{shell:?}: {}", command.get_name());
            for flag in arguments(command).filter_map(|arg| arg.get_long()) {
                assert!(script.contains(flag), "{shell:?}: {flag}");
            }
        }
        assert!(script.contains("istio-legacy"), "{shell:?} knows the words of --vip-allocation");
    }
}

#[test]
fn what_is_hidden_is_not_offered() {
    for shell in SHELLS {
        assert!(!script(shell).contains("docs"), "{shell:?}");
    }
}

/// zsh takes a colon in the name of a value for the end of the name.
#[test]
fn names_of_values_have_no_colon() {
    for command in reference::all(&command()) {
        for arg in command.get_arguments() {
            let names = arg.get_value_names().unwrap_or_default();
            assert!(names.iter().all(|name| !name.contains(':')), "{}", arg.get_id());
        }
    }
}

/// Sourced by a real bash, and asked.
#[test]
fn bash_completes() {
    let asked = |words: &str| {
        let ask = format!(
            "set -u; source /dev/stdin; COMP_WORDS=({words} ''); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
             _enforcer enforcer '' \"${{COMP_WORDS[COMP_CWORD-1]}}\"; echo \"${{COMPREPLY[*]}}\""
        );
        let script = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(script.path(), super::script(Shell::Bash)).unwrap();
        let output = Process::new("bash")
            .args(["--norc", "-c", &ask])
            .stdin(script.reopen().unwrap())
            .output()
            .expect("bash, which this test needs");
        assert!(output.status.success() && output.stderr.is_empty(), "{words}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    assert_eq!(asked("enforcer run --enforcement"), "enforce audit off");
    assert_eq!(asked("enforcer explain --direct-endpoints"), "none kubernetes all");
    assert_eq!(asked("enforcer completions"), "-h --help bash zsh fish");
    assert!(asked("enforcer").ends_with(
        "run status registry explain observe mode doctor suggest simulate detach version completions man help"
    ));
}
