//! A burst's decisions: which flows are to be decided, what the network says, where they go.

use super::choose::{Choice, Due};
use super::config::{BalanceSettings, Cadence, PATHS_MAX, PathRule};
use super::flows::{FlowPath, NO_PATH, Place};
use super::label;
use super::path::{self, PathState};
use super::select::{Ask, Selector};
use crate::counters::WorkerStats;
use crate::models::{Generation, ModelSet};
use crate::sampler::Draw;
use crate::time::Ns;
use arrayvec::ArrayVec;
use weir_features::{FlowSignals, OF_FLOW, OF_PATH, PATH_INPUTS, PathSample, PathSource, PathSpec};
use weir_snapshot::Scratch;

/// PLB (Linux 6.2 `tcp_plb.h`, `ip-sysctl.rst`): a round is congested when half of it is marked; after three such a flow
/// redraws once it is idle, after twelve in any case; after a timeout it rests for one to two minutes.
const PLB_ROUNDS_IDLE: u8 = 3;
const PLB_ROUNDS: u8 = 12;
const PLB_REST: Ns = Ns::from_secs(60);
/// Flows whose rows are run at once.
const FLOWS_PER_RUN: usize = 32;
const ROWS: usize = FLOWS_PER_RUN * PATHS_MAX;

/// A flow that waits for its decision.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    place: Place,
    hash: u64,
    due: Due,
    /// How long it was silent; `None` for a new flow.
    gap: Option<Ns>,
}

/// Working memory of the decisions of a burst.
#[derive(Debug)]
pub(super) struct Batch {
    waiting: Vec<Waiting>,
    rows: Box<[i16; ROWS * PATH_INPUTS]>,
    scores: Box<[i32; ROWS]>,
    scratch: Scratch,
}

impl Batch {
    pub(super) fn new() -> Batch {
        Batch {
            waiting: Vec::with_capacity(super::QUEUE),
            rows: Box::new([0; ROWS * PATH_INPUTS]),
            scores: Box::new([0; ROWS]),
            scratch: Scratch::new(),
        }
    }
}

impl Selector {
    /// Decides for each flow of the frames of one burst, at most 288, that is to be decided. Nothing of what the decisions go
    /// by changes meanwhile. `models` holds networks that choose paths.
    pub fn decide(
        &mut self,
        asks: impl Iterator<Item = Ask>,
        models: &ModelSet,
        now: Ns,
        stats: &mut WorkerStats,
    ) {
        self.act_late(now);
        self.burst = self.burst.wrapping_add(1).max(1);
        self.base_rtt = self.least_rtt();
        let mut waiting = core::mem::take(&mut self.batch.waiting);
        let all_down = self.chooser(now).all_down();
        for ask in asks {
            waiting.extend(self.due(&ask, all_down, now, stats));
        }
        let generation = models.active().filter(|_| self.settings.model);
        for run in waiting.chunks(FLOWS_PER_RUN) {
            if let Some(generation) = generation {
                self.score(run, generation, now, stats);
            }
            for (at, flow) in run.iter().enumerate() {
                self.settle(at, flow, generation, now, stats);
            }
        }
        waiting.clear();
        self.batch.waiting = waiting;
    }

    /// Whether a frame's flow is to be decided, and is not yet about to be.
    fn due(&mut self, ask: &Ask, all_down: bool, now: Ns, stats: &mut WorkerStats) -> Option<Waiting> {
        let Ask { hash, begins, repeats } = *ask;
        let Some((place, gone)) = self.flows.find_or_make(hash, now) else {
            stats.path_table_full += 1;
            return None;
        };
        if let Some(gone) = gone {
            path::forget_in_flight(&mut self.states, gone.path(), gone.in_flight);
            self.records.end(gone.sample);
        }
        stats.path_all_down += u64::from(all_down);
        let flow = self.flows.get_mut(place);
        if flow.burst == self.burst {
            return None;
        }
        flow.burst = self.burst;
        let silent = now - flow.last;
        let waiting = |due| Some(Waiting { place, hash, due, gap: (due != Due::New).then_some(silent) });
        let Some(state) = flow.path().and_then(|path| self.states.get_mut(path)) else {
            return waiting(Due::New);
        };
        if begins {
            // The same ports again, another connection; a SYN that is repeated has not found its way.
            flow.bytes = 0;
            return waiting(Due::New);
        }
        let timeout = repeats && silent >= self.settings.timeout_min.max(Ns(2 * state.srtt().0));
        if timeout {
            state.on_timeout();
            self.stats[usize::from(flow.path)].timeouts += 1;
        }
        if !state.is_up() && !all_down {
            return waiting(Due::Lost);
        }
        let flowlet = silent >= self.settings.flowlet_gap;
        if self.settings.rule == PathRule::Plb {
            let rests = now < flow.suspended_until;
            let congested = flow.rounds >= PLB_ROUNDS || flowlet && flow.rounds >= PLB_ROUNDS_IDLE;
            if timeout {
                let rest = PLB_REST.0 + Draw::Path.nth(hash, flow.decisions) % PLB_REST.0;
                flow.suspended_until = now + Ns(rest);
            }
            if timeout || congested && !rests {
                flow.rounds = 0;
                return waiting(Due::Redraw);
            }
        }
        match self.settings.cadence {
            // What the flow does to its new path is seen an RTT later; until then it would decide on what was before.
            _ if flowlet && settles(&self.settings, flow, state, now) => None,
            _ if flowlet => waiting(Due::Flowlet),
            Cadence::Packet => waiting(Due::Packet),
            Cadence::Flowlet => None,
        }
    }

