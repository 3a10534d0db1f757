//! What an ended interval brought: counted, and told to the trainer.

use super::decide::{action, noise};
use super::flow::{Aside, Decider, Governor, PacedFlow, Share};
use super::settings::Settings;
use crate::counters::WorkerStats;
use crate::models::ModelSet;
use crate::time::Ns;
use weir_features::{INPUTS, IntervalReport, Sample, Source};
use weir_handoff::LaneSender;

/// What an ended interval said, for those who decide.
pub(super) struct Ended {
    pub(super) now: Ns,
    pub(super) report: IntervalReport,
    pub(super) mean_rtt: Ns,
    pub(super) app_limited: bool,
}

/// Adds an interval to the sums by which control flows and others are compared.
pub(super) fn count(stats: &mut WorkerStats, flow: &PacedFlow, ended: &Ended) {
    let (ns, acked, lost, rtt) = match flow.decider() {
        Decider::Model => (
            &mut stats.interval_ns_model,
            &mut stats.acked_bytes_model,
            &mut stats.lost_bytes_model,
            &mut stats.rtt_ns_model,
        ),
        Decider::Explored => (
            &mut stats.interval_ns_explored,
            &mut stats.acked_bytes_explored,
            &mut stats.lost_bytes_explored,
            &mut stats.rtt_ns_explored,
        ),
        Decider::Rule => (
            &mut stats.interval_ns_rule,
            &mut stats.acked_bytes_rule,
            &mut stats.lost_bytes_rule,
            &mut stats.rtt_ns_rule,
        ),
        Decider::Control => (
            &mut stats.interval_ns_control,
            &mut stats.acked_bytes_control,
            &mut stats.lost_bytes_control,
            &mut stats.rtt_ns_control,
        ),
    };
    *ns += ended.report.duration_ns;
    *acked += ended.report.acked_bytes;
    *lost += ended.report.lost_bytes;
    *rtt += ended.mean_rtt.0;
}

/// The record of an interval and of the decision that governed it, where there was one and the flow is sampled. To be called
/// while the flow's history and settings are still what that decision was made from. `hash` is the flow's, asked for only
/// then: it lies in the flow's entry, which nothing else at an interval's end needs, so with many flows far away.
///
/// Rule and network are told of by the same conditions, so that their outcomes compare. A flow that nobody paces has
/// none: its sender limits it at all times.
pub(super) fn sample(
    flow: &PacedFlow,
    aside: Aside,
    ended: &Ended,
    settings: &Settings,
    models: &ModelSet,
) -> Option<Sample> {
    let sampled = flow.flags.share() != Share::None && flow.governor.has_decided() && !ended.app_limited;
    let decider = sampled.then(|| flow.decider())?;
    let told = Sample {
        source: Source::Control,
        schema_hash: 0,
        generation: 0,
        flow: aside.hash,
        features: [0; INPUTS],
        output_q16: 0,
        action_q16: 0,
        rate_bps: flow.pacer.rate().0,
        at_ns: ended.now.0,
        duration_ns: ended.report.duration_ns,
        sent_bytes: ended.report.sent_bytes,
        acked_bytes: ended.report.acked_bytes,
        lost_bytes: ended.report.lost_bytes,
        rtt_ns: ended.mean_rtt.0,
        base_rtt_ns: flow.base.min_interval_mean_ns,
    };
    let Governor::Model { history, .. } = &flow.governor else {
        return (decider == Decider::Control).then_some(told);
    };
    let generation = models.live(flow.generation)?;
    let noise = noise(settings, flow, aside);
    let mut features = [0; INPUTS];
    history.write_inputs(&mut features);
    Some(Sample {
        source: noise.map_or(Source::Model, Source::Explored),
        schema_hash: generation.executable().snapshot().schema_hash(),
        generation: flow.generation,
        features,
        output_q16: flow.output_q16,
        action_q16: action(settings, flow.output_q16, noise.as_ref()).0,
        ..told
    })
}

/// Hands a record to the trainer. Where its lane is full the record is dropped and counted.
pub(super) fn tell(sample: Sample, lane: &mut LaneSender<Sample>, stats: &mut WorkerStats) {
    let source = sample.source;
    *match lane.push(sample) {
        Err(_) => &mut stats.samples_dropped,
        Ok(()) => match source {
            Source::Model => &mut stats.samples_model,
            Source::Explored(_) => &mut stats.samples_explored,
            Source::Control => &mut stats.samples_control,
        },
    } += 1;
}
