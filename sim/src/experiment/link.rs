//! Senders over one bottleneck: congestion control, pacing, control intervals.

use super::settings::WeirSettings;
use super::{Better, Metric};
use crate::books::Books;
use crate::conn::{FlowSpec, Priority};
use crate::fabric::FRAME_BYTES;
use crate::frame::{HostId, MSS_IPV4, MSS_IPV6};
use crate::link::LinkConfig;
use crate::random;
use crate::source::{Pattern, SourceConfig};
use crate::stats;
use crate::tcp::{CongestionKind, TcpConfig};
use crate::world::{BOTTLENECK, Script, World};
use weir_engine::time::{BitsPerSec, Ns};
use weir_engine::wire::IpVersion;

const SENDER: HostId = HostId(0);
const RECEIVER: HostId = HostId(1);
/// How often the bottleneck's queue is looked at.
const GAUGE: Ns = Ns::from_millis(1);
/// What the way back queues, as good as without end.
const BACK_BYTES: u64 = 64 << 20;

pub(super) const METRICS: &[Metric] = &[
    Metric { name: "goodput_mbps", better: Better::More },
    Metric { name: "share_of_free", better: Better::More },
    Metric { name: "queue_ms", better: Better::Less },
    Metric { name: "queue_p99_ms", better: Better::Less },
    Metric { name: "queue_deviation_ms", better: Better::Less },
    Metric { name: "dropped_percent", better: Better::Less },
    Metric { name: "jain", better: Better::More },
    Metric { name: "timeouts", better: Better::Less },
    Metric { name: "decisions", better: Better::Neither },
];

/// The bottleneck.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkSettings {
    /// Its name among the cases.
    pub name: String,
    /// Rate.
    pub rate: BitsPerSec,
    /// Propagation there and back.
    pub rtt: Ns,
    /// Full frames that it queues.
    pub queue_frames: u64,
    /// Full frames beyond which it marks.
    pub ecn_frames: Option<u64>,
    /// Share of frames lost at random.
    pub loss: f64,
    /// Capacities, one after the other for this long each, and then again from the first.
    pub trace: Option<(Ns, Vec<BitsPerSec>)>,
    /// Background traffic that enters it.
    pub background: Vec<Pattern>,
}

/// What changes on the way.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkChange {
    /// When.
    pub at: Ns,
    /// New rate.
    pub rate: Option<BitsPerSec>,
    /// New propagation there and back.
    pub rtt: Option<Ns>,
    /// New queue.
    pub queue_frames: Option<u64>,
    /// New loss.
    pub loss: Option<f64>,
}

/// The flows under test.
#[derive(Clone, Debug, PartialEq)]
pub struct FlowSettings {
    /// How many.
    pub count: u32,
    /// Time between two beginnings.
    pub stagger: Ns,
    /// IP version.
    pub version: IpVersion,
    /// Bytes beyond what is acknowledged that the receiver takes.
    pub receive_window: u64,
    /// Whether they understand marks.
    pub ecn: bool,
}

/// A sender and what stands before it.
#[derive(Clone, Debug)]
pub struct LinkScheme {
    /// As tables call it.
    pub name: String,
    /// The senders' congestion control.
    pub congestion: CongestionKind,
    /// The Weir before them; `None`: none.
    pub weir: Option<WeirSettings>,
}

/// The experiment.
#[derive(Clone, Debug)]
pub struct LinkExperiment {
    /// Length of a run.
    pub duration: Ns,
    /// What of it is not measured.
    pub warm_up: Ns,
    /// Bottlenecks: one case each.
    pub links: Vec<LinkSettings>,
    /// What changes in each.
    pub changes: Vec<LinkChange>,
    /// The flows.
    pub flows: FlowSettings,
    /// What is compared.
    pub schemes: Vec<LinkScheme>,
}

impl LinkExperiment {
    pub(super) fn cases(&self) -> Vec<String> {
        self.links.iter().map(|link| link.name.clone()).collect()
    }

