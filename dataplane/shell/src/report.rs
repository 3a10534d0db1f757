//! What a worker tells the world: its counters as one array of words, so that they cross a [`board`](crate::board) of
//! one moment.

use std::array;
use weir_engine::balance::{PATHS_MAX, PathStats};
use weir_engine::counters::{Stat, WorkerStats};
use weir_engine::limit::{LIMITS_MAX, LimitStats};
use weir_engine::verdict::{Tally, Verdict};
use weir_engine::worker::Stage;

/// Counters of the engine besides its tally.
const STATS: usize = size_of::<WorkerStats>() / size_of::<u64>();
/// Received and sent frames and bytes by side; originated; steered in and out; held; verdicts.
const TALLY: usize = 4 * 2 + 4 + Verdict::COUNT;
/// Of each path, there or not.
const PATHS: usize = PATHS_MAX * PathStats::COUNT;
/// Of each limit, there or not, and which limits those are.
const LIMITS: usize = LIMITS_MAX * LimitStats::COUNT + 1;
const LOOP: usize = 6 + Stage::COUNT;
/// Words of a report.
pub const WORDS: usize = TALLY + STATS + PATHS + LIMITS + LOOP;

/// Where the worker's cycles go. All in ticks of the time-stamp counter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoopCycles {
    /// In turns that moved or decided something.
    pub busy: u64,
    /// In turns that found nothing to do.
    pub idle: u64,
    /// In running networks, gathering their inputs included; part of `busy`.
    pub inference: u64,
    /// By stage, in those turns that are timed so.
    pub stages: [u64; Stage::COUNT],
    /// Frames received in those turns.
    pub stage_frames: u64,
    /// The longest turn of the last whole second.
    pub turn_max: u64,
    /// How late, at worst in the last whole second, the wheel was looked at after something had become due.
    pub lag_max: u64,
}

/// One worker's counters of one moment.
#[derive(Clone, Debug)]
pub struct Report {
    /// Frames in, out and ended.
    pub tally: Tally,
    /// The engine's other counters, with their names.
    pub stats: Vec<Stat>,
    /// The paths' counters, in the configuration's order; zeros for those that there are not.
    pub paths: Vec<PathStats>,
    /// The limits' counters, likewise.
    pub limits: Vec<LimitStats>,
    /// The [number](weir_engine::limit::Limits::number) of those limits: after a reload a worker may still count under the former
    /// ones.
    pub limits_number: u64,
    /// Where its cycles went.
    pub cycles: LoopCycles,
}

/// Packs a report.
pub fn pack(
    tally: &Tally,
    stats: &WorkerStats,
    paths: &[PathStats],
    limits: (&[LimitStats], u64),
    cycles: &LoopCycles,
) -> [u64; WORDS] {
    let mut words = [0; WORDS];
    let mut next = words.iter_mut();
    let mut put = |word: u64| {
        if let Some(cell) = next.next() {
            *cell = word;
        }
    };
    [tally.received, tally.received_bytes, tally.sent, tally.sent_bytes]
        .as_flattened()
        .iter()
        .copied()
        .for_each(&mut put);
    [tally.originated, tally.steered_in, tally.steered_out, tally.held].into_iter().for_each(&mut put);
    tally.ended.into_iter().for_each(&mut put);
    stats.each(|stat| put(stat.value));
    for index in 0..PATHS_MAX {
        paths.get(index).copied().unwrap_or_default().each(|stat| put(stat.value));
    }
    for index in 0..LIMITS_MAX {
        limits.0.get(index).copied().unwrap_or_default().each(|stat| put(stat.value));
    }
    put(limits.1);
    [cycles.busy, cycles.idle, cycles.inference].into_iter().for_each(&mut put);
    cycles.stages.into_iter().for_each(&mut put);
    [cycles.stage_frames, cycles.turn_max, cycles.lag_max].into_iter().for_each(&mut put);
    words
}

impl Report {
    /// Unpacks what [`pack`] packed.
    pub fn unpack(words: &[u64; WORDS]) -> Report {
        let mut next = words.iter().copied();
        let mut take = || next.next().unwrap_or(0);
        let mut pair = || array::from_fn(|_| take());
        let (received, received_bytes, sent, sent_bytes) = (pair(), pair(), pair(), pair());
        let (originated, steered_in, steered_out, held) = (take(), take(), take(), take());
        let ended = array::from_fn(|_| take());
        let mut stats = Vec::with_capacity(STATS);
        WorkerStats::default().each(|stat| stats.push(Stat { value: take(), ..stat }));
        let paths = (0..PATHS_MAX).map(|_| PathStats::from_words(&mut take)).collect();
        let limits = (0..LIMITS_MAX).map(|_| LimitStats::from_words(&mut take)).collect();
        let limits_number = take();
        let cycles = LoopCycles {
            busy: take(),
            idle: take(),
            inference: take(),
            stages: array::from_fn(|_| take()),
            stage_frames: take(),
            turn_max: take(),
            lag_max: take(),
        };
        Report {
            tally: Tally {
                received,
                received_bytes,
                sent,
                sent_bytes,
                originated,
                steered_in,
                steered_out,
                ended,
                held,
            },
            stats,
            paths,
            limits,
            limits_number,
            cycles,
        }
    }

    /// Whether no flow of the worker follows another generation than `number`, and none will begin to.
    pub fn follows_only(&self, number: u32) -> bool {
        let stat = |name: &str, label: Option<&str>| {
            let ours = |stat: &&Stat| stat.name == name && stat.label.map(|(_, value)| value) == label;
            self.stats.iter().find(ours).map(|stat| stat.value)
        };
        stat("snapshot_generation", None) == Some(number.into())
            && stat("flows_following", Some("previous")) == Some(0)
    }

    /// The sum of all figures of one name.
    pub fn stat(&self, name: &str) -> u64 {
        self.stats.iter().filter(|stat| stat.name == name).map(|stat| stat.value).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_unpacks_word_for_word() {
        let words: [u64; WORDS] = array::from_fn(|index| index as u64 + 1);
        let report = Report::unpack(&words);
        assert_eq!(report.tally.received, [1, 2]);
        assert_eq!(report.stats.len(), STATS);
        assert_eq!(report.cycles.lag_max, WORDS as u64);

        let stats = WorkerStats { inferences: 77, ..WorkerStats::default() };
        assert_eq!(report.paths[1].frames, (TALLY + STATS + PathStats::COUNT) as u64 + 1);
        assert_eq!(report.limits[1].frames, (TALLY + STATS + PATHS + LimitStats::COUNT) as u64 + 1);
        let limits = (report.limits.as_slice(), report.limits_number);
        let repacked = pack(&report.tally, &stats, &report.paths, limits, &report.cycles);
        assert_eq!(repacked[..TALLY], words[..TALLY]);
        assert_eq!(repacked[TALLY + STATS..], words[TALLY + STATS..]);
        assert_eq!(Report::unpack(&repacked).stat("inferences_total"), 77);
    }

    #[test]
    fn a_worker_follows_one_generation_when_it_has_taken_it_up_and_nobody_follows_another() {
        let only = |stats: WorkerStats, number| {
            Report::unpack(&pack(&Tally::default(), &stats, &[], (&[], 0), &LoopCycles::default()))
                .follows_only(number)
        };
        let stats = WorkerStats { generation: 3, following_active: 5, ..WorkerStats::default() };
        assert!(
            only(stats, 3) && !only(stats, 4),
            "a worker that has not seen it may still begin to follow an older one"
        );
        assert!(!only(WorkerStats { following_previous: 1, ..stats }, 3));
    }
}
