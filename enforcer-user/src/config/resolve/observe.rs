//! The flags of metrics and log.

use std::net::SocketAddr;

use tracing_subscriber::EnvFilter;

use crate::cli::args::run::LogArgs;
use crate::config::resolve::{Faults, Wrong, word, wrong};
use crate::config::{LogConfig, LogFormat};

/// The levels, in the order of their loudness.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// What is written of parts that no directive names.
const DEFAULT: &str = "info";

/// `127.0.0.1:15090`, or nothing for `off`.
pub(super) fn metrics(text: &str) -> Result<Option<SocketAddr>, Wrong> {
    if text.eq_ignore_ascii_case("off") {
        return Ok(None);
    }
    let hint = match text.split_once(':') {
        Some(("", port)) => format!("for every address of the node write 0.0.0.0:{port} or [::]:{port}"),
        Some(("localhost", port)) => format!("write 127.0.0.1:{port} or [::1]:{port}"),
        _ => "write ADDRESS:PORT, as in 127.0.0.1:15090 or [::1]:15090, or off".to_owned(),
    };
    text.parse().map(Some).map_err(|_| wrong("neither an address with a port nor off", hint))
}

pub(super) fn log(args: &LogArgs, faults: &mut Faults) -> Option<LogConfig> {
    let known = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    let format = faults.take("--log-format", &args.log_format, |text| word(text, &known));
    let directives = faults.take("--log-level", &args.log_level, directives);
    Some(LogConfig { format: format?, directives: directives? })
}

/// A level for all, or for parts: `warn`, `enforcer_user::sources=debug,hyper=info`.
fn directives(text: &str) -> Result<String, Wrong> {
    let hint = || {
        "use error, warn, info, debug, trace or off, or levels of parts: info,enforcer_user::sources=debug"
            .to_owned()
    };
    let mut parts: Vec<&str> = text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
    if parts.is_empty() {
        return Err(wrong("no level", hint()));
    }
    let is_level = |part: &str| LEVELS.iter().any(|level| level.eq_ignore_ascii_case(part));
    // A mistyped level would be a part of that name, and silence everything else.
    let bare = |part: &&str| !part.contains(['=', '[', ':']) && !is_level(part);
    if let Some(part) = parts.iter().copied().find(|part| bare(part)) {
        return Err(wrong(format!("{part:?} is not a level"), hint()));
    }
    if !parts.iter().any(|part| is_level(part)) {
        parts.insert(0, DEFAULT);
    }
    let text = parts.join(",");
    match EnvFilter::try_new(&text) {
        Ok(_) => Ok(text),
        Err(error) => Err(wrong(format!("not log directives: {error}"), hint())),
    }
}
