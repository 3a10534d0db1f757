//! Cadence `packet`: before each data frame of its flows a network is asked about the interval so far.
//!
//! Its answer is *provisional*: rate = rate at the interval's start x step(action). However often it is asked, the rate is
//! never more than one step from where the interval began; only the answer at the interval's end stays, and is what the
//! counters and the trainer take for the decision. So the network reacts within a frame of what it hears, and is shown at each
//! end exactly what it would be shown at the default cadence.
//!
//! Frames of one flow in one burst share one answer: nothing is heard between them. An interval without an RTT sample is not
//! asked about, as at its end. Flows that explore keep to interval ends: an interval's outcome must be their one action's.

use super::Pacing;
use super::decide::{ENDS_PER_TURN, action, step};
use super::flow::{FlowFlags, Governor, PacedFlow, Share};
use crate::config::PacingCadence;
use crate::counters::WorkerStats;
use crate::flow::PacedId;
use crate::io::{BURST, Frame};
use crate::models::{Generation, ModelSet};
use crate::probe::Probe;
use crate::time::Ns;
use arrayvec::ArrayVec;
use weir_features::INPUTS;

const _: () = assert!(BURST <= ENDS_PER_TURN, "a burst's flows fit into a batch");

impl<F: Frame> Pacing<F> {
    /// Whether [`decide_provisionally`](Pacing::decide_provisionally) does anything. A network that answers late is asked at
    /// interval ends only.
    #[inline]
    pub(crate) fn decides_per_packet(&self) -> bool {
        self.settings.cadence == PacingCadence::Packet && self.settings.model && !self.late.is_late()
    }

    /// Data frames of these flows, a burst's at most, are about to be [offered](Pacing::offer).
    pub(crate) fn decide_provisionally(
        &mut self,
        burst: impl Iterator<Item = PacedId>,
        now: Ns,
        models: &ModelSet,
        stats: &mut WorkerStats,
        probe: &mut impl Probe,
    ) {
        let live = [models.active(), models.previous()];
        let mut asked = [ArrayVec::<u32, BURST>::new(), ArrayVec::new()];
        for id in burst {
            let index = id.index() as u32;
            let Some(Some(flow)) = self.flows.get(id.index()) else { continue };
            let Some(group) = live.iter().position(|generation| {
                generation.is_some_and(|generation| generation.number() == flow.generation)
            }) else {
                continue;
            };
            if may_be_asked(flow) && !asked[group].contains(&index) {
                asked[group].push(index);
                weir_cpu::prefetch_element(&self.asides, id.index());
            }
        }
        for (generation, asked) in live.into_iter().zip(asked) {
            if let Some(generation) = generation.filter(|_| !asked.is_empty()) {
                self.ask(generation, &asked, now, stats, probe);
            }
        }
    }

    fn ask(
        &mut self,
        generation: &Generation,
        asked: &[u32],
        now: Ns,
        stats: &mut WorkerStats,
        probe: &mut impl Probe,
    ) {
        let mut app_limited_at = ArrayVec::<_, BURST>::new();
        let shown = |index: &u32, inputs: &mut [i32; INPUTS]| {
            let limited_at = match self.flows.get(*index as usize) {
                Some(Some(flow)) => {
                    let report = flow.interval.finish(now.0, &mut { flow.base }, &self.settings.spec);
                    if let Governor::Model { history, .. } = &flow.governor {
                        history.write_inputs_with(report.features, inputs);
                    }
                    let waited_ns = self.limited.waited_ns(*index as usize);
                    let app_limited = flow.is_app_limited(waited_ns, report.duration_ns);
                    app_limited.then(|| flow.sent_rate(&report))
                }
                _ => None,
            };
            app_limited_at.push(limited_at);
        };
        let actions = self.batch.rows.run(generation, asked, shown, stats, probe);
        for ((index, output_q16), limited_at) in asked.iter().zip(actions).zip(app_limited_at) {
            let place = (self.flows.get_mut(*index as usize), self.asides.get_mut(*index as usize));
            let (Some(Some(flow)), Some(aside)) = place else { continue };
            let committed = aside.keep_committed(flow.pacer.rate());
            // What the guard limits here is not counted, no more than the answer as a decision.
            let (action_q16, _) = action(&self.settings, output_q16, None);
            step(&self.settings, flow, committed, aside.brake, (action_q16, limited_at));
            stats.decisions_provisional += 1;
        }
    }
}

/// Whether the flow's open interval says anything yet, and its network is to hear of it.
fn may_be_asked(flow: &PacedFlow) -> bool {
    matches!(flow.governor, Governor::Model { .. })
        && flow.flags.has(FlowFlags::OPEN)
        && flow.flags.share() != Share::Exploring
        && flow.interval.rtt_samples() > 0
}
