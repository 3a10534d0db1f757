//! How many samples per second a worker hands to the trainer, and what it costs its frames: nobody sampled, every flow sampled
//! with a trainer that takes them every 10 ms, and every flow sampled with a trainer that has stopped.
//!
//! ```text
//! cargo run --release -p weir-engine --example samples [seconds]
//! ```
//!
//! A thousand paced flows (see `traffic`), run as fast as one core can. The trainer is a thread on another core, and keeps the
//! last 65 536 samples. The three take turns, five times.

mod frames;
mod traffic;

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use traffic::{Hosts, STEP};
use weir_engine::Worker;
use weir_engine::models::ModelSet;
use weir_engine::policy::Policy;
use weir_engine::sampler::{LANE_BATCH, LANE_BATCHES};
use weir_engine::time::Ns;
use weir_features::Sample;
use weir_handoff::{LaneReceiver, Reader, epoch, lane};

/// How often the trainer looks.
const LOOK: Duration = Duration::from_millis(10);
const WINDOW: usize = 65_536;
const ROUNDS: u32 = 5;
/// Samples per second without loss, per lane, and the least share of its frames that a worker keeps when the trainer has
/// stopped: DESIGN section 6.
const RATE_MIN: f64 = 1e6;
const FRAMES_MIN: f64 = 0.97;

/// Takes samples until told to stop.
fn train(core: usize, mut lane: LaneReceiver<Sample>, stop: &AtomicBool) -> Result<usize, String> {
    weir_cpu::pin_current_thread(core).map_err(|error| error.to_string())?;
    let mut window: Vec<Sample> = Vec::with_capacity(WINDOW);
    let mut taken = 0;
    while !stop.load(Ordering::Relaxed) {
        thread::sleep(LOOK);
        taken += lane.drain(usize::MAX, |sample| {
            if window.len() == WINDOW {
                window.clear();
            }
            window.push(*sample);
        });
    }
    Ok(taken)
}

/// One worker with its traffic, and what it has done.
struct Bench {
    name: &'static str,
    worker: Worker<Vec<u8>>,
    hosts: Hosts,
    policy: Reader<Policy>,
    now: Ns,
    /// Frames per second of each round.
    rates: Vec<f64>,
    seconds: f64,
}

impl Bench {
    fn new(name: &'static str, sample_share: u32) -> Result<(Bench, LaneReceiver<Sample>), Box<dyn Error>> {
        let config = traffic::config(sample_share);
        let models = ModelSet::empty().with(Arc::new(traffic::generation(1)?));
        let (_, mut readers) =
            epoch(Policy { models, pacing: config.pacing.clone(), ..Policy::default() }, 1);
        let policy = readers.pop().ok_or("one reader")?;
        let (samples, taken) = lane(LANE_BATCHES, LANE_BATCH);
        let now = Ns::from_secs(1);
        let worker = Worker::new(&config, now, samples);
        Ok((Bench { name, worker, hosts: Hosts::new(), policy, now, rates: Vec::new(), seconds: 0.0 }, taken))
    }

    fn frames(&self) -> u64 {
        self.worker.tally().sent.iter().sum()
    }

    /// Samples handed over, and dropped.
    fn samples(&self) -> (u64, u64) {
        let stats = self.worker.stats();
        (stats.samples_model, stats.samples_dropped)
    }

    fn run(&mut self, span: Duration) {
        let (began, before) = (Instant::now(), self.frames());
        while began.elapsed() < span {
            for _ in 0..64 {
                self.hosts.at(self.now);
                self.worker.turn(self.now, &mut self.hosts, &mut self.policy);
                self.now += STEP;
            }
        }
        let seconds = began.elapsed().as_secs_f64();
        self.rates.push((self.frames() - before) as f64 / seconds);
        self.seconds += seconds;
    }

    fn rate(&mut self) -> f64 {
        self.rates.sort_by(f64::total_cmp);
        self.rates[self.rates.len() / 2]
    }
}

fn measure(seconds: f64) -> Result<bool, Box<dyn Error>> {
    let [worker_core, trainer_core, ..] = weir_cpu::allowed_cpus()?[..] else {
        return Err("expected two cores: one for the worker, one for the trainer".into());
    };
    weir_cpu::pin_current_thread(worker_core)?;
    let (nobody, _nothing) = Bench::new("nobody sampled", 0)?;
    let (drained, lane) = Bench::new("sampled, trainer takes them", 65_536)?;
    let (stopped, _full) = Bench::new("sampled, trainer stopped", 65_536)?;
    let mut benches = [nobody, drained, stopped];
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let trainer = scope.spawn(|| train(trainer_core, lane, &stop));
        for _ in 0..ROUNDS {
            benches.iter_mut().for_each(|bench| bench.run(Duration::from_secs_f64(seconds)));
        }
        stop.store(true, Ordering::Relaxed);
        let taken = trainer.join().map_err(|_| "the trainer has panicked")??;
        println!(
            "{:<30} {:>12} {:>12} {:>12} {:>12}",
            "", "M frames/s", "M samples/s", "handed over", "dropped"
        );
        let mut rates = Vec::new();
        for bench in &mut benches {
            let (handed, dropped) = bench.samples();
            let samples = (handed + dropped) as f64 / bench.seconds;
            let rate = bench.rate();
            println!(
                "{:<30} {:>12.3} {:>12.3} {handed:>12} {dropped:>12}",
                bench.name,
                rate / 1e6,
                samples / 1e6
            );
            rates.push((rate, samples));
        }
        let [(nobody, _), (drained, samples), (stopped, _)] = rates[..] else { return Ok(false) };
        println!(
            "frames, drained over stopped: {:.3}; sampled over not: {:.3}",
            drained / stopped,
            stopped / nobody
        );
        println!(
            "the trainer has taken {taken}; {} batches of {} in a lane, {} B a sample",
            LANE_BATCHES,
            LANE_BATCH,
            size_of::<Sample>()
        );
        let lost = benches[1].samples().1;
        Ok(samples >= RATE_MIN && lost == 0 && stopped / drained >= FRAMES_MIN && benches[2].samples().1 > 0)
    })
}

fn main() -> ExitCode {
    let seconds = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(1.0);
    traffic::told(measure(seconds))
}
