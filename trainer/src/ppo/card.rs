//! The model's card: how it was made, how good it is, what it is not.

mod preferences;

use super::{Options, Recipe, Task, TrainError, Training};
use crate::network::Network;
use crate::reward::Preference;
use crate::spec::{self, BuildError, ModelSpec};
use preferences::PREFERENCES;
use std::fmt::Write;
use std::path::Path;
use weir_env::baseline::{BbrLike, CubicLike, Hold};
use weir_env::{Acting, Conditions, Controller, Measured, Policy, Reward, Scores, evaluate, published, wide};
use weir_features::{INPUTS, ONE};
use weir_snapshot::{Executable, Executor, Precision, Scratch, Snapshot, Unavailable};

/// The controller that is looked at closely: what runs unless a configuration says otherwise.
const SHOWN: &str = "8bit snapshot";

/// The whole card, of the model in `file`.
pub(super) fn text(options: &Options, training: &Training, file: &Path) -> Result<String, TrainError> {
    let Options { recipe, name, command, date, .. } = options;
    let network = training.network();
    let best = training.best.as_ref().map_or(0, |best| best.steps);
    let judge = |preference| Judged::build(name, file, &network, preference);
    let (judged, results) = match recipe.task {
        Task::Published => {
            let judged = vec![judge(None)?];
            let results = judged.iter().map(|model| published_results(recipe, model)).collect();
            (judged, results)
        }
        Task::Wide => {
            let judged = vec![judge(None)?];
            let results = judged.iter().map(|model| wide_results(recipe, model)).collect();
            (judged, results)
        }
        // Whoever gives the conditions judges by them.
        Task::Given(_) => (vec![judge(None)?], String::new()),
        Task::Preferences => {
            let judged = PREFERENCES.into_iter().map(|preference| judge(Some(preference)));
            let judged = judged.collect::<Result<Vec<_>, _>>()?;
            let results = preferences::results(recipe, &judged);
            (judged, results)
        }
    };
    let errors: String = judged.iter().map(|model| model.errors.as_str()).collect();
    let Words { shape, world, reward, use_of_it, not } = words(recipe.task);
    let widths = network.shape();
    let (steps, epochs, minibatch, batch) = (recipe.steps, recipe.epochs, recipe.minibatch, recipe.batch);
    Ok(format!(
        "# {name}.onnx

A pacing model in {shape}: {widths}, tanh; one action out (rate x (1 + 0.025 a) for a >= 0, rate / (1 + 0.025 |a|)
below). Trained by reinforcement (PPO) from random weights; no outside weights or data. Licence: as the repository.
{use_of_it}
## How it was made

    {command}

on {date}. {steps} decisions in {world}.
Learned from: {reward}. PPO: batches of {batch} decisions, {epochs} epochs of minibatches of {minibatch}, learning rate falling
from {lr} to {lr1}, clip {clip}, discount {discount}, lambda {lambda}, first deviation {deviation} of the output before its gain.
The value network is shown the truth about the link and serves only in training.
Best by {chosen}, which are not those below: the network after {best} decisions.
The same seed gives the same file on the same kind of machine with the same ONNX Runtime. Learning curve: [{name}.svg]({name}.svg).

## Quantisation error

Integers against the float network on 4 096 seeded rows within the clips, half of them uniform over the whole box;
absolute, in units of the action, and as a share of the output's deviation on those rows.

| precision | snapshot | mean | p99 | max |
| --- | --- | --- | --- | --- |
{errors}
{results}
## What it is not

- Not tuned on real traffic. In its world a flow always has data and paces exactly; TCP senders that are window-limited,
  retransmit or burst are outside of what it has seen.
- A base RTT that rises is not unlearned: after a re-route to a longer path it reads the difference as a queue.
- Not shown to be better than its world says; the controllers beside it decide per monitor interval as it does, and are
  likenesses of CUBIC and BBR, not these.
{not}",
        lr = recipe.learning_rate.0,
        lr1 = recipe.learning_rate.1,
        clip = recipe.clip,
        discount = recipe.discount,
        lambda = recipe.lambda,
        deviation = recipe.deviation,
        chosen = chosen(recipe, training.cells.len()),
    ))
}

/// By what the network was chosen.
fn chosen(recipe: &Recipe, cells: usize) -> String {
    let episodes = recipe.selection.1;
    if cells == 0 {
        return format!("a fixed set of {episodes} episodes");
    }
    format!("a fixed set of {episodes} episodes and {cells} links (reward plus the share of good links)")
}

/// What a card says of a task.
struct Words {
    shape: &'static str,
    world: &'static str,
    reward: &'static str,
    /// How to run it, where that is not as for any pacing model.
    use_of_it: &'static str,
    /// What else it is not.
    not: &'static str,
}

