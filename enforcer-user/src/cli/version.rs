//! `enforcer version`.

use serde::Serialize;

use crate::cli::Answer;
use crate::cli::output::{self, Format, Look};
use crate::cli::text::fields;

/// What this binary is. The field names are stable.
#[derive(Serialize)]
struct Build {
    version: &'static str,
    commit: &'static str,
    abi: u32,
    kernel_object: String,
}

pub(super) fn run(format: Format) -> anyhow::Result<Answer> {
    let build = Build {
        version: env!("CARGO_PKG_VERSION"),
        commit: env!("ENFORCER_COMMIT"),
        abi: enforcer_common::ABI_VERSION,
        kernel_object: crate::dataplane::object_hash(),
    };
    output::answer(format, &build, human)?;
    Ok(Answer::Yes)
}

fn human(build: &Build, look: Look) -> String {
    let lines = [
        ("version", build.version.to_owned()),
        ("commit", build.commit.to_owned()),
        ("abi", build.abi.to_string()),
        ("kernel object", build.kernel_object.clone()),
    ];
    fields(&lines, 0, look.width)
}
