//! What the configuration says about scheduling.

use crate::time::{BitsPerSec, Ns};
use weir_features::SizeSpec;

/// Priorities, hence queues of a shaper: as many as PCP has values, and switches commonly have queues.
pub const PRIORITIES: usize = 8;

/// Sizes in bytes that part the priorities, ascending: what is as large as the n-th, or larger, is of priority n or less
/// urgent. Priority 0 is the most urgent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds(pub [u64; PRIORITIES - 1]);

impl Thresholds {
    /// PIAS' thresholds for web search at load 0.8 (Bai et al., NSDI 2015; of its published simulator), in payload of full
    /// frames: what bytes sent so far say.
    pub const PIAS_WEB_SEARCH: Thresholds = Thresholds([
        909 * 1_460,
        1_329 * 1_460,
        1_648 * 1_460,
        1_960 * 1_460,
        2_143 * 1_460,
        2_337 * 1_460,
        2_484 * 1_460,
    ]);

    /// The priority of a size.
    #[inline]
    pub fn priority(&self, bytes: u64) -> u8 {
        self.0.iter().map(|threshold| u8::from(bytes >= *threshold)).sum()
    }

    /// The sizes that part the load of a distribution of flow sizes into equal parts, one per priority: flows below the n-th
    /// carry n eighths of all bytes. `cdf` has sizes in bytes and the share of flows up to each, both ascending, from 0 to 1;
    /// between points it is a straight line. `None` where it is not that.
    pub fn equal_load(cdf: &[(f64, f64)]) -> Option<Thresholds> {
        let ascending = cdf.windows(2).all(|pair| pair[0].0 <= pair[1].0 && pair[0].1 <= pair[1].1);
        let numbers = cdf.iter().all(|(size, share)| size.is_finite() && *size >= 0.0 && share.is_finite());
        let whole = cdf.first()?.1 >= 0.0 && (cdf.last()?.1 - 1.0).abs() < 1e-9;
        if cdf.len() < 2 || !ascending || !numbers || !whole {
            return None;
        }
        // Flows up to the first point are all of its size.
        let (first, share) = *cdf.first()?;
        let mut loads = vec![first * share];
        for pair in cdf.windows(2) {
            let ((from, low), (to, high)) = (pair[0], pair[1]);
            loads.push(loads.last()? + (high - low) * (from + to) / 2.0);
        }
        let total = *loads.last()?;
        if total <= 0.0 {
            return None;
        }
        let mut thresholds = [0; PRIORITIES - 1];
        for (n, threshold) in thresholds.iter_mut().enumerate() {
            let wanted = total * (n + 1) as f64 / PRIORITIES as f64;
            let after = loads.iter().position(|load| *load >= wanted)?;
            let size = match after.checked_sub(1) {
                None => first,
                Some(before) => {
                    let ((from, low), (to, high)) = (cdf[before], cdf[after]);
                    // Load up to x within the line: density x (x^2 - from^2) / 2.
                    let density = (high - low) / (to - from).max(f64::MIN_POSITIVE);
                    let square =
                        from * from + 2.0 * (wanted - loads[before]) / density.max(f64::MIN_POSITIVE);
                    square.sqrt().clamp(from, to)
                }
            };
            // Finite and not negative.
            *threshold = size.round() as u64;
        }
        Some(Thresholds(thresholds))
    }
}

/// The classical rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScheduleRule {
    /// One queue for all that the model does not schedule.
    Fifo,
    /// Less urgent the more a flow has sent (PIAS): needs no knowledge of sizes.
    Ageing,
}

impl ScheduleRule {
    /// Its name in configurations and screens.
    pub const fn name(self) -> &'static str {
        match self {
            ScheduleRule::Fifo => "fifo",
            ScheduleRule::Ageing => "ageing",
        }
    }
}

/// What marks that arrive count for, and what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// A DSCP that the table of marks holds is its sender's word: the frame has that priority and keeps its mark. DSCP 0 is
    /// no mark; what is not in the table decides nothing and stays.
    Trust,
    /// Marks that arrive count for nothing and are written over.
    Remark,
    /// Marks that arrive count for nothing and stay; only the queues here know the priority.
    Ignore,
}

