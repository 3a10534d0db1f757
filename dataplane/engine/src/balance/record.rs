//! Records of choices: what came of a *delivery*, gathered while it lasts and its data is on its way, then handed to the
//! trainer's lane.
//!
//! A delivery is what a flow sends from a choice on, up to [`DELIVERY`], or until its application pauses: the flow begins again
//! after a gap in which it neither sent anything nor had anything acknowledged. A flowlet would not do. Where a sender waits for
//! acknowledgements a slow path makes gaps, so what is sent by it falls into smaller flowlets, each quick for a flowlet of its size,
//! and the path looks better than it is (`docs/decisions/0025-deliveries.md`).
//!
//! A delivery may be over before the first of its data is acknowledged. So its record stays open beside the next one's, and
//! acknowledgements belong to the oldest of a flow's records of which something is on its way. Else what an earlier delivery
//! sent by one path would be taken for a quick one by the next.

use super::flows::{LOST_AFTER, NO_RECORD, Place};
use crate::time::Ns;
use crate::track::Departed;
use weir_features::{PATH_INPUTS, PathSample, PathSource};
use weir_handoff::LaneSender;

/// Payload bytes of a delivery: some round trips' worth, after which a path is known. What a flow sends beyond is of no record until
/// a choice begins one again.
const DELIVERY: u64 = 256 << 10;
/// Deliveries that are being recorded at once; beyond it one is no sample.
const OPEN_MAX: usize = 1_024;
/// Records looked at per sweep.
const SWEEP: usize = 64;
/// How long a record may wait for its batch to fill.
const WAIT_MAX: Ns = Ns::from_millis(50);

/// The records under way.
pub(super) struct Records {
    lane: Option<LaneSender<PathSample>>,
    open: Box<[Open]>,
    free: Vec<u16>,
    cursor: usize,
    told: u64,
    dropped: u64,
    flushed: Ns,
}

/// A record under way; those of one flow are a chain.
#[derive(Clone, Copy)]
struct Open {
    sample: PathSample,
    /// Whose it is; `None`: a free place.
    owner: Option<Place>,
    /// When the flow last sent payload, or had some acknowledged.
    heard: Ns,
    /// Payload bytes from before, and of no older record, that are still on their way: acknowledgements are theirs first.
    owed: u64,
    /// The flow has paused, and went on without a choice: it had just come to its path, or has sent acknowledgements meanwhile.
    paused: bool,
    /// In a flow's youngest record: payload bytes that it has sent since the delivery was closed, and that are on their way.
    beyond: u64,
    /// The flow's next record.
    younger: u16,
    /// In a flow's youngest record: its oldest.
    oldest: u16,
}

impl Open {
    /// The first of its flow, of which nothing has been sent.
    fn new(sample: PathSample, owner: Option<Place>, place: u16) -> Open {
        Open {
            heard: Ns(sample.at_ns),
            sample,
            owner,
            owed: 0,
            paused: false,
            beyond: 0,
            younger: NO_RECORD,
            oldest: place,
        }
    }

    fn outstanding(&self) -> u64 {
        self.owed + self.sample.sent_bytes - self.sample.acked_bytes
    }

    /// Whether the flow has neither sent payload nor had any acknowledged for as long as makes a pause.
    fn is_silent(&self, flowlet_gap: Ns, now: Ns) -> bool {
        now - self.heard >= flowlet_gap
    }

    /// Whether what the flow sends next is not of this delivery.
    fn is_closed(&self) -> bool {
        self.paused || self.sample.sent_bytes >= DELIVERY
    }
}