fn words(task: Task) -> Words {
    let aurora = Words {
        shape: "Aurora's shape",
        world: "Aurora's published world (`env/src/published.rs`): one flow, 100 to 500 packets/s, 50 to 500 ms one way on each of \
                two links, 2 to 2 981 packets of queue, 0 to 5 % random loss",
        reward: "the published reward over a tenth of the bandwidth, so that all links weigh the same",
        use_of_it: "",
        not: "",
    };
    match task {
        Task::Published => aurora,
        Task::Wide => Words {
            world: "the wide world (`env/src/wide.rs`): 1 Mb/s to 10 Gb/s, 50 us to 1 s, 1 to 16 flows, delayed acknowledgements, \
                    stalls, jitter, random loss, changes of capacity",
            reward: "the mean over the flows of `Reward::Fair` (`env/src/reward.rs`), discounted by time",
            not: "- Not what the shipped configurations run: on a host that takes the core away it gives way further than `aurora.onnx` does
  (`docs/decisions/0010-wide-model.md`).
- Not for a queue shorter than half of what the path holds in an RTT: with a quarter of it a flow of its own loses 18 % in the
  link world, with a tenth 40 %; with the guard's brake 1 and 2 % (`docs/decisions/0013-brake.md`). Its world has none.
",
            ..aurora
        },
        Task::Given(_) => Words {
            world: "conditions that were given",
            reward: "MOCC's reward at its default preference",
            ..aurora
        },
        Task::Preferences => Words {
            shape: "MOCC's shape (Ma et al., EuroSys 2022), Aurora's 30 features and then a
preference in",
            world: "the wide world (`env/src/wide.rs`), one flow for each link:
1 Mb/s to 10 Gb/s, 50 us to 1 s, delayed acknowledgements, stalls, jitter, random loss, changes of capacity",
            reward: "MOCC's reward, w1 throughput / capacity + w2 base RTT / RTT + w3 (1 - loss), discounted by time, at a
preference (w1, w2, w3) that is drawn for each episode: half of the time one of MOCC's 36 landmarks, half of the time any.
One network learns all from the first step on; MOCC trains three objectives first and walks from there",
            use_of_it: "
A configuration says what it is to serve, `preference = [throughput, latency, loss]` in its `[[model]]`; the weights are
folded into the first layer, so that what a worker runs takes 30 inputs.
",
            not: "- Not made for flows that share. MOCC's reward is one flow's own, and it was alone on every link: see the last table.
",
        },
    }
}

