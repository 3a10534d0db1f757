//! The gate: what stands between a tuned network and the wire.
//!
//! ```text
//! candidate -> stale? -> converged -> sound (floats) -> necessary -> known bad? -> quantised -> valid (integers)
//!           -> precise -> safe -> not worse in replay, or better on hold-out rows -> accepted
//! ```
//!
//! LiteFlow publishes what is *correct and necessary*; the stages after *necessary* are what it leaves to the user. Each
//! is a file with its own tests; the first that fails refuses, with one [`Refusal`], and nothing has changed. The order is
//! that of cost, save that floats are looked at before anything is computed with them.

mod converged;
mod hold_out;
mod necessary;
mod not_worse;
mod precise;
mod refusal;
mod safe;
mod sound;
mod trial;
mod valid;

#[cfg(test)]
pub(super) mod tests;

pub use converged::{Stability, converged};
pub use hold_out::{ERRORS, HoldOut};
pub use necessary::{Fidelity, Statistic, fidelity_loss, necessary};
pub use not_worse::{Replayed, Tolerance};
pub use precise::{Encoded, Quantisation, Quantiser, calibrated};
pub use refusal::{Refusal, RefusalReason};
pub use safe::Safety;
pub use sound::sound;
pub use trial::{Judging, Trial};
pub use valid::valid;

use super::examples::{Answers, Examples};
use super::paths::{InUse, Met};
use crate::network::{Network, Output};
use crate::quantise::InputMap;
use crate::spec::Built;
use weir_snapshot::{Executable, Function, Precision};

/// What every snapshot of a model must be made for.
#[derive(Debug, Clone, PartialEq)]
pub struct Terms {
    /// The model's name: 1 to 32 printable ASCII bytes.
    pub name: String,
    /// What it decides.
    pub function: Function,
    /// Names the input definitions.
    pub schema_hash: u64,
    /// One per network input.
    pub inputs: Vec<InputMap>,
    /// Values that it gives.
    pub outputs: usize,
    /// What they mean.
    pub output: Output,
}

impl Terms {
    /// Those of a model that was built from a file.
    pub fn of(built: &Built) -> Terms {
        Terms {
            name: built.report.name.clone(),
            function: built.report.function,
            schema_hash: built.report.schema_hash,
            inputs: built.inputs.clone(),
            outputs: built.network.outputs(),
            output: built.network.output,
        }
    }
}

/// What must hold.
#[derive(Debug, Clone, PartialEq)]
pub struct GateConfig {
    /// *Converged*.
    pub stability: Stability,
    /// *Necessary*.
    pub fidelity: Fidelity,
    /// Precisions that may be published, cheapest first.
    pub precisions: Vec<Precision>,
    /// *Quantisation error*.
    pub quantisation: Quantisation,
    /// *Safe*; `None` for functions without a guard on their output.
    pub safety: Option<Safety>,
    /// *Not worse*.
    pub tolerance: Tolerance,
    /// Fewest hold-out rows to judge by.
    pub rows_min: usize,
}

impl GateConfig {
    /// The defaults, with this guard.
    pub fn new(safety: Option<Safety>) -> GateConfig {
        GateConfig {
            stability: Stability::default(),
            fidelity: Fidelity::default(),
            precisions: Precision::ALL.to_vec(),
            quantisation: Quantisation::default(),
            safety,
            tolerance: Tolerance::default(),
            rows_min: 64,
        }
    }
}

/// A network that asks to be published.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// The float network.
    pub network: &'a Network,
    /// The generation that tuning began from.
    pub tuned_from: u32,
    /// Stability values, oldest first.
    pub stability: &'a [f64],
}

/// What a candidate is judged by.
#[derive(Clone, Copy)]
pub struct Evidence<'a> {
    /// The active generation.
    pub active: u32,
    /// Its snapshot.
    pub running: &'a Executable,
    /// Generations that live traffic fared badly with.
    pub known_bad: &'a [(u32, Executable)],
    /// The newest decisions: for fidelity loss and calibration.
    pub recent: &'a Examples,
    /// Decisions that no adapter was shown: for quantisation error, safety and hold-out loss.
    pub hold_out: &'a Examples,
    /// How candidates of this function are compared.
    pub comparison: Comparison<'a>,
}

/// How a candidate is held against what runs.
#[derive(Clone, Copy)]
pub enum Comparison<'a> {
    /// In closed loop, in a link world.
    Replay {
        /// Paths in use; some episodes each.
        present: &'a [InUse],
        /// Seed of the first of them.
        seed: u64,
        /// Paths met earlier.
        remembered: &'a [Met],
    },
    /// By its loss on the hold-out rows: it must be better there.
    HoldOut,
}

/// What was measured on the way; `None` from the stage that refused on, save that a fidelity loss and quantisation errors
/// that were too small or too large are told, too.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Figures {
    /// Spread of the stability values.
    pub stability_spread: Option<f64>,
    /// Fidelity loss in sigmas.
    pub fidelity_loss: Option<f64>,
    /// Mean quantisation error in sigmas.
    pub quantisation_mean: Option<f64>,
    /// Its 99th percentile.
    pub quantisation_p99: Option<f64>,
    /// Share of hold-out rows that the guard would clamp.
    pub clamped_share: Option<f64>,
    /// Bounds of each output over the whole box of inputs.
    pub output_bounds: Vec<(f64, f64)>,
    /// What the running snapshot earned on remembered paths of which no best reward was known, by seed.
    pub bests: Vec<(u64, f64)>,
    /// Rewards in replay.
    pub replayed: Option<Replayed>,
    /// Losses on hold-out rows.
    pub hold_out: Option<HoldOut>,
}

