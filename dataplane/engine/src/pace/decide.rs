//! The end of monitor intervals: features, who decides, and the decision.

use super::Pacing;
use super::flow::{Aside, Decider, FlowFlags, Governor, PacedFlow, Share};
use super::outcome::{self, Ended};
use super::settings::Settings;
use crate::config::{PacingMode, Pin};
use crate::counters::WorkerStats;
use crate::guard::Limit;
use crate::io::Frame;
use crate::models::{Generation, ModelSet};
use crate::probe::Probe;
use crate::rule::Evidence;
use crate::sampler::Draw;
use crate::time::{BitsPerSec, Ns};
use arrayvec::ArrayVec;
use weir_features::{Brake, History, INPUTS, LongerPath, Noise, apply_action};
use weir_snapshot::Scratch;

/// Intervals ended per turn, hence rows per inference batch: a burst's worth. Those beyond wait for the next turn, a
/// few microseconds on, and are that much longer.
pub(super) const ENDS_PER_TURN: usize = 32;
/// An interval that lacks an RTT sample is looked at again after this fraction of its age.
const WAIT_FRACTION: u64 = 4;

/// Flows whose interval ended this turn and whose network has yet to speak: one group per live weight set.
#[derive(Debug)]
pub(super) struct Batch {
    groups: [ArrayVec<Waiting, ENDS_PER_TURN>; 2],
    pub(super) rows: Rows,
}

/// What a network is run over, and with.
#[derive(Debug)]
pub(super) struct Rows {
    items: Box<[i16; ENDS_PER_TURN * INPUTS]>,
    scratch: Scratch,
}

/// Loss whatever the rate that the rule puts up with under a sender that answers none, in 1/65536: an eighth. BBR, which it is
/// made after, gives way at a fifth.
const RULE_TOLERATES: u16 = 1 << 13;

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
            rows: Rows { items: Box::new([0; ENDS_PER_TURN * INPUTS]), scratch: Scratch::new() },
        }
    }
}

impl Rows {
    /// What the network answers, in order, on one row for each of `asked`, of which there are [`ENDS_PER_TURN`] at most; `show`
    /// writes what it is shown.
    pub(super) fn run<T>(
        &mut self,
        generation: &Generation,
        asked: &[T],
        mut show: impl FnMut(&T, &mut [i32; INPUTS]),
        stats: &mut WorkerStats,
        probe: &mut impl Probe,
    ) -> [i32; ENDS_PER_TURN] {
        let executable = generation.executable();
        let (count, mut actions) = (asked.len(), [0; ENDS_PER_TURN]);
        probe.inference_begin();
        for (asked, row) in asked.iter().zip(self.items.chunks_exact_mut(INPUTS)) {
            let mut inputs = [0; INPUTS];
            show(asked, &mut inputs);
            executable.quantise_row(&inputs, row);
        }
        executable.run(&self.items[..count * INPUTS], count, &mut actions[..count], &mut self.scratch);
        probe.inference_end(count);
        stats.inferences += count as u64;
        stats.inference_batches += 1;
        actions
    }
}

impl<F: Frame> Pacing<F> {
    /// Ends the intervals that are due, up to a bound, and decides the rates that follow.
    pub fn end_intervals(
        &mut self,
        now: Ns,
        models: &ModelSet,
        stats: &mut WorkerStats,
        probe: &mut impl Probe,
    ) {
        self.act_late(now, stats);
        // All are known, and their memory asked for, before the first is read: of many flows few are in a near cache.
        let mut ended = ArrayVec::<u32, ENDS_PER_TURN>::new();
        ended.extend(self.datagrams.take_due());
        while !ended.is_full()
            && let Some(index) = self.intervals.pop(now)
        {
            weir_cpu::prefetch_element(&self.flows, index as usize);
            weir_cpu::prefetch_element(&self.asides, index as usize);
            ended.push(index);
        }
        for index in ended {
            self.end_interval(index, now, models, stats);
        }
        for (group, generation) in [models.active(), models.previous()].into_iter().enumerate() {
            if let Some(generation) = generation {
                self.infer(group, generation, now, stats, probe);
            }
        }
    }

