//! The engine's own choice of paths at a host: its tracker follows the host's frames, its selector decides, with its rules,
//! its feedback and its network. A path is a spine; each leaf that the host sends to is a network of its own with paths of its
//! own, as `[balance]` has one.

use super::probes::{self, Probing};
use super::{Departure, Truth, Way};
use crate::fabric::FabricConfig;
use crate::frame::{HostId, SimFrame};
use std::collections::BTreeMap;
use std::sync::Arc;
use weir_engine::balance::{Ask, BalanceSettings, PATHS_MAX, Selector};
use weir_engine::counters::WorkerStats;
use weir_engine::hash::FlowHasher;
use weir_engine::io::Frame as _;
use weir_engine::models::{Generation, ModelSet};
use weir_engine::time::{BitsPerSec, Ns};
use weir_engine::track::{SegmentInfo, Track};
use weir_engine::wire::{Flags, IpVersion, Parsed, Segment, parse};
use weir_features::PathSample;
use weir_handoff::{LaneReceiver, lane};
use weir_trainer::paths::Decision;

/// Flows between a host and a leaf for which there is room, and the silence after which one is forgotten.
const LIMITS: (u32, Ns) = (512, Ns::from_secs(1));

/// Records between a host and a leaf that wait for whoever asks for them; those beyond are dropped and counted.
const SAMPLES: usize = 512;

/// How the engine chooses.
#[derive(Clone, Debug)]
pub struct EnginePaths {
    /// Its settings.
    pub settings: BalanceSettings,
    /// Its network, if `settings.model` says that one decides.
    pub model: Option<Arc<Generation>>,
    /// From a network's answer to the moment when it counts: 0 inline.
    pub decision_delay: Ns,
    /// How often each path is probed, if at all.
    pub probe_interval: Option<Ns>,
}

/// A host's engine.
pub struct EngineEdge {
    paths: EnginePaths,
    spines: Vec<String>,
    rate: BitsPerSec,
    hasher: FlowHasher,
    models: ModelSet,
    /// By the leaf at the other end.
    selectors: BTreeMap<u16, Selector>,
    flows: BTreeMap<u32, Followed>,
    stats: WorkerStats,
    watched: Option<Vec<Decision>>,
    /// Records of its choices, by selector; `None` where nobody asks for them.
    told: Option<Vec<LaneReceiver<PathSample>>>,
    version: IpVersion,
    /// By leaf and spine: the newest probe's number.
    probed: BTreeMap<(u16, u16), u32>,
}

struct Followed {
    track: Track,
    hash: u64,
    to_leaf: u16,
}

impl EngineEdge {
    /// An engine that knows paths by a fabric's spines, and the rate that their links are meant to have. Its probes are of
    /// this IP version. `seed` keys its hashes.
    pub fn new(paths: EnginePaths, fabric: &FabricConfig, version: IpVersion, seed: u64) -> EngineEdge {
        let models = match &paths.model {
            Some(model) => ModelSet::empty().with(Arc::clone(model)),
            None => ModelSet::empty(),
        };
        EngineEdge {
            spines: (0..usize::from(fabric.spines).min(PATHS_MAX))
                .map(|spine| format!("spine {spine}"))
                .collect(),
            rate: fabric.rate,
            hasher: FlowHasher::new(seed),
            models,
            selectors: BTreeMap::new(),
            flows: BTreeMap::new(),
            stats: WorkerStats::default(),
            watched: None,
            told: None,
            version,
            probed: BTreeMap::new(),
            paths,
        }
    }

    /// The same, which keeps what each of its decisions was made from, with the truth about each path: for who trains.
    #[must_use]
    pub fn watching(mut self) -> EngineEdge {
        self.watched = Some(Vec::new());
        self
    }

    /// Whether some of its network's choices are drawn.
    pub fn explores(&self) -> bool {
        self.paths.settings.explore_share > 0
    }

    /// The same, whose choices are recorded with what came of them: for who tunes a network.
    #[must_use]
    pub fn telling(mut self) -> EngineEdge {
        self.told = Some(Vec::new());
        self
    }

    /// Takes the records of choices that are complete.
    pub fn drain(&mut self, mut each: impl FnMut(&PathSample)) {
        for lane in self.told.iter_mut().flatten() {
            lane.drain(usize::MAX, &mut each);
        }
    }

    /// Takes up another network. Flows stay where they are.
    pub fn swap(&mut self, model: Arc<Generation>) {
        self.models = self.models.with(model);
    }

    /// What was kept so far.
    pub fn watched(&self) -> &[Decision] {
        self.watched.as_deref().unwrap_or_default()
    }

