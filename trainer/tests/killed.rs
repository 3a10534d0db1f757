//! `kill -9` in the midst of a publication, again and again: every restart finds a whole snapshot, and none older than the
//! last whose publication had returned.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, its helpers too")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;
use weir_snapshot::{Function, Precision};
use weir_trainer::network::{Activation, Layer, Network, Output};
use weir_trainer::quantise::{InputMap, QuantiseOptions, quantise};
use weir_trainer::rng::Rng;
use weir_trainer::store::{Expected, Reason, Record, Store};

/// Names the folder to the child.
const FOLDER: &str = "WEIR_TEST_KILLED_FOLDER";
const EXPECTED: Expected = Expected { function: Function::Pacing, schema_hash: 1, inputs: 30, outputs: 1 };
const KEEP: usize = 3;

/// Ends the child however the test ends.
struct Publishing(Child);

impl Drop for Publishing {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Aurora's shape; `seed` tells snapshots apart.
fn network(seed: u64) -> Network {
    let mut rng = Rng::new(seed);
    let mut layer = |inputs: usize, outputs: usize, activation| Layer {
        inputs,
        outputs,
        weights: (0..inputs * outputs).map(|_| rng.uniform(-0.3, 0.3)).collect(),
        bias: vec![0.0; outputs],
        activation,
    };
    let layers = vec![
        layer(30, 32, Activation::Tanh),
        layer(32, 16, Activation::Tanh),
        layer(16, 1, Activation::Identity),
    ];
    Network { layers, output: Output::Linear }
}

fn snapshot(network: &Network) -> Vec<u8> {
    let inputs = vec![InputMap { scale: 1.0, offset: 0.0, clip: [-1.0, 1.0] }; 30];
    let options = QuantiseOptions {
        name: "killed",
        function: Function::Pacing,
        precision: Precision::Bits8,
        schema_hash: EXPECTED.schema_hash,
        inputs: &inputs,
        reference: &[0.0; 30],
        calibration: &[],
        rows: &[],
    };
    quantise(network, &options).unwrap()
}

/// What the child does until it is killed: publishes, and says each number once its publication has returned.
fn publish_for_ever(folder: &Path) -> ! {
    let store = Store::open(folder, KEEP).unwrap();
    let mut generation = store.load(&EXPECTED).unwrap().highest;
    let figures = BTreeMap::new();
    loop {
        generation += 1;
        let network = network(u64::from(generation));
        let bytes = snapshot(&network);
        let record = Record {
            generation,
            unix_seconds: 0,
            snapshot: &bytes,
            network: &network,
            reason: Reason::Adapted,
            configured: 7,
            figures: &figures,
        };
        store.save(&record).unwrap();
        println!("published {generation}");
    }
}

/// Not a test of its own: what [`kill`] starts and kills.
#[test]
fn child() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        publish_for_ever(&PathBuf::from(folder));
    }
}

fn start(folder: &Path) -> Publishing {
    let command = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn();
    Publishing(command.unwrap())
}

/// Kills `kills` children.
fn kill(kills: usize) {
    let folder = tempfile::TempDir::new().unwrap();
    let mut rng = Rng::new(1);
    let number = |line: &String| line.strip_prefix("published ").and_then(|n| n.parse::<u32>().ok());
    let (mut newest, mut midst) = (0, 0);
    for kill in 0..kills {
        let mut child = start(folder.path());
        let mut said = BufReader::new(child.0.stdout.take().unwrap()).lines().map(Result::unwrap);
        said.by_ref().find_map(|line| number(&line)).expect("the child publishes");
        // Anywhere in the next publication, which takes about as long as one more did.
        let begun = Instant::now();
        newest = said.by_ref().find_map(|line| number(&line)).expect("the child publishes");
        std::thread::sleep(begun.elapsed().mul_f64(rng.unit()));
        child.0.kill().unwrap();
        child.0.wait().unwrap();
        newest = said.filter_map(|line| number(&line)).last().unwrap_or(newest);

        let half_done = |name: &str| name.starts_with(".new-") || name.starts_with(".old-");
        midst += std::fs::read_dir(folder.path())
            .unwrap()
            .any(|entry| half_done(entry.unwrap().file_name().to_str().unwrap())) as usize;
        let store = Store::open(folder.path(), KEEP).unwrap();
        let loaded = store.load(&EXPECTED).unwrap();
        assert!(loaded.skipped.is_empty(), "kill {kill}: {:?}", loaded.skipped);
        let found = &loaded.generations[0];
        assert!(found.manifest.generation >= newest, "kill {kill}: {newest} was published");
        assert_eq!(found.bytes, snapshot(&network(u64::from(found.manifest.generation))), "kill {kill}");
    }
    assert!(midst >= kills / 4, "only {midst} of {kills} kills fell into a publication");
    println!("{kills} kills, {midst} in the midst of a publication, {newest} publications");
}

#[test]
fn every_restart_finds_a_valid_snapshot() {
    kill(40);
}

/// Half a minute: `make nightly`.
#[test]
#[ignore = "half a minute"]
fn every_one_of_two_hundred_restarts_finds_a_valid_snapshot() {
    kill(200);
}
