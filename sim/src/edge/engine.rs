//! The engine's own choice of paths at a host: its tracker follows the host's frames, its selector decides, with its rules,
//! its feedback and its network. A path is a spine; each leaf that the host sends to is a network of its own with paths of its
//! own, as `[balance]` has one.

use super::{Departure, Truth, Way};
use crate::frame::SimFrame;
use std::collections::BTreeMap;
use std::sync::Arc;
use weir_engine::balance::{Ask, BalanceSettings, PATHS_MAX, Selector};
use weir_engine::counters::WorkerStats;
use weir_engine::hash::FlowHasher;
use weir_engine::io::Frame as _;
use weir_engine::models::{Generation, ModelSet};
use weir_engine::time::{BitsPerSec, Ns};
use weir_engine::track::{SegmentInfo, Track};
use weir_engine::wire::{Flags, Parsed, Segment, parse};
use weir_trainer::paths::Decision;

/// Flows between a host and a leaf for which there is room, and the silence after which one is forgotten.
const LIMITS: (u32, Ns) = (512, Ns::from_secs(1));

/// How the engine chooses.
#[derive(Clone, Debug)]
pub struct EnginePaths {
    /// Its settings.
    pub settings: BalanceSettings,
    /// Its network, if `settings.model` says that one decides.
    pub model: Option<Arc<Generation>>,
    /// From a network's answer to the moment when it counts: 0 inline.
    pub decision_delay: Ns,
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
}

struct Followed {
    track: Track,
    hash: u64,
    to_leaf: u16,
}

impl EngineEdge {
    /// An engine that knows paths by these many spines, whose links are meant to have this rate. `seed` keys its hashes.
    pub fn new(paths: EnginePaths, spines: u16, rate: BitsPerSec, seed: u64) -> EngineEdge {
        let models = match &paths.model {
            Some(model) => ModelSet::empty().with(Arc::clone(model)),
            None => ModelSet::empty(),
        };
        EngineEdge {
            spines: (0..usize::from(spines).min(PATHS_MAX)).map(|spine| format!("spine {spine}")).collect(),
            rate,
            hasher: FlowHasher::new(seed),
            models,
            selectors: BTreeMap::new(),
            flows: BTreeMap::new(),
            stats: WorkerStats::default(),
            watched: None,
            paths,
        }
    }

    /// The same, which keeps what each of its decisions was made from, with the truth about each path: for who trains.
    #[must_use]
    pub fn watching(mut self) -> EngineEdge {
        self.watched = Some(Vec::new());
        self
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
        let selector = self.selectors.entry(to_leaf).or_insert_with(|| {
            let rate = Some(self.rate.0);
            let known = self.spines.iter().map(|name| (name.as_str(), rate));
            Selector::new(known, &self.paths.settings, LIMITS).deciding_late(self.paths.decision_delay)
        });
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

    /// A segment of the flow has come back.
    pub(super) fn on_segment(&mut self, now: Ns, flow: u32, segment: &Segment) {
        let Some(followed) = self.flows.get_mut(&flow) else { return };
        let acked = followed.track.on_ack(None, segment, now);
        if let Some(selector) = self.selectors.get_mut(&followed.to_leaf) {
            selector.on_ack(followed.hash, &acked, now);
        }
    }
}

fn decisions(stats: &WorkerStats) -> u64 {
    stats.path_decisions_model
        + stats.path_decisions_explored
        + stats.path_decisions_rule
        + stats.path_decisions_control
}
