//! Jobs under one switch: what it is worth to know how large a transfer will be.
//!
//! Each host runs jobs ([`weir_env::jobs`]), each with a service port of its own, their peers all other hosts in turn. Their flows
//! are what size models are trained on, over real connections. How predictable they are is the case's to say. With *drift*, all
//! jobs become those of another application at a time.
//!
//! Transfers come open-loop, job by job, so that all schemes are offered the same. A host has as many jobs as the load takes at
//! the application's own gaps, about; the gaps are stretched by what is left.

use super::adapt::{Adaptation, Tuned};
use super::fabric::figures;
use super::{Better, Metric, RunError, WeirSettings};
use crate::books::Books;
use crate::conn::{FlowReport, FlowSpec, Priority};
use crate::fabric::{FRAME_BYTES, Fabric, FabricConfig};
use crate::frame::{HostId, MSS_IPV6};
use crate::link::{BANDS, LinkConfig};
use crate::random;
use crate::tcp::{CongestionKind, TcpConfig};
use crate::workload::Sizes;
use crate::world::{Script, World};
use std::sync::Arc;
use weir_engine::models::Generation;
use weir_engine::schedule::{PRIORITIES, ScheduleConfig, ScheduleRule, Thresholds, Trust};
use weir_engine::time::{BitsPerSec, Ns};
use weir_engine::wire::IpVersion;
use weir_env::Rng;
use weir_env::jobs::{Application, Job};
use weir_features::{ONE, SizeSpec};

const OF_FABRIC: &[Metric] = super::fabric::METRICS;
/// A fabric's, and how far predictions were off: mean of |log2|, 1 is a factor of two.
pub(super) const METRICS: &[Metric] = &{
    let mut all = [Metric { name: "off_log2", better: Better::Less }; OF_FABRIC.len() + 1];
    let (of_fabric, _) = all.split_at_mut(OF_FABRIC.len());
    of_fabric.copy_from_slice(OF_FABRIC);
    all
};

/// Flows that a simulated engine has room for here: those that have ended stay a while.
const FLOWS_MAX: u32 = 16_384;
/// Jobs of a host have services of their own, as ports below 1024.
const JOBS_MAX: usize = 1_000;

/// A condition.
#[derive(Clone, Debug, PartialEq)]
pub struct JobsCase {
    /// Its name.
    pub name: String,
    /// Share of the variance of sizes' normal scores that stages explain.
    pub predictability: f64,
    /// When the application becomes another.
    pub drift_at: Option<Ns>,
    /// Offered bytes over what all hosts' links carry.
    pub load: f64,
}

/// A model that predicts sizes.
#[derive(Clone, Debug)]
pub struct SizeModel {
    /// Ready to run.
    pub generation: Arc<Generation>,
    /// What tunes it, on the flows as they end; `None` where it stays as it is.
    pub tuned: Option<Tuned>,
}

/// Who says how urgent a transfer is.
#[derive(Clone, Debug)]
pub enum Priorities {
    /// Nobody: one queue.
    Fifo,
    /// The bytes that it has sent so far: from class to class at equal-load quantiles of the sizes, times this.
    Ageing(f64),
    /// Its true size.
    Oracle,
    /// The median size of its stage: what who knows the jobs could know.
    Stage,
    /// The engine's schedule function on every host: its shaper at the host's rate, its marks. By rule it is ageing at
    /// equal-load quantiles of the sizes times `scale`; with a model, predicted sizes are parted there.
    Engine {
        /// Of the thresholds.
        scale: f64,
        /// What predicts.
        model: Option<SizeModel>,
    },
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
    /// Sizes of flows.
    pub sizes: Sizes,
    /// Which application's jobs they are.
    pub application: u64,
    /// How long transfers come.
    pub arrivals: Ns,
    /// Transfers that come before are not measured.
    pub warm_up: Ns,
    /// How long those that have come may take after that.
    pub drain: Ns,
    /// A frame that has waited longer goes first, whatever its class.
    pub ageing: Ns,
    /// The shortest retransmission timeout; a tenth of it, and at most 1 ms, is how long an acknowledgement is delayed.
    pub rto_min: Ns,
    /// Conditions.
    pub conditions: Vec<JobsCase>,
    /// What is compared.
    pub schemes: Vec<JobsScheme>,
}

/// A transfer, and what is known of it.
struct Transfer {
    from: HostId,
    to: HostId,
    service: u16,
    start: Ns,
    bytes: u64,
    /// The median of its stage.
    stage: u64,
}

impl JobsExperiment {
    pub(super) fn cases(&self) -> Vec<String> {
        self.conditions.iter().map(|case| case.name.clone()).collect()
    }

