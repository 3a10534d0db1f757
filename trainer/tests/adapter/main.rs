//! An adapter process as the trainer meets it: scripted ones that misbehave in every way, and the real example.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, its helpers too"
)]

mod faults;
mod frames;
mod peer;
mod process;
mod python;

use std::path::Path;
use std::time::Duration;
use weir_trainer::adapter::{AdapterProcess, Options, Reason, Subject};
use weir_trainer::network::{Activation, Layer, Network, Output};
use weir_trainer::online::{Batch, Row};

/// Long enough for a peer on a busy machine, short enough for many cases.
const DEADLINE: Duration = Duration::from_millis(400);

fn options(socket: &Path) -> Options {
    Options {
        deadline: DEADLINE,
        wait_min: Duration::from_millis(1),
        wait_max: Duration::from_millis(4),
        ..Options::at(socket.to_path_buf())
    }
}

fn subject() -> Subject {
    Subject { name: "aurora".into(), function: "pacing", schema_hash: 0x1122_3344_5566_7788 }
}

/// Two inputs, two hidden, one output; every weight is exact in single precision.
fn network(scale: f64) -> Network {
    let layer = |inputs: usize, outputs: usize, activation| Layer {
        inputs,
        outputs,
        weights: (0..inputs * outputs).map(|at| scale * (at as f64 * 0.5 - 0.75)).collect(),
        bias: (0..outputs).map(|at| at as f64 * 0.25).collect(),
        activation,
    };
    Network {
        layers: vec![layer(2, 2, Activation::Tanh), layer(2, 1, Activation::Identity)],
        output: Output::Linear,
    }
}

fn process(socket: &Path) -> AdapterProcess {
    AdapterProcess::new(options(socket), subject(), network(1.0))
}

/// Two trajectories, of two rows and of one.
fn batch() -> Batch {
    let mut batch = Batch::new(2);
    let row = |inputs, action, noise, continues, explored, remembered| Row {
        inputs,
        action,
        noise,
        log_prob: if explored { -0.5 } else { 0.0 },
        reward: 0.75,
        weight: 1.0,
        continues,
        explored,
        remembered,
    };
    for row in [
        row(&[0.5, -1.0], 1.5, 0.25, false, true, false),
        row(&[2.0, 3.0], -0.5, 0.0, true, false, false),
        row(&[-4.0, 0.125], 0.0, -0.5, false, true, true),
    ] {
        assert!(batch.push(&row));
    }
    batch
}

/// How often each reason was counted, those that were.
fn counted(process: &AdapterProcess) -> Vec<(Reason, u64)> {
    process.watch().faults().filter(|(_, count)| *count > 0).collect()
}
