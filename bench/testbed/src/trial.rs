//! One scheme, from empty namespaces to numbers.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use weir_link::Settings;
use weir_link::live::now;

use crate::bed::{Bed, CPU, SERVER_V4};
use crate::interrupt::Interrupt;
use crate::iperf::Flow;
use crate::link::LinkReport;
use crate::measure::{Point, Spread, jain, percentile, spread};
use crate::ping::Ping;
use crate::scheme::Scheme;
use crate::traffic::{Traffic, check_path};
use crate::weir::{Counters, Weir};

/// Flows per address family.
const FLOWS: u32 = 2;
/// How often Weir's metrics are scraped while it works.
const SCRAPE_EVERY: Duration = Duration::from_millis(500);

/// What is the same for every scheme.
#[derive(Clone, Debug)]
pub struct Conditions {
    /// The link at first.
    pub settings: Settings,
    /// Its rate after half the time, bit/s.
    pub rate_after_bps: u64,
    /// How long the traffic runs.
    pub seconds: u32,
    /// Seed of the link.
    pub seed: u64,
    /// Weir's configuration.
    pub config: PathBuf,
    /// The binary.
    pub weir: PathBuf,
    /// Where logs go, in a folder per scheme.
    pub out: PathBuf,
}

impl Conditions {
    /// When the link changes, in seconds after the traffic's start.
    pub fn change_at_s(&self) -> f64 {
        f64::from(self.seconds) / 2.0
    }

    /// The path's round trip with empty queues, ms.
    pub fn base_rtt_ms(&self) -> f64 {
        2.0 * self.settings.delay_ns as f64 / 1e6
    }
}

/// A stretch of time, measured.
#[derive(Clone, Debug, Serialize)]
pub struct Phase {
    /// What the receivers got, payload only, all flows, Mb/s.
    pub goodput_mbps: f64,
    /// Round trip as the senders' TCP sees it: Weir's own holding time included. ms.
    pub tcp_rtt_ms: Option<Spread>,
    /// Round trip of the echo requests, which no flow's pacing delays. ms.
    pub ping_rtt_ms: Option<Spread>,
    /// Frames towards the server that the link or Weir dropped, as a share of those sent.
    pub loss: f64,
    /// Segments that the senders sent again.
    pub retransmits: u64,
    /// Jain's index over the flows' goodput.
    pub jain: Option<f64>,
}

/// One scheme's result.
#[derive(Clone, Debug, Serialize)]
pub struct Trial {
    /// Which.
    pub scheme: Scheme,
    /// Until the link changed.
    pub before: Phase,
    /// From then on.
    pub after: Phase,
    /// All of it.
    pub whole: Phase,
    /// Weir's own numbers at the end of the traffic.
    pub weir: Option<Counters>,
    /// Frames that a full tap kept from the link.
    pub tap_drops: u64,
    /// 99th percentile of the link's lateness over reports, ms: how much the host blurred the link.
    pub link_late_ms_p99: f64,
    /// Delivered by the link towards the server, Mb/s of whole frames.
    pub rate_mbps: Vec<Point>,
    /// TCP's round trip, all flows, ms.
    pub tcp_rtt_ms: Vec<Point>,
    /// The echo requests' round trip, ms.
    pub ping_rtt_ms: Vec<Point>,
}

/// What one run left, before it becomes numbers.
struct Raw {
    flows: Vec<Flow>,
    pings: Vec<Point>,
    reports: Vec<LinkReport>,
    /// Drops by Weir so far, at times after the start.
    weir_dropped: Vec<Point>,
    start_ns: u64,
}

/// Runs one scheme; `progress` hears what happens.
///
/// # Errors
/// Something needed is missing or fails, a frame is unaccounted for, or a signal came.
pub fn run(
    scheme: Scheme,
    conditions: &Conditions,
    interrupt: &Interrupt,
    progress: &mut dyn FnMut(&str),
) -> Result<Trial> {
    let logs = conditions.out.join(scheme.slug());
    fs::create_dir_all(&logs).with_context(|| format!("cannot make {}", logs.display()))?;
    let bed = Bed::new(scheme.overrides().is_some(), conditions.settings, conditions.seed)?;
    let mut weir = match (&bed.weir, scheme.overrides()) {
        (Some(netns), Some(overrides)) => {
            progress("starting weir");
            Some(Weir::start(&conditions.weir, &conditions.config, overrides, netns, &logs, interrupt)?)
        }
        _ => None,
    };
    check_path(&bed, &logs, interrupt)?;
    let (raw, tap_drops, counters) = measure(&bed, &mut weir, conditions, &logs, interrupt, progress)?;
    if let Some(weir) = weir {
        let status = weir.stop(interrupt)?;
        ensure!(status.success(), "weir stopped with {status}");
    }
    bed.link.finish()?;
    Ok(evaluate(scheme, conditions, &raw, tap_drops, counters))
}

