//! Records of choices: gathered while a flowlet lasts and its data is on its way, then handed to the trainer's lane.
//!
//! A flowlet may be over before the first of its data is acknowledged: a gap is often shorter than a round trip. So its record
//! stays open beside the next one's, and acknowledgements belong to the oldest of a flow's records of which something is on
//! its way. Else what an earlier flowlet sent by one path would be taken for a quick delivery by the next one's.

use crate::time::Ns;
use crate::track::Departed;
use weir_features::{PATH_INPUTS, PathSample, PathSource};
use weir_handoff::LaneSender;

/// Flowlets that are being recorded at once; beyond it a flowlet is no sample.
const OPEN_MAX: usize = 1_024;
/// How long a record may wait for its batch to fill.
const WAIT_MAX: Ns = Ns::from_millis(50);
const NONE: u16 = u16::MAX;

/// The records under way.
pub(super) struct Records {
    lane: Option<LaneSender<PathSample>>,
    open: Box<[Open]>,
    free: Vec<u16>,
    told: u64,
    dropped: u64,
    flushed: Ns,
}

/// A record under way; those of one flow are a chain.
#[derive(Clone, Copy)]
struct Open {
    sample: PathSample,
    /// Payload bytes from before the chain that are still on their way: acknowledgements are theirs first.
    owed: u64,
    /// The flow's next record.
    younger: u16,
    /// In a flow's youngest record: its oldest.
    oldest: u16,
}

impl Open {
    fn outstanding(&self) -> u64 {
        self.owed + self.sample.sent_bytes - self.sample.acked_bytes
    }
}

impl Records {
    /// Of nobody who wants them.
    pub(super) fn new() -> Records {
        Records { lane: None, open: Box::default(), free: Vec::new(), told: 0, dropped: 0, flushed: Ns::ZERO }
    }

    /// All memory is allocated here.
    pub(super) fn tell_into(&mut self, lane: LaneSender<PathSample>) {
        self.lane = Some(lane);
        let nothing = PathSample {
            source: PathSource::Control,
            schema_hash: 0,
            generation: 0,
            flow: 0,
            features: [0; PATH_INPUTS],
            score_q16: 0,
            path: 0,
            choices: 0,
            probability_q16: 0,
            at_ns: 0,
            delivery_ns: 0,
            sent_bytes: 0,
            acked_bytes: 0,
            repeated_bytes: 0,
            base_rtt_ns: 0,
            rate_bps: 0,
        };
        let nothing = Open { sample: nothing, owed: 0, younger: NONE, oldest: NONE };
        self.open = vec![nothing; OPEN_MAX].into_boxed_slice();
        self.free = (0..OPEN_MAX as u16).collect();
    }

    /// Whether anybody listens.
    pub(super) fn wanted(&self) -> bool {
        self.lane.is_some()
    }

