//! The end of monitor intervals: features, who decides, the decision, and what is told to the trainer.

use super::Pacing;
use super::flow::{FlowFlags, Governor, PacedFlow};
use super::settings::Settings;
use crate::config::Pin;
use crate::counters::WorkerStats;
use crate::flow::{FlowEntry, Table};
use crate::guard::Limit;
use crate::io::Frame;
use crate::models::{Generation, ModelSet};
use crate::probe::Probe;
use crate::rule::Evidence;
use crate::time::{BitsPerSec, Ns};
use arrayvec::ArrayVec;
use weir_features::{History, INPUTS, IntervalReport, Sample, apply_action};
use weir_handoff::LaneSender;
use weir_snapshot::Scratch;

/// Intervals ended per turn, hence rows per inference batch: a burst's worth. Those beyond wait for the next turn, a
/// few microseconds on, and are that much longer.
const ENDS_PER_TURN: usize = 32;
/// An interval that lacks an RTT sample is looked at again after this fraction of its age.
const WAIT_FRACTION: u64 = 4;

/// Flows whose interval ended this turn and whose network has yet to speak: one group per live weight set.
#[derive(Debug)]
pub(super) struct Batch {
    groups: [ArrayVec<Waiting, ENDS_PER_TURN>; 2],
    rows: Box<[i16; ENDS_PER_TURN * INPUTS]>,
    scratch: Scratch,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    index: u32,
    /// What the flow sent, if its sender and not its rate was the limit.
    app_limited_at: Option<BitsPerSec>,
}

impl Batch {
    pub(super) fn new() -> Batch {
        Batch {
            groups: [ArrayVec::new(), ArrayVec::new()],
            rows: Box::new([0; ENDS_PER_TURN * INPUTS]),
            scratch: Scratch::new(),
        }
    }
}

/// What an ended interval said, for those who decide.
struct Ended {
    now: Ns,
    report: IntervalReport,
    mean_rtt: Ns,
    app_limited: bool,
}

impl<F: Frame> Pacing<F> {
    /// Ends the intervals that are due, up to a bound, and decides the rates that follow.
    pub fn end_intervals(
        &mut self,
        now: Ns,
        flows: &Table<FlowEntry>,
        models: &ModelSet,
        stats: &mut WorkerStats,
        probe: &mut impl Probe,
    ) {
        // All are known, and their memory asked for, before the first is read: of many flows few are in a near cache.
        let mut ended = ArrayVec::<u32, ENDS_PER_TURN>::new();
        while !ended.is_full()
            && let Some(index) = self.interval_ends.pop(now)
        {
            weir_cpu::prefetch_element_write(&self.flows, index as usize);
            ended.push(index);
        }
        for index in ended {
            self.end_interval(index, now, flows, models, stats);
        }
        for (group, generation) in [models.active(), models.previous()].into_iter().enumerate() {
            if let Some(generation) = generation {
                self.infer(group, generation, now, stats, probe);
            }
        }
    }

    fn end_interval(
        &mut self,
        index: u32,
        now: Ns,
        flows: &Table<FlowEntry>,
        models: &ModelSet,
        stats: &mut WorkerStats,
    ) {
        let settings = &self.settings;
        let Some(Some(flow)) = self.flows.get_mut(index as usize) else { return };
        flow.flags.set(FlowFlags::OPEN, false);
        if flow.flags.has(FlowFlags::CLOSING) {
            self.forget_if_done(index);
            return;
        }
        if !flow.interval.due(now.0, &settings.spec) {
            if flow.flags.has(FlowFlags::TOUCHED) || !flow.queue.is_empty() {
                let age = now.0.saturating_sub(flow.interval.start_ns());
                flow.flags.set(FlowFlags::OPEN, true);
                self.interval_ends.insert(index, now + Ns(age / WAIT_FRACTION));
            }
            // Else the flow rests: its next frame opens the next interval.
            return;
        }
        if flow.queue.is_empty() {
            flow.end_idle(now);
        }
        let mut renew = |flow: &mut PacedFlow| {
            if let Some(edition) = self.editions.get_mut(index as usize).filter(|own| **own != self.edition) {
                let redefined = *edition < self.features_edition;
                *edition = self.edition;
                settings.renew(flow, flows.hash(flow.id), redefined, now);
            }
        };
        let report = flow.interval.finish(now.0, &mut flow.base, &settings.spec);
        let Some(mean_rtt) = report.mean_rtt_ns.map(Ns) else {
            // Silence is no ground for a decision; the sender's own timeout deals with it.
            stats.intervals_without_rtt += 1;
            set_decided(flow, false);
            renew(flow);
            settings.begin_interval(&mut self.interval_ends, index, flow, now);
            return;
        };
        let ended = Ended { now, report, mean_rtt, app_limited: flow.is_app_limited(report.duration_ns) };
        stats.intervals += 1;
        stats.intervals_app_limited += u64::from(ended.app_limited);
        count_outcome(stats, flow, &ended);
        take_sample(flow, &ended, flows, models, &mut self.samples, stats);
        // The interval that ended belongs to the settings that it had; the decision that follows to the new ones.
        renew(flow);

        let wanted = settings.model && !flow.flags.has(FlowFlags::CONTROL);
        if let Some(active) = models.active().filter(|_| wanted) {
            govern_by_model(settings, flow, active, models, now, stats);
            if let Governor::Model { history, .. } = &mut flow.governor {
                history.push(report.features);
            }
            let group = usize::from(flow.generation != active.number());
            // There is room: no more flows end per turn than one group holds.
            let app_limited_at = ended.app_limited.then(|| sent_rate(flow, &ended));
            self.batch.groups[group].push(Waiting { index, app_limited_at });
        } else {
            if matches!(flow.governor, Governor::Model { .. }) {
                settings.govern_by_rule(flow, now);
            }
            decide_by_rule(settings, flow, &ended, stats);
            settings.begin_interval(&mut self.interval_ends, index, flow, now);
        }
    }