    /// Fails where the trainer does not take the model that it is to tune.
    pub(super) fn run(&self, case: usize, scheme: usize, seed: u64) -> Result<(Vec<f64>, Books), RunError> {
        let (Some(case), Some(scheme)) = (self.conditions.get(case), self.schemes.get(scheme)) else {
            return Ok((Vec::new(), Books::default()));
        };
        let config = FabricConfig { leaves: 1, spines: 0, ..self.fabric.clone() };
        let fabric = Fabric { config, seed };
        let mut world = World::fabric(seed, fabric.clone());
        if !matches!(scheme.priorities, Priorities::Fifo) || scheme.weir.is_some() {
            for link in 0..fabric.links() {
                let config = fabric.link_config(link);
                let config = LinkConfig { bands: true, ageing: Some(self.ageing), ..config };
                world.script(Ns::ZERO, Script::Link { link, config });
            }
        }
        let transfers = self.transfers(case, &fabric, seed);
        let classes = Classes::new(&transfers);
        let mut adaptation = None;
        if let Some(weir) = &scheme.weir {
            let mut config = weir.config(seed);
            config.engine.flows_max = FLOWS_MAX;
            if let Priorities::Engine { scale, model } = &scheme.priorities {
                config.engine.schedule = Some(self.schedule(&classes, *scale, model.is_some()));
                config.size_model = model.as_ref().map(|model| Arc::clone(&model.generation));
                if let Some(model) = model {
                    let refused = |reason| RunError::Adapt { scheme: scheme.name.clone(), reason };
                    let tuned = model.tuned.as_ref();
                    adaptation =
                        tuned.map(|tuned| Adaptation::of_sizes(tuned, seed)).transpose().map_err(refused)?;
                }
            }
            (0..fabric.hosts()).for_each(|host| world.install(HostId(host), &config));
        }
        for transfer in &transfers {
            let tcp = TcpConfig {
                ecn: true,
                rto_min: self.rto_min,
                rto_initial: self.rto_min,
                ack_delay: Ns(self.rto_min.0 / 10).min(Ns::from_millis(1)),
                ..TcpConfig::linux(CongestionKind::Dctcp, MSS_IPV6)
            };
            let priority = match &scheme.priorities {
                Priorities::Fifo | Priorities::Engine { .. } => Priority::None,
                Priorities::Ageing(scale) => Priority::Ageing(classes.scaled(*scale)),
                Priorities::Oracle => Priority::Fixed(classes.of(transfer.bytes)),
                Priorities::Stage => Priority::Fixed(classes.of(transfer.stage)),
            };
            let Transfer { from, to, service, start, bytes, .. } = *transfer;
            let version = IpVersion::V6;
            world.add_flow(FlowSpec {
                from,
                to,
                bytes: Some(bytes),
                start,
                tcp,
                version,
                group: 0,
                service,
                priority,
            });
        }
        let end = self.arrivals + self.drain;
        if let Some(adaptation) = &mut adaptation {
            adaptation.run(&mut world, fabric.hosts(), self.arrivals);
        }
        let publications = adaptation.map_or(0, |adaptation| adaptation.publications());
        world.run(end, true);
        let flows: Vec<FlowReport> = world.flows().filter(|flow| flow.spec.start >= self.warm_up).collect();
        let books = world.books();
        let mut found = figures(&flows, &fabric, end, (&books, publications));
        let (mut off_q16, mut judged) = (0, 0);
        for host in (0..fabric.hosts()).map(HostId) {
            let Some(stats) = world.weir_mut(host).map(|weir| weir.stats()) else { continue };
            off_q16 += stats.prediction_error_q16;
            judged += stats.predictions_judged;
        }
        found.push(off_q16 as f64 / f64::from(ONE) / judged.max(1) as f64);
        Ok((found, books))
    }

    /// What each host's engine is told: the switch's classes as marks, its shaper just below the link's rate, so that a queue
    /// forms where it can be put in order.
    fn schedule(&self, classes: &Classes, scale: f64, model: bool) -> ScheduleConfig {
        let parts = |ends: &[u64]| {
            let mut parts = Thresholds([u64::MAX; PRIORITIES - 1]);
            parts.0.iter_mut().zip(ends).for_each(|(part, end)| *part = *end);
            parts
        };
        ScheduleConfig {
            rule: ScheduleRule::Ageing,
            model,
            spec: SizeSpec::default(),
            link_rate: BitsPerSec(self.fabric.rate.0 / 1_000 * 999),
            overhead_bytes: 0,
            burst_bytes: 2 * FRAME_BYTES as u32,
            queue_frames_max: 65_536,
            peers_max: 4_096,
            wait_max: self.ageing,
            mark_frames: self.fabric.ecn_frames.unwrap_or(0) as u32,
            size_thresholds: parts(&classes.scaled(scale)),
            ageing_thresholds: parts(&classes.scaled(scale)),
            predicted_min: 1,
            predicted_max: u64::MAX,
            other_priority: 0,
            control_share: 0,
            // Of every flow; whether anybody asks is another matter.
            sample_share: 65_536,
            trust: Trust::Remark,
            dscp: Some(std::array::from_fn(|priority| ((BANDS - 1 - priority) as u8) << 3)),
            pcp: None,
        }
    }