fn measure(
    bed: &Bed,
    weir: &mut Option<Weir>,
    conditions: &Conditions,
    logs: &Path,
    interrupt: &Interrupt,
    progress: &mut dyn FnMut(&str),
) -> Result<(Raw, u64, Option<Counters>)> {
    let seconds = conditions.seconds;
    let mut traffic = Traffic::serve(bed, [FLOWS; 2], seconds, logs, interrupt)?;

    let (start, start_ns, start_wall) = (Instant::now(), now()?, SystemTime::now());
    let change_ns = u64::from(seconds) * 1_000_000_000 / 2;
    bed.link.change_at(start_ns + change_ns, &format!("both rate={}bps", conditions.rate_after_bps))?;
    let ping = Ping::start(&bed.client, SERVER_V4, logs, CPU)?;
    traffic.send(bed, logs)?;

    let end = start + Duration::from_secs(seconds.into());
    let mut weir_dropped = vec![Point { at_s: 0.0, value: 0.0 }];
    let (mut scrapes, mut changed) = (0u32, false);
    let mut next = start;
    while next < end {
        next += SCRAPE_EVERY;
        interrupt.sleep_until(next)?;
        let at_s = start.elapsed().as_secs_f64();
        if let Some(counters) = scrape(bed, weir)? {
            weir_dropped.push(Point { at_s, value: counters.account.dropped() as f64 });
            scrapes += 1;
        }
        if !changed && at_s >= conditions.change_at_s() {
            changed = true;
            progress(&format!("the link is now {} Mb/s", conditions.rate_after_bps / 1_000_000));
        }
    }
    let flows = traffic.finish(interrupt)?;
    let pings = ping.finish(start_wall, interrupt)?;
    let counters = scrape(bed, weir)?;
    if weir.is_some() {
        progress(&format!("scraped {} times, every frame accounted for each time", scrapes + 1));
    }
    let raw = Raw { flows, pings, reports: bed.link.reports(), weir_dropped, start_ns };
    Ok((raw, bed.tap_drops()?, counters))
}

/// One scrape, where there is a Weir.
fn scrape(bed: &Bed, weir: &mut Option<Weir>) -> Result<Option<Counters>> {
    let (Some(weir), Some(netns)) = (weir, &bed.weir) else { return Ok(None) };
    Counters::checked(&weir.scrape(netns)?).map(Some)
}

fn evaluate(
    scheme: Scheme,
    conditions: &Conditions,
    raw: &Raw,
    tap_drops: u64,
    weir: Option<Counters>,
) -> Trial {
    let (change, end) = (conditions.change_at_s(), f64::from(conditions.seconds));
    let mut tcp_rtt_ms: Vec<Point> = raw.flows.iter().flat_map(|flow| flow.rtt_ms.iter().copied()).collect();
    tcp_rtt_ms.sort_by(|one, other| one.at_s.total_cmp(&other.at_s));
    let late: Vec<f64> = raw.reports.iter().map(|report| report.host.late_ns_max as f64 / 1e6).collect();
    let phase = |from_s: f64, to_s: f64| Phase {
        goodput_mbps: raw.flows.iter().map(|flow| sum(&flow.received, from_s, to_s)).sum::<f64>() * 8e-6
            / (to_s - from_s),
        tcp_rtt_ms: spread(&tcp_rtt_ms, from_s, to_s),
        ping_rtt_ms: spread(&raw.pings, from_s, to_s),
        loss: share_lost(&raw.reports, &raw.weir_dropped, raw.start_ns, from_s, to_s),
        retransmits: raw.flows.iter().map(|flow| sum(&flow.retransmits, from_s, to_s)).sum::<f64>() as u64,
        jain: jain(&raw.flows.iter().map(|flow| sum(&flow.received, from_s, to_s)).collect::<Vec<_>>()),
    };
    Trial {
        scheme,
        before: phase(0.0, change),
        after: phase(change, end),
        whole: phase(0.0, end),
        weir,
        tap_drops,
        link_late_ms_p99: percentile(&late, 0.99).unwrap_or(0.0),
        rate_mbps: rates(&raw.reports, raw.start_ns, end),
        tcp_rtt_ms,
        ping_rtt_ms: raw.pings.clone(),
    }
}

