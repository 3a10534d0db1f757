//! What a choice of path was worth, from the records of deliveries.
//!
//! How long a delivery takes depends first of all on how much it carries, and on how far its sender's window has grown, which no
//! choice changes. So its *cost*, the binary logarithm of the time to its last acknowledgement, is held against the mean cost of
//! deliveries of like size, in flows of like *age*, that the network chose for lately: what is left is its *excess*, in doublings of
//! that time. A scorer's scores have to be in the right order and at the right distances; where they lie as a whole does not matter, for
//! flows of one age, and in what unit they are is the file's affair (`unit.rs`). So what the network should have said is
//!
//! ```text
//! target = mean score that it gives lately to flows of this age + excess / doublings to a unit of score
//! ```
//!
//! and its scores stay where they are and as far apart, generation after generation, however slow or quick all paths become together.
//!
//! The network is shown the flow's age, which is the same for all paths of a choice. Were it not taken out of the cost, the first thing
//! to be learned would be that young flows are slow: a better prediction, and an order of paths that only suffers from it (decision 25).

use super::flows::Earned;
use super::unit::Unit;
use std::collections::BTreeMap;
use weir_features::{OF_PATH, ONE, PathSample, PathSource, f64_from_q16};

/// An excess counts up to sixteen times the usual time, and so much is what a delivery counts of which nothing arrived that was
/// sent again: beyond it a path is as good as cut, and one record must not outweigh a hundred.
const EXCESS_MAX: f64 = 4.0;
/// A record counts as many times more as its choice was unlikely, up to this: what is drawn once in a thousand decisions would
/// else be all that a batch is about.
pub(super) const IMPORTANCE_MAX: f64 = 20.0;
/// Octaves of a delivery's size, up to a terabyte.
const OCTAVES: usize = 41;
/// Deliveries of an octave before it is known what is usual there.
const KNOWN: u32 = 16;
/// Ages of a flow, in pairs of octaves of what it had sent, up to 16 MiB.
const AGES: usize = 13;
/// Values that a running mean remembers, about.
const MEMORY: u32 = 256;

/// What deliveries lately cost, and what flows earned since that was last asked.
#[derive(Debug, Clone)]
pub(super) struct Choices {
    /// By age of the flow and octave of the bytes.
    costs: [[Mean; OCTAVES]; AGES],
    /// By age of the flow.
    scores: [Mean; AGES],
    unit: Unit,
    /// By flow: who chose last, and sum and number of what its deliveries earned under that one.
    earned: BTreeMap<u64, (Option<u32>, f64, u32)>,
    flows_max: usize,
}

/// What a record says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Told {
    /// What the network should have answered.
    Target(f64),
    /// The rule chose; what came of it is what choices are held against.
    Control,
    /// Nothing: nobody knows when it arrived, what is usual for its size, or yet what a unit of score is worth.
    Nothing,
}

impl Choices {
    /// Nothing known; what is earned is told of at most `flows_max` flows at a time.
    pub(super) fn new(flows_max: usize) -> Choices {
        Choices {
            costs: [[Mean::default(); OCTAVES]; AGES],
            scores: [Mean::default(); AGES],
            unit: Unit::default(),
            earned: BTreeMap::new(),
            flows_max,
        }
    }

    /// Scores are in this generation's unit from now on, and those of what is tuned from it.
    pub(super) fn begin(&mut self, generation: u32) {
        self.unit = Unit::of(generation);
    }

    /// Takes note of a delivery.
    pub(super) fn note(&mut self, sample: &PathSample) -> Told {
        let control = sample.source == PathSource::Control;
        let nothing = if control { Told::Control } else { Told::Nothing };
        let arrived = sample.acked_bytes > 0 && sample.delivery_ns > 0;
        // What was neither acknowledged nor sent again may well have arrived.
        if !arrived && sample.repeated_bytes == 0 {
            return nothing;
        }
        let bytes = if arrived { sample.acked_bytes } else { sample.sent_bytes };
        let age = age(sample);
        let (costs, scores) = (&mut self.costs[age], &mut self.scores[age]);
        let Some(usual) = costs.get_mut(bytes.max(1).ilog2() as usize) else { return nothing };
        let known = (usual.count >= KNOWN).then_some(usual.mean);
        let cost = (sample.delivery_ns.max(1) as f64).log2();
        // Of the network's own choices alone: held against its own mean, they leave its scores where they are.
        if !control {
            scores.note(f64_from_q16(sample.score_q16));
            if arrived {
                usual.note(cost);
            }
        }
        let Some(known) = known else { return nothing };
        let excess = if arrived { (cost - known).clamp(-EXCESS_MAX, EXCESS_MAX) } else { EXCESS_MAX };
        self.earn(sample.flow, (!control).then_some(sample.generation), -excess);
        if control {
            return Told::Control;
        }
        let (score, mean) = (f64_from_q16(sample.score_q16), self.scores[age].mean);
        // How far apart the scores of two ages lie says nothing of paths.
        self.unit.note(sample.generation, score - mean, excess, importance(log_prob(sample)));
        self.unit.doublings().map_or(Told::Nothing, |unit| Told::Target(mean + excess / unit))
    }