    /// Runs the network over the rows of some flows and all paths.
    fn score(&mut self, run: &[Waiting], generation: &Generation, now: Ns, stats: &mut WorkerStats) {
        let executable = generation.executable();
        let count = run.len() * self.states.len();
        let Selector { batch, states, flows, settings, base_rtt, .. } = self;
        let mut rows = batch.rows.chunks_exact_mut(PATH_INPUTS);
        // What a row says of a path is the same for all flows, and nothing of it changes before all are scored.
        let quantise = |input, feature| executable.quantise_input(input, feature);
        let shown = Shown::new(settings, states, *base_rtt, now, quantise);
        for waiting in run {
            for (items, row) in shown.rows(flows.get(waiting.place), waiting.gap).zip(&mut rows) {
                row.copy_from_slice(&items);
            }
        }
        executable.run(
            &batch.rows[..count * PATH_INPUTS],
            count,
            &mut batch.scores[..count],
            &mut batch.scratch,
        );
        stats.path_inferences += count as u64;
        stats.path_inference_batches += 1;
    }

    /// Puts the `at`-th flow of a run where it is to go.
    fn settle(
        &mut self,
        at: usize,
        waiting: &Waiting,
        generation: Option<&Generation>,
        now: Ns,
        stats: &mut WorkerStats,
    ) {
        let Waiting { place, hash, due, .. } = *waiting;
        let flow = *self.flows.get(place);
        let (current, n) = (flow.path().filter(|_| due != Due::New), flow.decisions);
        let control = Draw::PathControl.hits(hash, self.settings.control_share);
        let goes_on = match due {
            Due::New | Due::Lost | Due::Redraw => false,
            Due::Flowlet => self.records.goes_on(flow.sample, self.settings.flowlet_gap, now),
            Due::Packet => true,
        };
        // What is drawn within a delivery, or in a flow that is not recorded, would cost and teach nothing.
        let recorded = !goes_on && self.samples(hash, control);
        let explore_share = if recorded { self.settings.explore_share } else { 0 };
        let chooser = self.chooser(now);
        let scores = &self.batch.scores[at * self.states.len()..][..self.states.len()];
        let (choice, source, score) = match generation.filter(|_| !control) {
            Some(_) => {
                let choice = chooser.by_scores(scores, (hash, n), current, due, explore_share);
                let source = if choice.explored { PathSource::Explored } else { PathSource::Model };
                (choice, source, scores.get(choice.path).copied().unwrap_or(0))
            }
            None => {
                let path = chooser.by_rule(hash, n, current, due);
                let choices = self.states.iter().filter(|state| state.is_up()).count();
                let choice =
                    Choice { path, probability_q16: 1 << 16, choices, explored: false, clamped: false };
                (choice, PathSource::Control, 0)
            }
        };
        let path = choice.path;
        stats.path_guard += u64::from(choice.clamped);
        *match (source, control && generation.is_some()) {
            (PathSource::Explored, _) => &mut stats.path_decisions_explored,
            (PathSource::Model, _) => &mut stats.path_decisions_model,
            (PathSource::Control, true) => &mut stats.path_decisions_control,
            (PathSource::Control, false) => &mut stats.path_decisions_rule,
        } += 1;
        let late = self.late.delay() > Ns::ZERO && source != PathSource::Control;
        let begun = (recorded && !late && self.records.wanted()).then(|| {
            let signals = flow_signals(waiting.gap, flow.bytes, self.settings.flowlet_gap);
            let state = &self.states[path];
            let was_current = usize::from(flow.path) == path && flow.path != NO_PATH;
            let network = generation.filter(|_| source != PathSource::Control);
            PathSample {
                source,
                schema_hash: network.map_or(0, |network| network.executable().snapshot().schema_hash()),
                generation: network.map_or(0, Generation::number),
                flow: hash,
                features: self.settings.spec.row(&state.signals(self.base_rtt, was_current, now), &signals),
                score_q16: score,
                path: path as u8,
                choices: choice.choices as u8,
                probability_q16: choice.probability_q16,
                at_ns: now.0,
                delivery_ns: 0,
                sent_bytes: 0,
                acked_bytes: 0,
                repeated_bytes: 0,
                base_rtt_ns: state.base_rtt(),
                rate_bps: state.rate_bps(),
            }
        });
        if late {
            // Until the answer has come the flow goes by the rule, or stays.
            self.late.keep(now, hash, path);
            let meanwhile = current.unwrap_or_else(|| self.chooser(now).by_rule(hash, n, None, due));
            self.move_to(place, meanwhile, due, now);
        } else {
            self.move_to(place, path, due, now);
        }
        let sample = match goes_on {
            true => flow.sample,
            false => self.records.turn_over(flow.sample, place, begun, flow.in_flight),
        };
        let flow = self.flows.get_mut(place);
        flow.sample = sample;
        flow.decisions = n.wrapping_add(1);
        if due == Due::New || due == Due::Redraw {
            flow.label = label(hash, n);
        }
    }

