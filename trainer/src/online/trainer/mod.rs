//! The trainer of one model: what is called, in which order.

mod command;
mod observe;
mod step;

#[cfg(test)]
mod tests;

pub use command::{CommandError, Publication};
pub use observe::Labelled;
pub use step::StepReport;

use super::adapter::Adapter;
use super::choices::Choices;
use super::config::TrainerConfig;
use super::contest::Contest;
use super::examples::Examples;
use super::flows::Flows;
use super::gate::{Refusal, Terms, Trial, sound, valid};
use super::generations::{Content, Generation, Generations};
use super::lessons::Lessons;
use super::memory::Memory;
use super::paths::Remembered;
use super::replay::Replay;
use super::stats::TrainerStats;
use super::watch::Watch;
use super::window::Window;
use crate::network::Network;
use crate::store::Reason;
use std::collections::{BTreeMap, VecDeque};
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
/// Turns the samples of one model into snapshots worth publishing.
///
/// ```text
/// every sample            observe, observe_flow or observe_choice, by the model's function
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
    choices: Choices,
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
            choices: Choices::new(FLOWS_MAX),
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
