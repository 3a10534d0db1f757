//! The real example process, `trainer/python/examples/numpy_tuner.py`.

use super::{counted, options, subject};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use weir_trainer::adapter::{AdapterProcess, Options, Reason};
use weir_trainer::network::{Activation, Layer, Network, Output};
use weir_trainer::online::{Adapter, Batch, Row};
use weir_trainer::rng::Rng;

/// The interpreter for which `scripts/setup.sh` installs numpy.
const PYTHON: &str = "/usr/bin/python3";
/// Starting numpy on a machine that compiles something.
const START_MAX: Duration = Duration::from_secs(30);

/// Whether there is numpy. Where there is none, says what is skipped, or fails when nothing may be.
fn numpy() -> bool {
    let found = Command::new(PYTHON).args(["-c", "import numpy"]).stderr(Stdio::null()).status();
    if found.is_ok_and(|status| status.success()) {
        return true;
    }
    let required = std::env::var_os("WEIR_REQUIRE_ALL").is_some_and(|value| value == "1");
    assert!(!required, "{PYTHON} has no numpy: run scripts/setup.sh");
    eprintln!("SKIPPED the example adapter process: {PYTHON} has no numpy, scripts/setup.sh installs it");
    false
}

struct Tuner {
    child: Child,
    socket: PathBuf,
    folder: tempfile::TempDir,
}

