//! Which share of a path's frames arrives, from what both its ends have counted (`direct`).
//!
//! ```text
//!   sent      s0 ........ s1 ........ s2      when probes 0, 1, 2 left, by all workers
//!   received     r0 ........ r1 ........ r2   when they came to the other end
//!   lost              (s1 - s0) - (r1 - r0), ...
//! ```
//!
//! Neither count is of one moment: another worker's frames are counted a turn late, at either end. But both only rise, so what one
//! difference has too much of the next has too little of. What more has come than was sent is kept, and set against what next
//! seems lost: all that is ever told as lost is then never more than the largest gap that there was between the two counts.
//!
//! An answer is somebody's word. What cannot be is refused and changes nothing.

/// Probes whose count is remembered, as many as [`super::path`] remembers.
const PROBES: usize = 64;
/// Frames by which the two counts may differ in passing: what some workers handle in a turn.
const SLACK: u64 = 1_024;
/// Of so many frames some that are no probe, and no answer to the other end's, would have come, unless those are all that the
/// reflector counts.
const TELLING: u64 = 16;
/// As many refused answers in a row say that the other end has begun anew.
const BEGUN_ANEW_AFTER: u8 = 3;

/// Of so many frames so many were lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Loss {
    pub(super) lost: u32,
    /// At least 1.
    pub(super) of: u32,
}

/// What an answer's counts were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judged {
    /// They say this of the frames since the last such answer.
    Measured(Loss),
    /// They are the first, or older than the last: nothing to compare with.
    Nothing,
    /// They cannot be.
    Refused,
}

/// One path's measurement.
#[derive(Clone, Debug)]
pub(super) struct Measure {
    /// Of each probe its number, and the frames sent by the path when it left, itself included.
    sent: [(u32, u64); PROBES],
    last: Option<Seen>,
    /// Frames that have come beyond those that were sent by then.
    ahead: u64,
    refused_in_a_row: u8,
}

/// The last answer that was taken for true.
#[derive(Clone, Copy, Debug)]
struct Seen {
    sequence: u32,
    sent: u64,
    received: u32,
}

impl Measure {
    pub(super) const fn new() -> Measure {
        Measure { sent: [(0, 0); PROBES], last: None, ahead: 0, refused_in_a_row: 0 }
    }

    /// Probe number `sequence` leaves as the `sent`th frame.
    pub(super) fn on_probe(&mut self, sequence: u32, sent: u64) {
        self.sent[sequence as usize % PROBES] = (sequence, sent);
    }

    /// It is answered: the other end had received `received` frames, and had been told that `told` were sent.
    pub(super) fn on_answer(&mut self, sequence: u32, told: u32, received: u32) -> Judged {
        let (number, sent) = self.sent[sequence as usize % PROBES];
        if number != sequence || sent as u32 != told {
            return self.refuse(None);
        }
        let seen = Seen { sequence, sent, received };
        let Some(last) = self.last else {
            self.last = Some(seen);
            return Judged::Nothing;
        };
        let probes = sequence.wrapping_sub(last.sequence);
        if probes == 0 || probes > u32::MAX / 2 {
            return Judged::Nothing;
        }
        let sent = sent.saturating_sub(last.sent).max(1);
        let came = u64::from(received.wrapping_sub(last.received));
        let only_probes = came <= 2 * u64::from(probes) && sent >= came + TELLING;
        // The probe itself has come.
        if came == 0 || came > sent + SLACK || only_probes {
            return self.refuse(Some(seen));
        }
        let gap = sent.saturating_sub(came);
        let lost = gap.saturating_sub(self.ahead);
        self.ahead = (self.ahead - (gap - lost) + came.saturating_sub(sent)).min(SLACK);
        (self.last, self.refused_in_a_row) = (Some(seen), 0);
        match (u32::try_from(lost), u32::try_from(sent)) {
            (Ok(lost), Ok(of)) => Judged::Measured(Loss { lost, of }),
            // More than 2^32 frames without an answer: they were counted around the clock.
            _ => Judged::Nothing,
        }
    }

