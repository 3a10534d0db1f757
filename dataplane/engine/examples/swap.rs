//! What it costs a worker that another thread publishes networks under its traffic: cycles of the turns that first see a
//! generation beside those of the others, and frames by how they ended with swaps and without.
//!
//! ```text
//! cargo run --release -p weir-engine --example swap [swaps]
//! ```
//!
//! A thousand paced flows, about 8 inferences a turn (see `traffic`). The publisher is a thread of its own: it builds each
//! network anew and publishes it when no flow follows the one before the last any more, as `weir` does. Windows with a
//! hundred swaps and windows without take turns.

mod frames;
mod traffic;

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use traffic::{Hosts, STEP};
use weir_engine::Worker;
use weir_engine::models::ModelSet;
use weir_engine::policy::Policy;
use weir_engine::time::Ns;
use weir_engine::verdict::{Tally, Verdict};
use weir_handoff::{Publisher, Reader, epoch, lane};

/// Swaps in a window that has them.
const WINDOW: u64 = 100;
/// What a turn that first sees a generation may cost, by the median, over any other: DESIGN section 6.
const RATIO_MAX: f64 = 2.0;

/// What the two threads tell each other.
#[derive(Default)]
struct Word {
    /// The generation that all flows follow; 0 while some follow another.
    followed: AtomicU32,
    swapping: AtomicBool,
    stop: AtomicBool,
}

/// Publishes whenever it may. Returns what went wrong.
fn publish(
    core: usize,
    mut publisher: Publisher<Policy>,
    mut policy: Policy,
    word: &Word,
) -> Result<(), String> {
    weir_cpu::pin_current_thread(core).map_err(|error| error.to_string())?;
    let mut number = 1;
    while !word.stop.load(Ordering::Relaxed) {
        if !word.swapping.load(Ordering::Relaxed) || word.followed.load(Ordering::Relaxed) != number {
            std::hint::spin_loop();
            continue;
        }
        number += 1;
        let next = traffic::generation(number).map_err(|error| error.to_string())?;
        policy.models = policy.models.with(Arc::new(next));
        publisher.publish(policy.clone()).map_err(|refused| refused.to_string())?;
    }
    Ok(())
}

/// Cycles per bucket of a distribution, and buckets: up to half a million cycles.
const BUCKET: u64 = 8;
const BUCKETS: usize = 1 << 16;

/// Turns of one kind: how many took how many cycles, and how the frames ended that they saw. All memory is taken at once.
struct Kind {
    turns: u64,
    buckets: Box<[u64]>,
    ended: [u64; Verdict::COUNT],
}

impl Kind {
    fn new() -> Kind {
        // Written one by one, so that the pages are there before memory is looked at.
        let buckets = std::iter::repeat_with(|| 0).take(BUCKETS).collect();
        Kind { turns: 0, buckets, ended: [0; Verdict::COUNT] }
    }

    fn turn(&mut self, cycles: u64) {
        self.turns += 1;
        self.buckets[((cycles / BUCKET) as usize).min(BUCKETS - 1)] += 1;
    }

    fn add(&mut self, before: &Tally, after: &Tally) {
        for (sum, (before, after)) in self.ended.iter_mut().zip(before.ended.iter().zip(after.ended)) {
            *sum += after - before;
        }
    }

    fn dropped(&self) -> u64 {
        let dropped = Verdict::ALL.into_iter().filter(|verdict| !verdict.sent());
        dropped.map(|verdict| self.ended[verdict as usize]).sum()
    }

    /// The cycles that `share` of the turns do not exceed.
    fn quantile(&self, share: f64) -> u64 {
        let wanted = (self.turns as f64 * share).ceil() as u64;
        let mut seen = 0;
        let reaches = |count: &u64| {
            seen += count;
            seen >= wanted
        };
        self.buckets.iter().position(reaches).unwrap_or(BUCKETS) as u64 * BUCKET
    }
}

/// The worker's side.
struct Bench<'a> {
    worker: Worker<Vec<u8>>,
    hosts: Hosts,
    policy: Reader<Policy>,
    now: Ns,
    step: Ns,
    word: &'a Word,
}

impl Bench<'_> {
    /// A turn: its cycles, and whether it was the first with a generation.
    fn turn(&mut self) -> (u64, bool) {
        let seen = self.worker.stats().swaps_seen;
        self.hosts.at(self.now);
        let began = weir_cpu::tsc();
        self.worker.turn(self.now, &mut self.hosts, &mut self.policy);
        let cycles = weir_cpu::tsc() - began;
        self.now += self.step;
        let stats = self.worker.stats();
        let followed = if stats.following_previous == 0 { stats.generation as u32 } else { 0 };
        self.word.followed.store(followed, Ordering::Relaxed);
        (cycles, stats.swaps_seen != seen)
    }
}

