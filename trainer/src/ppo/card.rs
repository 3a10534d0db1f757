//! The model's card: how it was made, how good it is, what it is not.

use super::{Options, Task, TrainError, Training};
use crate::network::Network;
use crate::spec::{self, ModelSpec};
use std::fmt::Write;
use std::path::Path;
use weir_env::baseline::{BbrLike, CubicLike, Hold};
use weir_env::{Acting, Conditions, Controller, Policy, Reward, Scores, evaluate, published, wide};
use weir_features::{INPUTS, ONE};
use weir_snapshot::{Executable, Executor, Precision, Scratch, Snapshot};

/// The whole card, of the model in `file`.
pub(super) fn text(options: &Options, training: &Training, file: &Path) -> Result<String, TrainError> {
    let Options { recipe, name, command, date, .. } = options;
    let network = training.network();
    let best = training.best.as_ref().map_or(0, |best| best.steps);
    let mut quantised = Vec::new();
    let mut errors =
        String::from("| precision | snapshot | mean | p99 | max |\n| --- | --- | --- | --- | --- |\n");
    for precision in Precision::ALL.into_iter().filter(|_| network.inputs() == INPUTS) {
        let built = spec::build(&model_spec(name, file, precision))?;
        let e = built.report.quantisation;
        let share = |error: f64| format!("{error:.4} ({:.2} %)", 100.0 * error / e.output_deviation);
        let (mean, p99, max) = (share(e.mean), share(e.p99), share(e.max));
        // Writing to a String cannot fail.
        let _ = writeln!(
            errors,
            "| {} | {} B | {mean} | {p99} | {max} |",
            precision.name(),
            built.report.snapshot_bytes
        );
        quantised.push((precision.name(), built.snapshot));
    }
    let results = match recipe.task {
        Task::Published => published_results(&network, &quantised),
        Task::Wide => wide_results(&network, &quantised),
        Task::Preferences => String::new(),
    };
    let shape = network.shape();
    let (steps, epochs, minibatch, batch) = (recipe.steps, recipe.epochs, recipe.minibatch, recipe.batch);
    let (world, reward) = match recipe.task {
        Task::Published => (
            "Aurora's published world (`env/src/published.rs`): one flow, 100 to 500 packets/s, 50 to 500 ms one way on each of \
             two links, 2 to 2 981 packets of queue, 0 to 5 % random loss",
            "the published reward over a tenth of the bandwidth, so that all links weigh the same",
        ),
        Task::Wide => (
            "the wide world (`env/src/wide.rs`): 1 Mb/s to 10 Gb/s, 50 us to 1 s, 1 to 16 flows, delayed acknowledgements, \
             stalls, jitter, random loss, changes of capacity",
            "the mean over the flows of `Reward::Fair` (`env/src/reward.rs`), discounted by time",
        ),
        Task::Preferences => (
            "the wide world (`env/src/wide.rs`)",
            "the mean over the flows of MOCC's reward at a preference drawn for each episode",
        ),
    };
    Ok(format!(
        "# {name}.onnx

A pacing model in Aurora's shape: {shape}, tanh; one action out (rate x (1 + 0.025 a) for a >= 0, rate / (1 + 0.025 |a|)
below). Trained by reinforcement (PPO) from random weights; no outside weights or data. Licence: as the repository.

## How it was made

    {command}

on {date}. {steps} decisions in {world}.
Learned from: {reward}. PPO: batches of {batch} decisions, {epochs} epochs of minibatches of {minibatch}, learning rate falling
from {lr} to {lr1}, clip {clip}, discount {discount}, lambda {lambda}, first deviation {deviation} of the output before its gain.
The value network is shown the truth about the link and serves only in training. Best by a fixed set of 100 episodes, which
are not those below: the network after {best} decisions. The same seed gives the same file on the same kind of machine with
the same ONNX Runtime. Learning curve: [{name}.svg]({name}.svg).

## Quantisation error

Integers against the float network on 4 096 seeded rows within the clips, half of them uniform over the whole box;
absolute, in units of the action, and as a share of the output's deviation on those rows.

{errors}
{results}
## What it is not

- Not tuned on real traffic. In its world a flow always has data and paces exactly; TCP senders that are window-limited,
  retransmit or burst are outside of what it has seen.
- A base RTT that rises is not unlearned: after a re-route to a longer path it reads the difference as a queue.
- Not shown to be better than its world says; the controllers beside it decide per monitor interval as it does, and are
  likenesses of CUBIC and BBR, not these.
",
        lr = recipe.learning_rate.0,
        lr1 = recipe.learning_rate.1,
        clip = recipe.clip,
        discount = recipe.discount,
        lambda = recipe.lambda,
        deviation = recipe.deviation,
    ))
}