/// The sum over the intervals that ended in `(from_s, to_s]`, give or take iperf3's own jitter of milliseconds.
pub(crate) fn sum(points: &[Point], from_s: f64, to_s: f64) -> f64 {
    let slack = crate::iperf::INTERVAL_S / 2.0;
    let within = |point: &&Point| (from_s + slack..to_s + slack).contains(&point.at_s);
    points.iter().filter(within).map(|point| point.value).sum()
}

/// Drops towards the server by Weir and the link, as a share of what Weir or the client sent.
pub(crate) fn share_lost(
    reports: &[LinkReport],
    weir_dropped: &[Point],
    start_ns: u64,
    from_s: f64,
    to_s: f64,
) -> f64 {
    let at = |at_s: f64| {
        // A report or scrape that was due on the border comes a little after it.
        let at_s = at_s + crate::iperf::INTERVAL_S;
        let limit = start_ns + (at_s * 1e9) as u64;
        let last = reports.iter().rfind(|report| report.link.at_ns <= limit);
        let counters = last.map(|report| report.link.up.counters).unwrap_or_default();
        let weir = weir_dropped.iter().rfind(|point| point.at_s <= at_s).map_or(0.0, |point| point.value);
        let link = (counters.dropped_frames + counters.lost_frames) as f64;
        (link + weir, counters.in_frames as f64 + weir)
    };
    let ((dropped_from, sent_from), (dropped_to, sent_to)) = (at(from_s), at(to_s));
    let sent = sent_to - sent_from;
    if sent > 0.0 { (dropped_to - dropped_from) / sent } else { 0.0 }
}

/// The rate between successive reports, in Mb/s, averaged over two so that one late report does not show as a dip.
pub(crate) fn rates(reports: &[LinkReport], start_ns: u64, end_s: f64) -> Vec<Point> {
    let rate = |window: &[LinkReport]| {
        let (first, last) = (window.first()?.link, window.last()?.link);
        let span_s = (last.at_ns - first.at_ns) as f64 / 1e9;
        let bits = (last.up.counters.out_bytes - first.up.counters.out_bytes) as f64 * 8.0;
        let at_s = last.at_ns.checked_sub(start_ns)? as f64 / 1e9;
        (span_s > 0.0 && at_s <= end_s).then(|| Point { at_s, value: bits / span_s / 1e6 })
    };
    reports.windows(3).filter_map(rate).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_link::live::HostReport;
    use weir_link::{DirectionReport, Report};

    fn report(at_ms: u64, in_frames: u64, dropped_frames: u64) -> LinkReport {
        let mut direction =
            DirectionReport { rate_bps: None, queue_bytes: 0, queue_ns: 0, counters: Default::default() };
        direction.counters.in_frames = in_frames;
        direction.counters.dropped_frames = dropped_frames;
        direction.counters.out_bytes = (in_frames - dropped_frames) * 1_250;
        LinkReport {
            link: Report { at_ns: 1_000_000_000 + at_ms * 1_000_000, up: direction, down: direction },
            host: HostReport::default(),
        }
    }

    fn raw() -> Raw {
        Raw {
            flows: Vec::new(),
            pings: Vec::new(),
            reports: vec![
                report(0, 0, 0),
                report(500, 500, 0),
                report(1_000, 1_000, 0),
                report(2_000, 2_000, 100),
            ],
            weir_dropped: vec![Point { at_s: 0.0, value: 0.0 }, Point { at_s: 2.0, value: 50.0 }],
            start_ns: 1_000_000_000,
        }
    }

    #[test]
    fn loss_counts_the_link_and_weir_within_the_phase() {
        let raw = raw();
        let loss = |from_s, to_s| share_lost(&raw.reports, &raw.weir_dropped, raw.start_ns, from_s, to_s);
        assert_eq!(loss(0.0, 1.0), 0.0);
        // 100 at the link and 50 in Weir, of 1 000 + 50.
        assert!((loss(1.0, 2.0) - 150.0 / 1_050.0).abs() < 1e-12);
    }

    #[test]
    fn rates_come_from_the_reports_own_clock() {
        let raw = raw();
        let rates = rates(&raw.reports, raw.start_ns, 2.0);
        // 1 000 frames of 1 250 B in 1 s.
        assert_eq!(rates[0], Point { at_s: 1.0, value: 10.0 });
        assert!(rates.iter().all(|point| point.at_s <= 2.0));
    }

    #[test]
    fn an_interval_belongs_to_the_phase_in_which_it_ended() {
        let points: Vec<Point> =
            (1..=20).map(|k| Point { at_s: k as f64 * 0.1 + 0.002, value: 1.0 }).collect();
        assert_eq!((sum(&points, 0.0, 1.0), sum(&points, 1.0, 2.0)), (10.0, 10.0));
    }
}
