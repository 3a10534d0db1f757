//! The model's card: how it was made, how good it is, what it is not.

use super::check::{HOSTS, Host, LINK, RECOVERY_S, Row};
use super::train::Student;
use super::world::Measured;
use super::{NAME, Options};
use crate::verify::Errors;
use std::fmt::Write;
use weir_snapshot::Precision;

/// The closed-loop results as a Markdown table.
pub(super) fn table(drives: &[(&str, Vec<Row>)]) -> String {
    let mut text = String::from(
        "| driver | host | flows | steady | capacity halved | doubled again |\n| --- | --- | --- | --- | --- | --- |\n",
    );
    let cell = |m: &Measured| {
        format!("{:.2} / {:.2} / {:.2} % / {:.2}", m.utilisation, m.rtt_ratio, 100.0 * m.loss, m.fairness)
    };
    for (driver, rows) in drives {
        for row in rows {
            let cells = [row.steady, row.halved, row.doubled].map(|m| cell(&m)).join(" | ");
            // Writing to a String cannot fail.
            let _ = writeln!(text, "| {driver} | {} | {} | {cells} |", row.host.name, row.flows);
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
    grid: &str,
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
    let bound = |host: &Host| {
        format!(
            "a utilisation below {} or an RTT above {} on the {} host",
            host.utilisation_min, host.rtt_ratio_max, host.name
        )
    };
    let bounds = HOSTS.iter().map(bound).collect::<Vec<_>>().join(", or ");
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
100 ms, queue 0.2 to 4 BDP, 1 to 16 flows, up to three changes of capacity by 0.25 to 4, RTT noise up to half of the
base RTT; in seven of ten episodes the receiver delays acknowledgements, in half of them the flows' core is taken away
for 0.2 to 10 ms every 2 to 100 ms. Licence: as the repository; no outside weights or data.

Teacher, with I, L, S = latency inflation, latency ratio, send ratio, `mean n` over the newest n intervals,
q = L - 1 (`trainer/src/imitate/teacher.rs` says why):

    hold  = 2.2 (0.03 - mean4 q)
    probe = 4.5 clamp((0.03 - max(mean2 q, mean10 q)) / 0.03, 0, 1)
    damp  = 26 (q now - q before)
    share = 15 clamp(mean10 S - 1 - 2 mean10 I, 0, 0.09) clamp(1 - mean10 q / 2, 0, 1)
    a     = clamp(hold + probe - damp + share, -10, 10)

Error against the teacher (root mean square, in units of the action): {training:.3} on the training states,
{validation:.3} on fresh episodes that the student drove, where the teacher's actions have a deviation of {deviation:.2}.

## Quantisation error

Integers against the float network on 4 096 seeded rows within the clips, half of them uniform over the whole box;
absolute, in units of the action, and as a share of the output's deviation on those rows.

{quantisation}
## Closed loop

{capacity} Mb/s, {rtt} ms base RTT, queue {queue} BDP, delayed acknowledgements; all flows start together, every other
one at a fifth of its share. Utilisation / mean RTT in base RTTs / loss / Jain's index, over 5 s; after a change from
{RECOVERY_S} s on. The busy host takes the flows' core away for 6 ms of every 12 ms, both exponential: nothing is sent or
seen meanwhile. The command refuses to write a model with {bounds}.

{drives}
## The grid

{grid}
## What it is not

- Not trained by reinforcement, not tuned on real traffic. In its world a flow always has data and paces exactly; TCP
  senders that are window-limited, retransmit or burst are outside of what it has seen.
- Slow to share: unequal flows become equal over some hundred RTTs, and on links of many packets per RTT hardly at all.
- A base RTT that rises is not unlearned: after a re-route to a longer path it reads the difference as a queue and gives
  way. A flow that starts into a standing queue takes that for its base and holds a tenth more on top.
- It gives way to senders that fill queues until they lose (CUBIC in the same queue starves it).
- Not for a queue shorter than what the path holds in an RTT: no RTT shows such a queue, and loss reads as room. With half of that or
  less it raises its rate to eight times what the link takes, in the link world, and loses nine packets of ten. On the wire
  the guard's brake holds it at what gets through: 1 to 2 % lost alone, 7 to 9 % with four flows (`docs/decisions/0013-brake.md`).
"
    )
}
