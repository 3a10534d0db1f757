//! How long a gradient step takes: 1 024 samples of Aurora's shape (30-32-16-1), regression and PPO, one thread.
//!
//! `cargo run --release -p weir-trainer --example step_time`

use std::time::Instant;
use weir_trainer::graph::{AdamOptions, Bandit, Head, LogStd, PpoHead, Regression};
use weir_trainer::learner::{HeadBatch, Labels, Learner};
use weir_trainer::network::{Activation, Layer, Network, Output};
use weir_trainer::ort_engine::Engine;
use weir_trainer::rng::Rng;

const ROWS: usize = 1024;
const WIDTHS: [usize; 4] = [30, 32, 16, 1];
const ROUNDS: usize = 2000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let engine = Engine::load(None)?;
    println!(
        "ONNX Runtime {}, {ROWS} samples, 30-32-16-1, {ROUNDS} steps each, microseconds",
        engine.version()
    );
    println!("{:<22} {:>8} {:>8} {:>8} {:>8}", "head", "p10", "median", "p90", "p99");
    let mut rng = Rng::new(1);
    let mut normal = |count: usize| -> Vec<f32> { (0..count).map(|_| rng.normal() as f32).collect() };
    let (inputs, targets, advantages) = (normal(ROWS * WIDTHS[0]), normal(ROWS), normal(ROWS));
    let network = network(&mut normal);
    let log_probs: Vec<f32> = inputs
        .chunks_exact(WIDTHS[0])
        .zip(&targets)
        .map(|(row, action)| {
            let row: Vec<f64> = row.iter().map(|&x| f64::from(x)).collect();
            let error = f64::from(*action) - network.evaluate(&row)[0];
            (-error * error / 2.0 - std::f64::consts::TAU.ln() / 2.0) as f32
        })
        .collect();
    let propensities = vec![0.5; ROWS];
    let ppo = PpoHead { clip: 0.2, entropy: 0.01, log_std: LogStd::Trained { start: 0.0 } };
    let scorer = Bandit::Scorer { loss: Regression::Mse, cap: 20.0 };
    let limit = AdamOptions { grad_norm_max: Some(0.5), ..AdamOptions::default() };
    let cases = [
        ("regression", Head::Regression(Regression::Mse), AdamOptions::default()),
        ("regression, Huber", Head::Regression(Regression::Huber { delta: 1.0 }), AdamOptions::default()),
        ("ppo", Head::Ppo(ppo), limit),
        ("bandit scorer", Head::Bandit(scorer), AdamOptions::default()),
    ];
    for (name, head, adam) in cases {
        let labels = match head {
            Head::Regression(_) => Labels::Targets { targets: &targets },
            Head::Ppo(_) => {
                Labels::Actions { actions: &targets, log_probs: &log_probs, advantages: &advantages }
            }
            Head::Bandit(_) => Labels::Scored { rewards: &targets, propensities: &propensities },
        };
        let batch = HeadBatch { inputs: &inputs, labels, weights: None };
        let mut learner = Learner::new(&engine, &network, &head, adam)?;
        let mut times = Vec::with_capacity(ROUNDS);
        for _ in 0..ROUNDS {
            let start = Instant::now();
            learner.step(&batch, 1e-4)?;
            times.push(start.elapsed().as_secs_f64() * 1e6);
        }
        times.sort_by(f64::total_cmp);
        let [p10, median, p90, p99] = [10, 50, 90, 99].map(|percent| times[ROUNDS * percent / 100]);
        println!("{name:<22} {p10:>8.0} {median:>8.0} {p90:>8.0} {p99:>8.0}");
    }
    Ok(())
}

fn network(normal: &mut impl FnMut(usize) -> Vec<f32>) -> Network {
    let layers = WIDTHS
        .windows(2)
        .map(|pair| {
            let scale = (1.0 / pair[0] as f64).sqrt();
            Layer {
                inputs: pair[0],
                outputs: pair[1],
                weights: normal(pair[0] * pair[1]).iter().map(|&w| scale * f64::from(w)).collect(),
                bias: vec![0.0; pair[1]],
                activation: if pair[1] == 1 { Activation::Identity } else { Activation::Tanh },
            }
        })
        .collect();
    Network { layers, output: Output::Linear }
}
