//! Runs the plan: every program in turn, round after round.

use crate::Args;
use crate::board::{Board, Moment, Window};
use crate::exposition::Scrape;
use crate::plan::{Group, Plan, Subject, Traffic};
use crate::program::{self, Running, WAYS};
use anyhow::{Context, Result, bail};
use serde::Serialize;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// After the handshakes, before the first window: many round trips and monitor intervals.
const SETTLE: Duration = Duration::from_millis(500);
/// Windows per start, and their length.
const WINDOWS: usize = 3;
const WINDOW: Duration = Duration::from_millis(250);
/// How long a start may take, a million handshakes included.
const START_MAX: Duration = Duration::from_secs(60);

/// What one program did in one window.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Sample {
    /// Processor time per transmitted frame.
    pub(crate) ns: f64,
    /// Million frames per second of time that passed.
    pub(crate) mpps: f64,
    /// The polling thread's share of its core.
    pub(crate) share: f64,
}

/// What Weir says about all of a start's windows together, per frame where nothing else is said.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Inside {
    pub(crate) decisions: f64,
    pub(crate) inferences: f64,
    /// Runs of the network that scores ways out, over all of a frame's ways.
    pub(crate) choices: f64,
    /// Share of the frames that waited on the wheel.
    pub(crate) held: f64,
    /// Nanoseconds by stage.
    pub(crate) stages: Vec<(String, f64)>,
    /// Nanoseconds of one inference, gathering included.
    pub(crate) inference_ns: Option<f64>,
    /// Rows per run of the network.
    pub(crate) inference_rows: Option<f64>,
    /// Received + originated - accounted for.
    pub(crate) missing: f64,
}

/// One program under one traffic.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Outcome {
    pub(crate) group: &'static str,
    pub(crate) slope: bool,
    pub(crate) traffic: Traffic,
    pub(crate) subject: Subject,
    pub(crate) samples: Vec<Sample>,
    /// The largest share of frames lost in a start.
    pub(crate) dropped: f64,
    /// Acknowledgements that the source gave up.
    pub(crate) lost: u64,
    pub(crate) inside: Vec<Inside>,
}

impl Outcome {
    /// Median, least and greatest of a figure.
    pub(crate) fn spread(&self, figure: impl Fn(&Sample) -> f64) -> [f64; 3] {
        let mut all: Vec<f64> = self.samples.iter().map(figure).collect();
        all.sort_unstable_by(f64::total_cmp);
        let at = |index: usize| all.get(index).copied().unwrap_or(f64::NAN);
        [at(all.len() / 2), at(0), at(all.len().saturating_sub(1))]
    }

    /// Median processor time per frame.
    pub(crate) fn ns(&self) -> f64 {
        self.spread(|sample| sample.ns)[0]
    }
}

/// Runs everything.
pub(crate) fn run(args: &Args, plan: &Plan) -> Result<Vec<Outcome>> {
    let mut outcomes = Vec::new();
    for group in &plan.groups {
        let mut of_group: Vec<Outcome> =
            group.subjects.iter().map(|subject| empty(group, *subject)).collect();
        for round in 1..=args.rounds.min(group.rounds_max) {
            for outcome in &mut of_group {
                let begun = Instant::now();
                one(args, outcome).with_context(|| format!("{}, {}", outcome.subject.name(), group.name))?;
                let ns = outcome.samples.last().map_or(0.0, |sample| sample.ns);
                eprintln!(
                    "{}, round {round}: {} {ns:.1} ns ({:.1} s)",
                    group.name,
                    outcome.subject.name(),
                    begun.elapsed().as_secs_f64()
                );
            }
        }
        outcomes.extend(of_group);
    }
    Ok(outcomes)
}

fn empty(group: &Group, subject: Subject) -> Outcome {
    Outcome {
        group: group.name,
        slope: group.slope,
        traffic: group.traffic,
        subject,
        samples: Vec::new(),
        dropped: 0.0,
        lost: 0,
        inside: Vec::new(),
    }
}