    /// Runs one weight set over the flows that wait for it, and applies what it says.
    fn infer(
        &mut self,
        group: usize,
        generation: &Generation,
        now: Ns,
        stats: &mut WorkerStats,
        probe: &mut impl Probe,
    ) {
        let Batch { groups, rows, scratch } = &mut self.batch;
        let waiting = &mut groups[group];
        if waiting.is_empty() {
            return;
        }
        let count = waiting.len();
        let executable = generation.executable();
        let mut actions = [0; ENDS_PER_TURN];
        probe.inference_begin();
        for (waiting, row) in waiting.iter().zip(rows.chunks_exact_mut(INPUTS)) {
            if let Some(Some(PacedFlow { governor: Governor::Model { history, .. }, .. })) =
                self.flows.get(waiting.index as usize)
            {
                let mut inputs = [0; INPUTS];
                history.write_inputs(&mut inputs);
                executable.quantise_row(&inputs, row);
            }
        }
        executable.run(&rows[..count * INPUTS], count, &mut actions[..count], scratch);
        probe.inference_end(count);
        stats.inferences += count as u64;
        stats.inference_batches += 1;

        for (waiting, action) in waiting.drain(..).zip(actions) {
            let Some(Some(flow)) = self.flows.get_mut(waiting.index as usize) else { continue };
            let (action_q16, limit) = self.settings.guard.action(action);
            count_limit(stats, limit);
            let rate = BitsPerSec(apply_action(flow.pacer.rate().0, action_q16));
            let rate = bounded_by_evidence(rate, flow.pacer.rate(), waiting.app_limited_at);
            set_rate(&self.settings, flow, rate, stats);
            flow.action_q16 = action_q16;
            set_decided(flow, true);
            stats.decisions_model += 1;
            self.settings.begin_interval(&mut self.interval_ends, waiting.index, flow, now);
        }
    }
}

/// Gives the flow to a live generation: the active one, unless it is pinned to the one that it has.
fn govern_by_model(
    settings: &Settings,
    flow: &mut PacedFlow,
    active: &Generation,
    models: &ModelSet,
    now: Ns,
    stats: &mut WorkerStats,
) {
    let keeps = match (&flow.governor, settings.pin) {
        (Governor::Model { .. }, Pin::Interval) => false,
        (Governor::Model { bound_at_ms, .. }, Pin::Flow { max }) => {
            let bound_for_ms = millis(now).wrapping_sub(*bound_at_ms);
            models.live(flow.generation).is_some() && Ns::from_millis(bound_for_ms.into()) < max
        }
        (governor, _) => {
            if matches!(governor, Governor::Free) {
                flow.pacer.set_rate(settings.rate_start);
            }
            flow.governor = Governor::Model { history: History::fresh(), bound_at_ms: 0, decided: false };
            false
        }
    };
    if !keeps {
        bind(flow, active, now, stats);
    }
}

/// Binds the flow to the active generation. Between two decisions, what the interval brings is nobody's outcome.
pub(super) fn bind(flow: &mut PacedFlow, active: &Generation, now: Ns, stats: &mut WorkerStats) {
    if flow.generation != active.number()
        && let Governor::Model { bound_at_ms, decided, .. } = &mut flow.governor
    {
        (*bound_at_ms, *decided) = (millis(now), false);
        stats.rebinds += u64::from(flow.generation != 0);
        flow.generation = active.number();
    }
}

fn set_decided(flow: &mut PacedFlow, now_decided: bool) {
    if let Governor::Model { decided, .. } = &mut flow.governor {
        *decided = now_decided;
    }
}

/// Wraps after 65 s; intervals end, and look, far more often.
fn millis(now: Ns) -> u16 {
    (now.0 / 1_000_000) as u16
}

