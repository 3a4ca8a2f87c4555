//! The agent in the kernel: real programs, real sockets, in namespaces and cgroups of each test's own.
//!
//! Every test is a story about a workload. Root is needed, and a kernel with cgroup v2 and BTF; a test whose needs are missing
//! fails and says what is missing.

#[path = "system/agree.rs"]
mod agree;
#[path = "system/audit.rs"]
mod audit;
#[path = "system/change.rs"]
mod change;
#[path = "system/coverage.rs"]
mod coverage;
#[path = "system/enforce.rs"]
mod enforce;
#[path = "system/flood.rs"]
mod flood;
#[path = "system/identity.rs"]
mod identity;
#[path = "system/mistake.rs"]
mod mistake;
#[path = "system/outlive.rs"]
mod outlive;
#[path = "system/places.rs"]
mod places;
#[path = "system/refusals.rs"]
mod refusals;
#[path = "system/refuse.rs"]
mod refuse;
#[path = "system/sockets.rs"]
mod sockets;
#[path = "system/terminate.rs"]
mod terminate;
#[path = "system/tools.rs"]
mod tools;
#[path = "system/unseen.rs"]
mod unseen;
#[path = "system/vip.rs"]
mod vip;
#[path = "system/visibility.rs"]
mod visibility;
#[path = "system/watch.rs"]
mod watch;