    /// Whether the flow's deliveries are recorded, if anybody wants records.
    fn samples(&self, hash: u64, control: bool) -> bool {
        control && self.settings.model || Draw::PathSample.hits(hash, self.settings.sample_share)
    }

    pub(super) fn move_to(&mut self, place: Place, path: usize, due: Due, now: Ns) {
        self.stats[path].chosen += u64::from(due != Due::Packet);
        if let Some((before, left)) = self.flows.put(place, path, now) {
            self.stats[path].arrived += 1;
            path::forget_in_flight(&mut self.states, Some(before), left);
        }
    }
}

/// Whether the flow has just come to its path, and decides by what it finds there.
fn settles(settings: &BalanceSettings, flow: &FlowPath, state: &PathState, now: Ns) -> bool {
    let by_state = settings.model || settings.rule == PathRule::PowerOfTwo;
    by_state && flow.decisions > 1 && now - flow.moved < Ns(2 * state.srtt().0)
}

/// What networks are shown of each path at one moment, each feature as `item` has it: quantised for its input, or as it is.
pub(super) struct Shown<'a, T, Item> {
    settings: &'a BalanceSettings,
    item: Item,
    of_paths: ArrayVec<[T; OF_PATH], PATHS_MAX>,
    /// Of a path on which the flow is not, and on which it is.
    of_both: [T; 2],
}

impl<'a, T: Copy, Item: Fn(usize, i32) -> T> Shown<'a, T, Item> {
    pub(super) fn new(
        settings: &'a BalanceSettings,
        states: &[PathState],
        base_rtt: u64,
        now: Ns,
        item: Item,
    ) -> Shown<'a, T, Item> {
        let spec = &settings.spec;
        let of_path = |state: &PathState| {
            let features = spec.of_path(&state.signals(base_rtt, false, now));
            core::array::from_fn(|at| item(at, features[at]))
        };
        let of_paths = states.iter().take(PATHS_MAX).map(of_path).collect();
        let of_both = [false, true].map(|current| item(OF_PATH, spec.of_both(current)));
        Shown { settings, item, of_paths, of_both }
    }

    /// One row for each path, for a flow that has been silent for `gap`.
    pub(super) fn rows(
        &self,
        flow: &FlowPath,
        gap: Option<Ns>,
    ) -> impl Iterator<Item = [T; PATH_INPUTS]> + use<'_, 'a, T, Item> {
        let signals = flow_signals(gap, flow.bytes, self.settings.flowlet_gap);
        let features = self.settings.spec.of_flow(&signals);
        let of_flow: [T; OF_FLOW] = core::array::from_fn(|at| (self.item)(OF_PATH + 1 + at, features[at]));
        let current = usize::from(flow.path);
        let of_paths = self.of_paths.iter().enumerate();
        of_paths.map(move |(path, of_path)| {
            PathSpec::join(of_path, self.of_both[usize::from(path == current)], &of_flow)
        })
    }
}

fn flow_signals(gap: Option<Ns>, sent: u64, flowlet_gap: Ns) -> FlowSignals {
    FlowSignals { remaining: None, sent, gap_ns: gap.map(|gap| gap.0), flowlet_ns: flowlet_gap.0 }
}
