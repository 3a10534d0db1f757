//! The model's card: how it was made, how good it is, what it is not.

use super::make::{Judged, NAME, Options};
use super::train::{APPLICATION, Point};
use crate::network::Network;
use crate::verify::Errors;
use std::fmt::Write;
use weir_snapshot::Precision;

/// The whole card.
pub(super) fn text(
    options: &Options,
    network: Option<&Network>,
    points: &[Point],
    judged: &[Judged],
    errors: &[(Precision, usize, Errors)],
) -> String {
    let Options { command, date, .. } = options;
    let shape = network.map(Network::shape).unwrap_or_default();
    let flows = points.last().map_or(0, |point| point.flows);
    let mut table = String::from(
        "| workload | predictability | by all | visible | float | 8bit | 12bit | last size | mean size | other application, of visible |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for line in judged {
        let integers: Vec<String> = line.integers.iter().map(|r2| format!("{r2:.2}")).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(
            table,
            "| {} | {} | {:.2} | {:.2} | {:.2} | {} | {:.2} | {:.2} | {:.2} of {:.2} |",
            line.workload,
            line.predictability,
            line.all,
            line.visible,
            line.float,
            integers.join(" | "),
            line.last,
            line.mean,
            line.drifted.0,
            line.drifted.1
        );
    }
    let mut quantisation =
        String::from("| precision | snapshot | mean | p99 | max |\n| --- | --- | --- | --- | --- |\n");
    for (precision, bytes, e) in errors {
        let _ = writeln!(
            quantisation,
            "| {} | {bytes} B | {:.3} | {:.3} | {:.3} |",
            precision.name(),
            e.mean,
            e.p99,
            e.max
        );
    }
    format!(
        "# {NAME}.onnx

Predicts a flow's size at its first data segment: {shape}, tanh, twelve features in (`docs/features.md` section 12), log2 of the
size in bytes out.

## How it was made

    {command}

on {date}; the same seed gives the same file on the same kind of machine with the same ONNX Runtime. Regression (mean squares,
Adam) on {flows} flows of the jobs of one application (number {APPLICATION}), none seen twice: three kinds of job of 5 to 8 stages in
order, one flow of ten out of order, each peer one job; `env/src/jobs.rs` says it exactly. Sizes have the distribution of web
search, data mining or a web server (`conf/workloads`), a third each. *Predictability* is the share of the variance (of the normal
score) that who knew the stage would know: a third of the flows each at 0.9, 0.6 and 0.2, all in one network. No outside weights
or flows. `{NAME}.svg` is the learning curve.

## How good it is

R2 on log2 of the size, on fresh peers of the same application: 1 is perfect, 0 no better than the mean of all. *By all*: the
expectation of who knows the application, the workload and the predictability, has seen all the peer's flows with their gaps, and
sees the first segment (an exact filter over kinds and stages, `trainer/src/sizes/observer.rs`). *Visible*: the same begun anew five
flows before, without their gaps. That is what the network's features can tell, about: it is shown their mean besides, and not the
size of a flow that is still under way. A snapshot is shipped only if 12bit has at least 0.75 of *visible* at 0.9 and 0.6. One flow of
ten is out of order, so both are below the predictability; a short flow's first segment is all of it, so they may be above (data
mining). *Last size*, *mean size*: to say what the peer's last flow had, or the mean of its flows. *Other application*: the float
network on jobs that it was not trained on, as after drift.

{table}
## Quantisation error

Integers against the float network on 4 096 seeded rows within the clips, half of them uniform over the whole box, in log2 of the
size (1: a factor of two).

{quantisation}
## What it is not

- Made for a real application. What it knows is the order of the stages of a made-up one; of another it knows what the last
  sizes say. `weir_schedule_prediction_error_total` over `weir_schedule_predictions_judged_total` says how far off it is on
  live traffic, and the control share whether flows finish sooner by it.
- Trained on connections that carry several requests, on peers of which a worker sees a part, or on first segments of more than
  1 460 bytes: with jumbo frames use a model of your own.
"
    )
}
