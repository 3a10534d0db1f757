//! Jobs under one switch: what it is worth to know how large a transfer will be.
//!
//! An *application* lives on a host and goes through its stages again and again; each stage is a transfer to a peer of its own.
//! The logarithm of a transfer's size is its stage's mean plus noise. The two variances add up to a constant; the stage's share
//! of it is the *predictability*: the R^2 on log sizes of whoever knows every stage, and more than that no predictor reaches.
//! FLUX (Dukic et al., NSDI 2019) found 0.9 for PageRank and 0.5 for SGD. With *drift*, stages change their sizes half-way.
//!
//! Transfers come open-loop, application by application, so that all schemes are offered the same.

use super::fabric::figures;
use super::{Metric, WeirSettings};
use crate::books::Books;
use crate::conn::{FlowReport, FlowSpec, Priority};
use crate::fabric::{FRAME_BYTES, Fabric, FabricConfig};
use crate::frame::{HostId, MSS_IPV6};
use crate::link::{BANDS, LinkConfig};
use crate::math;
use crate::random;
use crate::tcp::{CongestionKind, TcpConfig};
use crate::workload::poisson;
use crate::world::{Script, World};
use std::sync::Arc;
use weir_engine::schedule::{PRIORITIES, ScheduleConfig, ScheduleRule, Thresholds, Trust};
use weir_engine::time::{BitsPerSec, Ns};
use weir_engine::wire::IpVersion;
use weir_env::Rng;
use weir_features::SizeSpec;

pub(super) const METRICS: &[Metric] = super::fabric::METRICS;

/// Stages of an application: FLUX' jobs have 5 to 8.
const STAGES: (usize, usize) = (5, 8);
/// Median size of all transfers, bytes, and the deviation of their logarithms: a mean of some 700 kB.
const MEDIAN_BYTES: f64 = 100_000.0;
const SIGMA: f64 = 2.0;
/// Sizes end here.
const BYTES_MAX: f64 = 30e6;

/// A condition.
#[derive(Clone, Debug, PartialEq)]
pub struct JobsCase {
    /// Its name.
    pub name: String,
    /// Share of the variance of log sizes that stages explain.
    pub predictability: f64,
    /// Whether stages change their sizes half-way.
    pub drift: bool,
    /// Offered bytes over what all hosts' links carry.
    pub load: f64,
}

/// Who says how urgent a transfer is.
#[derive(Clone, Debug, PartialEq)]
pub enum Priorities {
    /// Nobody: one queue.
    Fifo,
    /// The bytes that it has sent so far: from class to class at equal-load quantiles of the sizes, times this.
    Ageing(f64),
    /// Its true size.
    Oracle,
    /// What is known of its stage: the best that a predictor can do.
    Stage,
    /// What was known of its stage before the drift.
    StageBeforeDrift,
    /// The engine's schedule function on every host: its rule, ageing at equal-load quantiles of the sizes times this, its
    /// shaper at the host's rate, its marks.
    Engine(f64),
}

/// What is compared.
#[derive(Clone, Debug)]
pub struct JobsScheme {
    /// As tables call it.
    pub name: String,
    /// Who says.
    pub priorities: Priorities,
    /// The Weir on every host; `None`: none.
    pub weir: Option<WeirSettings>,
}

/// The experiment.
#[derive(Clone, Debug)]
pub struct JobsExperiment {
    /// The switch: rate, delay, queue. Its one leaf is all there is.
    pub fabric: FabricConfig,
    /// Applications of each host.
    pub applications: usize,
    /// How long transfers come.
    pub arrivals: Ns,
    /// How long those that have may take after that.
    pub drain: Ns,
    /// A frame that has waited longer goes first, whatever its class.
    pub ageing: Ns,
    /// Conditions.
    pub conditions: Vec<JobsCase>,
    /// What is compared.
    pub schemes: Vec<JobsScheme>,
}

/// A transfer, and what is known of it.
struct Transfer {
    from: HostId,
    to: HostId,
    start: Ns,
    bytes: u64,
    /// The median of its stage, now and before the drift.
    stage: f64,
    stage_before: f64,
}

impl JobsExperiment {
    pub(super) fn cases(&self) -> Vec<String> {
        self.conditions.iter().map(|case| case.name.clone()).collect()
    }