    /// All transfers of a seed, in the order of their time.
    fn transfers(&self, case: &JobsCase, fabric: &Fabric, seed: u64) -> Vec<Transfer> {
        let p = case.predictability;
        let hosts = fabric.hosts();
        let wanted = case.load * self.fabric.rate.0 as f64 / 8.0;
        let application = |number: u64| {
            let application = Application::new(number);
            let offers = offers(&application, &self.sizes, p);
            (application, offers)
        };
        let (before, after) = (application(self.application), application(self.application.wrapping_add(1)));
        let jobs = ((wanted / before.1).round() as usize).clamp(1, JOBS_MAX);
        let stretched = |offers: f64| offers * jobs as f64 / wanted;
        let mut rng = random::stream(seed, "jobs", 0);
        let mut transfers = Vec::new();
        for (host, service) in
            (0..hosts).flat_map(|host| (1..=jobs as u16).map(move |service| (host, service)))
        {
            // All others in turn, so that as many jobs send to each host as it has itself.
            let peer = (host + 1 + (service - 1) % hosts.saturating_sub(1).max(1)) % hosts.max(1);
            let mut job = Job::new(Rng::new(rng.bits()));
            let mut now_us = rng.uniform(0.0, before.0.mean_gap_us());
            loop {
                let drifted = case.drift_at.is_some_and(|at| now_us * 1e3 >= at.0 as f64);
                let (application, offers) = if drifted { &after } else { &before };
                let next = job.next(application, &self.sizes, p);
                now_us += next.gap_us * stretched(*offers);
                let start = Ns((now_us * 1e3) as u64);
                if start >= self.arrivals {
                    break;
                }
                let (from, to) = (HostId(host), HostId(peer));
                transfers.push(Transfer {
                    from,
                    to,
                    service,
                    start,
                    bytes: next.bytes,
                    stage: next.stage_bytes,
                });
            }
        }
        transfers.sort_by_key(|transfer| (transfer.start, transfer.from, transfer.service));
        transfers
    }
}

/// What a job of an application offers at its own pace, in bytes per second: the mean over many jobs, since one kind's may send
/// more, and more often, than another's.
fn offers(application: &Application, sizes: &Sizes, predictability: f64) -> f64 {
    let (jobs, flows) = (600, 120);
    let mut rng = random::stream(0, "offers", 0);
    let mut sum = 0.0;
    for _ in 0..jobs {
        let mut job = Job::new(Rng::new(rng.bits()));
        let (mut bytes, mut gaps_us) = (0.0, 0.0);
        for _ in 0..flows {
            let next = job.next(application, sizes, predictability);
            bytes += next.bytes as f64;
            gaps_us += next.gap_us;
        }
        sum += bytes * 1e6 / gaps_us;
    }
    sum / f64::from(jobs)
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
    fn of(&self, bytes: u64) -> u8 {
        self.0.iter().filter(|end| bytes >= **end).count() as u8
    }

    fn scaled(&self, scale: f64) -> Arc<[u64]> {
        self.0.iter().map(|end| (*end as f64 * scale) as u64).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEB_SERVER: &str = include_str!("../../../conf/workloads/web-server.csv");

    fn experiment() -> JobsExperiment {
        let rate = BitsPerSec::from_mbps(1_000);
        JobsExperiment {
            fabric: FabricConfig { hosts_per_leaf: 8, leaves: 1, spines: 0, rate, ..FabricConfig::default() },
            sizes: Sizes::parse(WEB_SERVER, None).unwrap(),
            application: 1,
            arrivals: Ns::from_millis(600),
            warm_up: Ns::from_millis(200),
            drain: Ns::from_secs(1),
            ageing: Ns::from_millis(10),
            rto_min: Ns::from_millis(10),
            conditions: Vec::new(),
            schemes: Vec::new(),
        }
    }

    fn transfers(experiment: &JobsExperiment, predictability: f64, drift_at: Option<Ns>) -> Vec<Transfer> {
        let case = JobsCase { name: String::new(), predictability, drift_at, load: 0.6 };
        experiment.transfers(&case, &Fabric { config: experiment.fabric.clone(), seed: 1 }, 1)
    }

    #[test]
    fn the_load_is_what_was_asked_for_before_drift_and_after() {
        let experiment = experiment();
        for (predictability, drift_at) in [(0.9, None), (0.0, None), (0.9, Some(Ns::from_millis(300)))] {
            let all = transfers(&experiment, predictability, drift_at);
            for half in [0, 300] {
                let span = Ns::from_millis(half)..Ns::from_millis(half + 300);
                let bytes: u64 =
                    all.iter().filter(|one| span.contains(&one.start)).map(|one| one.bytes).sum();
                let load = bytes as f64 / (8.0 * 125e6 * 0.3);
                assert!(
                    (load / 0.6 - 1.0).abs() < 0.2,
                    "{load} from {half} ms, {predictability}, {drift_at:?}"
                );
            }
        }
    }

    #[test]
    fn classes_carry_the_same_bytes() {
        let all = transfers(&experiment(), 0.5, None);
        let classes = Classes::new(&all);
        let mut loads = [0_u64; BANDS];
        for transfer in &all {
            loads[usize::from(classes.of(transfer.bytes))] += transfer.bytes;
        }
        let sum: u64 = all.iter().map(|transfer| transfer.bytes).sum();
        assert!(loads.iter().all(|load| (load * 8) as f64 > 0.7 * sum as f64), "{loads:?}");
    }
}