/// A model as the card judges it.
pub(crate) struct Judged {
    preference: Option<Preference>,
    /// The float network, its preference folded in.
    network: Network,
    quantised: Vec<(&'static str, Snapshot)>,
    /// Rows of the table of quantisation errors.
    errors: String,
}

impl Judged {
    /// Of the network in `file`, at both precisions.
    pub(crate) fn build(
        name: &str,
        file: &Path,
        network: &Network,
        preference: Option<Preference>,
    ) -> Result<Self, BuildError> {
        let (mut quantised, mut errors) = (Vec::new(), String::new());
        let at = preference.map_or_else(String::new, |preference| format!(" at {}", weights(&preference)));
        for precision in Precision::ALL {
            let built = spec::build(&model_spec(name, file, precision, preference))?;
            let e = built.report.quantisation;
            let share = |error: f64| format!("{error:.4} ({:.2} %)", 100.0 * error / e.output_deviation);
            let (mean, p99, max) = (share(e.mean), share(e.p99), share(e.max));
            let (precision, bytes) = (precision.name(), built.report.snapshot_bytes);
            // Writing to a String cannot fail.
            let _ = writeln!(errors, "| {precision}{at} | {bytes} B | {mean} | {p99} | {max} |");
            quantised.push((precision, built.snapshot));
        }
        let network = match &preference {
            Some(preference) => network.with_last_inputs(&preference.weights()),
            None => network.clone(),
        };
        Ok(Self { preference, network, quantised, errors })
    }
}

/// A preference in a table.
fn weights(preference: &Preference) -> String {
    let [throughput, latency, loss] = preference.weights();
    format!("{throughput} / {latency} / {loss}")
}

fn published_results(recipe: &Recipe, model: &Judged) -> String {
    let mut set = published::evaluation();
    set.truncate(recipe.evaluation);
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
    for (name, scores) in all(model, &set, Reward::Published) {
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

fn wide_results(recipe: &Recipe, model: &Judged) -> String {
    format!("## Results\n\n{}", grid_results(recipe.evaluation, model))
}

/// How a model does in at most so many cells of the wide world's grid.
pub(crate) fn grid_results(evaluation: usize, model: &Judged) -> String {
    let mut text = format!(
        "A grid of 1 Mb/s to 10 Gb/s and 50 us to 1 s with queues of 0.5 and 2 BDP, on an ordinary host. `good`: cells with a
utilisation of at least {} and an RTT of at most {} base RTTs, both no less than 100 us. Means over the cells with their
standard errors. `equal shares` is no controller but a bound: every flow sends at 0.95 of its fair share all the time, which
none can know. Where a packet takes long beside the RTT, packets of several flows meet even so, and the RTT is longer with
nobody at fault.

| controller | flows | good | utilisation | RTT/base | dropped, % | Jain |
| --- | --- | --- | --- | --- | --- | --- |
",
        wide::GOOD.0,
        wide::GOOD.1
    );
    let mut missed = String::new();
    for flows in [1, 4] {
        let cells = cells(evaluation, flows);
        let shares: Vec<Conditions> = cells.iter().map(equal_shares).collect();
        let mut rows = vec![("equal shares".to_owned(), evaluate(&mut Hold, &shares, Reward::Fair))];
        rows.extend(all(model, &cells, Reward::Fair));
        for (name, scores) in &rows {
            let good = scores.episodes.iter().filter(|episode| wide::good(&episode.measured)).count();
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
        if let Some((_, scores)) = rows.iter().find(|(name, _)| name == SHOWN) {
            for (cell, episode) in cells.iter().zip(&scores.episodes) {
                missed.push_str(&miss(cell, flows, &episode.measured));
            }
        }
    }
    format!(
        "{text}
Where the {SHOWN} is not good:

| flows | capacity, Mb/s | base RTT, ms | queue, BDP | utilisation | RTT/base | Jain |
| --- | --- | --- | --- | --- | --- | --- |
{missed}"
    )
}

/// A row about a cell that is not good; nothing of one that is.
fn miss(cell: &Conditions, flows: usize, measured: &Measured) -> String {
    if wide::good(measured) {
        return String::new();
    }
    let link = &cell.link;
    format!(
        "| {flows} | {} | {} | {:.1} | {:.2} | {:.2} | {:.2} |\n",
        link.capacity_bps / 1e6,
        link.base_rtt_s * 1e3,
        link.queue_bytes / link.bdp_bytes(),
        measured.utilisation,
        measured.rtt_ratio,
        measured.fairness
    )
}

/// The same link with every flow at 0.95 of its fair share from the beginning.
fn equal_shares(cell: &Conditions) -> Conditions {
    let mut cell = cell.clone();
    let rate_bps = 0.95 * cell.link.capacity_bps / cell.flows.len() as f64;
    cell.flows.iter_mut().for_each(|flow| flow.rate_bps = rate_bps);
    cell
}

/// The cells of the grid with this many flows.
fn cells(evaluation: usize, flows: usize) -> Vec<Conditions> {
    let cells = wide::grid(flows).into_iter().map(|cell| cell.conditions);
    cells.take(evaluation).collect()
}

/// Baselines, the float network and its integers over one set.
fn all(model: &Judged, set: &[Conditions], reward: Reward) -> Vec<(String, Scores)> {
    let mut controllers: Vec<(String, Box<dyn Controller>)> = vec![
        ("held rate".into(), Box::new(Hold)),
        ("CUBIC-like".into(), Box::new(CubicLike::default())),
        ("BBR-like".into(), Box::new(BbrLike::default())),
        ("float network".into(), Box::new(Acting(Float(model.network.clone())))),
    ];
    for (precision, snapshot) in &model.quantised {
        // The scalar executor is always there.
        if let Ok(integers) = Integers::new(snapshot.clone()) {
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
        let action = self.0.answer(inputs.iter().map(|&x| f64::from(x) / f64::from(ONE)));
        (action * f64::from(ONE)).round() as i32
    }
}

/// The very integers that a worker runs.
pub(crate) struct Integers {
    executable: Executable,
    scratch: Scratch,
}

impl Integers {
    pub(crate) fn new(snapshot: Snapshot) -> Result<Self, Unavailable> {
        Ok(Self { executable: Executable::new(snapshot, Executor::Scalar)?, scratch: Scratch::new() })
    }
}

impl Policy for Integers {
    fn act(&mut self, inputs: &[i32; INPUTS]) -> i32 {
        let mut out = [0];
        self.executable.evaluate(inputs, &mut out, &mut self.scratch);
        out[0]
    }
}

/// The model's entry in a configuration, with the features' default clips.
fn model_spec(name: &str, file: &Path, precision: Precision, preference: Option<Preference>) -> ModelSpec {
    ModelSpec { preference, ..ModelSpec::pacing(name, file, precision) }
}
