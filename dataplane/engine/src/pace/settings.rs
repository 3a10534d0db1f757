//! What the configuration says about pacing, and the two things that follow from it alone: how a flow passes to the
//! rule, and how an interval begins.

use super::flow::{Aside, FlowFlags, Governor, PacedFlow, Share};
use super::open::OpenIntervals;
use super::pacer::Pacer;
use crate::config::{PIN_MAX, PacingCadence, PacingConfig, PacingMode, PacingRule, Pin};
use crate::explore::Explorer;
use crate::guard::Guard;
use crate::rule::BbrLite;
use crate::sampler::Draw;
use crate::time::{BitsPerSec, Ns};
use crate::wheel::HORIZON;
use weir_features::{History, PacingSpec};

/// A rate at which no frame takes any time: that of a flow that nobody governs.
const UNLIMITED: BitsPerSec = BitsPerSec(u64::MAX);

/// Made anew from each policy that changes them. A flow takes them up when its interval ends, the guard's bounds at once.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Settings {
    rule: PacingRule,
    pub(super) model: bool,
    pub(super) spec: PacingSpec,
    pub(super) guard: Guard,
    pub(super) rate_start: BitsPerSec,
    control_share: u32,
    explore_share: u32,
    sample_share: u32,
    pub(super) explorer: Option<Explorer>,
    pub(super) mark_delay: Ns,
    pub(super) delay_max: Ns,
    pub(super) flow_held_bytes_max: u32,
    pub(super) cadence: PacingCadence,
    pub(super) pin: Pin,
    pub(super) mode: PacingMode,
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
            explore_share: config.explore_share,
            sample_share: config.sample_share,
            explorer: Explorer::new(config.explore_sigma_q16),
            mark_delay: config.mark_delay,
            delay_max: config.delay_max.min(HORIZON),
            flow_held_bytes_max: config.flow_held_bytes_max,
            cadence: config.cadence,
            pin: match config.pin {
                Pin::Interval => Pin::Interval,
                Pin::Flow { max } => Pin::Flow { max: max.min(PIN_MAX) },
            },
            mode: config.mode,
        }
    }

    /// The share that a flow with this hash belongs to. Without a model there is nothing to compare with, or to learn.
    pub(super) fn share(&self, hash: u64) -> Share {
        if !self.model {
            Share::None
        } else if Draw::Control.hits(hash, self.control_share) {
            Share::Control
        } else if self.explorer.is_some() && Draw::Explore.hits(hash, self.explore_share) {
            Share::Exploring
        } else if Draw::Sample.hits(hash, self.sample_share) {
            Share::Sampled
        } else {
            Share::None
        }
    }

    /// Brings a rate that was decided under other settings within the bounds of these.
    pub(super) fn bound(&self, pacer: &mut Pacer) {
        let rate = pacer.rate();
        if rate != UNLIMITED && self.guard.rate(rate).1.is_some() {
            pacer.set_rate(self.guard.rate(rate).0);
        }
    }

    /// The flow's interval has ended: provisional rates in it end with it.
    pub(super) fn commit(&self, flow: &mut PacedFlow, aside: &mut Aside) {
        if let Some(rate) = aside.take_committed() {
            flow.pacer.set_rate(self.guard.rate(rate).0);
        }
    }

    /// Takes the flow over from other settings. `hash` is its flow hash, unless its entry is gone;
    /// `redefined` says that its features meant something else then.
    pub(super) fn renew(&self, flow: &mut PacedFlow, hash: u64, redefined: bool, now: Ns) {
        flow.flags.set_share(self.share(hash));
        match (&mut flow.governor, self.rule) {
            (Governor::Model { history, decided, .. }, _) => {
                if redefined {
                    (*history, *decided) = (History::fresh(), false);
                }
            }
            // What it has learnt about the path stays true.
            (Governor::Bbr { .. }, PacingRule::BbrLite) => {}
            (governor, _) => {
                if matches!(governor, Governor::Free) {
                    flow.pacer.set_rate(self.rate_start);
                }
                self.govern_by_rule(flow, now);
            }
        }
    }

    /// Whether the rule goes by what the path delivers, and so holds its own beside others.
    pub(super) fn rule_competes(&self) -> bool {
        self.rule == PacingRule::BbrLite
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
                flow.governor = Governor::Fixed { decided: false };
                flow.pacer.set_rate(self.guard.rate(rate).0);
            }
            PacingRule::BbrLite => {
                let rule = BbrLite::new(now, u64::from(flow.flags.phase()));
                flow.governor = Governor::Bbr { rule, decided: false };
            }
        }
    }

    /// Opens the flow's next interval, of a length that suits its rate and RTT.
    pub(super) fn begin_interval(
        &self,
        intervals: &mut OpenIntervals,
        index: u32,
        flow: &mut PacedFlow,
        now: Ns,
    ) {
        let length = self.spec.interval_ns(&flow.base, flow.pacer.rate().0, flow.frame_len());
        flow.interval.restart(now.0, length);
        (flow.idle_ns, flow.stall_ns) = (0, 0);
        flow.flags.set(FlowFlags::TOUCHED, false);
        intervals.open(index, flow, now + Ns(length));
    }
}
