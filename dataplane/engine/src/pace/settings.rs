//! What the configuration says about pacing, and the two things that follow from it alone: how a flow passes to the
//! rule, and how an interval begins.

use super::flow::{FlowFlags, Governor, PacedFlow};
use crate::config::{PacingConfig, PacingRule, Pin};
use crate::guard::Guard;
use crate::rule::BbrLite;
use crate::sampler::Draw;
use crate::time::{BitsPerSec, Ns};
use crate::wheel::{HORIZON, Wheel};
use weir_features::PacingSpec;

/// A rate at which no frame takes any time: that of a flow that nobody governs.
const UNLIMITED: BitsPerSec = BitsPerSec(u64::MAX);

/// Fixed for the worker's life.
#[derive(Debug)]
pub(super) struct Settings {
    rule: PacingRule,
    pub(super) model: bool,
    pub(super) spec: PacingSpec,
    pub(super) guard: Guard,
    pub(super) rate_start: BitsPerSec,
    control_share: u32,
    sample_share: u32,
    pub(super) mark_delay: Ns,
    pub(super) delay_max: Ns,
    pub(super) flow_held_bytes_max: u32,
    pub(super) pin: Pin,
}

impl Settings {
    pub(super) fn new(config: &PacingConfig) -> Settings {
        let guard = Guard::new(config.rate_min, config.rate_max);
        Settings {
            rule: config.rule,
            model: config.model,
            spec: config.spec.clone(),
            guard,
            rate_start: guard.rate(config.rate_start).0,
            control_share: config.control_share,
            sample_share: config.sample_share,
            mark_delay: config.mark_delay,
            delay_max: config.delay_max.min(HORIZON),
            flow_held_bytes_max: config.flow_held_bytes_max,
            pin: config.pin,
        }
    }

    /// Whether a flow with this hash stays on the rule although a model runs.
    pub(super) fn is_control(&self, hash: u64) -> bool {
        self.model && Draw::Control.hits(hash, self.control_share)
    }

    /// Whether the intervals of a flow with this hash become samples.
    pub(super) fn is_sampled(&self, hash: u64) -> bool {
        self.model && !self.is_control(hash) && Draw::Sample.hits(hash, self.sample_share)
    }

    /// Gives the flow to the configured rule.
    pub(super) fn govern_by_rule(&self, flow: &mut PacedFlow, now: Ns) {
        flow.generation = 0;
        match self.rule {
            PacingRule::None => {
                flow.governor = Governor::Free;
                flow.pacer.set_rate(UNLIMITED);
            }
            PacingRule::Fixed(rate) => {
                flow.governor = Governor::Fixed;
                flow.pacer.set_rate(self.guard.rate(rate).0);
            }
            PacingRule::BbrLite => {
                flow.governor = Governor::Bbr(BbrLite::new(now, u64::from(flow.flags.phase())));
            }
        }
    }

    /// Opens the flow's next interval, of a length that suits its rate and RTT.
    pub(super) fn begin_interval(&self, ends: &mut Wheel, index: u32, flow: &mut PacedFlow, now: Ns) {
        let length = self.spec.interval_ns(&flow.base, flow.pacer.rate().0, flow.frame_len());
        flow.interval.restart(now.0, length);
        (flow.idle_ns, flow.stall_ns) = (0, 0);
        flow.flags.set(FlowFlags::TOUCHED, false);
        flow.flags.set(FlowFlags::OPEN, true);
        ends.insert(index, now + Ns(length));
    }
}
