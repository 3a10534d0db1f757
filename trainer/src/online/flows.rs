//! What is known of each flow: its capacity, its path, and what its last intervals were worth.
//!
//! A flow's capacity is the largest rate at which it was delivered lately. Alone, that would let all flows slow down together
//! and find themselves better and better off: each would use all of a capacity that it had forgotten. Flows of the control
//! share do not forget, because their rule probes; so what they reach on a path of the same base RTT counts as what any flow
//! on it can have, if it is more ([decision 9](../../../docs/decisions/0009-live-reward.md)).

use super::paths::InUse;
use crate::reward::{Outcome, Preference, delivery_rate_bps};
use crate::rng::Rng;
use std::collections::HashMap;
use weir_env::Estimates;
use weir_features::{Sample, Source};

/// A maximum over the newest time: of at least one and at most two spans, from two numbers.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct SpanMax {
    since_ns: u64,
    now: f64,
    before: f64,
}

impl SpanMax {
    pub(super) fn push(&mut self, value: f64, at_ns: u64, span_ns: u64) {
        // A clock that stepped back begins a new span.
        let age_ns = at_ns.checked_sub(self.since_ns).unwrap_or(u64::MAX);
        if age_ns >= span_ns {
            self.before = if age_ns < span_ns.saturating_mul(2) { self.now } else { 0.0 };
            (self.since_ns, self.now) = (at_ns, 0.0);
        }
        self.now = self.now.max(value);
    }

    pub(super) fn get(&self) -> f64 {
        self.now.max(self.before)
    }
}

/// One flow.
#[derive(Debug, Clone)]
pub(super) struct Flow {
    /// Delivery rates, in bits per second.
    capacity: SpanMax,
    /// RTT beyond the base RTT, in seconds.
    queue: SpanMax,
    /// Base RTT over the mean RTT of an interval: 1 where nothing is ever in the way.
    clear: SpanMax,
    /// Bytes lost and delivered in intervals that found no queue, halved now and then: what the path itself loses.
    clear_lost: f64,
    clear_acked: f64,
    base_rtt_ns: u64,
    /// Samples so far.
    pub(super) samples: u64,
    /// End of the newest, in nanoseconds.
    at_ns: u64,
    /// Rewards since they were last taken: sum and number.
    reward: (f64, u32),
    /// The generation that decided last; `None` for the rule. The rewards are its own.
    decided_by: Option<u32>,
}

/// An RTT of at most this much over the base is one without a queue.
const CLEAR: f64 = 1.1;
/// Samples after which a flow knows its path a little.
const PATH_SAMPLES: u64 = 20;
/// Bytes after which what was lost on a clear path counts half.
const CLEAR_BYTES_MAX: f64 = 1e7;

/// Paths of one base RTT, to a quarter: the best guess at which flows share one.
fn kind(base_rtt_ns: u64) -> i64 {
    ((base_rtt_ns.max(1) as f64).ln() / 1.25f64.ln()).floor() as i64
}

/// A flow's mean reward over some of its intervals.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Earned {
    /// `None` where the rule decided, else the generation.
    pub(super) generation: Option<u32>,
    /// Mean reward.
    pub(super) reward: f64,
}

/// A flow's path as the flow sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Seen {
    /// Largest delivery rate, in bits per second.
    pub(super) capacity_bps: f64,
    /// What flows of the control share meet on such a path.
    pub(super) reference: Reference,
    /// In seconds.
    pub(super) base_rtt_s: f64,
    /// Longest wait in seconds.
    pub(super) queue_s: f64,
    /// Share of bytes lost without a queue.
    pub(super) loss: f64,
    /// Largest delay that no queue explains, in seconds.
    pub(super) jitter_s: f64,
}

/// What flows of the control share meet on paths of a kind, in the mean; nothing where there are none.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Reference {
    /// Largest delivery rate, in bits per second.
    pub(super) bps: f64,
    /// Longest wait in seconds.
    pub(super) queue_s: f64,
}

/// Flows that samples came from lately.
#[derive(Debug)]
pub(super) struct Flows {
    known: HashMap<u64, Flow>,
    max: usize,
    span_ns: u64,
    newest_ns: u64,
    /// By kind of path, what flows of the control share meet on it.
    references: HashMap<i64, Reference>,
}

impl Flows {
    /// None yet, and never more than `max`; estimates reach back `span_ns` at least.
    pub(super) fn new(max: usize, span_ns: u64) -> Self {
        Self {
            known: HashMap::new(),
            max: max.max(1),
            span_ns: span_ns.max(1),
            newest_ns: 0,
            references: HashMap::new(),
        }
    }