    pub(super) fn run(&self, case: usize, scheme: usize, seed: u64) -> (Vec<f64>, Books) {
        let (Some(link), Some(scheme)) = (self.links.get(case), self.schemes.get(scheme)) else {
            return (Vec::new(), Books::default());
        };
        let mut world = self.world(link, scheme, seed);
        let gauge = world.gauge(BOTTLENECK, self.warm_up, GAUGE);
        world.run(self.warm_up, false);
        let before = Snapshot::take(&mut world);
        world.run(self.duration, false);
        let after = Snapshot::take(&mut world);

        let seconds = (self.duration - self.warm_up).0 as f64 / 1e9;
        let mbps = |bytes: u64| bytes as f64 * 8.0 / seconds / 1e6;
        let each: Vec<f64> = after
            .delivered
            .iter()
            .zip(&before.delivered)
            .map(|(after, before)| mbps(after - before))
            .collect();
        let goodput: f64 = each.iter().sum();
        let offered = after.background - before.background;
        let capacity: f64 = self.capacity(link) / 1e6;
        let payload = f64::from(self.mss()) / FRAME_BYTES as f64;
        let free = (capacity - mbps(offered)) * payload * (1.0 - link.loss);
        let mut queue: Vec<f64> = world
            .gauge_at(gauge)
            .map(|gauge| gauge.seen.iter().map(|(_, wait)| wait.0 as f64 / 1e6).collect())
            .unwrap_or_default();
        let pushed = (after.pushed - before.pushed).max(1) as f64;
        let (mean, deviation) = (stats::mean(&queue), stats::deviation(&queue));
        let figures = vec![
            goodput,
            goodput / free,
            mean,
            stats::percentile(&mut queue, 0.99),
            deviation,
            (after.dropped - before.dropped) as f64 * 100.0 / pushed,
            stats::jain(&each),
            (after.timeouts - before.timeouts) as f64,
            (after.decisions - before.decisions) as f64,
        ];
        (figures, world.books())
    }

    /// The world before its first event.
    fn world(&self, link: &LinkSettings, scheme: &LinkScheme, seed: u64) -> World {
        let (forth, back) = links(link);
        let mut world = World::shared(seed, vec![forth.clone(), back], &[0, 1]);
        for pattern in &link.background {
            world.add_source(SourceConfig { pattern: pattern.clone(), link: BOTTLENECK, to: RECEIVER });
        }
        self.script(link, forth, &mut world);
        if let Some(weir) = &scheme.weir {
            world.install(SENDER, &weir.config(seed));
            if let Some((at, model)) = weir.pacing.as_ref().and_then(|pacing| pacing.swap.as_ref()) {
                world.script(*at, Script::Swap { host: SENDER, model: model.generation.clone() });
            }
        }
        let mut rng = random::stream(seed, "starts", 0);
        for number in 0..self.flows.count {
            let tcp = TcpConfig {
                ecn: self.flows.ecn,
                receive_window: self.flows.receive_window,
                ..TcpConfig::linux(scheme.congestion, self.mss())
            };
            // Within a millisecond of its time, so that seeds differ where nothing else is drawn.
            let start = Ns(u64::from(number) * self.flows.stagger.0) + Ns(rng.bits() % 1_000_000);
            let version = self.flows.version;
            world.add_flow(FlowSpec {
                from: SENDER,
                to: RECEIVER,
                bytes: None,
                start,
                tcp,
                version,
                group: 0,
                service: 0,
                priority: Priority::None,
            });
        }
        world
    }

    /// What changes and when, a trace's steps among it, in the order of time. Of what is of one moment, the trace's step
    /// comes last: its rate counts.
    fn timeline(&self, settings: &LinkSettings) -> Vec<LinkChange> {
        let mut changes = self.changes.clone();
        if let Some((step, rates)) =
            settings.trace.as_ref().filter(|(step, rates)| step.0 > 0 && !rates.is_empty())
        {
            let times = (0..).map(|n| Ns(n * step.0)).take_while(|at| *at < self.duration);
            changes.extend(times.zip(rates.iter().cycle()).map(|(at, rate)| {
                let rate = Some(*rate);
                LinkChange { at, rate, rtt: None, queue_frames: None, loss: None }
            }));
        }
        changes.sort_by_key(|change| change.at);
        changes
    }

    fn script(&self, settings: &LinkSettings, mut present: LinkConfig, world: &mut World) {
        for change in self.timeline(settings) {
            let at = change.at;
            present.rate = change.rate.unwrap_or(present.rate);
            present.loss = change.loss.unwrap_or(present.loss);
            present.queue_bytes =
                change.queue_frames.map_or(present.queue_bytes, |frames| frames * FRAME_BYTES);
            if let Some(rtt) = change.rtt {
                present.delay = Ns(rtt.0 / 2);
                let back = LinkConfig { delay: present.delay, ..links(settings).1 };
                world.script(at, Script::Link { link: 1, config: back });
            }
            world.script(at, Script::Link { link: BOTTLENECK, config: present.clone() });
        }
    }

