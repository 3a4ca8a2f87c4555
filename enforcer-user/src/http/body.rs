//! Bodies of answers: a text, or the registry in pieces.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use enforcer_core::registry::{Registry, registryz};
use hyper::body::{Body as HttpBody, Bytes, Frame, SizeHint};
use serde::Serialize as _;
use serde_json::ser::{PrettyFormatter, Serializer};

/// About how many bytes are made at a time: a registry of a hundred thousand services is never a hundred megabytes here.
const PIECE: usize = 64 << 10;

/// What `?pretty` indents by in Istio (`config.ToPrettyJSON`).
const INDENT: &str = "    ";

pub(super) enum Body {
    Text(Option<Bytes>),
    Registry(RegistryJson),
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = match self.get_mut() {
            Self::Text(text) => text.take(),
            Self::Registry(json) => json.next(),
        };
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Text(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Text(text) => SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64)),
            Self::Registry(_) => SizeHint::default(),
        }
    }
}

/// The registry as JSON, piece by piece.
pub(super) struct RegistryJson {
    registry: Arc<Registry>,
    pretty: bool,
    /// The service to be written next; behind the last one the end is.
    at: usize,
}

impl RegistryJson {
    pub(super) fn new(registry: Arc<Registry>, pretty: bool) -> Self {
        Self { registry, pretty, at: 0 }
    }
}

impl Iterator for RegistryJson {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let services = &self.registry.services;
        if self.at > services.len() {
            return None;
        }
        let mut piece = Vec::with_capacity(PIECE);
        while piece.len() < PIECE && self.at <= services.len() {
            if self.at == 0 {
                piece.push(b'[');
            }
            match services.get(self.at) {
                Some(service) => {
                    if self.at > 0 {
                        piece.push(b',');
                    }
                    let record = registryz::record(service);
                    piece.extend(if self.pretty { indented(&record) } else { record.to_string() }.bytes());
                }
                None => piece.extend(if self.pretty && self.at > 0 { "\n]" } else { "]" }.bytes()),
            }
            self.at += 1;
        }
        Some(piece.into())
    }
}

/// A record within the list. Its own lines begin deeper, which is safe: a string of JSON has no line breaks.
fn indented(record: &serde_json::Value) -> String {
    let mut bytes = Vec::new();
    let formatter = PrettyFormatter::with_indent(INDENT.as_bytes());
    // Writing a value to memory cannot fail.
    let _ = record.serialize(&mut Serializer::with_formatter(&mut bytes, formatter));
    format!("\n{}", String::from_utf8_lossy(&bytes)).replace('\n', &format!("\n{INDENT}"))
}