    /// Records handed over, and lost to a full lane.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.told, self.dropped)
    }

    /// A flow's flowlet `before` is over, and the next begins, if it is one to record: with no outcome yet. Its place.
    /// `in_flight` payload bytes of the flow are on their way.
    pub(super) fn turn_over(&mut self, before: u16, begun: Option<PathSample>, in_flight: u32) -> u16 {
        let place = begun.and_then(|begun| Some((self.free.pop()?, begun)));
        let Some((place, begun)) = place else {
            self.end(before);
            return NONE;
        };
        let (owed, oldest) = match self.open.get_mut(usize::from(before)) {
            Some(older) => {
                older.younger = place;
                (0, older.oldest)
            }
            None => (in_flight.into(), place),
        };
        self.open[usize::from(place)] = Open { sample: begun, owed, younger: NONE, oldest };
        self.settle(place);
        place
    }

    pub(super) fn on_depart(&mut self, place: u16, departed: &Departed) {
        let Some(youngest) = self.open.get_mut(usize::from(place)) else { return };
        youngest.sample.sent_bytes += u64::from(departed.new_bytes);
        // What is sent again is the oldest that has not arrived.
        let oldest = usize::from(youngest.oldest);
        if let Some(oldest) = self.open.get_mut(oldest) {
            oldest.sample.repeated_bytes += u64::from(departed.retransmitted_bytes);
        }
    }

    pub(super) fn on_ack(&mut self, place: u16, delivered: u32, now: Ns) {
        let Some(youngest) = self.open.get(usize::from(place)) else { return };
        let (mut at, mut left) = (youngest.oldest, u64::from(delivered));
        while left > 0
            && let Some(open) = self.open.get_mut(usize::from(at))
        {
            let owed = left.min(open.owed);
            open.owed -= owed;
            let own = (left - owed).min(open.outstanding() - open.owed);
            if own > 0 {
                open.sample.acked_bytes += own;
                open.sample.delivery_ns = (now - Ns(open.sample.at_ns)).0;
            }
            left -= owed + own;
            at = open.younger;
        }
        self.settle(place);
    }

    /// Another connection begins on the flow's ports: nothing more will be known of what the last one sent.
    pub(super) fn restart(&mut self, place: u16) {
        self.tell_while(place, |_| true);
        if let Some(youngest) = self.open.get_mut(usize::from(place)) {
            youngest.owed = 0;
        }
    }

    /// Of a flow's records, hands those over of which nothing is on its way any more, but for the youngest.
    fn settle(&mut self, place: u16) {
        self.tell_while(place, |open| open.outstanding() == 0);
    }

    /// Of a flow's records, from the oldest on but for the youngest, hands those over that are `over`, up to the first that is not.
    fn tell_while(&mut self, place: u16, over: impl Fn(&Open) -> bool) {
        let Some(youngest) = self.open.get(usize::from(place)) else { return };
        let mut oldest = youngest.oldest;
        while oldest != place
            && let Some(open) = self.open.get(usize::from(oldest)).copied()
            && over(&open)
        {
            self.tell(oldest, &open.sample);
            oldest = open.younger;
        }
        self.open[usize::from(place)].oldest = oldest;
    }

    /// The flow is over, or is not recorded any more: nothing else will be known of its records.
    pub(super) fn end(&mut self, place: u16) {
        self.tell_while(place, |_| true);
        if let Some(youngest) = self.open.get(usize::from(place)).copied() {
            self.tell(place, &youngest.sample);
        }
    }

    /// Hands a record over and frees its place. A flowlet that carried no payload is no sample.
    fn tell(&mut self, place: u16, sample: &PathSample) {
        self.free.push(place);
        if sample.sent_bytes == 0 {
            return;
        }
        if let Some(lane) = &mut self.lane {
            match lane.push(*sample) {
                Ok(()) => self.told += 1,
                Err(_) => self.dropped += 1,
            }
        }
    }

    /// Shows what has waited long enough.
    pub(super) fn flush(&mut self, now: Ns) {
        if now - self.flushed >= WAIT_MAX {
            self.flushed = now;
            if let Some(lane) = &mut self.lane {
                lane.flush();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_handoff::{LaneReceiver, lane};

    /// Records of one flow.
    struct Bench {
        records: Records,
        samples: LaneReceiver<PathSample>,
        place: u16,
    }

    impl Bench {
        fn new() -> Bench {
            let (sender, samples) = lane(64, 1);
            let mut records = Records::new();
            records.tell_into(sender);
            Bench { records, samples, place: NONE }
        }

        /// A flowlet begins on this path, with so much of earlier ones on its way.
        fn begin(&mut self, path: u8, at_ms: u64, in_flight: u32) {
            let nothing = self.records.open[0].sample;
            let begun = PathSample {
                path,
                at_ns: Ns::from_millis(at_ms).0,
                sent_bytes: 0,
                acked_bytes: 0,
                repeated_bytes: 0,
                delivery_ns: 0,
                ..nothing
            };
            self.place = self.records.turn_over(self.place, Some(begun), in_flight);
        }

        fn send(&mut self, new_bytes: u32, retransmitted_bytes: u32) {
            let departed = Departed { new_bytes, retransmitted_bytes, ..Departed::default() };
            self.records.on_depart(self.place, &departed);
        }

        fn ack(&mut self, delivered: u32, at_ms: u64) {
            self.records.on_ack(self.place, delivered, Ns::from_millis(at_ms));
        }

        fn end(&mut self) {
            self.records.end(self.place);
            self.place = NONE;
        }

        /// Path, bytes sent, acknowledged and repeated, milliseconds to the last acknowledgement.
        fn told(&mut self) -> Vec<(u8, u64, u64, u64, u64)> {
            let mut told = Vec::new();
            self.samples.drain(usize::MAX, |sample| {
                told.push((
                    sample.path,
                    sample.sent_bytes,
                    sample.acked_bytes,
                    sample.repeated_bytes,
                    sample.delivery_ns / 1_000_000,
                ));
            });
            told
        }
    }

    #[test]
    fn acknowledgements_belong_to_the_flowlet_whose_data_they_are_of() {
        let mut bench = Bench::new();
        // Three flowlets within a round trip of 10 ms, each by another path.
        for path in 0..3 {
            bench.begin(path, 2 * u64::from(path), 0);
            bench.send(1_000, 0);
        }
        assert!(bench.told().is_empty(), "nothing has arrived");
        bench.ack(1_000, 10);
        assert_eq!(bench.told(), [(0, 1_000, 1_000, 0, 10)]);
        // One acknowledgement for the rest of the second and a part of the third.
        bench.ack(600, 12);
        bench.ack(700, 15);
        assert_eq!(bench.told(), [(1, 1_000, 1_000, 0, 13)]);
        bench.ack(700, 16);
        bench.begin(3, 20, 0);
        assert_eq!(bench.told(), [(2, 1_000, 1_000, 0, 12)], "whole, and over");
        bench.end();
        assert!(bench.told().is_empty(), "without payload it is none");
        assert_eq!(bench.records.free.len(), OPEN_MAX);
    }

    #[test]
    fn what_was_on_its_way_before_is_not_the_first_records() {
        let mut bench = Bench::new();
        bench.begin(0, 0, 500);
        bench.send(1_000, 0);
        bench.ack(500, 1);
        bench.ack(1_000, 10);
        bench.end();
        assert_eq!(bench.told(), [(0, 1_000, 1_000, 0, 10)]);
    }

    #[test]
    fn what_is_sent_again_is_the_oldests_and_an_end_tells_of_all() {
        let mut bench = Bench::new();
        bench.begin(0, 0, 0);
        bench.send(1_000, 0);
        bench.begin(1, 2, 0);
        bench.send(2_000, 0);
        bench.send(0, 1_000);
        bench.ack(400, 300);
        bench.end();
        assert_eq!(bench.told(), [(0, 1_000, 400, 1_000, 300), (1, 2_000, 0, 0, 0)]);
        assert_eq!(bench.records.free.len(), OPEN_MAX);
    }

    #[test]
    fn another_connection_on_the_same_ports_pays_for_none_of_the_last_one() {
        let mut bench = Bench::new();
        bench.begin(0, 0, 300);
        bench.send(1_000, 0);
        bench.begin(1, 50, 0);
        bench.records.restart(bench.place);
        assert_eq!(bench.told(), [(0, 1_000, 0, 0, 0)]);
        bench.send(700, 0);
        bench.ack(700, 60);
        bench.end();
        assert_eq!(bench.told(), [(1, 700, 700, 0, 10)]);
    }

    #[test]
    fn records_are_bounded_and_a_flow_without_one_goes_on() {
        let mut bench = Bench::new();
        for flowlet in 0..OPEN_MAX as u64 {
            bench.begin(0, flowlet, 0);
            bench.send(1, 0);
        }
        bench.begin(0, 5_000, 0);
        assert_eq!(
            (bench.place, bench.records.counts().0 + bench.records.counts().1),
            (NONE, OPEN_MAX as u64)
        );
        bench.send(1, 0);
        bench.ack(1, 5_010);
        bench.begin(0, 5_020, 0);
        assert_ne!(bench.place, NONE);
    }
}
