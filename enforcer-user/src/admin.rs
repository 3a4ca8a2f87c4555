//! What the command line asks a running agent: gRPC over a Unix socket that only its owner may open.

pub mod client;
pub mod server;
mod socket;

/// The largest message either side takes: a status with every problem of a large registry. The registry itself is streamed.
const MESSAGE_BYTES: usize = 256 << 20;
