//! The model's card: how it was made, how good it is, what it is not.

use super::check::{BOUNDS, LINK, RECOVERY_S, Row};
use super::train::Student;
use super::world::Measured;
use super::{NAME, Options};
use crate::verify::Errors;
use std::fmt::Write;
use weir_snapshot::Precision;

/// The closed-loop results as a Markdown table.
pub(super) fn table(drives: &[(&str, Vec<Row>)]) -> String {
    let mut text = String::from(
        "| driver | flows | steady | capacity halved | doubled again |\n| --- | --- | --- | --- | --- |\n",
    );
    let cell = |m: &Measured| format!("{:.3} / {:.2} / {:.2} %", m.utilisation, m.rtt_ratio, 100.0 * m.loss);
    for (driver, rows) in drives {
        for row in rows {
            let cells = [row.steady, row.halved, row.doubled].map(|m| cell(&m)).join(" | ");
            // Writing to a String cannot fail.
            let _ = writeln!(text, "| {driver} | {} | {cells} |", row.flows);
        }
    }
    text
}

/// The whole card.
pub(super) fn text(
    options: &Options,
    student: &Student,
    drives: &[(&str, Vec<Row>)],
    errors: &[(Precision, usize, Errors)],
) -> String {
    let Options { seed, date, .. } = options;
    let (shape, states) = (student.network.shape(), student.states);
    let (training, validation) = (student.error_training, student.error_validation);
    let deviation = student.action_deviation;
    let mut quantisation =
        String::from("| precision | snapshot | mean | p99 | max |\n| --- | --- | --- | --- | --- |\n");
    for (precision, bytes, e) in errors {
        let share = |error: f64| format!("{error:.4} ({:.2} %)", 100.0 * error / e.output_deviation);
        let (mean, p99, max) = (share(e.mean), share(e.p99), share(e.max));
        let _ = writeln!(quantisation, "| {} | {bytes} B | {mean} | {p99} | {max} |", precision.name());
    }
    let (capacity, rtt, queue) = (LINK.capacity_bps / 1e6, LINK.base_rtt_s * 1e3, LINK.queue_bdp);
    let drives = table(drives);
    format!(
        "# {NAME}.onnx

A pacing model in Aurora's shape: {shape}, tanh, ten monitor intervals of three features in, one action out (rate x
(1 + 0.025 a) for a >= 0, rate / (1 + 0.025 |a|) below). **It is an imitation of a classical controller**, made so that
Weir has a model to run until the training issue gives the real one. It has learned nothing that its teacher does not
know, and its results say nothing about what learning can do.

## How it was made

    weir train imitate --seed {seed}

on {date}; the same seed gives the same file where the C library computes the same tanh. Regression on {states} states
from episodes in a small packet-level world (`trainer/src/imitate/world.rs`: one drop-tail queue, feedback one RTT late,
features by `weir-features`), in which the student drives ever more and the teacher says what it would have done
(DAgger). Ranges: 2 Mb/s to 1 Gb/s, base RTT 1 to
100 ms, queue 0.2 to 4 BDP, 1 to 16 flows, up to three changes of capacity by 0.25 to 4, RTT noise up to a fifth of the
base RTT. Licence: as the repository; no outside weights or data.

Teacher, with I, L, S = latency inflation, latency ratio, send ratio, `mean n` over the newest n intervals, q = L - 1,
x = 2 I (`trainer/src/imitate/teacher.rs` says why):

    a = clamp(3 clamp((0.09 - max(mean2 q, mean10 q)) / 0.09, 0, 1)
              + clamp(0.8 (0.08 - mean2 q), -4, 1) - 20 mean2 x - 6 max(0, mean2 S - 1.7), -10, 3)

Error against the teacher (root mean square, in units of the action): {training:.3} on the training states,
{validation:.3} on fresh episodes that the student drove, where the teacher's actions have a deviation of {deviation:.2}.

## Quantisation error

Integers against the float network on 4 096 seeded rows within the clips, half of them uniform over the whole box;
absolute, in units of the action, and as a share of the output's deviation on those rows.

{quantisation}
## Closed loop

{capacity} Mb/s, {rtt} ms base RTT, queue {queue} BDP, all flows start together at 10 Mb/s or their share, whichever is
less. Utilisation / mean RTT in base RTTs / loss, over 3 s; after a change from {RECOVERY_S} s on. The command refuses to
write a model with a utilisation below {utilisation} or an RTT above {ratio}.

{drives}
## What it is not

- Not trained by reinforcement, not tuned on real traffic. In its world a flow always has data and paces exactly; TCP
  senders that are window-limited, retransmit or burst are outside of what it has seen.
- No fairness term: flows that see the same queue all keep the shares that they have.
- A base RTT that rises is not unlearned: after a re-route to a longer path it reads the difference as a queue and gives
  way. A flow that starts into a standing queue takes that for its base and holds a tenth more on top.
- It gives way to senders that fill queues until they lose (CUBIC in the same queue starves it).
",
        utilisation = BOUNDS.0,
        ratio = BOUNDS.1,
    )
}