    fn mss(&self) -> u32 {
        if self.flows.version == IpVersion::V4 { MSS_IPV4 } else { MSS_IPV6 }
    }

    /// Mean capacity over what is measured, in bits per second.
    fn capacity(&self, link: &LinkSettings) -> f64 {
        let changes = self.timeline(link).into_iter();
        let rates = changes.filter_map(|change| Some((change.at, change.rate?.0 as f64)));
        let steps: Vec<(Ns, f64)> = [(Ns::ZERO, link.rate.0 as f64)].into_iter().chain(rates).collect();
        let ends = steps.iter().skip(1).map(|(at, _)| *at).chain([self.duration]);
        let bits: f64 = steps
            .iter()
            .zip(ends)
            .map(|((from, rate), to)| rate * (to.min(self.duration) - (*from).max(self.warm_up)).0 as f64)
            .sum();
        bits / (self.duration - self.warm_up).0.max(1) as f64
    }
}

/// There and back.
fn links(settings: &LinkSettings) -> (LinkConfig, LinkConfig) {
    let delay = Ns(settings.rtt.0 / 2);
    let forth = LinkConfig {
        ecn_bytes: settings.ecn_frames.map(|frames| frames * FRAME_BYTES),
        loss: settings.loss,
        ..LinkConfig::new(settings.rate, delay, settings.queue_frames * FRAME_BYTES)
    };
    // The way back is never the bottleneck.
    let back = LinkConfig::new(BitsPerSec(settings.rate.0.max(10_000_000_000)), delay, BACK_BYTES);
    (forth, back)
}

/// Counts at a moment.
struct Snapshot {
    delivered: Vec<u64>,
    background: u64,
    pushed: u64,
    dropped: u64,
    timeouts: u64,
    decisions: u64,
}

impl Snapshot {
    fn take(world: &mut World) -> Snapshot {
        let counters = world.link(BOTTLENECK).map(|link| *link.counters()).unwrap_or_default();
        Snapshot {
            delivered: world.delivered().collect(),
            background: world.background_bytes(),
            pushed: counters.pushed,
            dropped: counters.dropped,
            timeouts: world.flows().map(|flow| flow.timeouts).sum(),
            decisions: world
                .weir_mut(SENDER)
                .map_or(0, |weir| weir.stats().decisions_model + weir.stats().decisions_rule),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_capacity_is_that_of_the_rates_in_force() {
        let mbps = BitsPerSec::from_mbps;
        let change = |at, rate| LinkChange {
            at: Ns::from_secs(at),
            rate: Some(mbps(rate)),
            rtt: None,
            queue_frames: None,
            loss: None,
        };
        let mut link = LinkSettings {
            name: String::new(),
            rate: mbps(40),
            rtt: Ns::from_millis(10),
            queue_frames: 50,
            ecn_frames: None,
            loss: 0.0,
            trace: None,
            background: Vec::new(),
        };
        let flows = FlowSettings {
            count: 1,
            stagger: Ns::ZERO,
            version: IpVersion::V6,
            receive_window: 1 << 20,
            ecn: false,
        };
        let experiment = LinkExperiment {
            duration: Ns::from_secs(4),
            warm_up: Ns::from_secs(1),
            links: Vec::new(),
            changes: vec![change(3, 70), change(2, 10)],
            flows,
            schemes: Vec::new(),
        };
        assert_eq!(experiment.capacity(&link), 40e6);
        // Steps at 0 s and 2 s: at 2 s the step's rate counts, at 3 s the change's.
        link.trace = Some((Ns::from_secs(2), vec![mbps(20), mbps(30)]));
        assert_eq!(experiment.capacity(&link), 40e6);
        link.trace = Some((Ns::from_secs(1), vec![mbps(20)]));
        assert_eq!(experiment.capacity(&link), 20e6);
        let (forth, back) = links(&link);
        let mut world = World::shared(1, vec![forth.clone(), back], &[0, 1]);
        experiment.script(&link, forth, &mut world);
        world.run(Ns::from_secs(3), false);
        assert_eq!(world.link(BOTTLENECK).map(|link| link.config().rate), Some(mbps(20)));
    }
}
