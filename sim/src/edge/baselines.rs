//! The simple rules.

use super::{Departure, Feedback, PathChange, PathPolicy, Truth, Way};
use std::collections::BTreeMap;
use weir_engine::time::Ns;
use weir_env::Rng;

/// Each flow stays where the switches' hash puts it.
pub struct Ecmp;

impl PathPolicy for Ecmp {
    fn name(&self) -> &'static str {
        "ecmp"
    }
    fn choose(&mut self, _: &Departure, _: bool, _: Option<Way>, _: &mut Truth<'_>) -> Way {
        Way::Hash
    }
    fn flowlet_gap(&self) -> Ns {
        Ns::NEVER
    }
}

/// Each flowlet goes anywhere: Vanini et al., "Let it flow", NSDI 2017.
pub struct LetFlow {
    /// Paths.
    pub spines: u16,
    /// Idle time that ends a flowlet.
    pub gap: Ns,
    /// Draws.
    pub rng: Rng,
}

impl PathPolicy for LetFlow {
    fn name(&self) -> &'static str {
        "letflow"
    }
    fn choose(&mut self, _: &Departure, new: bool, current: Option<Way>, _: &mut Truth<'_>) -> Way {
        match current {
            Some(way) if !new => way,
            _ => Way::Spine(self.rng.below(self.spines.into()) as u16),
        }
    }
    fn flowlet_gap(&self) -> Ns {
        self.gap
    }
}

/// What CONGA approximates, without its approximation: each flowlet takes the path on which it will wait least, looked up in
/// the queues themselves; ties at random. (CONGA: Alizadeh et al., SIGCOMM 2014.)
pub struct CongaLike {
    /// Paths.
    pub spines: u16,
    /// Idle time that ends a flowlet.
    pub gap: Ns,
    /// Draws.
    pub rng: Rng,
}

impl PathPolicy for CongaLike {
    fn name(&self) -> &'static str {
        "conga-oracle"
    }
    fn choose(&mut self, _: &Departure, new: bool, current: Option<Way>, truth: &mut Truth<'_>) -> Way {
        match current {
            Some(way) if !new => way,
            _ => Way::Spine(least(self.spines, &mut self.rng, &mut |spine| truth.wait(spine))),
        }
    }
    fn flowlet_gap(&self) -> Ns {
        self.gap
    }
}

/// The path with the least cost, ties at random.
pub(super) fn least(spines: u16, rng: &mut Rng, cost: &mut dyn FnMut(u16) -> Ns) -> u16 {
    let mut best = (Ns::NEVER, 0_u64, 0);
    for spine in 0..spines {
        let candidate = (cost(spine), rng.bits(), spine);
        if candidate < best {
            best = candidate;
        }
    }
    best.2
}

/// Each flowlet takes the better of two random paths, by the RTT that the host has measured on each: Mitzenmacher's power of
/// two choices with what an edge can know.
pub struct PowerOfTwo {
    /// Paths.
    pub spines: u16,
    /// Idle time that ends a flowlet.
    pub gap: Ns,
    /// Draws.
    pub rng: Rng,
    /// By leaf and spine: mean RTT and when it was last fed.
    rtts: BTreeMap<(u16, u16), (Ns, Ns)>,
}

impl PowerOfTwo {
    /// How long a measurement counts. Hermes ages paths after 100 to 320 us.
    const AGE_MAX: Ns = Ns::from_micros(500);

    /// With nothing measured yet.
    pub fn new(spines: u16, gap: Ns, rng: Rng) -> PowerOfTwo {
        PowerOfTwo { spines, gap, rng, rtts: BTreeMap::new() }
    }

    /// What is not known, or no longer, counts as an empty path: it is tried.
    fn cost(&self, now: Ns, path: (u16, u16)) -> Ns {
        self.rtts.get(&path).filter(|(_, at)| now - *at < Self::AGE_MAX).map_or(Ns::ZERO, |(rtt, _)| *rtt)
    }
}

