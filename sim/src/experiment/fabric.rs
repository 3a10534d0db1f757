//! Transfers over a leaf-spine fabric: who chooses paths how well.

use super::adapt::{Adaptation, Tuned};
use super::{Better, Metric, RunError, WeirSettings};
use crate::books::Books;
use crate::conn::{FlowReport, FlowSpec, Priority};
use crate::edge::{
    CongaLike, Ecmp, Edge, EngineEdge, EnginePaths, HermesLike, HermesSettings, LetFlow, PathPolicy, Plb,
    PowerOfTwo,
};
use crate::fabric::{Fabric, FabricConfig};
use crate::frame::{HostId, MSS_IPV4, MSS_IPV6};
use crate::link::LinkConfig;
use crate::random;
use crate::stats;
use crate::tcp::{CongestionKind, TcpConfig};
use crate::workload::{Sizes, poisson};
use crate::world::{Script, World};
use weir_engine::balance::BalanceSettings;
use weir_engine::time::{BitsPerSec, Ns};
use weir_engine::wire::IpVersion;
use weir_trainer::paths::Decision;

pub(super) const METRICS: &[Metric] = &[
    Metric { name: "fct_ms", better: Better::Less },
    Metric { name: "slowdown", better: Better::Less },
    Metric { name: "slowdown_p99", better: Better::Less },
    Metric { name: "small_fct_us", better: Better::Less },
    Metric { name: "small_fct_p99_us", better: Better::Less },
    Metric { name: "medium_fct_ms", better: Better::Less },
    Metric { name: "large_fct_ms", better: Better::Less },
    Metric { name: "under_10kB_fct_us", better: Better::Less },
    Metric { name: "10_to_100kB_fct_us", better: Better::Less },
    Metric { name: "over_100kB_fct_ms", better: Better::Less },
    Metric { name: "slowdown_p50", better: Better::Less },
    Metric { name: "flows", better: Better::Neither },
    Metric { name: "unfinished", better: Better::Less },
    Metric { name: "repeated_percent", better: Better::Less },
    Metric { name: "dropped_percent", better: Better::Less },
    Metric { name: "timeouts", better: Better::Less },
    Metric { name: "publications", better: Better::Neither },
];

/// The traffic generator's buckets: small below 100 KiB, large from 10 MiB on.
const SMALL: u64 = 100 << 10;
const LARGE: u64 = 10 << 20;

/// What is wrong with the fabric.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// Nothing.
    None,
    /// Links between leaf and spine, both ways, run at a share of their rate.
    Slow {
        /// Leaf and spine of each.
        links: Vec<(u16, u16)>,
        /// Share of the rate that is left.
        factor: f64,
        /// From when on.
        at: Ns,
    },
    /// A spine loses this share of what it is given, and nobody tells: a grey failure.
    Lossy {
        /// Which.
        spine: u16,
        /// Share of frames.
        loss: f64,
        /// From when on.
        at: Ns,
    },
    /// A link between leaf and spine breaks, both ways, and the switches know.
    Cut {
        /// Leaf and spine.
        link: (u16, u16),
        /// When.
        at: Ns,
    },
}

/// A condition.
#[derive(Clone, Debug, PartialEq)]
pub struct FabricCase {
    /// Its name.
    pub name: String,
    /// Offered bytes over what all links from leaves to spines carry.
    pub load: f64,
    /// What is wrong.
    pub fault: Fault,
}

/// Who chooses paths.
#[derive(Clone, Debug)]
pub enum PathRule {
    /// [`Ecmp`].
    Ecmp,
    /// [`LetFlow`], with the idle time that ends a flowlet.
    LetFlow(Ns),
    /// [`Plb`], with the congested rounds after which an idle flow redraws, and any.
    Plb([u32; 2]),
    /// [`PowerOfTwo`], likewise.
    PowerOfTwo(Ns),
    /// [`CongaLike`], likewise.
    Conga(Ns),
    /// [`HermesLike`].
    Hermes(HermesSettings),
    /// The engine.
    Engine(EnginePaths),
}

