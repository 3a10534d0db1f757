//! The same traffic over the same link, which changes under it, through a Weir that learns and through one that is frozen.
//!
//! What the link gave is judged from outside, once a second: goodput by the receivers, queueing delay by echo requests
//! that no flow's pacing delays, loss by the link's own books. What Weir says about itself (its live reward, its
//! candidates, its swaps) stands beside it and is not used for the verdict.

pub mod figure;
pub mod report;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;
use weir_link::live::now;
use weir_link::{Change, Settings};

use crate::bed::{Bed, CPU, SERVER_V4};
use crate::exposition::Scrape;
use crate::interrupt::Interrupt;
use crate::iperf::Flow;
use crate::link::LinkReport;
use crate::measure::{Point, jain, spread};
use crate::ping::Ping;
use crate::traffic::{Traffic, check_path};
use crate::trial::{rates, share_lost, sum};
use crate::weir::{Account, Counters, Weir, whole_by};

/// How often Weir is scraped.
const SCRAPE_EVERY: Duration = Duration::from_millis(500);
/// Payload of a full frame on the link, timestamps option and all: 1448 of 1514 bytes.
const PAYLOAD_SHARE: f64 = 1_448.0 / 1_514.0;
/// What a second is worth: MOCC's reward with the weights of `conf/adaptive.toml`.
const WEIGHTS: [f64; 3] = [0.6, 0.3, 0.1];
/// A stretch is judged by its last part: what was learned by then, not the learning.
const SETTLED: f64 = 0.5;

/// A part of the run in which the link stays as it is.
#[derive(Clone, Debug, Serialize)]
pub struct Stretch {
    /// As the table calls it.
    pub name: String,
    /// The link then.
    pub settings: Settings,
}

impl Stretch {
    /// From `name: KEY=VALUE...`, such as `slow: rate=24Mbps queue=150kB`, with the rest as in `before`.
    ///
    /// # Errors
    /// A setting that does not parse.
    pub fn parse(text: &str, before: Settings) -> Result<Stretch> {
        let (name, words) =
            text.split_once(':').with_context(|| format!("expected NAME: KEY=VALUE..., found {text:?}"))?;
        let change: Change = format!("both {}", words.trim()).parse()?;
        let mut settings = before;
        change.settings.iter().for_each(|setting| settings.set(*setting));
        ensure!(settings.rate_bps.is_some(), "{text:?}: a stretch needs a rate");
        Ok(Stretch { name: name.trim().to_owned(), settings })
    }

    /// The same as a change of both directions.
    fn change(&self) -> String {
        let Settings { rate_bps, delay_ns, queue_bytes_max, loss, fair, .. } = self.settings;
        let queues = if fair { "fair" } else { "shared" };
        format!(
            "both rate={}bps delay={delay_ns}ns queue={queue_bytes_max}B loss={loss} queues={queues}",
            rate_bps.unwrap_or_default()
        )
    }

    fn capacity_mbps(&self) -> f64 {
        self.settings.rate_bps.unwrap_or_default() as f64 / 1e6 * PAYLOAD_SHARE
    }

    fn base_rtt_ms(&self) -> f64 {
        2.0 * self.settings.delay_ns as f64 / 1e6
    }
}

/// What is the same for both runs.
#[derive(Clone, Debug)]
pub struct Conditions {
    /// The link, one stretch after the other.
    pub stretches: Vec<Stretch>,
    /// How long each lasts.
    pub stretch_s: u32,
    /// TCP flows, half of them IPv4.
    pub flows: u32,
    /// Seed of the link.
    pub seed: u64,
    /// Weir's configuration.
    pub config: PathBuf,
    /// Changes to it.
    pub overrides: Vec<String>,
    /// The binary.
    pub weir: PathBuf,
    /// Where logs go, in a folder per run.
    pub out: PathBuf,
}

impl Conditions {
    fn seconds(&self) -> u32 {
        self.stretch_s * self.stretches.len() as u32
    }
}

/// Whether a Weir learns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// `weir ctl freeze` before the first flow.
    Frozen,
    /// As the configuration says.
    Learning,
}

impl Mode {
    /// As in the table and in file names.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Frozen => "frozen",
            Mode::Learning => "learning",
        }
    }
}

/// One second of a run, or the settled part of a stretch.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Worth {
    /// 0 to 1.
    pub reward: f64,
    /// Goodput over what the link allows.
    pub utilisation: f64,
    /// What a flow has of its fair share of that, in the mean: more than its share counts as its share, so that no flow makes up for
    /// another's. The reward's throughput.
    pub share: f64,
    /// Base RTT over the median of the echoes; where each flow has a queue of its own, over the base RTT and the median wait.
    pub emptiness: f64,
    /// Frames dropped of those sent.
    pub loss: f64,
    /// Jain's index over the flows.
    pub fairness: Option<f64>,
}