    /// Takes note of an interval: the flow, and what the interval was worth. `None` when there are too many flows.
    pub(super) fn note(&mut self, sample: &Sample, preference: &Preference) -> Option<(&Flow, f64)> {
        self.newest_ns = self.newest_ns.max(sample.at_ns);
        if self.known.len() >= self.max && !self.known.contains_key(&sample.flow) {
            return None;
        }
        let flow = self.known.entry(sample.flow).or_insert_with(|| Flow::new(sample));
        let reference = self.references.get(&kind(sample.base_rtt_ns)).copied().unwrap_or_default();
        let reward = flow.note(sample, preference, reference.bps, self.span_ns);
        Some((flow, reward))
    }

    /// Every flow's mean reward since the last call. Forgets flows that have been silent for two spans, and learns anew what
    /// the control share reaches.
    pub(super) fn take_earned(&mut self) -> Vec<Earned> {
        let oldest_ns = self.newest_ns.saturating_sub(2 * self.span_ns);
        self.known.retain(|_, flow| flow.at_ns >= oldest_ns);
        let mut sums: HashMap<i64, (Reference, f64)> = HashMap::new();
        for flow in self.known.values().filter(|flow| flow.decided_by.is_none()) {
            let (sum, count) = sums.entry(kind(flow.base_rtt_ns)).or_default();
            sum.bps += flow.capacity.get();
            sum.queue_s += flow.queue.get();
            *count += 1.0;
        }
        let mean =
            |(sum, count): (Reference, f64)| Reference { bps: sum.bps / count, queue_s: sum.queue_s / count };
        self.references = sums.into_iter().map(|(kind, sums)| (kind, mean(sums))).collect();
        let mut earned = Vec::new();
        for flow in self.known.values_mut() {
            let (sum, count) = std::mem::take(&mut flow.reward);
            if count > 0 {
                earned.push(Earned { generation: flow.decided_by, reward: sum / f64::from(count) });
            }
        }
        earned
    }

    /// The paths of flows whose last interval ended after `since_ns`, in order of base RTT and capacity.
    pub(super) fn seen(&self, since_ns: u64) -> Vec<Seen> {
        let known = self.known.values().filter(|flow| flow.at_ns > since_ns && flow.samples >= PATH_SAMPLES);
        let mut seen: Vec<Seen> = known
            .map(|flow| {
                let reference = self.references.get(&kind(flow.base_rtt_ns)).copied();
                flow.seen(reference.unwrap_or_default())
            })
            .collect();
        // A map has no order, and what follows must not depend on it.
        seen.sort_by(|a, b| {
            a.base_rtt_s
                .total_cmp(&b.base_rtt_s)
                .then(a.capacity_bps.total_cmp(&b.capacity_bps))
                .then(a.queue_s.total_cmp(&b.queue_s))
                .then(a.loss.total_cmp(&b.loss))
        });
        seen
    }

    /// When the newest interval of all ended.
    pub(super) fn newest_ns(&self) -> u64 {
        self.newest_ns
    }
}

impl Flow {
    fn new(sample: &Sample) -> Flow {
        Flow {
            capacity: SpanMax::default(),
            queue: SpanMax::default(),
            clear: SpanMax::default(),
            clear_lost: 0.0,
            clear_acked: 0.0,
            base_rtt_ns: sample.base_rtt_ns,
            samples: 0,
            at_ns: sample.at_ns,
            reward: (0.0, 0),
            decided_by: None,
        }
    }

    /// The interval's reward.
    fn note(&mut self, sample: &Sample, preference: &Preference, reference_bps: f64, span_ns: u64) -> f64 {
        const NS: f64 = 1e-9;
        self.samples += 1;
        (self.at_ns, self.base_rtt_ns) = (sample.at_ns, sample.base_rtt_ns);
        self.capacity.push(delivery_rate_bps(sample), sample.at_ns, span_ns);
        let (rtt_s, base_s) = (sample.rtt_ns as f64 * NS, sample.base_rtt_ns as f64 * NS);
        self.queue.push((rtt_s - base_s).max(0.0), sample.at_ns, span_ns);
        if rtt_s > 0.0 {
            self.clear.push((base_s / rtt_s).min(1.0), sample.at_ns, span_ns);
        }
        if rtt_s <= CLEAR * base_s {
            self.clear_lost += sample.lost_bytes as f64;
            self.clear_acked += sample.acked_bytes as f64;
            if self.clear_acked > CLEAR_BYTES_MAX {
                (self.clear_lost, self.clear_acked) = (self.clear_lost / 2.0, self.clear_acked / 2.0);
            }
        }
        let reward = preference.reward(&Outcome::live(sample, self.capacity.get().max(reference_bps)));
        let decided_by = match sample.source {
            Source::Control => None,
            Source::Model | Source::Explored(_) => Some(sample.generation),
        };
        if self.decided_by != decided_by {
            (self.decided_by, self.reward) = (decided_by, (0.0, 0));
        }
        self.reward = (self.reward.0 + reward, self.reward.1 + 1);
        reward
    }