/// What is compared.
#[derive(Clone, Debug)]
pub struct FabricScheme {
    /// As tables call it.
    pub name: String,
    /// How paths are chosen beside or without a Weir.
    pub path: PathRule,
    /// The Weir on every host; `None`: none.
    pub weir: Option<WeirSettings>,
    /// What tunes the engine's network, on the deliveries of all hosts; `None`: it stays as it is.
    pub tuned: Option<Tuned>,
}

impl FabricScheme {
    /// Without a Weir that paces, and without a trainer.
    pub fn new(name: String, path: PathRule) -> FabricScheme {
        FabricScheme { name, path, weir: None, tuned: None }
    }
}

/// The experiment.
#[derive(Clone, Debug)]
pub struct FabricExperiment {
    /// Sizes and rates.
    pub fabric: FabricConfig,
    /// Sizes of flows.
    pub sizes: Sizes,
    /// How long flows arrive.
    pub arrivals: Ns,
    /// Transfers that come before are not measured.
    pub warm_up: Ns,
    /// How long those that have may take after that.
    pub drain: Ns,
    /// Their congestion control.
    pub congestion: CongestionKind,
    /// IP version.
    pub version: IpVersion,
    /// Least retransmission timeout.
    pub rto_min: Ns,
    /// Conditions.
    pub conditions: Vec<FabricCase>,
    /// What is compared.
    pub schemes: Vec<FabricScheme>,
}

impl FabricExperiment {
    pub(super) fn cases(&self) -> Vec<String> {
        self.conditions.iter().map(|case| case.name.clone()).collect()
    }

    /// Fails where the trainer does not take the model that it is to tune.
    pub(crate) fn run(&self, case: usize, scheme: usize, seed: u64) -> Result<(Vec<f64>, Books), RunError> {
        let (Some(case), Some(scheme)) = (self.conditions.get(case), self.schemes.get(scheme)) else {
            return Ok((Vec::new(), Books::default()));
        };
        let refused = |reason| RunError::Adapt { scheme: scheme.name.clone(), reason };
        let tuned = scheme.tuned.as_ref();
        let mut adaptation =
            tuned.map(|tuned| Adaptation::of_paths(tuned, seed)).transpose().map_err(refused)?;
        let fabric = self.leaves_and_spines(seed);
        // A choice is drawn where a record begins, so who explores keeps records, though nobody reads them.
        let edge = |path: &PathRule, rng| match self.edge(path, rng) {
            Edge::Engine(engine) if adaptation.is_some() || engine.explores() => {
                Edge::Engine(Box::new(engine.telling()))
            }
            edge => edge,
        };
        let mut world = self.world(case, &fabric, seed, edge, scheme);
        let end = self.arrivals + self.drain;
        if let Some(adaptation) = &mut adaptation {
            adaptation.run(&mut world, fabric.hosts(), self.arrivals);
        }
        world.run(end, true);
        let flows: Vec<FlowReport> = world.flows().filter(|flow| flow.spec.start >= self.warm_up).collect();
        let books = world.books();
        let publications = adaptation.map_or(0, |adaptation| adaptation.publications());
        Ok((figures(&flows, &fabric, end, (&books, publications)), books))
    }

    /// A run of the engine in which every decision is kept, with the truth about each path: for who trains a network.
    pub fn watch(&self, case: &FabricCase, paths: &EnginePaths, seed: u64) -> Vec<Decision> {
        let fabric = self.leaves_and_spines(seed);
        let scheme = FabricScheme::new(String::new(), PathRule::Engine(paths.clone()));
        let watching = |_: &PathRule, rng| Edge::Engine(Box::new(self.engine(paths, rng).watching()));
        let mut world = self.world(case, &fabric, seed, watching, &scheme);
        world.run(self.arrivals + self.drain, true);
        let watched = world.edges().filter_map(|edge| match edge {
            Edge::Engine(engine) => Some(engine.watched()),
            Edge::Rule(_) => None,
        });
        watched.flatten().cloned().collect()
    }