fn resident_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().split(' ').next()?.parse().ok()
}

/// Swaps under traffic with `step` of virtual time between two turns. The median of the turns that first saw a generation
/// over that of the others, and whether no frame was dropped.
fn run(name: &str, step: Ns, swaps: u64, publisher_core: usize) -> Result<(f64, bool), Box<dyn Error>> {
    let config = traffic::config(0);
    let policy = Policy {
        models: ModelSet::empty().with(Arc::new(traffic::generation(1)?)),
        pacing: config.pacing.clone(),
        ..Policy::default()
    };
    let (publisher, mut readers) = epoch(policy.clone(), 1);
    let reader = readers.pop().ok_or("one reader")?;
    let (samples, _samples_out) = lane(1, 1);
    let word = Word::default();
    thread::scope(|scope| {
        let publishing = scope.spawn(|| publish(publisher_core, publisher, policy, &word));
        let now = Ns::from_secs(1);
        let worker = Worker::new(&config, now, samples);
        let mut bench = Bench { worker, hosts: Hosts::new(), policy: reader, now, step, word: &word };
        for _ in 0..20_000 {
            bench.turn();
        }
        let (mut first, mut others, mut without) = (Kind::new(), Kind::new(), Kind::new());
        let mut resident = None;
        while first.turns < swaps && !publishing.is_finished() {
            word.swapping.store(true, Ordering::Relaxed);
            let (began, before) = (bench.worker.stats().turns, *bench.worker.tally());
            let until = bench.worker.stats().swaps_seen + WINDOW;
            while bench.worker.stats().swaps_seen < until && !publishing.is_finished() {
                let (cycles, is_first) = bench.turn();
                if is_first { &mut first } else { &mut others }.turn(cycles);
            }
            others.add(&before, bench.worker.tally());
            word.swapping.store(false, Ordering::Relaxed);
            let turns = bench.worker.stats().turns - began;
            // What was on its way belongs to neither.
            for _ in 0..turns / 10 {
                bench.turn();
            }
            let before = *bench.worker.tally();
            for _ in 0..turns {
                without.turn(bench.turn().0);
            }
            without.add(&before, bench.worker.tally());
            resident = resident.or_else(resident_kib);
        }
        word.stop.store(true, Ordering::Relaxed);
        let published = publishing.join().map_err(|_| "the publisher has panicked")?;
        published?;
        let stats = *bench.worker.stats();
        println!("{name}: cycles of a turn{:>22} {:>8} {:>8} {:>8}", "turns", "median", "p90", "p99");
        for (kind, name) in [
            (&first, "first with a generation"),
            (&others, "the others between swaps"),
            (&without, "without swaps"),
        ] {
            let [median, p90, p99] = [0.5, 0.9, 0.99].map(|share| kind.quantile(share));
            println!("  {name:<30} {:>12} {median:>8} {p90:>8} {p99:>8}", kind.turns);
        }
        let ratio = first.quantile(0.5) as f64 / others.quantile(0.5).max(1) as f64;
        let frames = |kind: &Kind| kind.ended.iter().sum::<u64>();
        println!(
            "  first over others, medians: {ratio:.2}; {:.2} inferences a turn, {} flows rebound",
            stats.inferences as f64 / stats.turns as f64,
            stats.rebinds
        );
        println!(
            "  frames with swaps: {} ended, {} dropped; without: {} ended, {} dropped",
            frames(&others),
            others.dropped(),
            frames(&without),
            without.dropped()
        );
        if let (Some(before), Some(after)) = (resident, resident_kib()) {
            println!("  resident memory after the first window {before} KiB, at the end {after} KiB");
        }
        Ok((ratio, others.dropped() == 0 && without.dropped() == 0))
    })
}

fn measure(swaps: u64) -> Result<bool, Box<dyn Error>> {
    let [worker_core, publisher_core, ..] = weir_cpu::allowed_cpus()?[..] else {
        return Err("expected two cores: one for the worker, one for the publisher".into());
    };
    weir_cpu::pin_current_thread(worker_core)?;
    let (ratio, whole) = run("busy", STEP, swaps, publisher_core)?;
    // Seven turns of eight find nothing to do: what a swap costs by itself.
    let (_, light_whole) = run("idle", Ns(STEP.0 / 8), swaps / 10, publisher_core)?;
    println!("first over others, busy: {ratio:.2}, at most {RATIO_MAX}");
    Ok(ratio <= RATIO_MAX && whole && light_whole)
}

fn main() -> ExitCode {
    let swaps = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(10_000);
    traffic::told(measure(swaps))
}
