//! What is fuzzed. A target makes inputs of a kind and checks them: a panic is a finding.

mod config;
mod onnx;
mod parser;
mod ports;
mod snapshot;
mod tracker;
mod training;
mod worker;

use weir_trainer::rng::Rng;

/// One reader of bytes.
pub(crate) trait Target {
    /// Makes an input from the generator's next numbers and nothing else.
    fn make(&self, rng: &mut Rng) -> Vec<u8>;

    /// Checks what becomes of an input, whatever it is. Returns how many of [`Target::counts`] it held.
    ///
    /// # Panics
    /// When something does not hold.
    fn check(&mut self, input: &[u8]) -> u64;

    /// What `check` counts: it tells how deep the inputs get.
    fn counts(&self) -> &'static str;
}

/// Every target's name.
pub(crate) const NAMES: [&str; 7] = ["parser", "worker", "tracker", "snapshot", "onnx", "training", "config"];

/// The target of this name.
pub(crate) fn named(name: &str) -> Box<dyn Target> {
    match name {
        "parser" => Box::new(parser::Parser::new()),
        "worker" => Box::new(worker::Worker::new()),
        "tracker" => Box::new(tracker::Tracker),
        "snapshot" => Box::new(snapshot::Snapshots::new()),
        "onnx" => Box::new(onnx::Onnx::new()),
        "training" => Box::new(training::Training::new()),
        "config" => Box::new(config::Configurations::new()),
        other => panic!("no target {other:?}"),
    }
}