fn decide_by_rule(settings: &Settings, flow: &mut PacedFlow, ended: &Ended, stats: &mut WorkerStats) {
    let rate = flow.pacer.rate();
    let seen = Evidence {
        now: ended.now,
        duration: Ns(ended.report.duration_ns),
        sent_bytes: flow.in_frames(ended.report.sent_bytes),
        delivered_bytes: flow.in_frames(ended.report.acked_bytes),
        mean_rtt: Some(ended.mean_rtt),
        // What a late worker kept back was no limit of the path either.
        app_limited: ended.app_limited || flow.is_host_limited(ended.report.duration_ns),
    };
    let decided = match &mut flow.governor {
        Governor::Bbr(bbr) => bbr.on_interval(&seen, rate),
        Governor::Fixed => Some(rate),
        Governor::Model { .. } | Governor::Free => None,
    };
    if let Some(rate) = decided {
        // No bound by evidence here: a rule leaves app-limited intervals out of its estimate itself, and may go back
        // to a rate that an earlier interval proved.
        set_rate(settings, flow, rate, stats);
        if flow.flags.has(FlowFlags::CONTROL) {
            stats.decisions_control += 1;
        } else {
            stats.decisions_rule += 1;
        }
    }
}

/// What an interval says when the sender limited it: nothing about rates above the present one, so the decision may not
/// raise the rate. It may lower it, and below what was sent if the flow used at least half of it: a lowered rate ends
/// where it is what limits the flow, and from there on decisions count both ways. A flow that used less is lowered to
/// twice what it sent and no further: were a sender that pauses lowered on noise without end, its rate could only fall.
fn bounded_by_evidence(
    decided: BitsPerSec,
    present: BitsPerSec,
    app_limited_at: Option<BitsPerSec>,
) -> BitsPerSec {
    let Some(sent) = app_limited_at else { return decided };
    let least = BitsPerSec(sent.0.saturating_mul(2));
    if least < present { decided.max(least).min(present) } else { decided.min(present) }
}

/// The rate at which the flow's frames departed in the interval.
fn sent_rate(flow: &PacedFlow, ended: &Ended) -> BitsPerSec {
    let bits = flow.in_frames(ended.report.sent_bytes).saturating_mul(8);
    BitsPerSec(bits.saturating_mul(1_000_000_000) / ended.report.duration_ns.max(1))
}

/// Applies a decision within the guard's bounds.
fn set_rate(settings: &Settings, flow: &mut PacedFlow, rate: BitsPerSec, stats: &mut WorkerStats) {
    let (rate, limit) = settings.guard.rate(rate);
    count_limit(stats, limit);
    flow.pacer.set_rate(rate);
}

fn count_limit(stats: &mut WorkerStats, limit: Option<Limit>) {
    match limit {
        None => {}
        Some(Limit::Action) => stats.guard_action += 1,
        Some(Limit::Floor) => stats.guard_floor += 1,
        Some(Limit::Ceiling) => stats.guard_ceiling += 1,
    }
}

/// Adds an interval to the sums by which control flows and others are compared.
fn count_outcome(stats: &mut WorkerStats, flow: &PacedFlow, ended: &Ended) {
    let (ns, acked, lost, rtt) = match flow.governor {
        _ if flow.flags.has(FlowFlags::CONTROL) => (
            &mut stats.interval_ns_control,
            &mut stats.acked_bytes_control,
            &mut stats.lost_bytes_control,
            &mut stats.rtt_ns_control,
        ),
        Governor::Model { .. } => (
            &mut stats.interval_ns_model,
            &mut stats.acked_bytes_model,
            &mut stats.lost_bytes_model,
            &mut stats.rtt_ns_model,
        ),
        Governor::Bbr(_) | Governor::Fixed | Governor::Free => (
            &mut stats.interval_ns_rule,
            &mut stats.acked_bytes_rule,
            &mut stats.lost_bytes_rule,
            &mut stats.rtt_ns_rule,
        ),
    };
    *ns += ended.report.duration_ns;
    *acked += ended.report.acked_bytes;
    *lost += ended.report.lost_bytes;
    *rtt += ended.mean_rtt.0;
}

/// Tells the trainer about the decision that governed the interval, where there was one and the flow is sampled. To
/// be called while the flow's history is still what that decision was made from.
fn take_sample(
    flow: &PacedFlow,
    ended: &Ended,
    flows: &Table<FlowEntry>,
    models: &ModelSet,
    lane: &mut LaneSender<Sample>,
    stats: &mut WorkerStats,
) {
    if !flow.flags.has(FlowFlags::SAMPLED) || ended.app_limited {
        return;
    }
    let Governor::Model { history, decided: true, .. } = &flow.governor else { return };
    let (Some(decider), Some(hash)) = (models.live(flow.generation), flows.hash(flow.id)) else { return };
    let mut features = [0; INPUTS];
    history.write_inputs(&mut features);
    let sample = Sample {
        schema_hash: decider.executable().snapshot().schema_hash(),
        generation: flow.generation,
        flow: hash,
        features,
        action_q16: flow.action_q16,
        rate_bps: flow.pacer.rate().0,
        at_ns: ended.now.0,
        duration_ns: ended.report.duration_ns,
        sent_bytes: ended.report.sent_bytes,
        acked_bytes: ended.report.acked_bytes,
        lost_bytes: ended.report.lost_bytes,
        rtt_ns: ended.mean_rtt.0,
        base_rtt_ns: flow.base.min_interval_mean_ns,
    };
    match lane.push(sample) {
        Ok(()) => stats.samples_taken += 1,
        Err(_) => stats.samples_dropped += 1,
    }
}