    fn leaves_and_spines(&self, seed: u64) -> Fabric {
        Fabric { config: self.fabric.clone(), seed: random::stream(seed, "switches", 0).bits() }
    }

    fn world(
        &self,
        case: &FabricCase,
        fabric: &Fabric,
        seed: u64,
        edge: impl Fn(&PathRule, weir_env::Rng) -> Edge,
        scheme: &FabricScheme,
    ) -> World {
        let mut world = World::fabric(seed, fabric.clone());
        self.break_links(&case.fault, fabric, &mut world);
        for host in (0..fabric.hosts()).map(HostId) {
            let rng = random::stream(seed, "paths", host.0.into());
            world.choose_paths(host, edge(&scheme.path, rng));
            if let Some(weir) = &scheme.weir {
                world.install(host, &weir.config(seed));
            }
        }
        for spec in self.flows(case.load, fabric, seed) {
            world.add_flow(spec);
        }
        world
    }

    /// The transfers of a seed: the same for every scheme.
    fn flows(&self, load: f64, fabric: &Fabric, seed: u64) -> Vec<FlowSpec> {
        let FabricConfig { leaves, spines, rate, .. } = self.fabric;
        let bytes_per_second = load * f64::from(leaves) * f64::from(spines) * rate.0 as f64 / 8.0;
        let mut rng = random::stream(seed, "arrivals", 0);
        let tcp = TcpConfig {
            ecn: self.fabric.ecn_frames.is_some(),
            rto_min: self.rto_min,
            rto_initial: self.rto_min,
            ack_delay: Ns(self.rto_min.0 / 10),
            ..TcpConfig::linux(self.congestion, self.mss())
        };
        let times = poisson(&mut rng, bytes_per_second / self.sizes.mean(), self.arrivals);
        let spec = |start| {
            let from = HostId(rng.below(fabric.hosts().into()) as u16);
            // Between leaves: what stays within one has no path to choose.
            let per_leaf = usize::from(self.fabric.hosts_per_leaf);
            let other = 1 + rng.below(usize::from(leaves).saturating_sub(1)) as u16;
            let leaf = (fabric.leaf_of(from) + other) % leaves;
            let to = HostId(leaf * self.fabric.hosts_per_leaf + rng.below(per_leaf) as u16);
            let bytes = Some(self.sizes.draw(&mut rng));
            FlowSpec {
                from,
                to,
                bytes,
                start,
                tcp,
                version: self.version,
                group: 0,
                service: 0,
                priority: Priority::None,
            }
        };
        times.into_iter().map(spec).collect()
    }

    fn mss(&self) -> u32 {
        if self.version == IpVersion::V4 { MSS_IPV4 } else { MSS_IPV6 }
    }

    fn engine(&self, paths: &EnginePaths, mut rng: weir_env::Rng) -> EngineEdge {
        let settings = BalanceSettings { timeout_min: self.rto_min, ..paths.settings.clone() };
        let paths = EnginePaths { settings, ..paths.clone() };
        EngineEdge::new(paths, &self.fabric, self.version, rng.bits())
    }

    fn edge(&self, rule: &PathRule, rng: weir_env::Rng) -> Edge {
        let spines = self.fabric.spines;
        let policy: Box<dyn PathPolicy> = match rule {
            PathRule::Ecmp => Box::new(Ecmp),
            PathRule::LetFlow(gap) => Box::new(LetFlow { spines, gap: *gap, rng }),
            // Longer than a run lasts, as Linux' is.
            PathRule::Plb(rounds) => Box::new(Plb::new(Ns::from_secs(60), *rounds)),
            PathRule::PowerOfTwo(gap) => Box::new(PowerOfTwo::new(spines, *gap, rng)),
            PathRule::Conga(gap) => Box::new(CongaLike { spines, gap: *gap, rng }),
            PathRule::Hermes(settings) => Box::new(HermesLike::new(*settings, spines, rng)),
            PathRule::Engine(paths) => return Edge::Engine(Box::new(self.engine(paths, rng))),
        };
        Edge::new(policy)
    }

