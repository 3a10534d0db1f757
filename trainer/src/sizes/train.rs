//! Supervised training on the flows of made-up jobs, and how good the result is.

use super::flows::{Flow, Peer, Workload, judged};
use crate::graph::{AdamOptions, Head, Regression};
use crate::learner::{HeadBatch, Labels, Learner, LearnerError};
use crate::network::Network;
use crate::ort_engine::Engine;
use crate::ppo::random;
use crate::rng::Rng;
use weir_env::jobs::Application;
use weir_features::{SIZE_INPUTS, f64_from_q16, log2_1p_q16};

/// Centre and spread of each input; folds into the first layer.
const NORMAL: [(f64, f64); SIZE_INPUTS] = [
    (10.0, 2.0),
    (1.0, 1.0),
    (0.5, 0.5),
    (13.0, 3.0),
    (0.5, 1.0),
    (4.0, 2.0),
    (15.0, 4.0),
    (15.0, 4.0),
    (15.0, 4.0),
    (15.0, 4.0),
    (15.0, 4.0),
    (15.0, 4.0),
];
/// What is learned is the logarithm less the first, over the second.
const TARGET: (f64, f64) = (15.0, 4.0);
/// How well the flows can be predicted from which it learns.
pub const PREDICTABILITIES: [f64; 3] = [0.9, 0.6, 0.2];
/// The application that the shipped model is for.
pub const APPLICATION: u64 = 1;
/// Peers under way for each workload and predictability, and flows after which another takes a peer's place.
const PEERS: usize = 64;
const PEER_FLOWS: u32 = 80;
/// How a network is trained.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recipe {
    /// Widths of the hidden layers.
    pub hidden: [usize; 2],
    /// Gradient steps.
    pub steps: usize,
    /// Flows of each; none is ever seen twice.
    pub rows: usize,
    /// Learning rate at the beginning; it falls to a hundredth by half a cosine.
    pub learning_rate: f64,
}

impl Recipe {
    /// The shipped model's.
    pub const SHIPPED: Recipe = Recipe { hidden: [128, 64], steps: 40_000, rows: 512, learning_rate: 2e-3 };
}

/// How good the network was after so many flows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Flows learned from.
    pub flows: u64,
    /// Mean R2 over the selection sets.
    pub r2: f64,
    /// Its standard error over those sets' parts.
    pub error: f64,
}

/// The logarithm of a size, as the network is to say it.
pub fn target(bytes: u64) -> f64 {
    f64_from_q16(log2_1p_q16(bytes))
}

/// What the network says of a flow.
pub fn predicted(network: &Network, flow: &Flow) -> f64 {
    network.answer(flow.row.map(f64_from_q16))
}

/// Share of the variance of log sizes that `predicted`, which is given each flow's place and itself, explains: 1 is perfect, 0
/// no better than their mean.
pub fn r2(flows: &[Flow], mut predicted: impl FnMut(usize, &Flow) -> f64) -> f64 {
    let mean = flows.iter().map(|flow| target(flow.bytes)).sum::<f64>() / flows.len().max(1) as f64;
    let (mut rest, mut all) = (0.0, 0.0);
    for (at, flow) in flows.iter().enumerate() {
        let truth = target(flow.bytes);
        rest += (truth - predicted(at, flow)).powi(2);
        all += (truth - mean).powi(2);
    }
    1.0 - rest / all.max(f64::MIN_POSITIVE)
}