    fn end_interval(&mut self, index: u32, now: Ns, models: &ModelSet, stats: &mut WorkerStats) {
        let settings = &self.settings;
        let place = (self.flows.get_mut(index as usize), self.asides.get_mut(index as usize));
        let (Some(Some(flow)), Some(aside)) = place else { return };
        self.intervals.close(flow);
        if flow.flags.has(FlowFlags::CLOSING) {
            self.forget_if_done(index);
            return;
        }
        if !flow.interval.due(now.0, &settings.spec) {
            if flow.flags.has(FlowFlags::TOUCHED) || !flow.queue.is_empty() {
                let age = now.0.saturating_sub(flow.interval.start_ns());
                self.intervals.open(index, flow, now + Ns(age / WAIT_FRACTION));
            } else {
                // The flow rests: its next frame opens the next interval.
                settings.commit(flow, aside);
            }
            return;
        }
        settings.commit(flow, aside);
        if flow.queue.is_empty() {
            flow.end_idle(now);
        }
        let waited_ns = match self.limited.is_on() {
            true => self.limited.end_interval(index as usize, Ns(flow.interval.start_ns()), now),
            false => 0,
        };
        // What an interval of two settings brought is the outcome of neither: a new bound holds at once.
        let unchanged = aside.edition == self.edition;
        let renew = |flow: &mut PacedFlow, aside: &mut Aside| {
            if !unchanged {
                let redefined = aside.edition < self.features_edition;
                aside.edition = self.edition;
                settings.renew(flow, aside.hash, redefined, now);
            }
        };
        let report = flow.interval.finish(now.0, &mut flow.base, &settings.spec);
        let Some(mean_rtt) = report.mean_rtt_ns.map(Ns) else {
            // Silence is no ground for a decision; the sender's own timeout deals with it.
            stats.intervals_without_rtt += 1;
            flow.governor.set_decided(false);
            renew(flow, aside);
            settings.begin_interval(&mut self.intervals, index, flow, now);
            return;
        };
        let app_limited = flow.is_app_limited(waited_ns, report.duration_ns);
        let ended = Ended { now, report, mean_rtt, app_limited };
        stats.intervals += 1;
        stats.intervals_limit_bound += u64::from(waited_ns > report.duration_ns / 5);
        stats.intervals_app_limited += u64::from(ended.app_limited);
        outcome::count(stats, flow, &ended);
        if unchanged && let Some(sample) = outcome::sample(flow, *aside, &ended, settings, models) {
            outcome::tell(sample, &mut self.samples, stats);
        }
        // The interval that ended belongs to the settings that it had; the decision that follows to the new ones.
        renew(flow, aside);

        let wanted = settings.model && flow.flags.share() != Share::Control && !aside.concession.holds(now);
        if let Some(active) = models.active().filter(|_| wanted) {
            govern_by_model(settings, flow, active, models, now, stats);
            if let Governor::Model { history, .. } = &mut flow.governor {
                history.push(report.features);
            }
            let group = usize::from(flow.generation != active.number());
            aside.brake(flow, &report);
            let (rate, lowest) = (flow.pacer.rate(), settings.guard.lowest().0);
            let longer = aside.longer.observe(&report, &mut flow.base, rate.0, lowest);
            stats.longer_paths += u64::from(longer);
            if settings.rule_competes() {
                let concedes = aside.concession.observe(now, longer, rate, ended.app_limited);
                stats.concessions += u64::from(concedes);
            }
            // There is room: no more flows end per turn than one group holds.
            let app_limited_at = ended.app_limited.then(|| flow.sent_rate(&ended.report));
            self.batch.groups[group].push(Waiting { index, app_limited_at });
        } else {
            if matches!(flow.governor, Governor::Model { .. }) {
                settings.govern_by_rule(flow, now);
            }
            // A rule goes by what was delivered, and starts from nothing else. But where its sender answers no loss, nothing
            // else would either: what floods a queue keeps being delivered.
            let mut brake = Brake::default();
            if settings.mode == PacingMode::Yield && matches!(flow.governor, Governor::Bbr { .. }) {
                aside.brake(flow, &report);
                aside.brake.tolerate_at_most(RULE_TOLERATES);
                brake = aside.brake;
            }
            aside.forget();
            aside.brake = brake;
            stats.longer_paths += u64::from(follow_rule_to_longer_path(flow));
            decide_by_rule(settings, flow, &ended, brake, stats);
            settings.begin_interval(&mut self.intervals, index, flow, now);
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
        let Batch { groups, rows } = &mut self.batch;
        let waiting = &mut groups[group];
        if waiting.is_empty() {
            return;
        }
        let shown = |waiting: &Waiting, inputs: &mut [i32; INPUTS]| {
            if let Some(Some(PacedFlow { governor: Governor::Model { history, .. }, .. })) =
                self.flows.get(waiting.index as usize)
            {
                history.write_inputs(inputs);
            }
        };
        let actions = rows.run(generation, waiting, shown, stats, probe);
        for (waiting, output_q16) in waiting.drain(..).zip(actions) {
            let place =
                (self.flows.get_mut(waiting.index as usize), self.asides.get_mut(waiting.index as usize));
            let (Some(Some(flow)), Some(aside)) = place else { continue };
            aside.explored = aside.explored.wrapping_add(u32::from(flow.flags.share() == Share::Exploring));
            flow.output_q16 = output_q16;
            let noise = noise(&self.settings, flow, *aside);
            let (action_q16, limit) = action(&self.settings, output_q16, noise.as_ref());
            count_limits(stats, [limit]);
            if self.late.is_late() {
                self.late.keep(now, (waiting.index, flow.id), action_q16, waiting.app_limited_at);
            } else {
                let present = flow.pacer.rate();
                let action = (action_q16, waiting.app_limited_at);
                count_limits(stats, step(&self.settings, flow, present, aside.brake, action));
            }
            flow.governor.set_decided(true);
            count_decision(stats, flow);
            self.settings.begin_interval(&mut self.intervals, waiting.index, flow, now);
        }
    }
}

/// The noise of the flow's last decision, where it explores.
pub(super) fn noise(settings: &Settings, flow: &PacedFlow, aside: Aside) -> Option<Noise> {
    let explorer = settings.explorer.filter(|_| flow.flags.share() == Share::Exploring)?;
    Some(explorer.noise(Draw::Noise.nth(aside.hash, aside.explored)))
}

/// What is done where a network says `output_q16`.
pub(super) fn action(settings: &Settings, output_q16: i32, noise: Option<&Noise>) -> (i32, Option<Limit>) {
    settings.guard.action(output_q16.saturating_add(noise.map_or(0, |noise| noise.noise_q16)))
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

/// Wraps after 65 s, beyond any pin: a flow that was bound longer ago than that may take itself for pinned once more, for
/// no longer than its pin.
fn millis(now: Ns) -> u16 {
    (now.0 / 1_000_000) as u16
}

/// A rule has a window and a probe of its own, which say when the path has become longer; the network, and what a trainer
/// compares it by, go by the same base. Whether they did.
fn follow_rule_to_longer_path(flow: &mut PacedFlow) -> bool {
    let Governor::Bbr { rule, .. } = &flow.governor else { return false };
    let (least_ns, base_ns) = (rule.min_rtt_ns(), &mut flow.base.min_interval_mean_ns);
    let longer = LongerPath::is_beyond(least_ns, *base_ns);
    if longer {
        *base_ns = least_ns;
    }
    longer
}

fn decide_by_rule(
    settings: &Settings,
    flow: &mut PacedFlow,
    ended: &Ended,
    brake: Brake,
    stats: &mut WorkerStats,
) {
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
        Governor::Bbr { rule, .. } => rule.on_interval(&seen, rate),
        Governor::Fixed { .. } => Some(rate),
        Governor::Model { .. } | Governor::Free => None,
    };
    if let Some(rate) = decided {
        // No bound by evidence here: a rule leaves app-limited intervals out of its estimate itself, and may go back
        // to a rate that an earlier interval proved.
        let (rate, limit) = braked(rate, brake);
        count_limits(stats, [limit, set_rate(settings, flow, rate)]);
        count_decision(stats, flow);
    }
    // To leave the rate as it is was a decision too.
    flow.governor.set_decided(true);
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

/// Takes a network's step from the rate `present`, within what the flow's evidence and losses allow. With the action comes what
/// the flow sent, if its sender was the limit. Returns what the guard limited.
pub(super) fn step(
    settings: &Settings,
    flow: &mut PacedFlow,
    present: BitsPerSec,
    brake: Brake,
    (action_q16, app_limited_at): (i32, Option<BitsPerSec>),
) -> [Option<Limit>; 2] {
    let rate = BitsPerSec(apply_action(present.0, action_q16));
    let rate = bounded_by_evidence(rate, present, app_limited_at);
    let (rate, limit) = braked(rate, brake);
    [limit, set_rate(settings, flow, rate)]
}

/// A network's rate within what its flow's losses allow.
fn braked(rate: BitsPerSec, brake: Brake) -> (BitsPerSec, Option<Limit>) {
    let limited = BitsPerSec(brake.limit(rate.0));
    (limited, (limited < rate).then_some(Limit::Loss))
}

/// Applies a decision within the guard's bounds. Returns which of them it met.
fn set_rate(settings: &Settings, flow: &mut PacedFlow, rate: BitsPerSec) -> Option<Limit> {
    let (rate, limit) = settings.guard.rate(rate);
    flow.pacer.set_rate(rate);
    limit
}

/// Counts what the guard limited of a decision.
pub(super) fn count_limits(stats: &mut WorkerStats, limits: impl IntoIterator<Item = Option<Limit>>) {
    for limit in limits.into_iter().flatten() {
        *match limit {
            Limit::Action => &mut stats.guard_action,
            Limit::Loss => &mut stats.guard_loss,
            Limit::Floor => &mut stats.guard_floor,
            Limit::Ceiling => &mut stats.guard_ceiling,
        } += 1;
    }
}

/// A decision has been made for the interval that opens next.
fn count_decision(stats: &mut WorkerStats, flow: &PacedFlow) {
    *match flow.decider() {
        Decider::Model => &mut stats.decisions_model,
        Decider::Explored => &mut stats.decisions_explored,
        Decider::Rule => &mut stats.decisions_rule,
        Decider::Control => &mut stats.decisions_control,
    } += 1;
}
