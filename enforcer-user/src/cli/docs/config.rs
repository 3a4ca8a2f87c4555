//! docs/reference/config.md: every flag of `enforcer run` as a key of its file.

use std::fmt::Write as _;

use clap::{Arg, Command};

use crate::cli::command;
use crate::cli::docs::{code, default, generated, head, help, row, variable};
use crate::config::settings::{self, Form, Setting};

/// The file that has every key.
pub(super) const EXAMPLE: &str = include_str!("../../../../deploy/examples/enforcer.yaml");

const INTRODUCTION: &str = "\
Every flag of `enforcer run` is a variable of the environment and a key of the YAML file that `--config FILE` (or
`ENFORCER_CONFIG`) names. A value is taken from the first of these that has one: flag, variable, file, default. A list is
taken from one of them, whole; an empty list in the file is an empty list.

* `enforcer run --check-config` checks all of it, prints the configuration as a file that says the same, with where each
  value comes from, and ends: exit code 0, or 2 when there are faults. It needs no privileges.
* All faults of flags, variables and file are reported at once, each with where it stands, as in
  `/etc/enforcer.yaml:12: workload[1].namespace \"Shop\": ...`. Unknown keys and keys that are there twice are faults.
* The file is read once, when the agent starts. After a change, check it and restart the agent: enforcement goes on
  meanwhile.
* Relative paths are relative to the working directory of the agent, as for flags, not to the file.
* YAML does not change the meaning of values: `off`, `\"off\"` and `--enforcement off` are the same. Anchors, aliases and
  tags of one's own are not understood. The file is UTF-8 and not longer than 1 MiB; an empty file has no keys.
* A flag that is on or off is `true` or `false`: `--allow-override` is short for `--allow-override=true`, and
  `--allow-override=false` wins over a file that says `true`.
* In a variable, values of `--registry`, `--cgroup` and `--workload` stand one on a line, those of other lists between
  commas. A variable that is set to nothing counts, too: it is an empty list.

";

const WORKLOAD: &str = "
## `workload`

Each is the text of the flag, or a mapping:

| key | value |
|---|---|
| `cgroup` | path of the cgroup's directory; required |
| `namespace` | required |
| `name` | the last part of the cgroup's path when left out |
| `labels` | mapping of labels, or the text `k=v;k2=v2` |
| `enforcement` | `enforce`, `audit` or `off`, for this workload only |
| `interface` | its host-side interfaces: a list, or the text `IF;IF2`; found by itself when left out |
| `address` | its own IPv4 and IPv6 addresses: a list, or the text `IP;IP2`; found by itself when left out |
| `mesh` | `sidecar` or `ambient`; none when left out |
| `mesh-proxy` | the cgroup of the sidecar's container, below the workload's: from the root, or from the workload's cgroup; required with `mesh: sidecar` |

An interface, an address or a cgroup belongs to one workload.

## `interface` and `uplink`

In a pattern `*` is any characters or none, and `?` is one; no other sign is special. A pattern that is `lo`'s or every
interface's is a fault. `interface: [auto, veth*]` looks at the host-side interface of each workload, and at every other veth
for workloads that are not known. `interface: [none]` looks at none: then only sockets are judged. An
empty list of `interface` is a fault, since it would say the same by mistake.

## `map-entries`

A mapping of map to number, or a list of `MAP=N`. `FLOWS` is how many flows of each workload are remembered, every other how many
entries the compiled registry may take.

";

pub(super) fn markdown() -> String {
    let root = command();
    let mut text = format!("# Configuration of the agent\n\n{}{INTRODUCTION}", generated("config"));
    let Some(run) = root.find_subcommand("run") else { return text };
    let settings = settings::all();
    let mut headings: Vec<&str> = Vec::new();
    for heading in settings.iter().filter_map(|setting| argument(run, setting)?.get_help_heading()) {
        if !headings.contains(&heading) {
            headings.push(heading);
        }
    }
    for heading in headings {
        let _ = write!(text, "## {heading}\n\n");
        text.push_str(&head(&["key", "value", "default", "variable", "meaning"]));
        for setting in &settings {
            let arg = argument(run, setting).filter(|arg| arg.get_help_heading() == Some(heading));
            text.extend(arg.map(|arg| key(setting, arg)));
        }
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text.push_str(WORKLOAD);
    text.push_str("## A file with every key\n\n`deploy/examples/enforcer.yaml`:\n\n```yaml\n");
    text + EXAMPLE + "```\n"
}

fn argument<'a>(run: &'a Command, setting: &Setting) -> Option<&'a Arg> {
    run.get_arguments().find(|arg| arg.get_id() == &*setting.id)
}

fn key(setting: &Setting, arg: &Arg) -> String {
    let words: Vec<String> = arg.get_possible_values().iter().map(|value| code(value.get_name())).collect();
    let form = if words.is_empty() {
        code(&arg.get_value_names().map(|names| names.join(" ")).unwrap_or_default())
    } else {
        words.join(", ")
    };
    let form = match setting.form {
        Form::One => form,
        Form::List => format!("list of {form}"),
        Form::Workloads => "list, see below".to_owned(),
        Form::Numbers => "mapping, see below".to_owned(),
    };
    row(&[code(&setting.key), form, default(arg), variable(arg), help(arg)])
}