    pub(super) fn way(&mut self, departure: &Departure, frame: &SimFrame, truth: &mut Truth<'_>) -> Way {
        let Departure { now, flow, to_leaf, bytes, .. } = *departure;
        let parsed = parse(frame.bytes(), frame.wire_len());
        let (Some(owner), Parsed::Tcp(tcp)) = (parsed.owner(), &parsed) else { return Way::Hash };
        let followed = self.flows.entry(flow).or_insert_with(|| Followed {
            track: Track::new(tcp.segment.seq),
            hash: self.hasher.hash(owner),
            to_leaf,
        });
        let hash = followed.hash;
        let departed = followed.track.on_depart(None, &SegmentInfo::from(&tcp.segment), now);
        let EngineEdge { selectors, paths, spines, rate, told, .. } = self;
        let selector = selectors.entry(to_leaf).or_insert_with(|| selector(paths, spines, *rate, told));
        let begins = tcp.segment.flags.has(Flags::SYN);
        let ask = Ask { hash, begins, repeats: departed.retransmitted_bytes > 0 };
        let before = decisions(&self.stats);
        // Taken before the decision, which changes them; kept if there was one.
        let rows = self.watched.is_some().then(|| selector.rows(hash, now));
        selector.decide([ask].into_iter(), &self.models, now, &mut self.stats);
        if let (Some(watched), Some(rows)) = (&mut self.watched, rows)
            && decisions(&self.stats) > before
        {
            watched.push(Decision { rows: rows.to_vec(), costs: truth.costs() });
        }
        let path = selector.path_of(hash, now);
        selector.on_depart(hash, path, bytes, &departed, now);
        selector.keep(now);
        Way::Spine(path as u16)
    }

    /// How its paths are probed.
    pub fn probing(&self) -> Option<Probing> {
        self.paths.probe_interval.map(|interval| Probing { interval, version: self.version })
    }

    /// The probes that are due on every path of the host `own`.
    pub(crate) fn probe(&mut self, now: Ns, own: HostId, fabric: &FabricConfig) -> Vec<SimFrame> {
        let Some(Probing { interval, version }) = self.probing() else { return Vec::new() };
        let own_leaf = own.0 / fabric.hosts_per_leaf.max(1);
        let mut frames = Vec::new();
        let EngineEdge { selectors, paths, spines, rate, told, probed, .. } = self;
        for leaf in (0..fabric.leaves).filter(|leaf| *leaf != own_leaf) {
            let selector = selectors.entry(leaf).or_insert_with(|| selector(paths, spines, *rate, told));
            for spine in 0..spines.len() as u16 {
                let sequence = selector.on_probe(spine.into(), interval, now);
                probed.insert((leaf, spine), sequence);
                frames.push(probes::request(
                    version,
                    (own, probes::peer(own, leaf, fabric)),
                    spine,
                    sequence,
                ));
            }
        }
        frames
    }

    /// A probe's answer has come from a host under this leaf.
    pub(crate) fn on_answer(&mut self, now: Ns, leaf: u16, spine: u16, low: u16) {
        if let (Some(selector), Some(last)) = (self.selectors.get_mut(&leaf), self.probed.get(&(leaf, spine)))
        {
            selector.on_answer(spine.into(), probes::whole(low, *last), Ns::ZERO, now);
        }
    }

    /// A segment of the flow has come back.
    pub(super) fn on_segment(&mut self, now: Ns, flow: u32, segment: &Segment) {
        let Some(followed) = self.flows.get_mut(&flow) else { return };
        let acked = followed.track.on_ack(None, segment, now);
        if let Some(selector) = self.selectors.get_mut(&followed.to_leaf) {
            selector.on_ack(followed.hash, &acked, now);
        }
    }
}

fn selector(
    paths: &EnginePaths,
    spines: &[String],
    rate: BitsPerSec,
    told: &mut Option<Vec<LaneReceiver<PathSample>>>,
) -> Selector {
    let known = spines.iter().map(|name| (name.as_str(), Some(rate.0)));
    let mut selector = Selector::new(known, &paths.settings, LIMITS).deciding_late(paths.decision_delay);
    if let Some(told) = told {
        // One by one: none waits for others to fill a batch.
        let (sender, receiver) = lane(SAMPLES, 1);
        selector.record_into(sender);
        told.push(receiver);
    }
    selector
}

fn decisions(stats: &WorkerStats) -> u64 {
    stats.path_decisions_model
        + stats.path_decisions_explored
        + stats.path_decisions_rule
        + stats.path_decisions_control
}
