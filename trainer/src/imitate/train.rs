//! Imitation with corrections (DAgger: Ross, Gordon, Bagnell, AISTATS 2011).
//!
//! A student that only sees states the teacher visits drifts into others that it has never seen. So the student drives
//! in ever more of the episodes, the teacher says in each state what it would have done, and the student learns by
//! regression from all states so far.

use super::mlp::{Adam, Mlp, Workspace};
use super::teacher;
use super::world::{Link, Policy, Stalls, World};
use crate::network::Network;
use crate::rng::Rng;
use weir_features::{FEATURES, INPUTS, ONE, PacingSpec};

/// Aurora's shape (Jay et al., ICML 2019): ten intervals of three features, two hidden layers.
const WIDTHS: [usize; 4] = [INPUTS, 32, 16, 1];
/// Normalisation of each feature, (centre, spread); folds into the first layer. The spreads are a quarter of half the
/// clip: wide for the data, but then one quantised step is worth the same in every feature.
const NORMAL: [(f64, f64); FEATURES] = [(0.0, 0.125), (1.2, 0.25), (1.1, 0.1875)];
/// The student's output times this is the action.
const GAIN: f64 = 3.0;

const ROUNDS: usize = 6;
const EPISODES_PER_ROUND: usize = 240;
/// States kept of one episode; episodes with many flows make more.
const STATES_PER_EPISODE: f64 = 250.0;
const EPISODE_RTTS: f64 = 200.0;
const EPOCHS_PER_ROUND: usize = 6;
const EPOCHS_LAST: usize = 48;
const BATCH: usize = 128;
const LEARNING_RATE: (f64, f64) = (2e-3, 2e-5);

/// A trained student and how well it does.
#[derive(Debug, Clone)]
pub struct Student {
    /// On bare features, in units of the action.
    pub network: Network,
    /// States that it learned from.
    pub states: usize,
    /// Root mean square error in units of the action, on the training states.
    pub error_training: f64,
    /// The same on episodes of other seeds that the student drove.
    pub error_validation: f64,
    /// Standard deviation of the teacher's action on those, to compare with.
    pub action_deviation: f64,
}

struct State {
    inputs: [f64; INPUTS],
    action: f64,
}

/// Trains a student from nothing. `progress` gets one line per round and per few epochs.
pub fn train(seed: u64, progress: &mut dyn FnMut(&str)) -> Student {
    let mut rng = Rng::new(seed);
    let mut model = Mlp::new(&WIDTHS, &mut rng);
    let mut adam = Adam::new(model.parameters());
    let mut states = Vec::new();
    for round in 0..ROUNDS {
        // The teacher drives all of the first round and a sixth of the last.
        let student_share = round as f64 / ROUNDS as f64;
        for _ in 0..EPISODES_PER_ROUND {
            let student = (rng.unit() < student_share).then_some(&model);
            states.extend(episode(student, &mut rng));
        }
        for _ in 0..EPOCHS_PER_ROUND {
            epoch(&mut model, &mut adam, &states, LEARNING_RATE.0, &mut rng);
        }
        let error = rms_error(&model, &states);
        progress(&format!("round {} of {ROUNDS}: {} states, error {error:.3}", round + 1, states.len()));
    }
    for number in 0..EPOCHS_LAST {
        // Cosine decay: large steps first, then settle.
        let left = (1.0 + (std::f64::consts::PI * number as f64 / EPOCHS_LAST as f64).cos()) / 2.0;
        let rate = LEARNING_RATE.1 + (LEARNING_RATE.0 - LEARNING_RATE.1) * left;
        epoch(&mut model, &mut adam, &states, rate, &mut rng);
        if (number + 1) % 12 == 0 {
            let error = rms_error(&model, &states);
            progress(&format!("epoch {} of {EPOCHS_LAST}: error {error:.3}", number + 1));
        }
    }
    let fresh: Vec<State> = (0..EPISODES_PER_ROUND).flat_map(|_| episode(Some(&model), &mut rng)).collect();
    let mean = fresh.iter().map(|s| s.action).sum::<f64>() / fresh.len() as f64;
    let variance = fresh.iter().map(|s| (s.action - mean).powi(2)).sum::<f64>() / fresh.len() as f64;
    let (centre, spread): (Vec<f64>, Vec<f64>) = (0..INPUTS).map(|i| NORMAL[i % FEATURES]).unzip();
    Student {
        network: model.network(&centre, &spread, GAIN),
        states: states.len(),
        error_training: rms_error(&model, &states),
        error_validation: rms_error(&model, &fresh),
        action_deviation: variance.sqrt(),
    }
}