impl PathPolicy for PowerOfTwo {
    fn name(&self) -> &'static str {
        "power-of-two"
    }
    fn choose(&mut self, departure: &Departure, new: bool, current: Option<Way>, _: &mut Truth<'_>) -> Way {
        match current {
            Some(way) if !new => way,
            _ => {
                let one = self.rng.below(self.spines.into()) as u16;
                let step = 1 + self.rng.below(usize::from(self.spines).saturating_sub(1)) as u16;
                let other = (one + step) % self.spines;
                let cost = |spine| self.cost(departure.now, (departure.to_leaf, spine));
                Way::Spine(if cost(other) < cost(one) { other } else { one })
            }
        }
    }
    fn hear(&mut self, feedback: &Feedback) -> Option<PathChange> {
        if let (Some(path), Some(rtt)) = (feedback.path, feedback.rtt) {
            let entry = self.rtts.entry(path).or_insert((rtt, feedback.now));
            *entry = (Ns((7 * entry.0.0 + rtt.0) / 8), feedback.now);
        }
        None
    }
    fn flowlet_gap(&self) -> Ns {
        self.gap
    }
}

/// Google's protective load balancing, with Linux' defaults (`Documentation/networking/ip-sysctl.rst`, `tcp_plb_*`): a round
/// of which at least half of the bytes are marked is congested; three in a row, and an idle flow draws another label; after
/// twelve any flow does; after a timeout at once, and then not for a while.
pub struct Plb {
    /// Bytes in a round, of them marked, the round's end, congested rounds in a row, no change before, last acknowledgement.
    flows: BTreeMap<u32, PlbFlow>,
    /// How long a flow keeps its label after a timeout. Linux: 60 s, longer than a run lasts.
    suspend: Ns,
    /// Congested rounds in a row after which an idle flow draws anew, and after which any does.
    rounds: [u32; 2],
}

#[derive(Clone, Copy, Debug, Default)]
struct PlbFlow {
    bytes: u64,
    marked: u64,
    round_end: Ns,
    congested: u32,
    not_before: Ns,
    heard_at: Ns,
}

impl Plb {
    /// `tcp_plb_idle_rehash_rounds` and `tcp_plb_rehash_rounds`.
    pub const ROUNDS: [u32; 2] = [3, 12];

    /// With nothing heard yet.
    pub fn new(suspend: Ns, rounds: [u32; 2]) -> Plb {
        Plb { flows: BTreeMap::new(), suspend, rounds }
    }
}

impl PathPolicy for Plb {
    fn name(&self) -> &'static str {
        "plb"
    }
    fn choose(&mut self, _: &Departure, _: bool, _: Option<Way>, _: &mut Truth<'_>) -> Way {
        Way::Hash
    }
    fn hear(&mut self, feedback: &Feedback) -> Option<PathChange> {
        let now = feedback.now;
        let flow = self.flows.entry(feedback.flow).or_default();
        if feedback.timeout {
            *flow = PlbFlow { not_before: now + self.suspend, ..PlbFlow::default() };
            return Some(PathChange::Redraw);
        }
        // An application-limited flow pauses for longer than a round trip.
        let idle = feedback.rtt.is_some_and(|rtt| now - flow.heard_at > rtt) && flow.heard_at > Ns::ZERO;
        flow.heard_at = now;
        flow.bytes += feedback.bytes;
        flow.marked += if feedback.marked { feedback.bytes } else { 0 };
        let rtt = feedback.rtt?;
        if now < flow.round_end || flow.bytes == 0 {
            return None;
        }
        flow.congested = if 2 * flow.marked >= flow.bytes { flow.congested + 1 } else { 0 };
        (flow.bytes, flow.marked, flow.round_end) = (0, 0, now + rtt);
        let [idle_rounds, rounds] = self.rounds;
        let limit = if idle { idle_rounds } else { rounds };
        if flow.congested < limit || now < flow.not_before {
            return None;
        }
        flow.congested = 0;
        Some(PathChange::Redraw)
    }
    fn flowlet_gap(&self) -> Ns {
        Ns::NEVER
    }
}
