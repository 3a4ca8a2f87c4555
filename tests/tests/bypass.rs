//! Every way past the enforcer that we know, tried against a running agent: nothing arrives, the denial is counted where and for
//! the reason that the table says, and the same means do reach what is registered.
//!
//! `cargo xtask test bypass` prints what was measured as a table; see [`table`]. That each technique works on a network that
//! stops nothing is shown by the suite `techniques`.
//!
//! Root is needed, and a kernel with cgroup v2 and BTF; a test whose needs are missing fails and says what is missing.

#[path = "bypass/checksum.rs"]
mod checksum;
#[path = "bypass/class.rs"]
mod class;
#[path = "bypass/crafted.rs"]
mod crafted;
#[path = "bypass/events.rs"]
mod events;
#[path = "bypass/exhaust.rs"]
mod exhaust;
#[path = "bypass/flipped.rs"]
mod flipped;
#[path = "bypass/flows.rs"]
mod flows;
#[path = "bypass/foreign.rs"]
mod foreign;
#[path = "bypass/frames.rs"]
mod frames;
#[path = "bypass/freebind.rs"]
mod freebind;
#[path = "bypass/injected.rs"]
mod injected;
#[path = "bypass/kept.rs"]
mod kept;
#[path = "bypass/moved.rs"]
mod moved;
#[path = "bypass/neighbour.rs"]
mod neighbour;
#[path = "bypass/network.rs"]
mod network;
#[path = "bypass/older.rs"]
mod older;
#[path = "bypass/plain.rs"]
mod plain;
#[path = "bypass/selfmade.rs"]
mod selfmade;
#[path = "bypass/sockets.rs"]
mod sockets;
#[path = "bypass/stage.rs"]
mod stage;
#[path = "bypass/stories.rs"]
mod stories;
#[path = "bypass/table.rs"]
mod table;
#[path = "bypass/targets.rs"]
mod targets;