/// One random episode; returns a random part of its states with the teacher's answers.
fn episode(student: Option<&Mlp>, rng: &mut Rng) -> Vec<State> {
    let capacity_bps = rng.log_uniform(2e6, 1e9);
    let base_rtt_s = rng.log_uniform(1e-3, 0.1);
    let link = Link {
        capacity_bps,
        base_rtt_s,
        queue_bdp: rng.log_uniform(0.2, 4.0),
        jitter_s: base_rtt_s * rng.log_uniform(1e-4, 0.5),
        delayed_acks: rng.unit() < 0.7,
        stalls: (rng.unit() < 0.5)
            .then(|| Stalls { gap_s: rng.log_uniform(2e-3, 0.1), length_s: rng.log_uniform(2e-4, 1e-2) }),
    };
    // 1 to 16, but no more than could each have twice the guard's least rate.
    let flows = (rng.log_uniform(1.0, 17.0).min(capacity_bps / 1e6) as usize).max(1);
    let share = capacity_bps / flows as f64;
    let rates: Vec<f64> = (0..flows).map(|_| share * rng.log_uniform(0.05, 2.0)).collect();
    let decisions = flows as f64 * EPISODE_RTTS * 2.0;
    let mut driver = Driver {
        student: student.map(|model| (model, model.workspace())),
        keep: STATES_PER_EPISODE / decisions,
        // A little unrest reaches states that a perfect driver never sees.
        noise: rng.uniform(0.0, 0.5),
        states: Vec::new(),
        rng: Rng::new(rng.bits()),
    };
    let mut world = World::new(link, PacingSpec::default(), &rates, Rng::new(rng.bits()));
    let changes = 1 + rng.below(4);
    for _ in 0..changes {
        world.run(EPISODE_RTTS / changes as f64 * base_rtt_s, &mut driver);
        let factor = rng.log_uniform(0.25, 4.0);
        if (2e6..=1e9).contains(&(world.capacity_bps() * factor)) {
            world.change_capacity(factor);
        }
    }
    driver.states
}

/// Drives an episode and keeps states.
struct Driver<'m> {
    student: Option<(&'m Mlp, Workspace)>,
    keep: f64,
    noise: f64,
    states: Vec<State>,
    rng: Rng,
}

impl Policy for Driver<'_> {
    fn act(&mut self, _flow: usize, inputs: &[i32; INPUTS]) -> f64 {
        let taught = teacher::action(inputs);
        let normal = normalise(inputs);
        let action = match &mut self.student {
            Some((model, workspace)) => GAIN * model.forward(&normal, workspace)[0],
            None => taught,
        };
        if self.rng.unit() < self.keep {
            self.states.push(State { inputs: normal, action: taught });
        }
        action + self.noise * self.rng.normal()
    }
}

fn normalise(inputs: &[i32; INPUTS]) -> [f64; INPUTS] {
    std::array::from_fn(|i| {
        let (centre, spread) = NORMAL[i % FEATURES];
        (f64::from(inputs[i]) / f64::from(ONE) - centre) / spread
    })
}

fn epoch(model: &mut Mlp, adam: &mut Adam, states: &[State], rate: f64, rng: &mut Rng) {
    let mut workspace = model.workspace();
    let mut gradient = vec![0.0; model.parameters()];
    for _ in 0..states.len() / BATCH {
        gradient.fill(0.0);
        for _ in 0..BATCH {
            let state = &states[rng.below(states.len())];
            let error = model.forward(&state.inputs, &mut workspace)[0] - state.action / GAIN;
            model.backward(&[error / BATCH as f64], &mut workspace, &mut gradient);
        }
        adam.step(model, &gradient, rate);
    }
}

fn rms_error(model: &Mlp, states: &[State]) -> f64 {
    let mut workspace = model.workspace();
    let error = |state: &State| GAIN * model.forward(&state.inputs, &mut workspace)[0] - state.action;
    let squares: f64 = states.iter().map(error).map(|e| e * e).sum();
    (squares / states.len().max(1) as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_little_training_is_repeatable_and_learns() {
        let train = || {
            let mut rng = Rng::new(2);
            let mut model = Mlp::new(&WIDTHS, &mut rng);
            let mut adam = Adam::new(model.parameters());
            let states: Vec<State> = (0..12).flat_map(|_| episode(None, &mut rng)).collect();
            let before = rms_error(&model, &states);
            for _ in 0..8 {
                epoch(&mut model, &mut adam, &states, LEARNING_RATE.0, &mut rng);
            }
            (before, rms_error(&model, &states), model)
        };
        let (before, after, model) = train();
        assert!(after < before / 3.0, "{before} to {after}");
        assert_eq!(model, train().2);
    }
}
