//! The whole trainer in the link world: flows paced by its snapshots, their samples, what it publishes, and how long its
//! steps take. Frozen and adapting, on the same links with the same seeds.
//!
//! `cargo run --release -p weir-trainer --example adaptation [SECONDS per link] [SEED]`

use std::error::Error;
use std::path::Path;
use weir_env::{Conditions, Controller, Ended, Estimates, Outcome, Policy, Preference, World};
use weir_features::{ACTION_MAX_Q16, Brake, Noise, ONE, PacingSpec, Sample, Source, apply_action};
use weir_snapshot::{Executable, Executor, Precision, Scratch};
use weir_trainer::online::gate::{GateConfig, Safety, Terms};
use weir_trainer::online::replay::LinkReplay;
use weir_trainer::online::{PolicyTuner, PolicyTuning, Start, Trainer, TrainerConfig};
use weir_trainer::ort_engine::Engine;
use weir_trainer::rng::Rng;
use weir_trainer::store::Reason;
use weir_trainer::{Built, ModelSpec, build};

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../conf/models/aurora.onnx");
const RATES_BPS: (u64, u64) = (500_000, 10_000_000_000);
const FLOWS: usize = 16;
/// Every so many flows one explores.
const EXPLORING: usize = 2;
const SIGMA: f64 = 0.5;
/// Capacity in bits per second and base RTT in seconds, one after the other.
const LINKS: [(f64, f64); 3] = [(1e8, 0.02), (1e8, 0.005), (1e8, 0.02)];

fn main() -> Result<(), Box<dyn Error>> {
    let seconds: f64 = std::env::args().nth(1).map_or(Ok(60.0), |argument| argument.parse())?;
    let seed: u64 = std::env::args().nth(2).map_or(Ok(1), |argument| argument.parse())?;
    let engine = Engine::load(None)?;
    let built = build(&ModelSpec::pacing("aurora", Path::new(MODEL), Precision::Bits12))?;
    println!("{FLOWS} flows, one in {EXPLORING} explores; {seconds} s per link; reward as the link knows it");
    println!(
        "{:<9} {:>16} {:>8} {:>6} {:>6} {:>6} {:>11}",
        "", "link", "reward", "util", "RTT", "loss", "generation"
    );
    for adapts in [false, true] {
        let mut trainer = trainer(&engine, &built, seed)?;
        let publication = trainer.install(Start {
            number: 0,
            reason: Reason::Configured,
            network: built.network.clone(),
            bytes: built.bytes.clone(),
            refused: false,
        })?;
        trainer.published(publication.generation, 0);
        let executable = Executable::new(publication.snapshot, Executor::best())?;
        let mut live = Live::new(trainer, executable, adapts, seed);
        for (at, link) in LINKS.into_iter().enumerate() {
            live.run(at, link, seconds);
        }
        if adapts {
            live.tell();
        }
    }
    Ok(())
}

fn trainer(engine: &Engine, built: &Built, seed: u64) -> Result<Trainer, Box<dyn Error>> {
    let terms = Terms::of(built);
    let tuning = PolicyTuning { learning_rate: 1e-3, sigma: SIGMA, seed, ..PolicyTuning::default() };
    let tuner = PolicyTuner::new(engine, &built.network, &built.inputs, tuning)?;
    let replay = LinkReplay::new(PacingSpec::default(), Preference::DEFAULT, RATES_BPS);
    let gate = GateConfig::new(Some(Safety::new(RATES_BPS.0, RATES_BPS.1)));
    let config = TrainerConfig { seed, ..TrainerConfig::new(gate) };
    Ok(Trainer::new(config, terms, Box::new(tuner), Some(Box::new(replay)), Vec::new(), 0)?)
}

/// Time that this thread has had a core, in nanoseconds: what a step takes, whoever else is on the machine. Only what others do
/// to caches and clocks shows.
fn cpu_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(0)
}

/// The datapath's part: decides, explores, samples, and takes up what is published at once.
struct Live {
    trainer: Trainer,
    acting: Acting,
    generation: u32,
    adapts: bool,
    rng: Rng,
    /// Each flow's decision whose outcome is still to come.
    decided: Vec<Option<Sample>>,
    brakes: Vec<Brake>,
    began_s: f64,
    /// Sum and number.
    reward: (f64, u64),
    steps_ms: Vec<f64>,
}

struct Acting(Executable, Scratch);

impl Policy for Acting {
    fn act(&mut self, inputs: &[i32; weir_features::INPUTS]) -> i32 {
        let mut out = [0];
        self.0.evaluate(inputs, &mut out, &mut self.1);
        out[0]
    }
}

impl Live {
    fn new(trainer: Trainer, executable: Executable, adapts: bool, seed: u64) -> Live {
        Live {
            trainer,
            acting: Acting(executable, Scratch::new()),
            generation: 1,
            adapts,
            rng: Rng::new(5 * seed),
            decided: Vec::new(),
            brakes: Vec::new(),
            began_s: 0.0,
            reward: (0.0, 0),
            steps_ms: Vec::new(),
        }
    }