    fn break_links(&self, fault: &Fault, fabric: &Fabric, world: &mut World) {
        let both = |leaf: u16, spine: u16| [fabric.up(leaf, spine), fabric.down(spine, leaf)];
        match fault {
            Fault::None => {}
            Fault::Slow { links, factor, at } => {
                for link in links.iter().flat_map(|(leaf, spine)| both(*leaf, *spine)) {
                    let config = fabric.link_config(link);
                    let rate = BitsPerSec((config.rate.0 as f64 * factor) as u64);
                    world.script(*at, Script::Link { link, config: LinkConfig { rate, ..config } });
                }
            }
            Fault::Lossy { spine, loss, at } => {
                for link in (0..self.fabric.leaves).map(|leaf| fabric.down(*spine, leaf)) {
                    let config = LinkConfig { loss: *loss, ..fabric.link_config(link) };
                    world.script(*at, Script::Link { link, config });
                }
            }
            Fault::Cut { link: (leaf, spine), at } => {
                for link in both(*leaf, *spine) {
                    world.script(*at, Script::Cut { link, up: false });
                }
            }
        }
    }
}

/// The figures of a run. A transfer that has not ended counts as if it did when the run does: left out, it would make who
/// starves it look better.
pub(super) fn figures(
    flows: &[FlowReport],
    fabric: &Fabric,
    end: Ns,
    (books, publications): (&Books, u64),
) -> Vec<f64> {
    let time = |flow: &FlowReport| (flow.finished.unwrap_or(end) - flow.spec.start).0 as f64;
    let size = |flow: &FlowReport| flow.spec.bytes.unwrap_or(0);
    let all: Vec<f64> = flows.iter().map(time).collect();
    let mut slowdowns: Vec<f64> = flows
        .iter()
        .map(|flow| {
            let ideal = fabric.ideal(flow.spec.from, flow.spec.to, size(flow), flow.spec.tcp.mss);
            time(flow) / ideal.0.max(1) as f64
        })
        .collect();
    let bucket = |from: u64, to: u64| -> Vec<f64> {
        flows.iter().filter(|flow| (from..to).contains(&size(flow))).map(time).collect()
    };
    let mut small = bucket(0, SMALL);
    let (medium, large) = (bucket(SMALL, LARGE), bucket(LARGE, u64::MAX));
    let (tiny, middle, rest) = (bucket(0, 10_000), bucket(10_000, 100_000), bucket(100_000, u64::MAX));
    let segments: u64 = flows.iter().map(|flow| size(flow).div_ceil(u64::from(flow.spec.tcp.mss))).sum();
    let repeated: u64 = flows.iter().map(|flow| flow.retransmitted).sum();
    vec![
        stats::mean(&all) / 1e6,
        stats::mean(&slowdowns),
        stats::percentile(&mut slowdowns, 0.99),
        stats::mean(&small) / 1e3,
        stats::percentile(&mut small, 0.99) / 1e3,
        stats::mean(&medium) / 1e6,
        stats::mean(&large) / 1e6,
        stats::mean(&tiny) / 1e3,
        stats::mean(&middle) / 1e3,
        stats::mean(&rest) / 1e6,
        stats::percentile(&mut slowdowns, 0.5),
        flows.len() as f64,
        flows.iter().filter(|flow| flow.finished.is_none()).count() as f64,
        repeated as f64 * 100.0 / segments.max(1) as f64,
        books.dropped as f64 * 100.0 / books.originated.max(1) as f64,
        flows.iter().map(|flow| flow.timeouts).sum::<u64>() as f64,
        publications as f64,
    ]
}