/// Trains from nothing on flows of `application`, of all workloads at every predictability, one network for all of them.
/// `progress` gets lines.
///
/// # Errors
/// A gradient step failed.
pub fn train(
    engine: &Engine,
    recipe: Recipe,
    application: u64,
    seed: u64,
    progress: &mut dyn FnMut(&str),
) -> Result<(Network, Vec<Point>), LearnerError> {
    let mut rng = Rng::new(seed);
    let (application, workloads) = (Application::new(application), Workload::all());
    let conditions: Vec<(&Workload, f64)> =
        workloads.iter().flat_map(|workload| PREDICTABILITIES.map(|p| (workload, p))).collect();
    let mut selection_rng = Rng::new(seed ^ u64::MAX);
    let selection: Vec<Vec<Flow>> = conditions
        .iter()
        .map(|(workload, p)| judged(&application, &workload.sizes, *p, (20, 50), &mut selection_rng).0)
        .collect();
    let begin = |at: usize, rng: &mut Rng| {
        let (sizes, p) =
            conditions.get(at / PEERS).map_or((&workloads[0].sizes, 0.0), |(w, p)| (&w.sizes, *p));
        Peer::new(&application, sizes, p, None, rng)
    };
    let mut peers: Vec<(Peer<'_>, u32)> =
        (0..conditions.len() * PEERS).map(|at| (begin(at, &mut rng), 0)).collect();
    let start = random(SIZE_INPUTS, &recipe.hidden, &mut rng);
    let mut learner =
        Learner::new(engine, &start, &Head::Regression(Regression::Mse), AdamOptions::default())?;
    let (mut rows, mut targets, mut points) = (Vec::new(), Vec::new(), Vec::new());
    let look = (recipe.steps / 24).max(1);
    for step in 0..recipe.steps {
        rows.clear();
        targets.clear();
        for _ in 0..recipe.rows {
            let at = rng.below(peers.len());
            let Some((peer, given)) = peers.get_mut(at) else { continue };
            if *given >= PEER_FLOWS {
                (*peer, *given) = (begin(at, &mut rng), 0);
            }
            *given += 1;
            let (flow, _) = peer.flow();
            let normal = flow.row.map(f64_from_q16).into_iter().zip(NORMAL);
            rows.extend(normal.map(|(x, (centre, spread))| ((x - centre) / spread) as f32));
            targets.push(((target(flow.bytes) - TARGET.0) / TARGET.1) as f32);
        }
        let labels = Labels::Targets { targets: &targets };
        let fall = (1.0 + (std::f64::consts::PI * step as f64 / recipe.steps as f64).cos()) / 2.0;
        let rate = recipe.learning_rate * (0.01 + 0.99 * fall);
        learner.step(&HeadBatch { inputs: &rows, labels, weights: None }, rate)?;
        if (step + 1) % look == 0 {
            let network = shipped(&learner.network());
            let (mut sum, mut squares, mut parts) = (0.0, 0.0, 0);
            for flows in &selection {
                let said: Vec<f64> = flows.iter().map(|flow| predicted(&network, flow)).collect();
                let all = r2(flows, |at, _| said[at]);
                sum += all;
                // Of a condition's R2 over parts of its set: how much the set's draw matters.
                let size = flows.len().div_ceil(5);
                for (part, said) in flows.chunks(size).zip(said.chunks(size)) {
                    squares += (r2(part, |at, _| said[at]) - all).powi(2);
                    parts += 1;
                }
            }
            let (mean, error) = (sum / selection.len() as f64, f64::sqrt(squares) / f64::from(parts));
            let flows = ((step + 1) * recipe.rows) as u64;
            progress(&format!("{flows} flows: R2 {mean:.3} on the selection set"));
            points.push(Point { flows, r2: mean, error });
        }
    }
    Ok((shipped(&learner.network()), points))
}

/// The network on bare inputs that gives the bare logarithm.
fn shipped(learned: &Network) -> Network {
    let mut network =
        learned.rescaled(NORMAL.iter().map(|&(centre, spread)| (1.0 / spread, -centre / spread)));
    if let Some(last) = network.layers.last_mut() {
        last.weights.iter_mut().for_each(|weight| *weight *= TARGET.1);
        last.bias.iter_mut().for_each(|bias| *bias = *bias * TARGET.1 + TARGET.0);
    }
    network
}
