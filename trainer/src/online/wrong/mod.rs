//! Wrong candidates, injected where the trainer's own would be judged: none may pass, and each must be refused by the stage
//! that is there for it.

mod kinds;

pub use kinds::Kind;

use super::examples::{Answers, Examples, Outcome};
use super::gate::{
    Candidate, Comparison, Evidence, GateConfig, RefusalReason, Terms, calibrated, judge_with,
};
use super::paths::{InUse, Remembered};
use super::replay::Replay;
use crate::network::Network;
use crate::quantise::QuantiseError;
use crate::rng::Rng;
use crate::verify;
use kinds::Trick;
use std::collections::BTreeMap;
use weir_env::Estimates;
use weir_snapshot::{Executable, Executor, Function, Precision, Snapshot};

/// Rows that candidates are judged by.
const ROWS: usize = 256;
/// What is active.
const ACTIVE: u32 = 7;

/// What became of the candidates of one kind.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// The kind.
    pub kind: Kind,
    /// How many there were.
    pub injected: u64,
    /// How many passed.
    pub installed: u64,
    /// How many were refused, by reason.
    pub refused: BTreeMap<RefusalReason, u64>,
}

impl Line {
    /// Whether none passed, and each was refused by a stage that is there for it.
    pub fn holds(&self) -> bool {
        self.installed == 0 && self.refused.keys().all(|reason| self.kind.expected().contains(reason))
    }
}

/// Injects `each` candidates of every kind, made of `running`, a pacing network of `features` features per interval.
///
/// # Errors
/// One line when `running` itself has no integers.
pub fn inject(
    running: &Network,
    features: usize,
    terms: &Terms,
    config: &GateConfig,
    world: &mut dyn Replay,
    (each, seed): (u64, u64),
) -> Result<Vec<Line>, String> {
    let mut rng = Rng::new(seed);
    let mut stage = Stage::new(running, features, terms, config, world, &mut rng)?;
    Ok(Kind::ALL.into_iter().map(|kind| stage.line(kind, each, &mut rng)).collect())
}

/// Everything that candidates are judged with.
struct Stage<'a> {
    running: &'a Network,
    executable: Executable,
    known_bad: (Network, [(u32, Executable); 1]),
    terms: &'a Terms,
    config: &'a GateConfig,
    world: &'a mut dyn Replay,
    examples: Examples,
    none: Examples,
    present: [InUse; 1],
    remembered: Remembered,
    sigma: f64,
}

impl<'a> Stage<'a> {
    fn new(
        running: &'a Network,
        features: usize,
        terms: &'a Terms,
        config: &'a GateConfig,
        world: &'a mut dyn Replay,
        rng: &mut Rng,
    ) -> Result<Self, String> {
        let mut examples = Examples::new(terms.inputs.len(), ROWS);
        // Of all rows, those that traffic has: one level per feature that wanders a little.
        let rows = verify::rows(&terms.inputs, features, 2 * ROWS, rng.bits());
        for row in rows.iter().skip(1).step_by(2) {
            examples.push(row, Outcome { rate_bps: 50_000_000, ..Outcome::default() });
        }
        let executable = executable(running, terms, &examples)?;
        let sigma =
            Answers::float(running, &terms.inputs, &examples).deviations().first().copied().unwrap_or(0.0);
        let mut bad = running.clone();
        if let Some(last) = bad.layers.last_mut() {
            last.bias.iter_mut().for_each(|bias| *bias += 0.7 * sigma);
        }
        let known_bad = [(3, self::executable(&bad, terms, &examples)?)];
        let path = |capacity_bps, base_rtt_s| Estimates {
            capacity_bps,
            base_rtt_s,
            queue_bytes: 2.0 * capacity_bps * base_rtt_s / 8.0,
            loss: 0.0,
            jitter_s: 0.0,
            flows: 1,
        };
        let mut remembered = Remembered::new(2);
        remembered.note(path(1e7, 0.01).into(), 0);
        let (present, none) = ([path(1e8, 0.02).into()], Examples::new(terms.inputs.len(), 1));
        let known_bad = (bad, known_bad);
        Ok(Self {
            running,
            executable,
            known_bad,
            terms,
            config,
            world,
            examples,
            none,
            present,
            remembered,
            sigma,
        })
    }

    fn line(&mut self, kind: Kind, each: u64, rng: &mut Rng) -> Line {
        let mut line = Line { kind, injected: each, installed: 0, refused: BTreeMap::new() };
        for _ in 0..each {
            match self.judged(kind, rng) {
                None => line.installed += 1,
                Some(reason) => *line.refused.entry(reason).or_default() += 1,
            }
        }
        line
    }