    pub(super) fn run(&self, case: usize, scheme: usize, seed: u64) -> (Vec<f64>, Books) {
        let (Some(case), Some(scheme)) = (self.conditions.get(case), self.schemes.get(scheme)) else {
            return (Vec::new(), Books::default());
        };
        let config = FabricConfig { leaves: 1, spines: 0, ..self.fabric.clone() };
        let fabric = Fabric { config, seed };
        let mut world = World::fabric(seed, fabric.clone());
        if scheme.priorities != Priorities::Fifo || scheme.weir.is_some() {
            for link in 0..fabric.links() {
                let config = fabric.link_config(link);
                let config = LinkConfig { bands: true, ageing: Some(self.ageing), ..config };
                world.script(Ns::ZERO, Script::Link { link, config });
            }
        }
        let transfers = self.transfers(case, &fabric, seed);
        let classes = Classes::new(&transfers);
        if let Some(weir) = &scheme.weir {
            let mut config = weir.config(seed);
            if let Priorities::Engine(scale) = &scheme.priorities {
                config.engine.schedule = Some(self.schedule(&classes.scaled(*scale)));
            }
            (0..fabric.hosts()).for_each(|host| world.install(HostId(host), &config));
        }
        for transfer in &transfers {
            let tcp = TcpConfig {
                ecn: true,
                rto_min: Ns::from_millis(10),
                rto_initial: Ns::from_millis(10),
                ack_delay: Ns::from_millis(1),
                ..TcpConfig::linux(CongestionKind::Dctcp, MSS_IPV6)
            };
            let priority = match &scheme.priorities {
                Priorities::Fifo | Priorities::Engine(_) => Priority::None,
                Priorities::Ageing(scale) => Priority::Ageing(classes.scaled(*scale)),
                Priorities::Oracle => Priority::Fixed(classes.of(transfer.bytes as f64)),
                Priorities::Stage => Priority::Fixed(classes.of(transfer.stage)),
                Priorities::StageBeforeDrift => Priority::Fixed(classes.of(transfer.stage_before)),
            };
            let Transfer { from, to, start, bytes, .. } = *transfer;
            let version = IpVersion::V6;
            world.add_flow(FlowSpec {
                from,
                to,
                bytes: Some(bytes),
                start,
                tcp,
                version,
                group: 0,
                priority,
            });
        }
        let end = self.arrivals + self.drain;
        world.run(end, true);
        let flows: Vec<FlowReport> = world.flows().collect();
        let books = world.books();
        (figures(&flows, &fabric, end, &books), books)
    }

    /// What each host's engine is told: the switch's classes as marks, its shaper just below the link's rate, so that a queue
    /// forms where it can be put in order.
    fn schedule(&self, thresholds: &[u64]) -> ScheduleConfig {
        let mut parts = Thresholds([u64::MAX; PRIORITIES - 1]);
        parts.0.iter_mut().zip(thresholds).for_each(|(part, threshold)| *part = *threshold);
        ScheduleConfig {
            rule: ScheduleRule::Ageing,
            model: false,
            spec: SizeSpec::default(),
            link_rate: BitsPerSec(self.fabric.rate.0 / 1_000 * 999),
            overhead_bytes: 0,
            burst_bytes: 2 * FRAME_BYTES as u32,
            queue_frames_max: 65_536,
            peers_max: 1_024,
            wait_max: self.ageing,
            mark_frames: self.fabric.ecn_frames.unwrap_or(0) as u32,
            size_thresholds: parts,
            ageing_thresholds: parts,
            predicted_min: 1,
            predicted_max: u64::MAX,
            other_priority: 0,
            control_share: 0,
            sample_share: 0,
            trust: Trust::Remark,
            dscp: Some(std::array::from_fn(|priority| ((BANDS - 1 - priority) as u8) << 3)),
            pcp: None,
        }
    }

    /// All transfers of a seed, in the order of their time.
    fn transfers(&self, case: &JobsCase, fabric: &Fabric, seed: u64) -> Vec<Transfer> {
        let mut rng = random::stream(seed, "jobs", 0);
        let between = SIGMA * case.predictability.clamp(0.0, 1.0).sqrt();
        let noise = (SIGMA * SIGMA - between * between).max(0.0).sqrt();
        let rate = self.fabric.rate.0 as f64 / 8.0;
        let per_second = case.load * rate / mean_bytes() / self.applications.max(1) as f64;
        let mut transfers = Vec::new();
        for host in 0..fabric.hosts() {
            for _ in 0..self.applications {
                let mut application = Application::new(host, fabric.hosts(), between, &mut rng);
                for start in poisson(&mut rng, per_second, self.arrivals) {
                    let drifted = case.drift && start.0 > self.arrivals.0 / 2;
                    transfers.push(application.next(start, drifted, noise, &mut rng));
                }
            }
        }
        transfers.sort_by_key(|transfer| (transfer.start, transfer.from, transfer.to));
        transfers
    }
}

/// The mean of a log-normal that ends at [`BYTES_MAX`], by a sum over its quantiles.
fn mean_bytes() -> f64 {
    let mut rng = random::stream(0, "mean", 0);
    let draws = 20_000;
    (0..draws).map(|_| random::log_normal(&mut rng, MEDIAN_BYTES, SIGMA).min(BYTES_MAX)).sum::<f64>()
        / f64::from(draws)
}

struct Application {
    host: u16,
    /// Peer and median size of each stage.
    stages: Vec<(u16, f64)>,
    at: usize,
}

