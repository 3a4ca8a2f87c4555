//! One who observes: what is kept first, then what comes, through a queue that does not hold up the event reader.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use enforcer_core::flow::filter::Filter;
use enforcer_core::flow::{Flow, FlowLine, FlowWorkload, Lost};
use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio_stream::Stream;

/// Lines that wait for one who reads slowly; what is over is counted.
pub(super) const QUEUE: usize = 4_096;

/// The store's end.
#[derive(Debug)]
pub(super) struct Subscriber {
    filter: Filter,
    lines: mpsc::Sender<FlowLine>,
    /// Flows for which there was no room, and of which no line has told yet.
    lost: u64,
}

impl Subscriber {
    pub(super) fn is_there(&self) -> bool {
        !self.lines.is_closed()
    }

    pub(super) fn wants(&self, flow: &Flow) -> bool {
        self.filter.matches(flow)
    }

    pub(super) fn wants_of(&self, workload: Option<&FlowWorkload>) -> bool {
        self.filter.matches_workload(workload)
    }

    /// Sends `line`, or counts what is in it. A line about lost flows stands where they are missing.
    pub(super) fn tell(&mut self, line: FlowLine, now: Timestamp) {
        self.tell_lost(now);
        let events = match &line {
            FlowLine::Flow(_) => 1,
            FlowLine::Lost { lost } => lost.events,
        };
        if self.lost > 0 || self.lines.try_send(line).is_err() {
            self.lost += events;
        }
    }

    /// Tells of what is lost, when there is room.
    pub(super) fn tell_lost(&mut self, now: Timestamp) {
        if self.lost == 0 {
            return;
        }
        let why = Lost::SLOW_READER.to_owned();
        let lost = Lost { time: now, events: self.lost, workload: None, why };
        if self.lines.try_send(FlowLine::Lost { lost }).is_ok() {
            self.lost = 0;
        }
    }
}

/// Counts as one who follows for as long as it lives.
#[derive(Debug)]
pub(super) struct Observer(watch::Sender<usize>);

impl Observer {
    pub(super) fn new(observers: &watch::Sender<usize>) -> Self {
        observers.send_modify(|observers| *observers += 1);
        Self(observers.clone())
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.0.send_modify(|observers| *observers -= 1);
    }
}

/// The observer's end: ends after what is kept, or never when it follows.
#[derive(Debug)]
pub struct Subscription {
    stored: std::vec::IntoIter<Arc<Flow>>,
    live: Option<(mpsc::Receiver<FlowLine>, Observer)>,
}

impl Subscription {
    pub(super) fn of_stored(stored: Vec<Arc<Flow>>) -> Self {
        Self { stored: stored.into_iter(), live: None }
    }
}

/// Both ends.
pub(super) fn following(
    filter: Filter,
    stored: Vec<Arc<Flow>>,
    observer: Observer,
) -> (Subscriber, Subscription) {
    let (lines, live) = mpsc::channel(QUEUE);
    let subscription = Subscription { live: Some((live, observer)), ..Subscription::of_stored(stored) };
    (Subscriber { filter, lines, lost: 0 }, subscription)
}

impl Stream for Subscription {
    type Item = FlowLine;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<FlowLine>> {
        if let Some(flow) = self.stored.next() {
            return Poll::Ready(Some(FlowLine::Flow(flow)));
        }
        match &mut self.live {
            Some((live, _)) => live.poll_recv(context),
            None => Poll::Ready(None),
        }
    }
}