    fn earn(&mut self, flow: u64, decided_by: Option<u32>, reward: f64) {
        if self.earned.len() >= self.flows_max && !self.earned.contains_key(&flow) {
            return;
        }
        let earned = self.earned.entry(flow).or_insert((decided_by, 0.0, 0));
        if earned.0 != decided_by {
            *earned = (decided_by, 0.0, 0);
        }
        *earned = (decided_by, earned.1 + reward, earned.2 + 1);
    }

    /// Every flow's mean reward since the last call: by how many doublings its deliveries were quicker than usual.
    pub(super) fn take_earned(&mut self) -> Vec<Earned> {
        let earned = std::mem::take(&mut self.earned);
        let mean =
            |(generation, sum, count)| Earned { generation, reward: sum / f64::from(u32::max(count, 1)) };
        earned.into_values().map(mean).collect()
    }
}

/// Which age the flow had at the choice.
fn age(sample: &PathSample) -> usize {
    let log_sent = sample.features[OF_PATH + 2].max(0) as usize >> 16;
    (log_sent / 2).min(AGES - 1)
}

/// Logarithm of the probability with which the path was chosen.
pub(super) fn log_prob(sample: &PathSample) -> f64 {
    (f64::from(sample.probability_q16.max(1)) / f64::from(ONE)).ln().min(0.0)
}

/// How much a record counts: as many times as its choice was unlikely.
pub(super) fn importance(log_prob: f64) -> f64 {
    (-log_prob).exp().min(IMPORTANCE_MAX)
}

/// The mean of the first values, and then one in which older ones fade.
#[derive(Debug, Clone, Copy, Default)]
struct Mean {
    count: u32,
    mean: f64,
}

