//! The agent and the command line, in reading order.
//!
//! `cli` says what can be typed, [`config`] what it means; [`app`] wires the parts of the agent: [`sources`] tell the
//! [`controller`] of objects, it compiles them and gives operations to the [`dataplane`], the only part that knows
//! the kernel; [`flows`] keeps what the kernel tells; [`admin`] answers the command line, [`http`] probes and scrapers,
//! the latter with [`metrics`]. [`links`] and [`sockets`] tell the node's interfaces, pods' networks and open sockets,
//! [`network`] whose they are, [`census`] which of these connections came in, and closes those that may not stay;
//! [`canary`] sees whether the programs notice.

pub mod admin;
pub mod app;
pub mod canary;
pub mod census;
pub mod cli;
pub mod clock;
pub mod config;
pub mod controller;
pub mod dataplane;
pub mod doctor;
#[cfg(test)]
mod fixture;
pub mod flows;
pub mod http;
pub mod identity;
pub mod lifecycle;
pub mod links;
pub mod logging;
pub mod metrics;
pub mod mountinfo;
mod netlink;
pub mod network;
pub mod proto;
pub mod sockets;
pub mod sources;
pub mod status;
