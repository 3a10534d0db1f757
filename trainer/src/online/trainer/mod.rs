//! The trainer of one model: what is called, in which order.

mod command;
mod step;

#[cfg(test)]
mod tests;

pub use command::{CommandError, Publication};
pub use step::StepReport;

use super::adapter::Adapter;
use super::config::TrainerConfig;
use super::contest::Contest;
use super::examples::{Examples, Outcome};
use super::flows::Flows;
use super::gate::{Refusal, Safety, Terms, Trial, sound, valid};
use super::generations::{Content, Generation, Generations};
use super::lessons::Lessons;
use super::memory::Memory;
use super::paths::Remembered;
use super::replay::Replay;
use super::stats::TrainerStats;
use super::watch::Watch;
use super::window::{Recorded, Window};
use crate::network::Network;
use crate::store::Reason;
use std::collections::{BTreeMap, VecDeque};
use weir_features::{ONE, Sample, Source, apply_action};
use weir_snapshot::{Executable, Executor};

/// Flows whose paths are told apart.
const FLOWS_MAX: usize = 65_536;
/// How far back a flow's capacity and queue are remembered, in nanoseconds: BBR's window for the base RTT. A shorter one
/// would let a flow that slows down forget what it could have.
const SPAN_NS: u64 = 10_000_000_000;
/// Examples of each kind that candidates are judged by: percentiles of some hundred rows, in a millisecond or two.
const EXAMPLES: usize = 512;
/// Paths that are remembered for replay.
const PATHS: usize = 32;
/// Exploration noise before any sample has told of it: the datapath's default.
const SIGMA: f64 = 0.5;
/// Labelled decisions that are remembered: some 5 MB.
const ROWS_REMEMBERED: usize = 32_768;
/// One block of so many consecutive samples of a flow in [`HELD_OUT`] is held out: whole blocks, because a trajectory with
/// a hole is two.
const BLOCK: u64 = 32;
const HELD_OUT: u64 = 8;

/// Turns the samples of one model into snapshots worth publishing.
///
/// ```text
/// every sample            observe
/// every interval (due)    step -> perhaps a Publication -> [store, epoch] -> published | not_published
/// an operator             rollback, freeze, resume; a reload: install
/// ```
///
/// Pure: no clock, no thread, no file. Time is an argument, in nanoseconds of any one clock. A publication takes effect when
/// the caller says so; until then everything goes on with what runs.
pub struct Trainer {
    config: TrainerConfig,
    terms: Terms,
    adapter: Box<dyn Adapter>,
    /// `None` where candidates are compared by hold-out loss.
    replay: Option<Box<dyn Replay>>,
    generations: Generations,
    window: Window,
    memory: Memory,
    flows: Flows,
    paths: Remembered,
    watch: Watch,
    contest: Contest,
    recent: Examples,
    hold_out: Examples,
    known_bad: VecDeque<(u32, Executable)>,
    stability: VecDeque<f64>,
    /// The generation that the adapter's network was tuned from; `None` while a reset has not worked.
    tuned_from: Option<u32>,
    /// A roll back or a reload's model that has not been published yet: no candidate may overtake it.
    awaited: Option<u32>,
    /// A candidate in replay.
    trial: Option<OnTrial>,
    /// What the newest candidate earned on remembered paths, by seed: counts once it is published.
    earned: Vec<(u64, f64)>,
    /// Standard deviation of the datapath's exploration noise, as the newest sample had it, in units of the action.
    sigma: f64,
    /// Predictions so far.
    labelled: u64,
    wrong_in_a_row: u32,
    /// Whether the network is taught, and does not find out for itself.
    lessons: Lessons,
    stepped_ns: Option<u64>,
    stats: TrainerStats,
}

/// A candidate in replay, and what it is to be published with.
struct OnTrial {
    trial: Box<Trial>,
    /// The generation that it is held against.
    against: u32,
    network: Network,
}