impl Tuner {
    fn start() -> Tuner {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("tuner.sock");
        Tuner { child: spawn(&socket), socket, folder }
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).unwrap();
    }

    fn end(&mut self) -> std::process::ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Tuner {
    fn drop(&mut self) {
        // Fails where it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(socket: &Path) -> Child {
    let python = concat!(env!("CARGO_MANIFEST_DIR"), "/python");
    Command::new(PYTHON)
        .arg("-B")
        .arg(format!("{python}/examples/numpy_tuner.py"))
        .arg(socket)
        .args(["--learning-rate", "0.01"])
        .env("PYTHONPATH", python)
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn options_of(tuner: &Tuner) -> Options {
    // The example shares two cores with other tests here: what is short is not tested.
    Options { deadline: Duration::from_secs(10), ..options(&tuner.socket) }
}

/// Asks until the process has started and the wait after a fault is over.
fn patiently<T, E: std::fmt::Display>(mut ask: impl FnMut() -> Result<T, E>) -> T {
    let end = Instant::now() + START_MAX;
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(error) if Instant::now() > end => panic!("{error}"),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// A 30-32-16-1 network with small seeded weights.
fn network() -> Network {
    let mut rng = Rng::new(1);
    let widths = [30, 32, 16, 1];
    let layers = widths.windows(2).enumerate().map(|(at, pair)| Layer {
        inputs: pair[0],
        outputs: pair[1],
        // As a file in single precision has them.
        weights: (0..pair[0] * pair[1]).map(|_| f64::from(rng.uniform(-0.3, 0.3) as f32)).collect(),
        bias: vec![0.0; pair[1]],
        activation: if at == 2 { Activation::Identity } else { Activation::Tanh },
    });
    Network { layers: layers.collect(), output: Output::Linear }
}

const SIGMA: f64 = 0.2;

/// Decisions of `network` that explored, each worth more the closer it came to `best` of its inputs.
fn decisions(network: &Network, rng: &mut Rng, rows: usize, best: impl Fn(&[f64]) -> f64) -> Batch {
    let mut batch = Batch::new(30);
    for at in 0..rows {
        let inputs: Vec<f32> = (0..30).map(|_| rng.uniform(-1.0, 1.0) as f32).collect();
        let shown: Vec<f64> = inputs.iter().map(|&x| f64::from(x)).collect();
        let noise = SIGMA * rng.normal();
        let action = network.evaluate(&shown)[0] + noise;
        let log_prob = -0.5 * (noise / SIGMA).powi(2) - (SIGMA * std::f64::consts::TAU.sqrt()).ln();
        assert!(batch.push(&Row {
            inputs: &inputs,
            action: action as f32,
            noise: noise as f32,
            log_prob: log_prob as f32,
            reward: (1.0 - (action - best(&shown)).powi(2)).max(0.0) as f32,
            weight: 1.0,
            continues: at % 4 != 0,
            explored: true,
            remembered: false,
        }));
    }
    batch
}

#[test]
fn the_example_learns_and_what_it_freezes_is_what_it_evaluates() {
    if !numpy() {
        return;
    }
    let mut tuner = Tuner::start();
    let start = network();
    let mut process = AdapterProcess::new(options_of(&tuner), subject(), start.clone());
    let mut rng = Rng::new(2);
    let best = |inputs: &[f64]| 0.4 + 0.3 * inputs[0];
    let reward = |batch: &Batch| batch.rewards().iter().sum::<f32>() / batch.len() as f32;

    let mut now = start.clone();
    let before = reward(&decisions(&now, &mut rng, 4_000, best));
    for _ in 0..40 {
        let batch = decisions(&now, &mut rng, 512, best);
        let report = patiently(|| process.adapt(&batch));
        assert_eq!((report.rows, report.steps), (512, 4));
        let stability = process.evaluate(&batch).unwrap();
        now = process.freeze().unwrap();
        let rows = batch.rows().map(|row| {
            let inputs: Vec<f64> = row.inputs.iter().map(|&x| f64::from(x)).collect();
            now.evaluate(&inputs)[0]
        });
        let mean = rows.sum::<f64>() / 512.0;
        // The file has single precision, the tuner double.
        assert!((mean - stability).abs() < 1e-5, "{mean} {stability}");
    }
    // Exploring alone costs SIGMA squared = 0.04 of 1.
    let after = reward(&decisions(&now, &mut rng, 4_000, best));
    assert!(before < 0.8 && after > 0.93, "{before} to {after}");

    process.reset(&start).unwrap();
    assert_eq!(process.freeze().unwrap(), start);
    let watch = process.watch();
    let faults: Vec<_> =
        counted(&process).into_iter().filter(|(reason, _)| !before_its_start(*reason)).collect();
    assert_eq!((watch.connections(), faults, watch.peer()), (1, vec![], "numpy_tuner".to_owned()));

    // A stop on request is an orderly one, and takes the socket away.
    tuner.signal(Signal::SIGTERM);
    assert!(tuner.end().success());
    assert!(std::fs::read_dir(tuner.folder.path()).unwrap().next().is_none());
}

fn before_its_start(reason: Reason) -> bool {
    [Reason::Absent, Reason::Waiting].contains(&reason)
}

#[test]
fn the_example_stopped_killed_and_started_again() {
    if !numpy() {
        return;
    }
    let mut tuner = Tuner::start();
    let mut process = AdapterProcess::new(options_of(&tuner), subject(), network());
    let batch = decisions(&network(), &mut Rng::new(3), 64, |_| 0.5);
    patiently(|| process.adapt(&batch));
    let frozen = process.freeze().unwrap();
    assert_ne!(frozen, network());

    let quick = Options { deadline: Duration::from_millis(200), ..options_of(&tuner) };
    let mut other = AdapterProcess::new(quick, subject(), network());
    tuner.signal(Signal::SIGSTOP);
    let asked = Instant::now();
    other.freeze().unwrap_err();
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    assert_eq!(counted(&other), [(Reason::Late, 1)]);
    tuner.signal(Signal::SIGCONT);
    // A connection that was cut off does not keep the process from others.
    process.adapt(&batch).unwrap();
    let frozen_later = process.freeze().unwrap();
    assert_ne!(frozen_later, frozen);

    tuner.signal(Signal::SIGKILL);
    tuner.end();
    process.adapt(&batch).unwrap_err();
    assert!(counted(&process).iter().any(|(reason, _)| *reason == Reason::Closed));
    // The next one finds the dead one's socket in its way, and what the dead one last froze.
    tuner.child = spawn(&tuner.socket);
    assert_eq!(patiently(|| process.freeze()), frozen_later);
}

#[test]
fn the_example_refuses_what_it_cannot_tune() {
    if !numpy() {
        return;
    }
    let tuner = Tuner::start();
    let mut leaky = network();
    leaky.layers[0].activation = Activation::LeakyRelu { slope: 0.1 };
    let mut process = AdapterProcess::new(options_of(&tuner), subject(), leaky);
    let unsuitable = patiently(|| match process.freeze() {
        Err(error) if error.to_string().contains("cannot tune") => Ok(error),
        other => Err(format!("{other:?}")),
    });
    assert!(unsuitable.to_string().contains("LeakyRelu"), "{unsuitable}");
}
