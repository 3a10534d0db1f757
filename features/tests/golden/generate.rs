//! What happens in the trace: ordinary flows over a slow and a fast path, then every edge that the definition
//! names. Seeded; the same events every time.

use crate::trace::Event;
use weir_features::{ONE, PacingSpec};

const US: u64 = 1_000;
const MS: u64 = 1_000_000;

/// SplitMix64 (Steele, Lea, Flood 2014): small, and no crate's next version changes its numbers.
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
    /// Mostly the ends of the range and single bits.
    pub(crate) fn wild(&mut self) -> u64 {
        match self.below(6) {
            0 => 0,
            1 => 1,
            2 => u64::MAX,
            3 => 1 << self.below(64),
            4 => (1 << self.below(64)) - 1,
            _ => self.next(),
        }
    }
    pub(crate) fn wild32(&mut self) -> u32 {
        (self.wild() & u64::from(u32::MAX)) as u32
    }
}

pub(crate) fn events() -> Vec<Event> {
    let mut rng = Rng(0x5765_6972);
    let mut out = vec![Event::Spec(PacingSpec::default())];
    for (rtt_ns, rate_bps) in [(20 * MS, 50_000_000), (250 * MS, 4_000_000), (30 * US, 8_000_000_000)] {
        ordinary_flow(&mut out, &mut rng, rtt_ns, rate_bps);
    }
    sample_counts(&mut out, &mut rng);
    silences_and_clocks(&mut out);
    // The same edges where no clip hides what comes out, and under a rule that contradicts itself.
    let open = PacingSpec { clips: [(i32::MIN, i32::MAX); 3], rtt_floor_ns: 0, ..PacingSpec::default() };
    out.push(Event::Spec(open));
    sample_counts(&mut out, &mut rng);
    silences_and_clocks(&mut out);
    anything(&mut out, &mut rng, 400);
    out.push(Event::Spec(PacingSpec {
        rtt_floor_ns: u64::MAX,
        interval_rtt_q8: u16::MAX,
        interval_packets_min: u8::MAX,
        interval_min_ns: u64::MAX,
        interval_max_ns: 1_000,
        clips: [(5, -5), (2 * ONE, 2 * ONE), (i32::MAX, i32::MIN)],
    }));
    anything(&mut out, &mut rng, 200);
    actions(&mut out, &mut rng);
    // More of the same, so that other implementations meet ten thousand events.
    out.push(Event::Spec(PacingSpec::default()));
    for rtt_ns in [200 * US, 3 * MS, 60 * MS] {
        ordinary_flow(&mut out, &mut rng, rtt_ns, 200_000_000);
    }
    anything(&mut out, &mut rng, 3_000);
    actions(&mut out, &mut rng);
    out
}

/// Thirty intervals of a flow whose queue fills and drains, with some loss.
fn ordinary_flow(out: &mut Vec<Event>, rng: &mut Rng, rtt_ns: u64, rate_bps: u64) {
    out.push(Event::Flow);
    let (mut now, mut queue_ns) = (1_000 * MS + rng.below(MS), 0_u64);
    for interval in 0..30_u64 {
        out.push(Event::Open { now, rate_bps, packet_bytes: 1_514 });
        let packets = 6 + rng.below(14);
        let length = rtt_ns / 2 + rng.below(rtt_ns / 8);
        for packet in 0..packets {
            out.push(Event::Send(if rng.below(8) == 0 { 200 + rng.below(1_200) as u32 } else { 1_448 }));
            queue_ns = if interval % 6 < 4 {
                queue_ns + rng.below(rtt_ns / 30)
            } else {
                queue_ns.saturating_sub(rng.below(rtt_ns / 8))
            };
            match rng.below(12) {
                0 => out.push(Event::Loss(1_448)),
                1 => out.push(Event::Ack(2_896, None)),
                _ => out.push(Event::Ack(1_448, Some(rtt_ns + queue_ns + rng.below(rtt_ns / 100 + 1)))),
            }
            if packet == packets / 2 {
                out.push(Event::Due(now + length / 2));
            }
        }
        out.push(Event::Due(now + length));
        out.push(Event::End(now + length));
        if interval % 5 == 4 {
            out.push(Event::Inputs);
        }
        now += length;
    }
}

