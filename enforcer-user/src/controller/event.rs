//! What the controller is told and asked.

use anyhow::Result;
use enforcer_core::flow::Denied;
use enforcer_core::policy::explain::Explanation;
use enforcer_core::suggest::Suggestions;
use tokio::sync::oneshot;

use crate::dataplane::{InboundFlow, Whose};
use crate::identity::Roster;
use crate::network::Network;
use crate::sources::Snapshot;
use crate::status::canary::CanaryStatus;
use crate::status::terminated::LastTermination;

/// Events waiting for the controller; senders wait when it is full.
pub const QUEUE: usize = 64;

/// Tells which connections others have made to workloads.
pub type Census = Box<dyn Fn(&Roster, &Network, Whose<'_>) -> Vec<InboundFlow> + Send + Sync>;

/// A question to the controller, answered between two updates.
#[derive(Debug)]
pub enum Question {
    /// Why may this workload (as typed) reach this destination (as typed)?
    Explain {
        /// The workload.
        workload: String,
        /// The destination.
        destination: String,
        /// The answer, or what is wrong with the question.
        reply: oneshot::Sender<Result<Explanation, String>>,
    },
    /// Which ServiceEntries do these denied flows lack?
    Suggest {
        /// What was denied.
        denied: Vec<Denied>,
        /// The answer, or why there is none.
        reply: oneshot::Sender<Result<Suggestions, String>>,
    },
}

/// Everything that can wake the controller.
#[derive(Debug)]
pub enum Event {
    /// A source has changed.
    Source(Snapshot),
    /// Somebody asks.
    Question(Question),
    /// Workloads came or went, or where they are in the network.
    Roster(Roster, Network),
    /// Why it cannot be seen which workloads there are and where in the network; nothing when it can again.
    Blind(Option<String>),
    /// Something has happened to interfaces.
    Links,
    /// Canaries were sent.
    Canary(CanaryStatus),
    /// Existing connections were held against the registry.
    Terminated(LastTermination),
    /// Time to look what can be reaped.
    Tick,
}