impl Records {
    /// Of nobody who wants them.
    pub(super) fn new() -> Records {
        Records {
            lane: None,
            open: Box::default(),
            free: Vec::new(),
            cursor: 0,
            told: 0,
            dropped: 0,
            flushed: Ns::ZERO,
        }
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
        self.open = vec![Open::new(nothing, None, NO_RECORD); OPEN_MAX].into_boxed_slice();
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

    /// Whether what the flow sends next belongs to the delivery that is being recorded in `place`, though it chooses again.
    pub(super) fn goes_on(&self, place: u16, flowlet_gap: Ns, now: Ns) -> bool {
        self.open
            .get(usize::from(place))
            .is_some_and(|youngest| !youngest.is_closed() && !youngest.is_silent(flowlet_gap, now))
    }

    /// The delivery that is recorded in `before` is over, and the next one of the flow at `owner` begins, if it is one to record:
    /// with no outcome yet. Its place. `in_flight` payload bytes of the flow are on their way.
    pub(super) fn turn_over(
        &mut self,
        before: u16,
        owner: Place,
        begun: Option<PathSample>,
        in_flight: u32,
    ) -> u16 {
        let place = begun.and_then(|begun| Some((self.free.pop()?, begun)));
        let Some((place, begun)) = place else {
            self.end(before);
            return NO_RECORD;
        };
        let mut open = Open::new(begun, Some(owner), place);
        match self.open.get_mut(usize::from(before)) {
            Some(older) => {
                older.younger = place;
                (open.owed, open.oldest) = (core::mem::take(&mut older.beyond), older.oldest);
            }
            None => open.owed = in_flight.into(),
        }
        self.open[usize::from(place)] = open;
        self.settle(place);
        place
    }

    pub(super) fn on_depart(&mut self, place: u16, departed: &Departed, flowlet_gap: Ns, now: Ns) {
        let Some(youngest) = self.open.get_mut(usize::from(place)) else { return };
        let new = u64::from(departed.new_bytes);
        youngest.paused |= new > 0 && youngest.sample.sent_bytes > 0 && youngest.is_silent(flowlet_gap, now);
        youngest.heard = now;
        if youngest.is_closed() {
            youngest.beyond += new;
        } else {
            youngest.sample.sent_bytes += new;
        }
        // What is sent again is the oldest that has not arrived.
        let oldest = usize::from(youngest.oldest);
        if let Some(oldest) = self.open.get_mut(oldest) {
            oldest.sample.repeated_bytes += u64::from(departed.retransmitted_bytes);
        }
    }

    pub(super) fn on_ack(&mut self, place: u16, delivered: u32, now: Ns) {
        let Some(youngest) = self.open.get_mut(usize::from(place)) else { return };
        if delivered == 0 {
            return;
        }
        youngest.heard = now;
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
            let beyond = left.min(open.beyond);
            open.beyond -= beyond;
            left -= beyond;
            at = open.younger;
        }
        self.settle(place);
    }

