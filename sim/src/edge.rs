//! Who chooses paths at a fabric's edge: the rules that a model is held against, in one place that sees what a host sees.
//!
//! A [`PathPolicy`] is asked for each data frame that leaves for another leaf. [`Way::Spine`] puts it on a named path (a VLAN
//! per spine), [`Way::Hash`] leaves it to the switches' hash, where a policy may have the flow's label drawn anew. It hears
//! what comes back: each acknowledgement with the path that the flow is on, each loss, each timeout. [`EngineEdge`] is the
//! engine in their place, which reads all of that from the frames.

mod baselines;
mod engine;
mod hermes;
pub(crate) mod probes;
mod truth;

pub use baselines::{CongaLike, Ecmp, LetFlow, Plb, PowerOfTwo};
pub use engine::{EngineEdge, EnginePaths};
pub use hermes::{HermesLike, HermesSettings};
pub use probes::Probing;
pub use truth::Truth;

use crate::conn::Outcome;
use crate::frame::SimFrame;
use std::collections::BTreeMap;
use weir_engine::time::Ns;
use weir_engine::wire::Segment;

/// A frame that is about to leave.
#[derive(Clone, Copy, Debug)]
pub struct Departure {
    /// The time.
    pub now: Ns,
    /// Its flow.
    pub flow: u32,
    /// Time since the flow's last frame.
    pub idle: Ns,
    /// Where it goes.
    pub to_leaf: u16,
    /// Its length.
    pub bytes: u32,
}

/// What a policy says about a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The switches hash.
    Hash,
    /// By this spine.
    Spine(u16),
}

/// What a policy may do when it hears something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathChange {
    /// The flow's label is drawn anew: the switches' hash gives another path, or the same.
    Redraw,
}

/// What a host hears about a flow's path.
#[derive(Clone, Copy, Debug, Default)]
pub struct Feedback {
    /// The time.
    pub now: Ns,
    /// The flow.
    pub flow: u32,
    /// Its leaf's number and the spine that its frames take, as far as the policy has chosen one.
    pub path: Option<(u16, u16)>,
    /// RTT of the newest segment acknowledged.
    pub rtt: Option<Ns>,
    /// Bytes newly acknowledged.
    pub bytes: u64,
    /// Whether the acknowledgement echoes a mark.
    pub marked: bool,
    /// Segments newly found lost.
    pub lost: u64,
    /// Whether this is a timeout, and no acknowledgement at all.
    pub timeout: bool,
}

/// Chooses paths.
pub trait PathPolicy {
    /// As tables call it.
    fn name(&self) -> &'static str;
    /// The way of a frame. `new` says that its flow begins, or a flowlet of it; a policy that answers otherwise within a
    /// flowlet reorders.
    fn choose(
        &mut self,
        departure: &Departure,
        new: bool,
        current: Option<Way>,
        truth: &mut Truth<'_>,
    ) -> Way;
    /// Hears what came back.
    fn hear(&mut self, _feedback: &Feedback) -> Option<PathChange> {
        None
    }
    /// A flow with no frame for longer begins a flowlet.
    fn flowlet_gap(&self) -> Ns;
}

/// Who chooses paths at a host.
pub enum Edge {
    /// One of the simulator's rules.
    Rule(RuleEdge),
    /// The engine.
    Engine(Box<EngineEdge>),
}

/// A host's policy, and what it keeps of each flow.
pub struct RuleEdge {
    policy: Box<dyn PathPolicy>,
    flows: BTreeMap<u32, Chosen>,
}

#[derive(Clone, Copy, Debug)]
struct Chosen {
    way: Way,
    to_leaf: u16,
}

impl Edge {
    /// An edge with this policy.
    pub fn new(policy: Box<dyn PathPolicy>) -> Edge {
        Edge::Rule(RuleEdge { policy, flows: BTreeMap::new() })
    }

    pub(crate) fn way(&mut self, departure: &Departure, frame: &SimFrame, truth: &mut Truth<'_>) -> Way {
        match self {
            Edge::Rule(edge) => edge.way(departure, truth),
            Edge::Engine(engine) => engine.way(departure, frame, truth),
        }
    }

    /// A segment has come back to the sender of `flow`, and brought it this.
    pub(crate) fn on_ack(
        &mut self,
        now: Ns,
        flow: u32,
        (segment, outcome): (&Segment, &Outcome),
    ) -> Option<PathChange> {
        let edge = match self {
            Edge::Rule(edge) => edge,
            Edge::Engine(engine) => {
                engine.on_segment(now, flow, segment);
                return None;
            }
        };
        let Outcome { rtt, acked_bytes: bytes, marked, lost, .. } = *outcome;
        let path = edge.path(flow);
        edge.policy.hear(&Feedback { now, flow, path, rtt, bytes, marked, lost, timeout: false })
    }

    /// How its paths are probed: only the engine's are.
    pub(crate) fn probing(&self) -> Option<Probing> {
        match self {
            Edge::Rule(_) => None,
            Edge::Engine(engine) => engine.probing(),
        }
    }

    /// The sender of `flow` has run into a timeout. The engine finds that out by itself.
    pub(crate) fn on_timeout(&mut self, now: Ns, flow: u32) -> Option<PathChange> {
        let Edge::Rule(edge) = self else { return None };
        let path = edge.path(flow);
        edge.policy.hear(&Feedback { now, flow, path, timeout: true, ..Feedback::default() })
    }
}

impl RuleEdge {
    fn way(&mut self, departure: &Departure, truth: &mut Truth<'_>) -> Way {
        let current = self.flows.get(&departure.flow).map(|chosen| chosen.way);
        let new = current.is_none() || departure.idle > self.policy.flowlet_gap();
        let way = self.policy.choose(departure, new, current, truth);
        if current != Some(way) {
            self.flows.insert(departure.flow, Chosen { way, to_leaf: departure.to_leaf });
        }
        way
    }

    fn path(&self, flow: u32) -> Option<(u16, u16)> {
        match self.flows.get(&flow) {
            Some(Chosen { way: Way::Spine(spine), to_leaf }) => Some((*to_leaf, *spine)),
            _ => None,
        }
    }
}