    fn run(&mut self, seed: usize, (capacity_bps, base_rtt_s): (f64, f64), seconds: f64) {
        let queue_bytes = 2.0 * capacity_bps * base_rtt_s / 8.0;
        let path =
            Estimates { capacity_bps, base_rtt_s, queue_bytes, loss: 0.0, jitter_s: 0.0, flows: FLOWS };
        let mut conditions = Conditions::estimated(&path, &PacingSpec::default(), seed as u64);
        conditions.rate_bps = RATES_BPS;
        let mut world = World::new(&conditions);
        self.decided = vec![None; FLOWS];
        self.brakes = vec![Brake::default(); FLOWS];
        for part in 1..=4 {
            self.reward = (0.0, 0);
            world.measure();
            world.run(seconds * f64::from(part) / 4.0, u64::MAX, self);
            let found = world.measured();
            let link = format!("{} Mb/s {} ms", capacity_bps / 1e6, base_rtt_s * 1e3);
            println!(
                "{:<9} {link:>16} {:>8.3} {:>6.2} {:>6.2} {:>6.3} {:>11}",
                if self.adapts { "adapting" } else { "frozen" },
                self.reward.0 / self.reward.1.max(1) as f64,
                found.utilisation,
                found.rtt_ratio,
                found.loss,
                self.generation
            );
        }
        self.began_s += seconds;
    }

    fn step(&mut self, now_ns: u64) {
        let begun_ns = cpu_ns();
        let report = self.trainer.step(now_ns);
        self.steps_ms.push((cpu_ns() - begun_ns) as f64 / 1e6);
        if let Some(publication) = report.publication
            && let Ok(executable) = Executable::new(publication.snapshot, Executor::best())
        {
            self.acting.0 = executable;
            self.generation = publication.generation;
            self.trainer.published(publication.generation, now_ns);
        }
    }

    fn tell(&mut self) {
        let stats = self.trainer.stats();
        println!(
            "{} published, {} rolled back by itself, {} returned to; refused:",
            stats.accepted, stats.recalled, stats.returned
        );
        stats
            .refused
            .iter()
            .filter(|(_, count)| *count > 0)
            .for_each(|(reason, count)| println!("  {reason} {count}"));
        self.steps_ms.sort_by(f64::total_cmp);
        let at = |share: f64| self.steps_ms[((self.steps_ms.len() - 1) as f64 * share) as usize];
        println!(
            "{} steps, {} of them tuned; of a core: median {:.2} ms, 90 % {:.2}, 99 % {:.2}, longest {:.2}",
            stats.steps,
            stats.steps_tuned,
            at(0.5),
            at(0.9),
            at(0.99),
            at(1.0)
        );
    }
}

impl Controller for Live {
    fn begin(&mut self, _flows: usize) {}

    fn decide(&mut self, ended: &Ended<'_>) -> u64 {
        let now_ns = ((self.began_s + ended.at_s) * 1e9) as u64;
        if let (true, Some(report), Some(sample), Some(outcome)) =
            (ended.decided, ended.report, self.decided[ended.flow].take(), Outcome::of(ended))
            && let Some(rtt_ns) = report.mean_rtt_ns
        {
            self.reward.0 += Preference::DEFAULT.reward(&outcome);
            self.reward.1 += 1;
            self.trainer.observe(&Sample {
                at_ns: now_ns,
                duration_ns: report.duration_ns,
                sent_bytes: report.sent_bytes,
                acked_bytes: report.acked_bytes,
                lost_bytes: report.lost_bytes,
                rtt_ns,
                base_rtt_ns: (ended.truth.empty_rtt_s * 1e9) as u64,
                ..sample
            });
        }
        if self.adapts && self.trainer.due(now_ns) {
            self.step(now_ns);
        }
        let output_q16 = self.acting.act(ended.inputs);
        let z = self.rng.normal().clamp(-3.0, 3.0);
        let q16 = |value: f64| (value * f64::from(ONE)) as i32;
        let explored = ended.flow.is_multiple_of(EXPLORING).then(|| Noise {
            noise_q16: q16(z * SIGMA),
            sigma_q16: q16(SIGMA).unsigned_abs(),
            log_prob_q16: q16(-z * z / 2.0 - SIGMA.ln() - std::f64::consts::TAU.ln() / 2.0),
        });
        let noise_q16 = explored.map_or(0, |noise| noise.noise_q16);
        let action_q16 = output_q16.saturating_add(noise_q16).clamp(-ACTION_MAX_Q16, ACTION_MAX_Q16);
        let brake = &mut self.brakes[ended.flow];
        if let Some(report) = ended.report {
            brake.observe(report, report.acked_bytes, 0);
        }
        let rate_bps = brake.limit(apply_action(ended.rate_bps, action_q16));
        self.decided[ended.flow] = Some(Sample {
            source: explored.map_or(Source::Model, Source::Explored),
            schema_hash: self.trainer.terms().schema_hash,
            generation: self.generation,
            flow: (ended.flow as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15),
            features: *ended.inputs,
            output_q16,
            action_q16,
            rate_bps,
            at_ns: 0,
            duration_ns: 0,
            sent_bytes: 0,
            acked_bytes: 0,
            lost_bytes: 0,
            rtt_ns: 0,
            base_rtt_ns: 0,
        });
        rate_bps
    }
}
