//! Models with and without the guard's brake: on queues shorter than what the path holds in an RTT, on paths that lose at
//! random, and on hosts that take the core away. In the link world, through the integers.
//!
//! `cargo run --release -p weir-trainer --example short_queue [MODEL.onnx ...]`; the shipped models if none is named.

use std::error::Error;
use std::path::{Path, PathBuf};
use weir_env::baseline::{BbrLike, Hold};
use weir_env::{
    Acting, Braked, Conditions, Controller, Estimates, Host, Length, Measured, Policy, Stalls, World,
};
use weir_features::{INPUTS, PacingSpec};
use weir_snapshot::{Executable, Executor, Precision, Scratch};
use weir_trainer::{ModelSpec, build};

const MODELS: [&str; 3] = ["aurora.onnx", "aurora-wide.onnx", "aurora-published.onnx"];
/// Queues over what the path holds in an RTT.
const QUEUES: [f64; 6] = [0.03, 0.1, 0.25, 0.5, 1.0, 2.0];
const LOSSES: [f64; 6] = [0.0, 0.01, 0.02, 0.05, 0.1, 0.2];
/// Capacity in bits per second and base RTT in seconds.
const LINKS: [(f64, f64); 5] = [(24e6, 0.005), (24e6, 0.06), (1e8, 0.02), (1e9, 0.001), (1e9, 0.02)];
const INTERVALS: f64 = 1_500.0;
const SETTLE: f64 = 0.25;

struct Integers(Executable, Scratch);

impl Policy for Integers {
    fn act(&mut self, inputs: &[i32; INPUTS]) -> i32 {
        let mut action = [0];
        self.0.evaluate(inputs, &mut action, &mut self.1);
        action[0]
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut files: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    if files.is_empty() {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../conf/models"));
        files = MODELS.map(|name| folder.join(name)).into();
    }
    for flows in [1, 4] {
        println!(
            "\n## Utilisation / RTT over base / lost, %, by queue in BDP; {flows} flow(s), mean of {} links",
            LINKS.len()
        );
        table(&files, &QUEUES, |(capacity_bps, base_rtt_s), queue| {
            conditions(capacity_bps, base_rtt_s, queue, 0.0, flows)
        })?;
        println!(
            "\n## The same by random loss, queue 1 BDP; {flows} flow(s); utilisation of what is not lost"
        );
        table(&files, &LOSSES, |(capacity_bps, base_rtt_s), loss| {
            conditions(capacity_bps, base_rtt_s, 1.0, loss, flows)
        })?;
        println!("\n## The same by mean length of stalls in ms, every 20 ms, queue 2 BDP; {flows} flow(s)");
        table(&files, &[0.2, 1.0, 4.0], |(capacity_bps, base_rtt_s), length_ms| {
            let stalls = Some(Stalls { gap_s: 0.02, length_s: length_ms * 1e-3 });
            Conditions {
                host: Host { stalls, ..Host::ORDINARY },
                ..conditions(capacity_bps, base_rtt_s, 2.0, 0.0, flows)
            }
        })?;
    }
    Ok(())
}

fn table(
    files: &[PathBuf],
    columns: &[f64],
    conditions: impl Fn((f64, f64), f64) -> Conditions,
) -> Result<(), Box<dyn Error>> {
    let head: Vec<String> = columns.iter().map(|column| format!("{column:>17}")).collect();
    println!("{:<28}{}", "", head.concat());
    let line = |name: &str, drive: &mut dyn FnMut(&Conditions) -> Measured| {
        let cells: Vec<String> = columns
            .iter()
            .map(|&column| {
                let found = LINKS.map(|link| {
                    let conditions = conditions(link, column);
                    drive(&conditions)
                });
                let mean =
                    |of: &dyn Fn(&Measured) -> f64| found.iter().map(of).sum::<f64>() / LINKS.len() as f64;
                format!(
                    "{:>5.2} {:>5.2} {:>5.1}",
                    mean(&|found| found.utilisation),
                    mean(&|found| found.rtt_ratio),
                    100.0 * mean(&|found| found.loss)
                )
            })
            .collect();
        println!("{name:<28}{}", cells.join(" "));
    };
    for file in files {
        let built = build(&ModelSpec::pacing("model", file, Precision::Bits8))?;
        let policy = || {
            Ok::<_, Box<dyn Error>>(Acting(Integers(
                Executable::new(built.snapshot.clone(), Executor::best())?,
                Scratch::new(),
            )))
        };
        let name = file.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        let mut bare = policy()?;
        line(&name, &mut |conditions| drive(&mut bare, conditions));
        let mut braked = Braked::new(policy()?);
        line(&format!("{name}, braked"), &mut |conditions| drive(&mut braked, conditions));
    }
    line("equal shares", &mut |conditions| {
        let mut conditions = conditions.clone();
        let share_bps = 0.95 * conditions.link.capacity_bps / conditions.flows.len() as f64;
        conditions.flows.iter_mut().for_each(|flow| flow.rate_bps = share_bps);
        drive(&mut Hold, &conditions)
    });
    line("BBR-like", &mut |conditions| drive(&mut BbrLike::default(), conditions));
    Ok(())
}

fn conditions(capacity_bps: f64, base_rtt_s: f64, queue: f64, loss: f64, flows: usize) -> Conditions {
    let queue_bytes = queue * capacity_bps * base_rtt_s / 8.0;
    let path = Estimates { capacity_bps, base_rtt_s, queue_bytes, loss, jitter_s: 0.0, flows };
    let mut conditions = Conditions::estimated(&path, &PacingSpec::default(), 1);
    conditions.length = Length::Seconds(INTERVALS * conditions.interval_s());
    conditions
}

fn drive(controller: &mut impl Controller, conditions: &Conditions) -> Measured {
    let Length::Seconds(end_s) = conditions.length else { return World::new(conditions).measured() };
    controller.begin(conditions.flows.len());
    let mut world = World::new(conditions);
    world.run(SETTLE * end_s, u64::MAX, controller);
    world.measure();
    world.run(end_s, u64::MAX, controller);
    world.measured()
}