    fn refuse(&mut self, seen: Option<Seen>) -> Judged {
        self.refused_in_a_row += 1;
        if self.refused_in_a_row >= BEGUN_ANEW_AFTER {
            (self.refused_in_a_row, self.ahead) = (0, 0);
            self.last = seen;
        }
        Judged::Refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Probes whose counts are as given: frames sent, frames received.
    fn told(counts: &[(u64, u32)]) -> Vec<Judged> {
        let mut measure = Measure::new();
        let judge = |(sequence, (sent, received)): (u32, &(u64, u32))| {
            measure.on_probe(sequence, *sent);
            measure.on_answer(sequence, *sent as u32, *received)
        };
        (0..).zip(counts).map(judge).collect()
    }

    fn lost(lost: u32, of: u32) -> Judged {
        Judged::Measured(Loss { lost, of })
    }

    #[test]
    fn what_was_sent_and_did_not_come_is_lost() {
        let counts = [(100, 50), (1_100, 1_040), (1_101, 1_041), (2_101, 1_041), (2_201, 1_141)];
        let wanted = [Judged::Nothing, lost(10, 1_000), lost(0, 1), Judged::Refused, lost(1_000, 1_100)];
        assert_eq!(told(&counts), wanted, "of a thousand frames none came, not even the probe: not so");
    }

    #[test]
    fn both_counts_wrap() {
        let counts = [(u64::from(u32::MAX) - 10, u32::MAX - 5), (u64::from(u32::MAX) + 90, 94)];
        assert_eq!(told(&counts), [Judged::Nothing, lost(0, 100)]);
    }

    #[test]
    fn what_a_count_has_too_little_of_it_has_too_much_of_next() {
        // The other end counts some frames a turn late, then this one does.
        let counts = [(0, 0), (100, 70), (200, 200), (300, 330), (400, 400), (500, 490), (600, 570)];
        let wanted = [30, 0, 0, 0, 0, 0];
        let found: Vec<u32> = told(&counts)[1..]
            .iter()
            .map(|judged| match judged {
                Judged::Measured(loss) => loss.lost,
                _ => unreachable!("{judged:?}"),
            })
            .collect();
        assert_eq!(found, wanted, "the largest gap is 30, and was told");
    }

    #[test]
    fn what_cannot_be_is_refused_and_changes_nothing() {
        for hostile in [(200, 0_u32), (200, 5_000), (200, u32::MAX), (200, 1 << 31)] {
            let counts = [(100, 100), hostile, (300, 290)];
            assert_eq!(told(&counts), [Judged::Nothing, Judged::Refused, lost(10, 200)], "{hostile:?}");
        }
        // Another word for what was sent; a probe that never was.
        let mut measure = Measure::new();
        measure.on_probe(0, 10);
        assert_eq!(measure.on_answer(0, 11, 10), Judged::Refused);
        assert_eq!(measure.on_answer(7, 10, 10), Judged::Refused);
    }

    #[test]
    fn a_reflector_that_counts_test_packets_only_is_refused() {
        let counts: Vec<(u64, u32)> = (0..20).map(|n| (1_000 * u64::from(n) + 1, n)).collect();
        assert!(told(&counts).iter().all(|judged| !matches!(judged, Judged::Measured(_))));
        // Where nothing else was sent it is right.
        assert_eq!(told(&[(1, 1), (2, 2), (3, 3)])[1..], [lost(0, 1), lost(0, 1)]);
    }

    #[test]
    fn one_that_begins_anew_is_followed_after_three_answers() {
        let counts = [(1_000, 900), (1_100, 50), (1_200, 150), (1_300, 250), (1_400, 349), (1_500, 449)];
        let judged = told(&counts);
        assert_eq!(judged[1..4], [Judged::Refused; 3]);
        assert_eq!(judged[4..], [lost(1, 100), lost(0, 100)]);
    }

    #[test]
    fn an_answer_that_was_overtaken_says_nothing() {
        let mut measure = Measure::new();
        (0..3).for_each(|n| measure.on_probe(n, 100 * u64::from(n)));
        assert_eq!(measure.on_answer(0, 0, 0), Judged::Nothing);
        assert_eq!(measure.on_answer(2, 200, 190), lost(10, 200));
        assert_eq!(measure.on_answer(1, 100, 95), Judged::Nothing);
        assert_eq!(measure.on_answer(2, 200, 190), Judged::Nothing);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever is answered: never more lost than sent.
        #[test]
        fn no_answer_makes_more_lost_than_was_sent(
            steps in prop::collection::vec((1..5_000_u64, any::<u32>(), 0..4_u8), 1..200),
        ) {
            let mut measure = Measure::new();
            let (mut sent, mut received, mut all_lost, mut all_of) = (0, 0_u32, 0_u64, 0_u64);
            for (sequence, (more, random, kind)) in (0..).zip(steps) {
                sent += more;
                received = match kind {
                    0 => random,
                    1 => received.wrapping_add(random % 6_000),
                    _ => received.wrapping_add(more as u32),
                };
                measure.on_probe(sequence, sent);
                if let Judged::Measured(loss) = measure.on_answer(sequence, sent as u32, received) {
                    prop_assert!(loss.of > 0 && loss.lost <= loss.of, "{loss:?}");
                    all_lost += u64::from(loss.lost);
                    all_of += u64::from(loss.of);
                }
            }
            prop_assert!(all_lost <= all_of && all_of <= sent);
        }

        /// Of two ends that tell the truth, each a little late, what is told as lost is what was lost, and the slack.
        #[test]
        fn what_honest_ends_say_adds_up(
            steps in prop::collection::vec((20..2_000_u64, 0..8_u64, 0..30_u64, 0..30_u64), 1..100),
        ) {
            let mut measure = Measure::new();
            let (mut sent, mut lost, mut told) = (1_000_u64, 0, 0);
            measure.on_probe(0, sent);
            measure.on_answer(0, sent as u32, sent as u32);
            for (sequence, (more, gone, late_here, late_there)) in (1..).zip(steps) {
                sent += more;
                lost += gone.min(more / 4);
                measure.on_probe(sequence, sent - late_here.min(more / 4));
                let judged = measure.on_answer(
                    sequence,
                    (sent - late_here.min(more / 4)) as u32,
                    (sent - lost - late_there.min(more / 4)) as u32,
                );
                if let Judged::Measured(loss) = judged {
                    told += u64::from(loss.lost);
                }
            }
            prop_assert!(told + 30 >= lost && told <= lost + 30, "told {told} of {lost}");
        }
    }
}