    fn seen(&self, reference: Reference) -> Seen {
        let base_rtt_s = self.base_rtt_ns as f64 * 1e-9;
        let clear = self.clear.get();
        Seen {
            capacity_bps: self.capacity.get(),
            reference,
            base_rtt_s,
            queue_s: self.queue.get(),
            loss: self.clear_lost / (self.clear_lost + self.clear_acked).max(1.0),
            // Even the clearest interval had this much in the mean, so that twice as much is the most.
            jitter_s: if clear > 0.0 { 2.0 * base_rtt_s * (1.0 / clear - 1.0) } else { 0.0 },
        }
    }
}

/// Paths are told apart by base RTT (a quarter more is another path) and by what a flow reaches (ten times as much; flows
/// on one path may well differ threefold).
const APART: (f64, f64) = (1.25, 10.0);
/// A replay of many flows takes long, and tells little more than one of two.
const TOGETHER: usize = 2;
/// Flows are held down by no path, but by themselves, where the control share reaches this many times as much, and their queue
/// is shorter than this part of the control share's. One that keeps its path full and its queue short is not.
const HELD_DOWN: (f64, f64) = (2.0, 0.25);

/// What to replay: the paths of some flows, each once as one flow's own and, where there are several flows with like paths,
/// once as shared, because samples do not say which it is. A path is the median flow's. At most `max`; which paths, `rng`
/// draws, those of many flows more likely than those of few.
///
/// Where the control share reaches more, a path on which all flows could is replayed, too; and only such ones where flows
/// meet no queue to speak of: what holds those down is no path, and what drives them is driven from the lowest rate.
///
/// `seen` is in order of base RTT. Flows that nobody sampled share the paths, too, unseen: a flow's share is what it can
/// reach, so they count as a smaller capacity.
pub(super) fn estimates(seen: &[Seen], max: usize, rng: &mut Rng) -> Vec<InUse> {
    let mut groups: Vec<Vec<Seen>> = Vec::new();
    for flow in seen {
        let alike = |group: &&mut Vec<Seen>| {
            let within = |a: f64, b: f64, factor: f64| a <= b * factor && b <= a * factor;
            group.first().is_some_and(|first| {
                within(first.base_rtt_s, flow.base_rtt_s, APART.0)
                    && within(first.capacity_bps, flow.capacity_bps, APART.1)
            })
        };
        match groups.iter_mut().find(alike) {
            Some(group) => group.push(*flow),
            None => groups.push(vec![*flow]),
        }
    }
    // Sampling by weight without replacement: the largest u^(1/weight) first (Efraimidis and Spirakis, 2006).
    let mut drawn: Vec<(f64, Vec<Seen>)> =
        groups.into_iter().map(|group| (rng.unit().powf(1.0 / group.len() as f64), group)).collect();
    drawn.sort_by(|a, b| b.0.total_cmp(&a.0));
    let all = drawn.iter().flat_map(|(_, group)| {
        let own = |flows| shared(group, flows, |seen| (seen.capacity_bps, seen.queue_s));
        let more =
            |flows| shared(group, flows, |seen| (seen.capacity_bps.max(seen.reference.bps), seen.queue_s));
        let reference = |flows| {
            shared(group, flows, |seen| (seen.capacity_bps.max(seen.reference.bps), seen.reference.queue_s))
        };
        let together = group.len().min(TOGETHER);
        let more_by = more(1).capacity_bps / own(1).capacity_bps.max(1.0);
        let queues = |seen: &&Seen| seen.queue_s > HELD_DOWN.1 * seen.reference.queue_s;
        if more_by > HELD_DOWN.0 && 2 * group.iter().filter(queues).count() <= group.len() {
            let paths = [Some(reference(1)), (together > 1).then(|| reference(together)), None];
            return paths.map(|path| path.map(|path| InUse { path, held_down: true }));
        }
        let paths = [
            Some(own(1)),
            (together > 1).then(|| own(together)),
            (more_by > APART.0).then(|| more(together)),
        ];
        paths.map(|path| path.map(InUse::from))
    });
    all.flatten().take(max).collect()
}