    /// Why one candidate of a kind is refused, if it is.
    fn judged(&mut self, kind: Kind, rng: &mut Rng) -> Option<RefusalReason> {
        let trick = kind.trick();
        let (sigma, threshold) = (self.sigma, self.config.fidelity.threshold);
        let network = kind.make(self.running, &self.known_bad.0, (sigma, threshold), rng);
        let stability: Vec<f64> = (0..self.config.stability.window as i32)
            .map(|n| match trick {
                Trick::Moving => 0.5f64.powi(n),
                Trick::NoStability => f64::NAN,
                _ => 0.3,
            })
            .collect();
        let tuned_from = if trick == Trick::Stale { rng.below(ACTIVE as usize) as u32 } else { ACTIVE };
        let candidate = Candidate { network: &network, tuned_from, stability: &stability };
        let (terms, running, examples) = (self.terms, self.running, &self.examples);
        let seed = rng.bits() >> 1;
        let mut quantiser = |network: &Network, precision| {
            tricked(trick, network, running, precision, (terms, examples), rng)
        };
        let evidence = Evidence {
            active: ACTIVE,
            running: &self.executable,
            known_bad: &self.known_bad.1,
            recent: examples,
            hold_out: if trick == Trick::NoEvidence { &self.none } else { examples },
            comparison: Comparison::Replay {
                present: &self.present,
                seed,
                remembered: self.remembered.all(),
            },
        };
        let judging = judge_with(&candidate, &evidence, terms, self.config, &mut quantiser);
        let judged = judging.to_end(self.world, &self.executable, &self.config.tolerance);
        judged.verdict.err().map(|refusal| refusal.reason())
    }
}

fn executable(network: &Network, terms: &Terms, examples: &Examples) -> Result<Executable, String> {
    let bytes = calibrated(network, Precision::Bits12, terms, examples).map_err(|error| error.to_string())?;
    let snapshot = Snapshot::decode(&bytes).map_err(|error| error.to_string())?;
    Executable::new(snapshot, Executor::best()).map_err(|error| error.to_string())
}

/// The candidate's bytes, and what is done to them.
fn tricked(
    trick: Trick,
    network: &Network,
    running: &Network,
    precision: Precision,
    (terms, examples): (&Terms, &Examples),
    rng: &mut Rng,
) -> Result<Vec<u8>, QuantiseError> {
    let honest = |network: &Network, terms: &Terms| calibrated(network, precision, terms, examples);
    match trick {
        Trick::Function => honest(network, &Terms { function: Function::Schedule, ..terms.clone() }),
        Trick::Schema => {
            let schema_hash = terms.schema_hash ^ (1 << rng.below(64));
            honest(network, &Terms { schema_hash, ..terms.clone() })
        }
        // What runs already: its integers are in order, and not the candidate's.
        Trick::Other => honest(running, terms),
        _ => {
            let mut bytes = honest(network, terms)?;
            match trick {
                Trick::Cut => bytes.truncate(rng.below(bytes.len())),
                Trick::Flip => {
                    let at = rng.below(bytes.len());
                    bytes[at] ^= 1 << rng.below(8);
                }
                Trick::Trail => bytes.extend((0..=rng.below(64)).map(|n| n as u8)),
                _ => {}
            }
            Ok(bytes)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::online::gate::Safety;
    use crate::online::replay::LinkReplay;
    use crate::spec::{ModelSpec, build};
    use std::path::Path;
    use weir_env::Preference;
    use weir_features::{FEATURES, PacingSpec};

    #[test]
    fn a_thousand_wrong_candidates_are_refused_each_by_the_right_stage() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../conf/models/aurora.onnx");
        let spec = ModelSpec::pacing("aurora", Path::new(file), Precision::Bits8);
        let built = build(&spec).unwrap();
        let terms = Terms::of(&built);
        let rates = (500_000, 10_000_000_000);
        let config = GateConfig::new(Some(Safety::new(rates.0, rates.1)));
        let mut world = LinkReplay::new(PacingSpec::default(), Preference::DEFAULT, rates);
        let lines = inject(&built.network, FEATURES, &terms, &config, &mut world, (40, 1)).unwrap();
        let wrong: Vec<&Line> = lines.iter().filter(|line| !line.holds()).collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
        assert!(lines.iter().map(|line| line.injected).sum::<u64>() >= 1_000);
    }
}
