//! The node's switch as the agent sees it: turned by others, or by the clock, and told once.

use anyhow::Result;
use enforcer_common::mode::Switch;

use crate::clock;
use crate::controller::Controller;
use crate::dataplane::Dataplane;

impl<D: Dataplane> Controller<D> {
    /// Looks how the switch stands now, and logs when that is something else than at the last look; whether it is.
    pub(super) fn look_at_switch(&mut self) -> Result<bool> {
        let now = self.dataplane.switch()?.settled(clock::since_boot());
        let last = std::mem::replace(&mut self.switch, now);
        if now == last {
            return Ok(false);
        }
        let from = last.now;
        let Switch { now: to, later } = now;
        let until = later.map_or_else(|| "switched again".to_owned(), |(_, until)| clock::rfc3339(until));
        let then = later.map_or("-", |(then, _)| then.as_str());
        let flag = self.config.enforcement;
        // Less than the agent was told to do: somebody should know why.
        if to < flag {
            tracing::warn!(%from, %to, until, then, %flag, "enforcement switched");
        } else {
            tracing::info!(%from, %to, until, then, %flag, "enforcement switched");
        }
        Ok(true)
    }
}