/// One run.
#[derive(Clone, Debug, Serialize)]
pub struct Run {
    /// Which.
    pub mode: Mode,
    /// By stretch, its settled part.
    pub settled: Vec<Worth>,
    /// By second.
    pub reward: Vec<Point>,
    /// Delivered by the link, Mb/s.
    pub rate_mbps: Vec<Point>,
    /// Echo requests, ms.
    pub ping_rtt_ms: Vec<Point>,
    /// When a newer generation was seen first, and its number.
    pub generations: Vec<Point>,
    /// Weir's own mean reward of flows under the model.
    pub live_reward: Vec<Point>,
    /// Candidates by the gate's verdict.
    pub candidates: BTreeMap<String, u64>,
    /// Samples that reached the trainer, by what became of them.
    pub samples: BTreeMap<String, u64>,
    /// Steps in which it tuned.
    pub steps: u64,
    /// Frames at the end.
    pub account: Account,
}

/// Runs the traffic through one Weir; `progress` hears what happens.
///
/// # Errors
/// Something needed is missing or fails, a frame is unaccounted for, or a signal came.
pub fn run(
    mode: Mode,
    conditions: &Conditions,
    interrupt: &Interrupt,
    progress: &mut dyn FnMut(&str),
) -> Result<Run> {
    // Absolute, because Weir takes a relative path of its configuration from there.
    let logs = std::path::absolute(conditions.out.join(mode.name())).context("where this process is")?;
    // The store of an earlier run would be taken up.
    if logs.exists() {
        fs::remove_dir_all(&logs).with_context(|| format!("cannot clear {}", logs.display()))?;
    }
    fs::create_dir_all(&logs).with_context(|| format!("cannot make {}", logs.display()))?;
    let first = conditions.stretches.first().context("no stretch")?;
    let bed = Bed::new(true, first.settings, conditions.seed)?;
    let Some(netns) = &bed.weir else { bail!("a bed without Weir") };
    let store = format!("trainer.store={}", logs.join("store").display());
    let mut overrides: Vec<&str> = conditions.overrides.iter().map(String::as_str).collect();
    overrides.push(&store);
    progress("starting weir");
    let mut weir = Weir::start(&conditions.weir, &conditions.config, &overrides, netns, &logs, interrupt)?;
    if mode == Mode::Frozen {
        let done = weir.ctl(&["freeze"])?;
        ensure!(done.status.success(), "weir ctl freeze: {}", String::from_utf8_lossy(&done.stderr));
    }
    check_path(&bed, &logs, interrupt)?;
    let run = measure(mode, &bed, &mut weir, conditions, &logs, interrupt, progress)?;
    let status = weir.stop(interrupt)?;
    ensure!(status.success(), "weir stopped with {status}");
    bed.link.finish()?;
    Ok(run)
}

/// What Weir said so far.
#[derive(Default)]
struct Told {
    generations: Vec<Point>,
    live_reward: Vec<Point>,
    dropped: Vec<Point>,
    last: Option<Scrape>,
}

impl Told {
    fn hear(&mut self, at_s: f64, scrape: Scrape, progress: &mut dyn FnMut(&str)) -> Result<()> {
        let counters = Counters::checked(&scrape)?;
        self.dropped.push(Point { at_s, value: counters.account.dropped() as f64 });
        let newest =
            scrape.by("weir_model_info", "generation")?.into_keys().filter_map(|number| number.parse().ok());
        let generation = newest.fold(0.0, f64::max);
        if self.generations.last().is_none_or(|point| generation > point.value) {
            if !self.generations.is_empty() {
                progress(&format!("generation {generation}"));
            }
            self.generations.push(Point { at_s, value: generation });
        }
        if let Some(reward) =
            scrape.by("weir_live_reward", "flows")?.get("model").filter(|reward| reward.is_finite())
        {
            self.live_reward.push(Point { at_s, value: *reward });
        }
        self.last = Some(scrape);
        Ok(())
    }
}