/// A verdict, with what it rests on.
#[derive(Debug)]
pub struct Judged {
    /// Measured.
    pub figures: Figures,
    /// The snapshot to publish, or why there is none.
    pub verdict: Result<Encoded, Refusal>,
}

/// Judges a candidate, up to the replay, which may take its time. Pure: the same evidence gives the same verdict.
pub fn judge(
    candidate: &Candidate<'_>,
    evidence: &Evidence<'_>,
    terms: &Terms,
    config: &GateConfig,
) -> Judging {
    let recent = evidence.recent;
    let mut quantiser =
        |network: &Network, precision: Precision| calibrated(network, precision, terms, recent);
    judge_with(candidate, evidence, terms, config, &mut quantiser)
}

/// [`judge`], with the bytes made by `quantiser`.
pub fn judge_with(
    candidate: &Candidate<'_>,
    evidence: &Evidence<'_>,
    terms: &Terms,
    config: &GateConfig,
    quantiser: &mut Quantiser<'_>,
) -> Judging {
    let mut figures = Figures::default();
    let checked = stages(candidate, evidence, terms, config, quantiser, &mut figures);
    match (checked, evidence.comparison) {
        (Ok(encoded), Comparison::Replay { present, seed, remembered }) => {
            Judging::Replay(Box::new(Trial::new(encoded, figures, (present, seed), remembered)))
        }
        (verdict, _) => Judging::Done(Box::new(Judged { figures, verdict })),
    }
}

/// Every stage but the replay.
fn stages(
    candidate: &Candidate<'_>,
    evidence: &Evidence<'_>,
    terms: &Terms,
    config: &GateConfig,
    quantiser: &mut Quantiser<'_>,
    figures: &mut Figures,
) -> Result<Encoded, Refusal> {
    if candidate.tuned_from != evidence.active {
        return Err(Refusal::Stale { tuned_from: candidate.tuned_from, active: evidence.active });
    }
    figures.stability_spread = Some(converged(candidate.stability, &config.stability)?);
    sound(candidate.network, terms)?;

    let hold_out = evidence.hold_out;
    let (found, needed) = (hold_out.len().min(evidence.recent.len()), config.rows_min);
    if found < needed {
        return Err(Refusal::TooLittleEvidence { found, needed });
    }
    let float = Answers::float(candidate.network, &terms.inputs, evidence.recent);
    let running = Answers::integers(evidence.running, evidence.recent);
    let loss = fidelity_loss(&float, &running, config.fidelity.statistic);
    figures.fidelity_loss = Some(loss);
    necessary(loss, &config.fidelity)?;
    unlike_known_bad(&float, evidence, &config.fidelity)?;

    let float = Answers::float(candidate.network, &terms.inputs, hold_out);
    let running = Answers::integers(evidence.running, hold_out);
    // An answer that hardly varies has no deviation to hold an error against; what runs then has.
    let scales: Vec<f64> =
        float.deviations().iter().zip(running.deviations()).map(|(ours, theirs)| ours.max(theirs)).collect();
    let encoded = precise::encode(
        candidate.network,
        terms,
        &config.precisions,
        &config.quantisation,
        (hold_out, &float, &scales),
        quantiser,
    );
    let errors = match &encoded {
        Ok(Encoded { mean, p99, .. }) | Err(Refusal::Imprecise { mean, p99, .. }) => Some((*mean, *p99)),
        Err(_) => None,
    };
    (figures.quantisation_mean, figures.quantisation_p99) = errors.unzip();
    let encoded = encoded?;
    figures.output_bounds = precise::output_bounds(candidate.network, terms);
    if let Some(safety) = &config.safety {
        figures.clamped_share = Some(safety.check(hold_out, &encoded.answers, &running)?);
    }
    if matches!(evidence.comparison, Comparison::HoldOut) {
        figures.hold_out = Some(hold_out::hold_out(hold_out, &encoded.answers, &running)?);
    }
    Ok(encoded)
}

/// A candidate that says the same as one that was rolled back would fare the same.
fn unlike_known_bad(float: &Answers, evidence: &Evidence<'_>, fidelity: &Fidelity) -> Result<(), Refusal> {
    for (generation, executable) in evidence.known_bad {
        let known = Answers::integers(executable, evidence.recent);
        let distance = fidelity_loss(float, &known, Statistic::Mean);
        if distance < fidelity.threshold.min(KNOWN_BAD_SIGMAS) {
            return Err(Refusal::KnownBad { generation: *generation, distance });
        }
    }
    Ok(())
}

/// How far from a generation that was rolled back a candidate must at least be, in sigmas: further than rounding takes a
/// snapshot from its own floats.
const KNOWN_BAD_SIGMAS: f64 = 0.05;