/// A decision of a function that is judged by what it predicted (schedule, balance), with the truth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Labelled<'a> {
    /// Names the definitions of the features.
    pub schema_hash: u64,
    /// The generation that decided.
    pub generation: u32,
    /// In 1/65536, as many as the network has inputs.
    pub features: &'a [i32],
    /// What was predicted, or the number of the arm that was taken.
    pub action: f64,
    /// What came of it: the true value, or the arm's reward.
    pub truth: f64,
    /// How much it counts.
    pub weight: f64,
    /// Natural logarithm of the probability with which the arm was taken; 0 where nothing was left to chance.
    pub log_prob: f64,
}

/// A generation to start with.
#[derive(Debug, Clone)]
pub struct Start {
    /// Its number; 0 for one that is yet to be numbered.
    pub number: u32,
    /// Where it comes from.
    pub reason: Reason,
    /// The float network.
    pub network: Network,
    /// The snapshot's bytes.
    pub bytes: Vec<u8>,
    /// Whether it was rolled back.
    pub refused: bool,
}

/// Why a trainer, or a command of its, has no model to work with.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A snapshot or network is not one for this model.
    #[error("generation {number}: {refusal}")]
    Unfit {
        /// The generation.
        number: u32,
        /// Why.
        refusal: Refusal,
    },
    /// This machine cannot run it.
    #[error("no executor for the snapshot: {0}")]
    Executor(String),
}

impl Trainer {
    /// A trainer for the model of `terms`, tuned by `adapter`; candidates are driven in `replay`, or compared by hold-out
    /// loss where there is none (predictions).
    ///
    /// `earlier` generations can be rolled back to; numbers go on after the highest of theirs and `highest`. Nothing runs
    /// yet: [`install`](Self::install) comes next.
    ///
    /// # Errors
    /// [`StartError`]
    pub fn new(
        config: TrainerConfig,
        terms: Terms,
        adapter: Box<dyn Adapter>,
        replay: Option<Box<dyn Replay>>,
        earlier: Vec<Start>,
        highest: u32,
    ) -> Result<Trainer, StartError> {
        let width = terms.inputs.len();
        let mut generations = Generations::new(config.keep, highest);
        let mut known_bad = VecDeque::new();
        for start in earlier {
            let (number, refused) = (start.number, start.refused);
            let content = content(start, &terms)?;
            if refused {
                known_bad.push_back((number, content.executable.clone()));
            }
            generations.remember(number, refused, content);
        }
        Ok(Trainer {
            generations,
            window: Window::new(width, config.rows_max),
            memory: Memory::new(ROWS_REMEMBERED, config.seed),
            flows: Flows::new(FLOWS_MAX, SPAN_NS),
            paths: Remembered::new(PATHS),
            watch: Watch::new(config.watch, 0),
            contest: Contest::default(),
            recent: Examples::new(width, EXAMPLES),
            hold_out: Examples::new(width, EXAMPLES),
            known_bad,
            stability: VecDeque::new(),
            tuned_from: None,
            awaited: None,
            trial: None,
            earned: Vec::new(),
            sigma: SIGMA,
            labelled: 0,
            wrong_in_a_row: 0,
            lessons: Lessons::default(),
            stepped_ns: None,
            stats: TrainerStats::new(),
            config,
            terms,
            adapter,
            replay,
        })
    }

    /// Takes note of one sample. Bounded in time and memory, whatever comes.
    pub fn observe(&mut self, sample: &Sample) {
        let counts = &mut self.stats.samples;
        let decided = sample.source != Source::Control;
        if decided && sample.schema_hash != self.terms.schema_hash {
            counts.foreign_schema += 1;
            return;
        }
        if decided && !self.generations.live(sample.generation) {
            counts.stale_generation += 1;
            return;
        }
        let Some((flow, reward)) = self.flows.note(sample, &self.config.preference) else {
            counts.too_many_flows += 1;
            return;
        };
        if !decided {
            counts.control += 1;
            return;
        }
        if let Some(noise) = sample.noise() {
            self.sigma = f64::from(noise.sigma_q16.max(1)) / f64::from(ONE);
        }
        let block = (flow.samples - 1) / BLOCK;
        // Which block comes first depends on the flow, else short ones would never, or always, be held out.
        if sample.flow.wrapping_add(block).is_multiple_of(HELD_OUT) {
            counts.held_out += 1;
            self.hold_out.push(&sample.features, outcome(sample, self.config.gate.safety.as_ref()));
            return;
        }
        self.recent.push(&sample.features, outcome(sample, self.config.gate.safety.as_ref()));
        match self.window.push(recorded(sample, reward), &sample.features) {
            true => counts.taken += 1,
            false => counts.window_full += 1,
        }
    }