fn measure(
    mode: Mode,
    bed: &Bed,
    weir: &mut Weir,
    conditions: &Conditions,
    logs: &Path,
    interrupt: &Interrupt,
    progress: &mut dyn FnMut(&str),
) -> Result<Run> {
    let Some(netns) = &bed.weir else { bail!("a bed without Weir") };
    let seconds = conditions.seconds();
    let half = conditions.flows.div_ceil(2);
    let mut traffic = Traffic::serve(bed, [half, conditions.flows - half], seconds, logs, interrupt)?;

    let (start, start_ns, start_wall) = (Instant::now(), now()?, SystemTime::now());
    for (index, stretch) in conditions.stretches.iter().enumerate().skip(1) {
        let after_ns = index as u64 * u64::from(conditions.stretch_s) * 1_000_000_000;
        bed.link.change_at(start_ns + after_ns, &stretch.change())?;
    }
    let ping = Ping::start(&bed.client, SERVER_V4, logs, CPU)?;
    traffic.send(bed, logs)?;
    let mut told = Told::default();
    let (end, mut next, mut stretch) = (start + Duration::from_secs(seconds.into()), start, 0);
    while next < end {
        next += SCRAPE_EVERY;
        interrupt.sleep_until(next)?;
        let at_s = start.elapsed().as_secs_f64();
        told.hear(at_s, weir.scrape(netns)?, progress)?;
        let due = (at_s / f64::from(conditions.stretch_s)) as usize;
        if due > stretch
            && let Some(now) = conditions.stretches.get(due)
        {
            stretch = due;
            progress(&format!("the link is now {}: {}", now.name, now.settings));
        }
    }
    let flows = traffic.finish(interrupt)?;
    let pings = ping.finish(start_wall, interrupt)?;
    told.hear(f64::from(seconds), weir.scrape(netns)?, progress)?;
    let seen = Seen { flows, pings, reports: bed.link.reports(), dropped: told.dropped, start_ns };
    let last = told.last.context("never scraped")?;
    let span = f64::from(conditions.stretch_s);
    let settled = conditions.stretches.iter().zip(0_u32..).map(|(stretch, index)| {
        let to_s = f64::from(index + 1) * span;
        seen.worth(stretch, to_s - span * SETTLED, to_s)
    });
    let by_second = (0..seconds).filter_map(|second| {
        let stretch = conditions.stretches.get((second / conditions.stretch_s) as usize)?;
        let at_s = f64::from(second);
        Some(Point { at_s: at_s + 0.5, value: seen.worth(stretch, at_s, at_s + 1.0).reward })
    });
    Ok(Run {
        mode,
        settled: settled.collect(),
        reward: by_second.collect(),
        rate_mbps: rates(&seen.reports, start_ns, f64::from(seconds)),
        ping_rtt_ms: seen.pings.clone(),
        generations: told.generations,
        live_reward: told.live_reward,
        candidates: whole_by(&last, "weir_candidates_total", "verdict")?,
        samples: whole_by(&last, "weir_learning_samples_total", "fate")?,
        steps: last.sum("weir_learning_steps_total")? as u64,
        account: Counters::of(&last)?.account,
    })
}

/// What was measured from outside.
struct Seen {
    flows: Vec<Flow>,
    pings: Vec<Point>,
    reports: Vec<LinkReport>,
    dropped: Vec<Point>,
    start_ns: u64,
}

impl Seen {
    /// How long a frame waits at the link, over all flows, by its reports.
    fn waits_ms(&self) -> Vec<Point> {
        let wait = |report: &LinkReport| Point {
            at_s: report.link.at_ns.saturating_sub(self.start_ns) as f64 * 1e-9,
            value: report.link.up.queue_ns as f64 * 1e-6,
        };
        self.reports.iter().map(wait).collect()
    }

    fn worth(&self, stretch: &Stretch, from_s: f64, to_s: f64) -> Worth {
        let received: Vec<f64> = self.flows.iter().map(|flow| sum(&flow.received, from_s, to_s)).collect();
        let goodput_mbps = received.iter().sum::<f64>() * 8e-6 / (to_s - from_s);
        let utilisation = (goodput_mbps / stretch.capacity_mbps()).min(1.0);
        // Where no echo came back in all that time, the queue was as bad as can be. With a queue for each flow an echo meets only its
        // own.
        let rtt_ms = match stretch.settings.fair {
            false => spread(&self.pings, from_s, to_s).map(|echoes| echoes.p50),
            true => spread(&self.waits_ms(), from_s, to_s).map(|waits| stretch.base_rtt_ms() + waits.p50),
        };
        let emptiness = rtt_ms.map_or(0.0, |rtt_ms| (stretch.base_rtt_ms() / rtt_ms).min(1.0));
        let loss = share_lost(&self.reports, &self.dropped, self.start_ns, from_s, to_s);
        let fair_mbps = stretch.capacity_mbps() / received.len().max(1) as f64;
        let of_fair = received.iter().map(|bytes| (bytes * 8e-6 / (to_s - from_s) / fair_mbps).min(1.0));
        let share = of_fair.sum::<f64>() / received.len().max(1) as f64;
        let terms = [share, emptiness, 1.0 - loss];
        let reward = WEIGHTS.iter().zip(terms).map(|(weight, term)| weight * term).sum();
        Worth { reward, utilisation, share, emptiness, loss, fairness: jain(&received) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_says_what_differs_from_the_one_before() {
        let slow = Stretch::parse("slow: rate=24Mbps queue=150kB", Settings::default()).unwrap();
        assert_eq!((slow.name.as_str(), slow.settings.rate_bps), ("slow", Some(24_000_000)));
        assert_eq!(slow.settings.delay_ns, Settings::default().delay_ns);
        let again: Change = slow.change().parse().unwrap();
        let mut settings = Settings::default();
        again.settings.iter().for_each(|setting| settings.set(*setting));
        assert_eq!(settings, slow.settings, "what the link is told is the stretch");
        assert!(Stretch::parse("rate=24Mbps", Settings::default()).is_err(), "no name");
        assert!(Stretch::parse("open: rate=none", Settings::default()).is_err(), "no rate");
    }
}