/// How frames that leave by the outside are scheduled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleConfig {
    /// The classical fallback: decides when no model may.
    pub rule: ScheduleRule,
    /// Whether flows follow the published model where there is one.
    pub model: bool,
    /// The definitions and bounds of the features that the model sees.
    pub spec: SizeSpec,
    /// What the link towards the network carries, all workers together. Frames beyond wait here, by priority; where the link
    /// itself is slower they wait there, and no priority helps.
    pub link_rate: BitsPerSec,
    /// What each frame takes on the link beside its bytes in memory. Ethernet: 24 (preamble, FCS, gap).
    pub overhead_bytes: u32,
    /// Bytes that may leave at once after a pause.
    pub burst_bytes: u32,
    /// Frames that may wait, per worker. Each priority has a sixteenth of them for itself; half are for whoever needs them.
    /// Fixed for the worker's life.
    pub queue_frames_max: u32,
    /// Peers whose flow sizes are remembered, per worker. Fixed for the worker's life.
    pub peers_max: u32,
    /// A frame that has waited this long goes before more urgent ones, the oldest first: a wrong guess starves nobody.
    pub wait_max: Ns,
    /// With at least so many frames waiting here, frames of flows that understand ECN are marked. 0: none are.
    pub mark_frames: u32,
    /// What parts the priorities of predicted sizes.
    pub size_thresholds: Thresholds,
    /// What parts the priorities of bytes sent, for the rule `ageing`.
    pub ageing_thresholds: Thresholds,
    /// The guard: a prediction below counts as this, in bytes.
    pub predicted_min: u64,
    /// The guard: a prediction above counts as this, in bytes.
    pub predicted_max: u64,
    /// The priority of what belongs to no tracked flow (UDP, fragments, flows that found the table full), and of every flow
    /// under the rule `fifo`. ARP, ICMP and handshakes are most urgent, but under `fifo`.
    pub other_priority: u8,
    /// Share of flows that stay on the rule although a model runs, in 1/65536.
    pub control_share: u32,
    /// Share of the others that the trainer is told of, in 1/65536.
    pub sample_share: u32,
    /// What marks that arrive count for.
    pub trust: Trust,
    /// The DSCP of each priority, where DSCPs are read or written.
    pub dscp: Option<[u8; PRIORITIES]>,
    /// The PCP of each priority, where PCPs are written.
    pub pcp: Option<[u8; PRIORITIES]>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_of_the_priority_of_its_part() {
        let thresholds = Thresholds([10, 20, 30, 40, 50, 60, 70]);
        let found = [0, 9, 10, 19, 20, 69, 70, u64::MAX].map(|bytes| thresholds.priority(bytes));
        assert_eq!(found, [0, 0, 1, 1, 2, 6, 7, 7]);
    }

    #[test]
    fn equal_load_of_known_distributions() {
        // Uniform from 0 to 8: the load below x is x^2 / 64.
        let uniform = Thresholds::equal_load(&[(0.0, 0.0), (8e6, 1.0)]).unwrap();
        for (n, threshold) in uniform.0.iter().enumerate() {
            let expected = 8e6 * ((n + 1) as f64 / 8.0).sqrt();
            assert!((*threshold as f64 - expected).abs() <= 0.5, "{n}: {threshold}");
        }
        // Half of the flows have 1 byte, half 7: seven eighths of the load are the large ones'.
        let two = Thresholds::equal_load(&[(1.0, 0.5), (7.0, 0.5), (7.0, 1.0)]).unwrap();
        assert_eq!(two.0, [1, 7, 7, 7, 7, 7, 7]);
    }

    #[test]
    fn what_is_no_distribution_is_refused() {
        for cdf in [
            &[][..],
            &[(1.0, 1.0)],
            &[(0.0, 0.0), (1.0, 0.9)],
            &[(0.0, 0.5), (1.0, 0.2), (2.0, 1.0)],
            &[(2.0, 0.0), (1.0, 1.0)],
            &[(0.0, 0.0), (0.0, 1.0)],
            &[(0.0, 0.0), (f64::NAN, 1.0)],
            &[(-1.0, 0.0), (1.0, 1.0)],
        ] {
            assert_eq!(Thresholds::equal_load(cdf), None, "{cdf:?}");
        }
    }
}