    /// Another connection begins on the flow's ports: nothing more will be known of what the last one sent. The place of its first
    /// record, if a choice has begun that.
    pub(super) fn restart(&mut self, place: u16) -> u16 {
        self.tell_while(place, |_| true);
        match self.open.get_mut(usize::from(place)) {
            Some(youngest) if youngest.sample.sent_bytes == 0 => {
                youngest.owed = 0;
                place
            }
            _ => {
                self.end(place);
                NO_RECORD
            }
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

    /// Looks at a few records, in a circle, and hands over the youngest of each flow with nothing more to come: all that the flow's
    /// records are of has arrived, and it is closed or its application pauses; or nothing has been heard of the flow for so long
    /// that it is lost. `over` is told whose they were.
    pub(super) fn sweep(&mut self, flowlet_gap: Ns, now: Ns, mut over: impl FnMut(Place)) {
        for _ in 0..SWEEP.min(self.open.len()) {
            let at = self.cursor;
            self.cursor = if at + 1 == self.open.len() { 0 } else { at + 1 };
            let open = &self.open[at];
            let Some(owner) = open.owner.filter(|_| open.younger == NO_RECORD) else { continue };
            // What is older still waits, else it would have been handed over.
            let whole = usize::from(open.oldest) == at && open.outstanding() == 0;
            let arrived = whole && (open.is_closed() || open.is_silent(flowlet_gap, now));
            if arrived || now - open.heard > LOST_AFTER {
                self.end(at as u16);
                over(owner);
            }
        }
    }

    /// The flow is over, or is not recorded any more: nothing else will be known of its records.
    pub(super) fn end(&mut self, place: u16) {
        self.tell_while(place, |_| true);
        if let Some(youngest) = self.open.get(usize::from(place)).copied() {
            self.tell(place, &youngest.sample);
        }
    }

    /// Hands a record over and frees its place. A delivery without payload is no sample.
    fn tell(&mut self, place: u16, sample: &PathSample) {
        self.open[usize::from(place)].owner = None;
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
    use super::super::flows::FlowPaths;
    use super::*;
    use weir_handoff::{LaneReceiver, lane};

    const GAP: Ns = Ns::from_millis(3);

    /// Records of one flow.
    struct Bench {
        records: Records,
        samples: LaneReceiver<PathSample>,
        owner: Place,
        place: u16,
    }

    impl Bench {
        fn new() -> Bench {
            let (sender, samples) = lane(64, 1);
            let mut records = Records::new();
            records.tell_into(sender);
            let (owner, _) = FlowPaths::new(16, Ns::NEVER).find_or_make(7, Ns::ZERO).unwrap();
            Bench { records, samples, owner, place: NO_RECORD }
        }

        /// A delivery begins on this path, with so much of earlier ones on its way.
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
            self.place = self.records.turn_over(self.place, self.owner, Some(begun), in_flight);
        }

        fn send(&mut self, new_bytes: u32, retransmitted_bytes: u32, at_ms: u64) {
            let departed = Departed { new_bytes, retransmitted_bytes, ..Departed::default() };
            self.records.on_depart(self.place, &departed, GAP, Ns::from_millis(at_ms));
        }

        fn ack(&mut self, delivered: u32, at_ms: u64) {
            self.records.on_ack(self.place, delivered, Ns::from_millis(at_ms));
        }

        fn goes_on(&self, at_ms: u64) -> bool {
            self.records.goes_on(self.place, GAP, Ns::from_millis(at_ms))
        }

        /// Looks at every record once.
        fn sweep(&mut self, at_ms: u64) {
            for _ in 0..OPEN_MAX / SWEEP {
                let Bench { records, owner, place, .. } = self;
                records.sweep(GAP, Ns::from_millis(at_ms), |gone| {
                    assert_eq!(gone, *owner);
                    *place = NO_RECORD;
                });
            }
        }

        fn end(&mut self) {
            self.records.end(self.place);
            self.place = NO_RECORD;
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
    fn acknowledgements_belong_to_the_delivery_whose_data_they_are_of() {
        let mut bench = Bench::new();
        // Three deliveries within a round trip of 10 ms, each by another path.
        for path in 0..3 {
            bench.begin(path, 2 * u64::from(path), 0);
            bench.send(1_000, 0, 2 * u64::from(path));
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
    fn a_sender_that_waits_for_acknowledgements_does_not_pause() {
        let mut bench = Bench::new();
        bench.begin(0, 0, 0);
        bench.send(1_000, 0, 0);
        assert!(bench.goes_on(2) && !bench.goes_on(3), "silence alone is a pause");
        // A window's worth, and its acknowledgement a slow round trip later: the gap is the path's, not the application's.
        bench.ack(1_000, 50);
        assert!(bench.goes_on(50));
        bench.send(500, 0, 50);
        // What is on its way does not keep a delivery open over a pause, nor does an acknowledgement of nothing new.
        bench.ack(0, 53);
        assert!(!bench.goes_on(53));
        bench.begin(1, 53, 0);
        bench.send(100, 0, 53);
        bench.ack(600, 60);
        bench.end();
        assert_eq!(bench.told(), [(0, 1_500, 1_500, 0, 60), (1, 100, 100, 0, 7)]);
        assert!(!bench.goes_on(60), "there is none");
    }

    #[test]
    fn what_is_sent_after_a_pause_without_a_choice_is_nobodys() {
        let mut bench = Bench::new();
        bench.begin(0, 0, 0);
        bench.send(1_000, 0, 0);
        bench.ack(1_000, 1);
        // What is sent again is of the delivery, whenever that is.
        bench.send(0, 100, 10);
        bench.send(300, 0, 11);
        assert!(bench.goes_on(11));
        bench.send(500, 0, 14);
        assert!(!bench.goes_on(14));
        bench.ack(800, 15);
        bench.sweep(15);
        assert_eq!(bench.told(), [(0, 1_300, 1_300, 100, 15)]);
        assert_eq!(bench.place, NO_RECORD);
    }

    #[test]
    fn a_record_without_payload_does_not_end_one_that_waits() {
        let mut bench = Bench::new();
        bench.begin(0, 0, 0);
        bench.send(1_000, 0, 0);
        // The flow sends an acknowledgement, or its tail again: a choice, and nothing new.
        bench.begin(1, 5, 0);
        bench.send(0, 200, 5);
        bench.sweep(100);
        assert!(bench.told().is_empty());
        bench.ack(1_000, 110);
        assert_eq!(bench.told(), [(0, 1_000, 1_000, 200, 110)]);
        bench.sweep(113);
        assert_eq!((bench.told(), bench.place), (vec![], NO_RECORD));
        assert_eq!(bench.records.free.len(), OPEN_MAX);
    }

    #[test]
    fn a_delivery_is_full_and_what_goes_beyond_is_nobodys() {
        let mut bench = Bench::new();
        let full = DELIVERY as u32;
        bench.begin(0, 0, 0);
        bench.send(full - 1, 0, 0);
        assert!(bench.goes_on(0));
        bench.send(1_000, 0, 1);
        bench.send(700, 0, 1);
        assert!(!bench.goes_on(1));
        bench.ack(full, 2);
        bench.begin(1, 2, 0);
        bench.send(400, 0, 2);
        // Its last 999 bytes, then the 700 beyond, then the next one's.
        bench.ack(999, 3);
        assert_eq!(bench.told(), [(0, u64::from(full) + 999, u64::from(full) + 999, 0, 3)]);
        bench.ack(700, 4);
        bench.ack(400, 9);
        bench.end();
        assert_eq!(bench.told(), [(1, 400, 400, 0, 7)]);
        // What was acknowledged beyond is not the next one's to wait for.
        bench.begin(2, 10, 0);
        bench.send(full, 0, 10);
        bench.send(300, 0, 10);
        bench.ack(full + 200, 11);
        bench.begin(3, 12, 0);
        bench.send(50, 0, 12);
        bench.ack(150, 14);
        bench.end();
        assert_eq!(bench.told(), [(2, full.into(), full.into(), 0, 1), (3, 50, 50, 0, 2)]);
    }

    #[test]
    fn what_has_arrived_is_told_of_at_the_pause_and_what_is_lost_in_the_end() {
        let mut bench = Bench::new();
        bench.begin(0, 0, 0);
        bench.send(1_000, 0, 0);
        bench.ack(1_000, 5);
        bench.sweep(7);
        assert!(bench.told().is_empty() && bench.place != NO_RECORD, "it may go on");
        bench.sweep(8);
        assert_eq!((bench.told(), bench.place), (vec![(0, 1_000, 1_000, 0, 5)], NO_RECORD));
        bench.begin(1, 10, 0);
        bench.send(1_000, 500, 10);
        bench.sweep(2_010);
        assert!(bench.told().is_empty(), "its acknowledgement may come");
        bench.sweep(2_011);
        assert_eq!((bench.told(), bench.place), (vec![(1, 1_000, 0, 500, 0)], NO_RECORD));
        // Full, it need not wait for a pause.
        bench.begin(2, 3_000, 0);
        bench.send(DELIVERY as u32, 0, 3_000);
        bench.ack(DELIVERY as u32, 3_001);
        bench.sweep(3_001);
        assert_eq!(bench.told(), [(2, DELIVERY, DELIVERY, 0, 1)]);
        // An older one that waits is told of with the youngest.
        bench.begin(3, 4_000, 0);
        bench.send(10, 0, 4_000);
        bench.begin(4, 4_010, 0);
        bench.send(20, 0, 4_010);
        bench.sweep(6_005);
        assert!(bench.told().is_empty());
        bench.sweep(6_011);
        assert_eq!(bench.told(), [(3, 10, 0, 0, 0), (4, 20, 0, 0, 0)]);
        assert_eq!(bench.records.free.len(), OPEN_MAX);
    }

    #[test]
    fn what_was_on_its_way_before_is_not_the_first_records() {
        let mut bench = Bench::new();
        bench.begin(0, 0, 500);
        bench.send(1_000, 0, 0);
        bench.ack(500, 1);
        bench.ack(1_000, 10);
        bench.end();
        assert_eq!(bench.told(), [(0, 1_000, 1_000, 0, 10)]);
    }

    #[test]
    fn what_is_sent_again_is_the_oldests_and_an_end_tells_of_all() {
        let mut bench = Bench::new();
        bench.begin(0, 0, 0);
        bench.send(1_000, 0, 0);
        bench.begin(1, 2, 0);
        bench.send(2_000, 0, 2);
        bench.send(0, 1_000, 3);
        bench.ack(400, 300);
        bench.end();
        assert_eq!(bench.told(), [(0, 1_000, 400, 1_000, 300), (1, 2_000, 0, 0, 0)]);
        assert_eq!(bench.records.free.len(), OPEN_MAX);
    }

    #[test]
    fn another_connection_on_the_same_ports_pays_for_none_of_the_last_one() {
        let mut bench = Bench::new();
        bench.begin(0, 0, 300);
        bench.send(1_000, 0, 0);
        bench.begin(1, 50, 0);
        assert_eq!(bench.records.restart(bench.place), bench.place);
        assert_eq!(bench.told(), [(0, 1_000, 0, 0, 0)]);
        bench.send(700, 0, 50);
        bench.ack(700, 60);
        // Yet another, for which no choice was due: its data is of no record.
        assert_eq!(bench.records.restart(bench.place), NO_RECORD);
        assert_eq!(bench.told(), [(1, 700, 700, 0, 10)]);
        assert_eq!(bench.records.free.len(), OPEN_MAX);
    }

    #[test]
    fn records_are_bounded_and_a_flow_without_one_goes_on() {
        let mut bench = Bench::new();
        for delivery in 0..OPEN_MAX as u64 {
            bench.begin(0, delivery, 0);
            bench.send(1, 0, delivery);
        }
        bench.begin(0, 5_000, 0);
        assert_eq!(
            (bench.place, bench.records.counts().0 + bench.records.counts().1),
            (NO_RECORD, OPEN_MAX as u64)
        );
        bench.send(1, 0, 5_001);
        bench.ack(1, 5_010);
        bench.begin(0, 5_020, 0);
        assert_ne!(bench.place, NO_RECORD);
    }
}