/// Every number of samples around which the buckets merge.
fn sample_counts(out: &mut Vec<Event>, rng: &mut Rng) {
    for samples in
        [1_u64, 2, 3, 4, 5, 7, 8, 9, 10, 15, 16, 17, 24, 31, 32, 33, 47, 64, 65, 100, 128, 129, 200]
    {
        out.push(Event::Flow);
        out.push(Event::Open { now: 5 * MS, rate_bps: 100_000_000, packet_bytes: 1_514 });
        let falling = rng.below(3) == 0;
        for sample in 0..samples {
            let slope = (if falling { samples - sample } else { sample }) * 40 * US;
            out.push(Event::Ack(1_448, Some(10 * MS + slope + rng.below(200 * US))));
        }
        out.push(Event::Send(1_448));
        out.push(Event::End(25 * MS));
        out.push(Event::Inputs);
    }
}

/// One case of the definition's list each.
fn silences_and_clocks(out: &mut Vec<Event>) {
    let open = Event::Open { now: 1_000 * MS, rate_bps: 10_000_000, packet_bytes: 1_514 };
    let later = 1_010 * MS;
    let ack = |bytes, rtt| Event::Ack(bytes, Some(rtt));
    let cases: [&[Event]; 14] = [
        // Nothing; one thing only; feedback without samples.
        &[Event::End(later)],
        &[Event::Send(1_000), Event::Loss(1_000), Event::End(later)],
        &[Event::Send(1_000), Event::Ack(5_000, None), Event::End(later)],
        &[ack(5_000, MS), Event::End(later)],
        // Exactly one packet back is no rate; one byte more is.
        &[Event::Send(1_000), Event::Ack(1_000, None), Event::End(later)],
        &[Event::Send(999), Event::Ack(1_000, None), Event::End(later)],
        &[Event::Send(1_000), Event::Ack(1_001, None), Event::End(later)],
        // A mean packet that does not come out even.
        &[Event::Send(1_000), Event::Send(1_001), Event::Send(1), Event::Ack(1_500, None), Event::End(later)],
        // Clocks that stand, step back, and leap.
        &[
            Event::Send(9_000),
            ack(9_500, MS),
            ack(0, 2 * MS),
            Event::Due(0),
            Event::End(1_000 * MS),
            Event::End(0),
        ],
        &[Event::Send(9_000), ack(9_500, MS), Event::Due(u64::MAX), Event::End(u64::MAX)],
        // RTTs of nothing and of for ever, rising and falling.
        &[ack(1, 0), ack(1, u64::MAX), Event::End(later)],
        &[ack(1, u64::MAX), ack(1, 0), Event::End(later), Event::End(1_000 * MS)],
        &[ack(1, u64::MAX), ack(1, u64::MAX), Event::End(later)],
        // Extended: not due without a sample, due with one, due at the longest.
        &[
            Event::Due(1_999 * MS),
            Event::Due(2_000 * MS),
            ack(1, 7 * MS),
            Event::Due(1_999 * MS),
            Event::End(1_999 * MS),
        ],
    ];
    for case in cases {
        out.push(Event::Flow);
        out.push(open.clone());
        out.extend_from_slice(case);
    }
    // A short interval after a long one: the base remembers the smallest mean and the last.
    out.push(Event::Flow);
    for rtt in [8 * MS, 2 * MS, 90 * US, 40 * MS, 12_000 * MS] {
        out.push(open.clone());
        out.extend([Event::Send(10), ack(30, rtt), Event::Due(later), Event::End(later)]);
    }
    out.push(Event::Inputs);
}

/// Values of any size in any order.
fn anything(out: &mut Vec<Event>, rng: &mut Rng, count: u32) {
    for _ in 0..count {
        out.push(match rng.below(16) {
            0 => Event::Flow,
            1 => Event::Open { now: rng.wild(), rate_bps: rng.wild(), packet_bytes: rng.wild32() },
            2..=4 => Event::Send(rng.wild32()),
            5..=9 => Event::Ack(rng.wild32(), (rng.below(5) > 0).then(|| rng.wild())),
            10 => Event::Loss(rng.wild32()),
            11 => Event::Due(rng.wild()),
            12 => Event::Inputs,
            _ => Event::End(rng.wild()),
        });
    }
}

fn actions(out: &mut Vec<Event>, rng: &mut Rng) {
    for action_q16 in [0, 1, -1, ONE, -ONE, 40 * ONE, -40 * ONE, i32::MAX, i32::MIN] {
        for rate_bps in [0, 1, 1_000_000, 10_000_000_000, (1 << 50) - 1, 1 << 50, u64::MAX] {
            out.push(Event::Action { rate_bps, action_q16 });
        }
    }
    for _ in 0..60 {
        let action_q16 = (rng.below(20 * 65_536) as i32) - 10 * ONE;
        out.push(Event::Action { rate_bps: rng.below(100_000_000_000), action_q16 });
    }
}