/// `share` is a flow's capacity and longest wait.
fn shared(group: &[Seen], flows: usize, share: fn(&Seen) -> (f64, f64)) -> Estimates {
    let median = |of: &dyn Fn(&Seen) -> f64| {
        let mut values: Vec<f64> = group.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(0.0)
    };
    let capacity_bps = median(&|seen| share(seen).0) * flows as f64;
    Estimates {
        capacity_bps,
        base_rtt_s: median(&|seen| seen.base_rtt_s),
        queue_bytes: median(&|seen| share(seen).1) * capacity_bps / 8.0,
        loss: median(&|seen| seen.loss),
        jitter_s: median(&|seen| seen.jitter_s),
        flows,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    const SPAN_NS: u64 = 1_000_000_000;

    /// An interval of 10 ms of a flow, so many bytes acknowledged, at so many milliseconds of RTT on a base of 10.
    fn sample(flow: u64, at_ms: u64, acked_bytes: u64, rtt_ms: u64) -> Sample {
        Sample {
            flow,
            at_ns: at_ms * 1_000_000,
            acked_bytes,
            rtt_ns: rtt_ms * 1_000_000,
            ..testing::sample()
        }
    }

    #[test]
    fn the_largest_rate_counts_for_a_span_and_then_goes() {
        let mut largest = SpanMax::default();
        largest.push(9.0, 0, SPAN_NS);
        largest.push(5.0, SPAN_NS - 1, SPAN_NS);
        assert_eq!(largest.get(), 9.0);
        largest.push(4.0, SPAN_NS, SPAN_NS);
        assert_eq!(largest.get(), 9.0);
        largest.push(4.0, 2 * SPAN_NS, SPAN_NS);
        assert_eq!(largest.get(), 4.0);
        // Silence for two spans leaves nothing, and so does a clock that steps back.
        largest.push(3.0, 9 * SPAN_NS, SPAN_NS);
        assert_eq!(largest.get(), 3.0);
        largest.push(2.0, SPAN_NS, SPAN_NS);
        assert_eq!(largest.get(), 2.0);
    }

    #[test]
    fn rewards_are_held_against_the_flows_own_best() {
        let mut flows = Flows::new(10, SPAN_NS);
        let preference = Preference { throughput: 0.5, latency: 0.5, loss: 0.0 };
        let (_, full) = flows.note(&sample(1, 10, 10_000, 10), &preference).unwrap();
        let (_, half) = flows.note(&sample(1, 20, 5_000, 20), &preference).unwrap();
        let (_, other) = flows.note(&sample(2, 20, 5_000, 20), &preference).unwrap();
        assert!((full - 1.0).abs() < 1e-12 && (half - 0.5).abs() < 1e-12 && (other - 0.75).abs() < 1e-12);
        let mut earned = flows.take_earned();
        earned.sort_by(|a, b| a.reward.total_cmp(&b.reward));
        assert_eq!(earned.iter().map(|e| (e.generation, e.reward)).collect::<Vec<_>>(), [(Some(1), 0.75); 2]);
        assert!(flows.take_earned().is_empty(), "taken");
    }

    #[test]
    fn what_another_generation_or_the_rule_earns_is_not_mixed() {
        let mut flows = Flows::new(10, SPAN_NS);
        let preference = Preference::DEFAULT;
        flows.note(&sample(1, 10, 10_000, 40), &preference);
        let next = Sample { generation: 2, ..sample(1, 20, 10_000, 10) };
        let (_, reward) = flows.note(&next, &preference).unwrap();
        let control = Sample { source: Source::Control, generation: 0, ..sample(3, 20, 10_000, 10) };
        flows.note(&control, &preference);
        let mut earned = flows.take_earned();
        earned.sort_by_key(|e| e.generation);
        assert_eq!(earned, [Earned { generation: None, reward }, Earned { generation: Some(2), reward }]);
    }

    #[test]
    fn flows_are_bounded_and_silent_ones_go() {
        let mut flows = Flows::new(2, SPAN_NS);
        let preference = Preference::DEFAULT;
        for flow in 1..=3 {
            let noted = flows.note(&sample(flow, 10, 1, 10), &preference).is_some();
            assert_eq!(noted, flow <= 2, "{flow}");
        }
        flows.note(&sample(1, 5_000, 1, 10), &preference);
        flows.take_earned();
        assert!(flows.note(&sample(3, 5_000, 1, 10), &preference).is_some());
    }

    #[test]
    fn flows_that_hold_themselves_down_are_replayed_on_what_the_rule_meets() {
        // Model flows that carry a tenth of the rule's, whose queue is 20 ms; theirs is as long as told.
        let found = |queue_ms: u64| {
            let mut flows = Flows::new(100, SPAN_NS);
            for at in 1..=30 {
                for flow in 0..4 {
                    flows.note(&sample(flow, 10 * at, 1_000, 10 + queue_ms), &Preference::DEFAULT);
                }
                let control =
                    Sample { source: Source::Control, generation: 0, ..sample(9, 10 * at, 10_000, 30) };
                flows.note(&control, &Preference::DEFAULT);
                flows.take_earned();
            }
            // The rule's own path is another one: so much more is reached on it.
            let seen: Vec<Seen> = flows.seen(0).into_iter().filter(|seen| seen.capacity_bps < 4e6).collect();
            let found = estimates(&seen, 9, &mut Rng::new(1));
            assert!(found.iter().all(|path| path.held_down == (queue_ms == 0)), "{found:?}");
            found.iter().map(|in_use| in_use.path).collect::<Vec<_>>()
        };
        let down = found(0);
        assert_eq!(down.iter().map(|path| path.flows).collect::<Vec<_>>(), [1, 2], "{down:?}");
        for path in &down {
            let share = path.capacity_bps / path.flows as f64;
            assert!((share / 8e6 - 1.0).abs() < 0.01, "what the rule reaches: {path:?}");
            assert!((path.queue_bytes * 8.0 / path.capacity_bps - 0.02).abs() < 1e-6, "{path:?}");
        }
        let full = found(15);
        assert_eq!(full.iter().map(|path| path.flows).collect::<Vec<_>>(), [1, 2, 2], "{full:?}");
        assert!((full[0].capacity_bps / 8e5 - 1.0).abs() < 0.01, "their path is full: {full:?}");
    }

    #[test]
    fn flows_on_like_paths_share_one() {
        let mut flows = Flows::new(100, SPAN_NS);
        for at in 1..=30 {
            for flow in 0..6 {
                flows.note(&sample(flow, 10 * at, 10_000 + 100 * flow, 10 + at), &Preference::DEFAULT);
            }
            // Another RTT, and another capacity.
            let far = Sample { base_rtt_ns: 50_000_000, ..sample(7, 10 * at, 10_000, 50) };
            let lossy = Sample { lost_bytes: 10_000, ..sample(8, 10 * at, 990_000, 10) };
            for sample in [far, lossy] {
                assert!(flows.note(&sample, &Preference::DEFAULT).is_some());
            }
        }
        let seen = flows.seen(0);
        assert_eq!(seen.len(), 8);
        let found: Vec<Estimates> =
            estimates(&seen, 9, &mut Rng::new(1)).iter().map(|in_use| in_use.path).collect();
        let mut together: Vec<usize> = found.iter().map(|path| path.flows).collect();
        together.sort_unstable();
        assert_eq!(together, [1, 1, 1, 2], "six alike, two of their own: {found:?}");
        let at = found.iter().position(|path| path.flows == 2).unwrap();
        let (own, shared) = (&found[at - 1], &found[at]);
        assert!((shared.capacity_bps / 2.0 - 8.24e6).abs() < 1e5, "{shared:?}");
        assert!((own.capacity_bps - shared.capacity_bps / 2.0).abs() < 1.0, "{own:?}");
        // The clearest interval had 11 ms on a base of 10: half of what the jitter is at most.
        assert!((shared.jitter_s - 2e-3).abs() < 1e-9, "{shared:?}");
        // 30 ms of queue at that capacity.
        assert!((shared.queue_bytes * 8.0 / shared.capacity_bps - 0.03).abs() < 1e-6, "{shared:?}");
        let lossy = found.iter().find(|path| path.capacity_bps > 7e8 && path.flows == 1).unwrap();
        assert!((lossy.loss - 0.01).abs() < 1e-6, "{lossy:?}");
        // Most often the path of six of the eight flows comes first, and not always.
        let first =
            |seed| estimates(&seen, 1, &mut Rng::new(seed))[0].path.capacity_bps < 1e7 && seen.len() == 8;
        let six = (0..400)
            .filter(|&seed| first(seed) && estimates(&seen, 2, &mut Rng::new(seed))[1].path.flows == 2)
            .count();
        assert!((250..350).contains(&six), "{six}");
        assert!(flows.seen(300_000_000).is_empty());
    }
}
