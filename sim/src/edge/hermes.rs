//! Rules in the manner of Hermes (Zhang et al., "Resilient Datacenter Load Balancing in the Wild", SIGCOMM 2017): sense much,
//! move rarely.
//!
//! A path is *good* where RTT and share of marks are low, *failed* where much of it is repeated without marks or a flow timed
//! out on it, *bad* where RTT and marks are high, *grey* otherwise. A flow that begins, or has timed out, or is on a failed
//! path, takes a good path, or a grey one, or any that has not failed. A flow on a bad path moves once it has sent enough, with
//! a chance of one half, and only to a path that is notably better.

use super::{Departure, Feedback, PathChange, PathPolicy, Truth, Way};
use std::collections::BTreeMap;
use weir_engine::time::Ns;
use weir_env::Rng;

/// Constants, as in the paper's code for ns-3 where it has them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HermesSettings {
    /// Below it an RTT is good.
    pub rtt_good: Ns,
    /// Above it an RTT is bad.
    pub rtt_bad: Ns,
    /// Share of marked bytes that is low.
    pub marks_low: f64,
    /// Bytes that a flow has sent before it may leave a bad path.
    pub sent_min: u64,
    /// Chance that it then does.
    pub chance: f64,
    /// How long what was measured counts.
    pub age_max: Ns,
    /// Time for which a failed path is left alone.
    pub failed_for: Ns,
}

impl HermesSettings {
    /// For a fabric whose empty RTT is this.
    pub fn for_rtt(base: Ns) -> HermesSettings {
        HermesSettings {
            rtt_good: Ns(base.0 + base.0 / 2),
            rtt_bad: Ns(base.0 * 5 / 2),
            marks_low: 0.3,
            sent_min: 64 << 10,
            chance: 0.5,
            age_max: Ns(base.0 * 4),
            failed_for: Ns::from_millis(50),
        }
    }
}

/// See the head of the file.
pub struct HermesLike {
    settings: HermesSettings,
    spines: u16,
    rng: Rng,
    paths: BTreeMap<(u16, u16), Path>,
    flows: BTreeMap<u32, Flow>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Path {
    rtt: Ns,
    marks: f64,
    heard_at: Ns,
    /// Segments acknowledged and lost in the present window.
    window: (u64, u64, Ns),
    failed_until: Ns,
}

#[derive(Clone, Copy, Debug, Default)]
struct Flow {
    sent: u64,
    timed_out: bool,
    /// Which multiple of `sent_min` has had its chance.
    asked: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    Good,
    Grey,
    Bad,
    Failed,
}

/// Share of repeated segments that no queue explains, and the segments that it is taken from at least. The paper: 1 %.
const FAILED_SHARE: f64 = 0.01;
const FAILED_SEGMENTS: u64 = 300;

impl HermesLike {
    /// With nothing heard yet.
    pub fn new(settings: HermesSettings, spines: u16, rng: Rng) -> HermesLike {
        HermesLike { settings, spines, rng, paths: BTreeMap::new(), flows: BTreeMap::new() }
    }

    fn class(&self, now: Ns, path: (u16, u16)) -> Class {
        let Some(path) = self.paths.get(&path) else { return Class::Grey };
        let HermesSettings { rtt_good, rtt_bad, marks_low, age_max, .. } = self.settings;
        if now < path.failed_until {
            Class::Failed
        } else if now - path.heard_at > age_max {
            Class::Grey
        } else if path.rtt < rtt_good && path.marks < marks_low {
            Class::Good
        } else if path.rtt > rtt_bad && path.marks > marks_low {
            Class::Bad
        } else {
            Class::Grey
        }
    }

    fn rtt(&self, path: (u16, u16)) -> Ns {
        self.paths.get(&path).map_or(Ns::ZERO, |path| path.rtt)
    }

    /// The best class there is, and in it the least RTT where all are known; ties at random.
    fn best(&mut self, now: Ns, leaf: u16) -> u16 {
        let mut best = (Class::Failed, Ns::NEVER, u64::MAX, 0);
        for spine in 0..self.spines {
            let path = (leaf, spine);
            let class = self.class(now, path);
            // Of grey paths nothing is known that would tell them apart.
            let rtt = if class == Class::Good { self.rtt(path) } else { Ns::ZERO };
            let candidate = (class, rtt, self.rng.bits(), spine);
            best = best.min(candidate);
        }
        best.3
    }
}

impl PathPolicy for HermesLike {
    fn name(&self) -> &'static str {
        "hermes-like"
    }

    fn choose(&mut self, departure: &Departure, _: bool, current: Option<Way>, _: &mut Truth<'_>) -> Way {
        let (now, leaf) = (departure.now, departure.to_leaf);
        let flow = self.flows.entry(departure.flow).or_default();
        flow.sent += u64::from(departure.bytes);
        let flow = *flow;
        let Some(Way::Spine(present)) = current else { return Way::Spine(self.best(now, leaf)) };
        let class = self.class(now, (leaf, present));
        if flow.timed_out || class == Class::Failed {
            if let Some(flow) = self.flows.get_mut(&departure.flow) {
                flow.timed_out = false;
            }
            return Way::Spine(self.best(now, leaf));
        }
        let round = flow.sent / self.settings.sent_min.max(1);
        if class == Class::Bad && round > flow.asked {
            if let Some(flow) = self.flows.get_mut(&departure.flow) {
                flow.asked = round;
            }
            if self.rng.unit() < self.settings.chance {
                let other = self.best(now, leaf);
                let better = self.class(now, (leaf, other)) < Class::Bad;
                // Notably: by what separates a bad RTT from a good one.
                let notably = self.rtt((leaf, other)) + self.settings.rtt_good < self.rtt((leaf, present))
                    || self.class(now, (leaf, other)) == Class::Good;
                if better && notably {
                    return Way::Spine(other);
                }
            }
        }
        Way::Spine(present)
    }

    fn hear(&mut self, feedback: &Feedback) -> Option<PathChange> {
        let now = feedback.now;
        if feedback.timeout {
            self.flows.entry(feedback.flow).or_default().timed_out = true;
        }
        let path = self.paths.entry(feedback.path?).or_default();
        if let Some(rtt) = feedback.rtt {
            path.rtt = if path.rtt == Ns::ZERO { rtt } else { Ns((7 * path.rtt.0 + rtt.0) / 8) };
            path.heard_at = now;
        }
        if feedback.bytes > 0 {
            let mark = f64::from(u8::from(feedback.marked));
            path.marks += (mark - path.marks) / 16.0;
        }
        let (acked, lost, since) = &mut path.window;
        *acked += feedback.bytes.div_ceil(1_400);
        *lost += feedback.lost;
        if *acked + *lost >= FAILED_SEGMENTS {
            let share = *lost as f64 / (*acked + *lost) as f64;
            if share > FAILED_SHARE
                && path.rtt < self.settings.rtt_bad
                && path.marks < self.settings.marks_low
            {
                path.failed_until = now + self.settings.failed_for;
            }
            (*acked, *lost, *since) = (0, 0, now);
        }
        None
    }

    fn flowlet_gap(&self) -> Ns {
        Ns::NEVER
    }
}