impl Mean {
    fn note(&mut self, value: f64) {
        self.count = (self.count + 1).min(MEMORY);
        self.mean += (value - self.mean) / f64::from(self.count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_features::{ONE, PATH_INPUTS};

    /// A delivery that took so many milliseconds.
    fn delivery(flow: u64, source: PathSource, bytes: u64, ms: u64) -> PathSample {
        PathSample {
            source,
            schema_hash: 1,
            generation: if source == PathSource::Control { 0 } else { 3 },
            flow,
            features: [0; PATH_INPUTS],
            score_q16: 7 * ONE,
            path: 0,
            choices: 2,
            probability_q16: 1 << 16,
            at_ns: 0,
            delivery_ns: ms * 1_000_000,
            sent_bytes: bytes,
            acked_bytes: bytes,
            repeated_bytes: 0,
            base_rtt_ns: 0,
            rate_bps: 0,
        }
    }

    /// Choices to which deliveries of 1 500 bytes in 8 ms and of a megabyte in 64 ms are usual, and a unit of score, as all scores are
    /// the same, a doubling.
    fn usual() -> Choices {
        let mut choices = Choices::new(10);
        choices.begin(3);
        for flow in 0..200 {
            let told = choices.note(&delivery(flow, PathSource::Model, 1_500, 8));
            // Two records of each flow, once it is known what is usual, and as many as tell the unit.
            assert_eq!(told == Told::Nothing, flow < u64::from(KNOWN) + 128, "{flow} {told:?}");
            choices.note(&delivery(flow, PathSource::Model, 1 << 20, 64));
        }
        choices.take_earned();
        choices
    }

    fn target(told: Told) -> f64 {
        let Told::Target(target) = told else { panic!("{told:?}") };
        target
    }

    #[test]
    fn a_delivery_is_held_against_others_of_its_size_and_scores_stay_where_they_are() {
        let mut choices = usual();
        for (bytes, ms, excess) in
            [(1_500, 8, 0.0), (1_500, 32, 2.0), (1 << 20, 32, -1.0), (1_500, 9_000, 4.0)]
        {
            let told = target(choices.clone().note(&delivery(1, PathSource::Model, bytes, ms)));
            assert!((told - 7.0 - excess).abs() < 1e-9, "{bytes} {ms}: {told}");
        }
        // Everything becomes four times as slow: that is no choice's fault, and soon nobody's excess.
        for flow in 0..2_000 {
            choices.note(&delivery(flow, PathSource::Model, 1_500, 32));
        }
        let told = target(choices.note(&delivery(1, PathSource::Model, 1_500, 32)));
        assert!((told - 7.0).abs() < 0.01, "{told}");
    }

    #[test]
    fn a_flow_is_held_against_others_of_its_age() {
        let mut choices = usual();
        let old = |ms: u64, score: i32| {
            let mut sample = delivery(1, PathSource::Model, 1_500, ms);
            (sample.features[OF_PATH + 2], sample.score_q16) = (20 << 16, score * ONE);
            sample
        };
        // A grown window: the same bytes in a quarter of the time, and scores that lie elsewhere.
        for n in 0..200 {
            let told = choices.note(&old(2, 3));
            assert_eq!(told == Told::Nothing, n < KNOWN, "{n} {told:?}");
        }
        assert!((target(choices.clone().note(&old(4, 3))) - 4.0).abs() < 0.02);
        let young = delivery(1, PathSource::Model, 1_500, 8);
        assert!((target(choices.note(&young)) - 7.0).abs() < 1e-9, "others' age is not its own");
    }

    #[test]
    fn an_excess_counts_in_the_unit_of_the_scores() {
        let mut choices = usual();
        choices.begin(4);
        // A score of one more is half a doubling more.
        for n in 0..2_000 {
            let (score, ms) = if n % 2 == 0 { (6, 8) } else { (8, 16) };
            let mut sample = delivery(n, PathSource::Model, 1_500, ms);
            (sample.generation, sample.score_q16) = (4, score * ONE);
            choices.note(&sample);
        }
        let told =
            |choices: &mut Choices, ms| target(choices.note(&delivery(1, PathSource::Model, 1_500, ms)));
        let apart = told(&mut choices.clone(), 32) - told(&mut choices, 16);
        assert!((apart - 2.0).abs() < 0.05, "a doubling is two: {apart}");
    }

    #[test]
    fn what_never_arrived_says_something_only_where_it_was_sent_again() {
        let mut choices = usual();
        let silent =
            PathSample { acked_bytes: 0, delivery_ns: 0, ..delivery(1, PathSource::Explored, 1_500, 0) };
        assert_eq!(choices.note(&silent), Told::Nothing);
        let repeated = PathSample { repeated_bytes: 1_500, ..silent };
        assert!((target(choices.note(&repeated)) - 11.0).abs() < 1e-9);
        // And does not make the next one's delay a usual one.
        assert!((target(choices.note(&delivery(1, PathSource::Model, 1_500, 8))) - 7.0).abs() < 1e-9);
        assert_eq!(choices.note(&delivery(1, PathSource::Model, 1 << 45, 8)), Told::Nothing, "no such size");
    }

    #[test]
    fn flows_earn_what_they_are_quicker_than_usual_under_whoever_chose_last() {
        let mut choices = usual();
        let note = |choices: &mut Choices, flow, source, ms| choices.note(&delivery(flow, source, 1_500, ms));
        note(&mut choices, 1, PathSource::Model, 4);
        note(&mut choices, 1, PathSource::Explored, 4);
        assert_eq!(note(&mut choices, 2, PathSource::Control, 16), Told::Control);
        let earned = choices.take_earned();
        assert_eq!((earned[0].generation, earned[1].generation), (Some(3), None));
        assert!((earned[0].reward - 1.0).abs() < 0.05 && (earned[1].reward + 1.0).abs() < 0.05, "{earned:?}");
        assert!(choices.take_earned().is_empty());
        // Another generation, and more flows than are told of.
        let next = PathSample { generation: 4, ..delivery(1, PathSource::Model, 1_500, 16) };
        note(&mut choices, 1, PathSource::Model, 4);
        choices.note(&next);
        for flow in 2..30 {
            note(&mut choices, flow, PathSource::Model, 8);
        }
        let earned = choices.take_earned();
        assert_eq!((earned.len(), earned[0].generation), (10, Some(4)));
        assert!(earned[0].reward < -0.9);
    }
}