fn published_results(network: &Network, quantised: &[(&str, Snapshot)]) -> String {
    let set = published::evaluation();
    let decisions = weir_env::DECISIONS as f64;
    let mut text = format!(
        "## Results

{} paired episodes of {decisions} decisions, other seeds than in training; mean and standard error. Reward is the episode's sum,
as published; a re-implementation elsewhere gave 455 for a held rate and 817 for the best published weights on episodes of its
own, whose standard error is 40 to 47 for a held rate. Utilisation, RTT over base and drops at the queue after the first
quarter. `above held`: paired difference of the reward.

| controller | reward | above held | utilisation | RTT/base | dropped, % |
| --- | --- | --- | --- | --- | --- |
",
        set.len()
    );
    let held = evaluate(&mut Hold, &set, Reward::Published);
    for (name, scores) in all(network, quantised, &set, Reward::Published) {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| {name} | {:.0} | {:.0} | {:.3} | {:.3} | {:.2} |",
            scores.reward().times(decisions),
            scores.reward_above(&held).times(decisions),
            scores.utilisation(),
            scores.rtt_ratio(),
            scores.loss().times(100.0)
        );
    }
    text
}

fn wide_results(network: &Network, quantised: &[(&str, Snapshot)]) -> String {
    let mut text = String::from(
        "## Results

A grid of 1 Mb/s to 10 Gb/s and 50 us to 1 s with queues of 0.5 and 2 BDP, on an ordinary host. `good`: cells with a
utilisation of at least 0.9 and an RTT of at most 1.3 base RTTs, both no less than 100 us. Means over the cells with their standard
errors.

| controller | flows | good | utilisation | RTT/base | dropped, % | Jain |
| --- | --- | --- | --- | --- | --- | --- |
",
    );
    for flows in [1, 4] {
        let cells: Vec<Conditions> = wide::grid(flows).into_iter().map(|cell| cell.conditions).collect();
        for (name, scores) in all(network, quantised, &cells, Reward::Fair) {
            let good = scores
                .episodes
                .iter()
                .filter(|e| e.measured.utilisation >= 0.9 && e.measured.rtt_ratio <= 1.3)
                .count();
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "| {name} | {flows} | {good} of {} | {:.3} | {:.3} | {:.2} | {:.3} |",
                cells.len(),
                scores.utilisation(),
                scores.rtt_ratio(),
                scores.loss().times(100.0),
                scores.fairness()
            );
        }
    }
    text
}

/// Baselines, the float network and its integers over one set.
fn all(
    network: &Network,
    quantised: &[(&str, Snapshot)],
    set: &[Conditions],
    reward: Reward,
) -> Vec<(String, Scores)> {
    let mut controllers: Vec<(String, Box<dyn Controller>)> = vec![
        ("held rate".into(), Box::new(Hold)),
        ("CUBIC-like".into(), Box::new(CubicLike::default())),
        ("BBR-like".into(), Box::new(BbrLike::default())),
        ("float network".into(), Box::new(Acting(Float(network.clone())))),
    ];
    for (precision, snapshot) in quantised {
        if let Ok(executable) = Executable::new(snapshot.clone(), Executor::Scalar) {
            let integers = Integers { executable, scratch: Scratch::new() };
            controllers.push((format!("{precision} snapshot"), Box::new(Acting(integers))));
        }
    }
    controllers
        .into_iter()
        .map(|(name, mut controller)| (name, evaluate(&mut *controller, set, reward)))
        .collect()
}

struct Float(Network);

impl Policy for Float {
    fn act(&mut self, inputs: &[i32; INPUTS]) -> i32 {
        let row: Vec<f64> = inputs.iter().map(|&x| f64::from(x) / f64::from(ONE)).collect();
        let action = self.0.evaluate(&row).first().copied().unwrap_or(0.0);
        (action * f64::from(ONE)).round() as i32
    }
}

/// The very integers that a worker runs.
struct Integers {
    executable: Executable,
    scratch: Scratch,
}

impl Policy for Integers {
    fn act(&mut self, inputs: &[i32; INPUTS]) -> i32 {
        let mut out = [0];
        self.executable.evaluate(inputs, &mut out, &mut self.scratch);
        out[0]
    }
}

/// The model's entry in a configuration, with the features' default clips.
fn model_spec(name: &str, file: &Path, precision: Precision) -> ModelSpec {
    let mut spec = crate::imitate::model_spec(file, precision);
    spec.name = name.to_string();
    spec
}
