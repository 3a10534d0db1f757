//! Random networks, heads and batches for training graphs, by seed.

use crate::graph::{AdamOptions, Bandit, Head, LogStd, PpoHead, Regression};
use crate::learner::{HeadBatch, Labels};
use crate::network::{Activation, Layer, Network, Output};
use crate::rng::Rng;

/// A network, what it is trained for, and a batch.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) network: Network,
    pub(crate) head: Head,
    pub(crate) adam: AdamOptions,
    pub(crate) rows: Rows,
}

/// Columns for every head; each takes its own.
#[derive(Debug, Clone)]
pub(crate) struct Rows {
    pub(crate) inputs: Vec<f32>,
    pub(crate) targets: Vec<f32>,
    pub(crate) log_probs: Vec<f32>,
    pub(crate) advantages: Vec<f32>,
    pub(crate) chosen: Vec<usize>,
    pub(crate) rewards: Vec<f32>,
    pub(crate) propensities: Vec<f32>,
    pub(crate) weights: Option<Vec<f32>>,
}

impl Case {
    pub(crate) fn batch(&self) -> HeadBatch<'_> {
        let rows = &self.rows;
        let (rewards, propensities) = (&rows.rewards[..], &rows.propensities[..]);
        let labels = match self.head {
            Head::Regression(_) => Labels::Targets { targets: &rows.targets },
            Head::Ppo(_) => Labels::Actions {
                actions: &rows.targets,
                log_probs: &rows.log_probs,
                advantages: &rows.advantages,
            },
            Head::Bandit(Bandit::Scorer { .. }) => Labels::Scored { rewards, propensities },
            Head::Bandit(_) => Labels::Chosen { chosen: &rows.chosen, rewards, propensities },
        };
        HeadBatch { inputs: &rows.inputs, labels, weights: rows.weights.as_deref() }
    }
}

/// One of each head and its variants.
pub(crate) fn heads() -> Vec<Head> {
    let ppo = |log_std| Head::Ppo(PpoHead { clip: 0.25, entropy: 0.0625, log_std });
    vec![
        Head::Regression(Regression::Mse),
        Head::Regression(Regression::Huber { delta: 0.5 }),
        ppo(LogStd::Trained { start: -0.25 }),
        ppo(LogStd::Fixed(0.5)),
        Head::Bandit(Bandit::Actions { cap: 4.0, entropy: 0.125 }),
        Head::Bandit(Bandit::Actions { cap: 4.0, entropy: 0.0 }),
        Head::Bandit(Bandit::Options { options: 3, cap: 4.0, entropy: 0.125 }),
        Head::Bandit(Bandit::Scorer { loss: Regression::Mse, cap: 4.0 }),
        Head::Bandit(Bandit::Scorer { loss: Regression::Huber { delta: 0.5 }, cap: 4.0 }),
    ]
}

/// One of each activation, with constants that f32 holds exactly.
pub(crate) const ACTIVATIONS: [Activation; 9] = [
    Activation::Identity,
    Activation::Relu,
    Activation::LeakyRelu { slope: 0.125 },
    Activation::Clip { lo: -0.5, hi: 0.75 },
    Activation::Clip { lo: f64::NEG_INFINITY, hi: 0.25 },
    Activation::Clip { lo: -0.25, hi: f64::INFINITY },
    Activation::Tanh,
    Activation::Sigmoid,
    Activation::HardSigmoid { alpha: 0.25, beta: 0.5 },
];

/// A random case for `head`. Weights are random, some zero, in two of three cases.
pub(crate) fn case(head: Head, rng: &mut Rng) -> Case {
    let depth = 1 + rng.below(3);
    let mut widths: Vec<usize> = (0..=depth).map(|_| 1 + rng.below(6)).collect();
    if matches!(head, Head::Bandit(Bandit::Options { .. } | Bandit::Scorer { .. })) {
        widths[depth] = 1;
    }
    let activations: Vec<Activation> =
        (0..depth).map(|_| ACTIVATIONS[rng.below(ACTIVATIONS.len())]).collect();
    let rows = 1 + rng.below(20);
    case_of(&widths, &activations, head, rows, rng)
}

/// A case of this shape.
pub(crate) fn case_of(
    widths: &[usize],
    activations: &[Activation],
    head: Head,
    rows: usize,
    rng: &mut Rng,
) -> Case {
    let mut normal = |count: usize, scale: f64| -> Vec<f32> {
        (0..count).map(|_| (scale * rng.normal()) as f32).collect()
    };
    let layers = widths.windows(2).zip(activations).map(|(pair, &activation)| Layer {
        inputs: pair[0],
        outputs: pair[1],
        weights: normal(pair[0] * pair[1], 1.0 / (pair[0] as f64).sqrt())
            .into_iter()
            .map(f64::from)
            .collect(),
        bias: normal(pair[1], 0.3).into_iter().map(f64::from).collect(),
        activation,
    });
    let layers: Vec<Layer> = layers.collect();
    let output = match head {
        Head::Bandit(Bandit::Actions { .. }) => Output::Softmax,
        _ => Output::Linear,
    };
    let network = Network { layers, output };
    let (width, outputs) = (widths[0], network.outputs());
    let options = match head {
        Head::Bandit(Bandit::Options { options, .. }) => options,
        _ => 1,
    };
    let inputs = normal(rows * options * width, 1.0);
    let targets = normal(rows * outputs, 1.0);
    let (advantages, rewards, offsets) = (normal(rows, 1.0), normal(rows, 1.0), normal(rows, 0.4));
    let log_probs = log_probs(&network, &head, &inputs, &targets);
    let choices = if options > 1 { options } else { outputs };
    let mut weights: Vec<f32> = (0..rows).map(|_| rng.uniform(0.0, 2.0) as f32).collect();
    if rows > 1 {
        weights[rows / 2] = 0.0;
    }
    Case {
        rows: Rows {
            inputs,
            targets,
            // About half of the ratios are then outside the clip.
            log_probs: log_probs.iter().zip(offsets).map(|(now, offset)| *now as f32 + offset).collect(),
            advantages,
            chosen: (0..rows).map(|_| rng.below(choices)).collect(),
            rewards,
            propensities: (0..rows).map(|_| rng.uniform(0.05, 1.0) as f32).collect(),
            weights: (rng.below(3) > 0).then_some(weights),
        },
        network,
        head,
        adam: AdamOptions::default(),
    }
}

/// Log density of each target under the policy that `network` is now; zeros for other heads.
fn log_probs(network: &Network, head: &Head, inputs: &[f32], targets: &[f32]) -> Vec<f64> {
    let Head::Ppo(ppo) = head else { return vec![0.0; targets.len() / network.outputs()] };
    let (LogStd::Fixed(log_std) | LogStd::Trained { start: log_std }) = ppo.log_std;
    let rows = inputs.chunks_exact(network.inputs()).zip(targets.chunks_exact(network.outputs()));
    rows.map(|(x, actions)| {
        let x: Vec<f64> = x.iter().map(|&x| f64::from(x)).collect();
        let means = network.evaluate(&x);
        means
            .iter()
            .zip(actions)
            .map(|(mean, &action)| {
                let z = (f64::from(action) - mean) / log_std.exp();
                -z * z / 2.0 - log_std - std::f64::consts::TAU.ln() / 2.0
            })
            .sum()
    })
    .collect()
}