impl Application {
    fn new(host: u16, hosts: u16, between: f64, rng: &mut Rng) -> Application {
        let count = STAGES.0 + rng.below(STAGES.1 - STAGES.0 + 1);
        let others = usize::from(hosts).saturating_sub(1);
        let stages = (0..count)
            .map(|_| {
                let peer = (host + 1 + rng.below(others) as u16) % hosts.max(1);
                (peer, random::log_normal(rng, MEDIAN_BYTES, between))
            })
            .collect();
        Application { host, stages, at: 0 }
    }

    fn next(&mut self, start: Ns, drifted: bool, noise: f64, rng: &mut Rng) -> Transfer {
        let count = self.stages.len().max(1);
        let at = self.at % count;
        self.at += 1;
        let (peer, stage_before) = self.stages.get(at).copied().unwrap_or((0, MEDIAN_BYTES));
        // What was the next stage's size is this one's now.
        let other = self.stages.get((at + count / 2) % count).map_or(stage_before, |stage| stage.1);
        let stage = if drifted { other } else { stage_before };
        let bytes = (stage * math::exp(noise * random::normal(rng))).clamp(1.0, BYTES_MAX) as u64;
        Transfer { from: HostId(self.host), to: HostId(peer), start, bytes, stage, stage_before }
    }
}

/// Where one class ends and the next begins, so that each carries the same bytes.
struct Classes(Vec<u64>);

impl Classes {
    /// Equal-load quantiles of these transfers' sizes.
    fn new(transfers: &[Transfer]) -> Classes {
        let mut sizes: Vec<u64> = transfers.iter().map(|transfer| transfer.bytes).collect();
        sizes.sort_unstable();
        let all: u64 = sizes.iter().sum();
        let mut ends = Vec::new();
        let mut sum = 0;
        for size in sizes {
            sum += size;
            if sum * BANDS as u64 > all * (ends.len() as u64 + 1) && ends.len() + 1 < BANDS {
                ends.push(size);
            }
        }
        Classes(ends)
    }

    /// The class of a size; 0 is the most urgent.
    fn of(&self, bytes: f64) -> u8 {
        self.0.iter().filter(|end| bytes > **end as f64).count() as u8
    }

    fn scaled(&self, scale: f64) -> Arc<[u64]> {
        self.0.iter().map(|end| (*end as f64 * scale) as u64).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn experiment() -> JobsExperiment {
        JobsExperiment {
            fabric: FabricConfig { hosts_per_leaf: 8, ..FabricConfig::default() },
            applications: 4,
            arrivals: Ns::from_millis(400),
            drain: Ns::from_secs(1),
            ageing: Ns::from_millis(10),
            conditions: Vec::new(),
            schemes: Vec::new(),
        }
    }

    /// R^2 of log sizes given the stage.
    fn explained(transfers: &[Transfer]) -> f64 {
        let log = |x: f64| math::ln(x);
        let logs: Vec<f64> = transfers.iter().map(|transfer| log(transfer.bytes as f64)).collect();
        let mean = logs.iter().sum::<f64>() / logs.len() as f64;
        let all: f64 = logs.iter().map(|x| (x - mean) * (x - mean)).sum();
        let rest: f64 =
            logs.iter().zip(transfers).map(|(x, transfer)| (x - log(transfer.stage)).powi(2)).sum();
        1.0 - rest / all
    }

    #[test]
    fn predictability_is_what_was_asked_for_and_load_too() {
        let experiment = experiment();
        let config = FabricConfig { leaves: 1, spines: 0, ..experiment.fabric.clone() };
        let fabric = Fabric { config, seed: 1 };
        for predictability in [0.9, 0.6, 0.0] {
            let case = JobsCase { name: String::new(), predictability, drift: false, load: 0.6 };
            let transfers = experiment.transfers(&case, &fabric, 1);
            let found = explained(&transfers);
            assert!((found - predictability).abs() < 0.1, "{found} for {predictability}");
            let bytes: u64 = transfers.iter().map(|transfer| transfer.bytes).sum();
            let load = bytes as f64 / (8.0 * 1.25e9 * 0.4);
            assert!((load / 0.6 - 1.0).abs() < 0.35, "{load}");
        }
    }

    #[test]
    fn classes_carry_the_same_bytes() {
        let experiment = experiment();
        let config = FabricConfig { leaves: 1, spines: 0, ..experiment.fabric.clone() };
        let case = JobsCase { name: String::new(), predictability: 0.5, drift: false, load: 0.6 };
        let transfers = experiment.transfers(&case, &Fabric { config, seed: 1 }, 2);
        let classes = Classes::new(&transfers);
        let mut loads = [0_u64; BANDS];
        for transfer in &transfers {
            loads[usize::from(classes.of(transfer.bytes as f64))] += transfer.bytes;
        }
        let all: u64 = loads.iter().sum();
        assert!(loads.iter().all(|load| (load * 8) as f64 > 0.7 * all as f64), "{loads:?}");
    }
}