    /// Takes note of a prediction whose truth is known. Bounded in time and memory, whatever comes.
    pub fn observe_labelled(&mut self, labelled: &Labelled<'_>) {
        let counts = &mut self.stats.samples;
        if labelled.schema_hash != self.terms.schema_hash {
            counts.foreign_schema += 1;
            return;
        }
        if !self.generations.live(labelled.generation) {
            counts.stale_generation += 1;
            return;
        }
        let outcome = Outcome { rate_bps: 0, truth: labelled.truth };
        self.labelled += 1;
        if self.labelled.is_multiple_of(HELD_OUT) {
            counts.held_out += 1;
            self.hold_out.push(labelled.features, outcome);
            return;
        }
        self.recent.push(labelled.features, outcome);
        let record = Recorded {
            flow: 0,
            generation: labelled.generation,
            // No two follow each other.
            span_ns: (u64::MAX, 0),
            action: labelled.action as f32,
            noise: 0.0,
            log_prob: labelled.log_prob as f32,
            reward: labelled.truth as f32,
            weight: labelled.weight as f32,
            explored: labelled.log_prob < 0.0,
        };
        match self.window.push(record, labelled.features) {
            true => counts.taken += 1,
            false => counts.window_full += 1,
        }
    }

    /// Whether the interval has passed since the last step.
    pub fn due(&self, now_ns: u64) -> bool {
        self.stepped_ns.is_none_or(|stepped_ns| now_ns.saturating_sub(stepped_ns) >= self.config.interval_ns)
    }

    /// Counters and gauges.
    pub fn stats(&self) -> &TrainerStats {
        &self.stats
    }

    /// The generations that are kept, oldest first.
    pub fn generations(&self) -> &[Generation] {
        self.generations.all()
    }

    /// What every snapshot of the model is made for.
    pub fn terms(&self) -> &Terms {
        &self.terms
    }
}

/// What a decision's outcome says to those who judge networks by it.
fn outcome(sample: &Sample, safety: Option<&Safety>) -> Outcome {
    // Opposite actions undo each other, so this is the rate before the decision. Where the guard bounded it nobody knows:
    // taken for one that led just to the bound, it would count against every network that says a little more.
    let within = safety.is_none_or(|safety| safety.is_within(sample.rate_bps));
    let rate_bps = if within { apply_action(sample.rate_bps, sample.action_q16.saturating_neg()) } else { 0 };
    Outcome { rate_bps, truth: 0.0 }
}

fn recorded(sample: &Sample, reward: f64) -> Recorded {
    let real = |q16: i32| q16 as f32 / ONE as f32;
    let noise = sample.noise();
    // The density is that of output and noise, before the guard.
    let action_q16 = noise.map_or(sample.action_q16, |n| sample.output_q16.saturating_add(n.noise_q16));
    Recorded {
        flow: sample.flow,
        generation: sample.generation,
        span_ns: (sample.at_ns.saturating_sub(sample.duration_ns), sample.at_ns),
        action: real(action_q16),
        noise: noise.map_or(0.0, |n| real(n.noise_q16)),
        log_prob: noise.map_or(0.0, |n| real(n.log_prob_q16)),
        reward: reward as f32,
        weight: 1.0,
        explored: noise.is_some(),
    }
}

/// Checks what claims to be a generation.
fn content(start: Start, terms: &Terms) -> Result<Content, StartError> {
    let unfit = |refusal| StartError::Unfit { number: start.number, refusal };
    sound(&start.network, terms).map_err(unfit)?;
    let snapshot = valid(&start.bytes, terms).map_err(unfit)?;
    let executable = Executable::new(snapshot, Executor::best())
        .map_err(|error| StartError::Executor(error.to_string()))?;
    Ok(Content {
        reason: start.reason,
        network: start.network,
        bytes: start.bytes,
        executable,
        figures: BTreeMap::new(),
    })
}