/// One start of one program.
fn one(args: &Args, outcome: &mut Outcome) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("weir-bench-path-").tempdir()?;
    let board = folder.path().join("board");
    let mut running = program::start(args, outcome.subject, &outcome.traffic, folder.path(), &board)?;
    wait_for_flows(&mut running, &board, outcome.traffic.flows)?;
    std::thread::sleep(SETTLE);
    let scrape = || outcome.subject.is_weir().then(Scrape::now).transpose();
    let before = scrape()?;
    let mut windows = Vec::new();
    for _ in 0..WINDOWS {
        let from = Moment::now(&board, running.pid())?;
        std::thread::sleep(WINDOW);
        windows.push(Moment::now(&board, running.pid())?.since(&from));
    }
    let after = scrape()?;
    for window in &windows {
        outcome.samples.push(sample(window)?);
    }
    let sum = |of: fn(&Window) -> u64| windows.iter().map(of).sum::<u64>();
    let (sent, received) = (sum(|window| window.frames), sum(|window| window.received));
    // A window's ends cut through bursts: a few frames more or less.
    let dropped = received.saturating_sub(sent) as f64 / received.max(1) as f64;
    outcome.dropped = outcome.dropped.max(dropped);
    outcome.lost += sum(|window| window.lost);
    if let (Some(before), Some(after)) = (before, after) {
        outcome.inside.push(inside(&before, &after));
    }
    let log = running.log.clone();
    let status = running.stop()?;
    if outcome.subject.is_weir() && !status.success() {
        bail!("Weir ended with {status}:\n{}", tail(&log));
    }
    Ok(())
}

fn wait_for_flows(running: &mut Running, board: &Path, flows: u32) -> Result<()> {
    let by = Instant::now() + START_MAX;
    let mut established = 0;
    while Instant::now() < by {
        if running.ended() {
            bail!("it ended at its start:\n{}", tail(&running.log));
        }
        if let Some(seen) = Board::read(board)? {
            established = seen.established;
            if established == u64::from(flows) {
                return Ok(());
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    bail!("{established} of {flows} handshakes in {} s:\n{}", START_MAX.as_secs(), tail(&running.log))
}

fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}

fn sample(window: &Window) -> Result<Sample> {
    if window.frames == 0 {
        bail!("it forwarded nothing");
    }
    let frames = window.frames as f64;
    Ok(Sample {
        ns: window.cpu.as_nanos() as f64 / frames,
        mpps: frames / window.wall.as_secs_f64() / 1e6,
        share: window.cpu.as_secs_f64() / window.wall.as_secs_f64(),
    })
}

fn inside(before: &Scrape, after: &Scrape) -> Inside {
    let gone = |name: &str, label: &str| after.sum(name, label) - before.sum(name, label);
    let frames = gone("received_frames_total", "").max(1.0);
    let ns_per_tick = 1e9 / after.sum("tsc_hertz", "").max(1.0);
    let timed = gone("stage_frames_total", "").max(1.0);
    let stages = ["release", "receive", "parse", "look_up", "acknowledge", "pace", "decide", "send", "keep"];
    let inferences = gone("inferences_total", "");
    let per_inference = |total: f64| (inferences > 0.0).then(|| total / inferences);
    Inside {
        decisions: (gone("pacing_decisions_total", "") + gone("pacing_provisional_decisions_total", ""))
            / frames,
        inferences: inferences / frames,
        choices: gone("balance_inferences_total", "") / frames / WAYS as f64,
        held: gone("verdicts_total", "verdict=\"paced\"") / frames,
        stages: stages
            .iter()
            .map(|stage| {
                let ticks = gone("stage_cycles_total", &format!("stage=\"{stage}\""));
                ((*stage).to_owned(), ticks * ns_per_tick / timed)
            })
            .collect(),
        inference_ns: per_inference(gone("inference_cycles_total", "") * ns_per_tick),
        inference_rows: per_inference(inferences * inferences / gone("inference_batches_total", "").max(1.0)),
        missing: before.missing().abs().max(after.missing().abs()),
    }
}
