//! Thousands of turns with flows that open and close, a network, samples and swaps. That no turn allocates is checked
//! by [`World::turn`]; this makes sure that every path is taken.

use super::frames::{ACK, FIN, RST, SYN, Say};
use super::networks::{constant, generation, latency_keeper, set};
use super::world::{Link, World};
use super::{config, pacing};
use weir_engine::config::PacingRule;
use weir_engine::io::Side;
use weir_engine::time::Ns;
use weir_engine::verdict::Verdict;

/// A xorshift generator (Marsaglia 2003): a seed, and the test repeats itself.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

#[test]
fn nothing_is_allocated_and_nothing_is_lost_over_forty_thousand_turns() {
    let mut config = config(PacingRule::BbrLite);
    config.flows_max = 64;
    config.half_open_max = 32;
    config.held_max = 128;
    config.flow_idle_max = Ns::from_millis(40);
    let settings = pacing(&mut config);
    settings.model = true;
    settings.control_share = 65_536 / 4;
    (settings.explore_share, settings.explore_sigma_q16) = (65_536 / 4, 65_536);
    settings.sample_share = 65_536;
    let mut models = set(&latency_keeper(1.1));
    let mut world = World::new(&config, Link::new(100, Ns::from_millis(1), u64::MAX), models.clone());
    let mut random = Random(42);
    let mut next = [1_u32; 100];
    let mut number = 1;
    for turn in 0..40_000_u32 {
        for _ in 0..random.below(12) {
            let flow = random.below(100) as u16;
            let seq = &mut next[usize::from(flow)];
            let (side, say) = match random.below(40) {
                0 => (Side::Inside, Say { seq: 0, flags: SYN, ..Say::default() }),
                1 => (Side::Outside, Say { ack: 1, flags: SYN | ACK, ..Say::default() }),
                2 => (Side::Inside, Say { seq: *seq, ack: 1, flags: FIN | ACK, ..Say::default() }),
                3 => (Side::Outside, Say { seq: 1, ack: *seq, flags: FIN | ACK, ..Say::default() }),
                4 => (Side::Outside, Say { seq: 1, flags: RST, ..Say::default() }),
                5..15 => {
                    let ack = seq.wrapping_sub(random.below(3_000) as u32);
                    (Side::Outside, Say { seq: 1, ack, flags: ACK, echo: turn / 100, ..Say::default() })
                }
                _ => {
                    let payload = random.below(1_449) as usize;
                    let say = Say { seq: *seq, ack: 1, payload, flags: ACK, ecn: 2, ..Say::default() };
                    *seq = seq.wrapping_add(payload as u32);
                    (Side::Inside, say)
                }
            };
            world.offer(side, Say { flow, timestamp: turn / 100, ..say });
        }
        world.io.credit[Side::Outside as usize] = (turn % 1_000 > 900).then_some(0);
        world.turn();
        world.io.outbox.iter_mut().for_each(|outbox| outbox.clear());
        if turn % 3_000 == 2_999 {
            number += 1;
            models = models.with(generation(number, &constant(i32::from(turn % 2 == 0) << 16)));
            world.publish(|policy| policy.models = models.clone());
            world.turn();
            // The trainer takes no samples for most of the time: the lane fills up.
            if number % 8 == 0 {
                world.samples.drain(usize::MAX, |_| {});
            }
        }
        // Mostly microseconds, now and then a long pause or a step back.
        world.now += Ns(random.below(20_000));
        match random.below(4_000) {
            0 => world.now += Ns::from_secs(3),
            1 => world.now = world.now - Ns::from_millis(5),
            _ => {}
        }
    }
    let (stats, tally) = (*world.worker.stats(), *world.worker.tally());
    let taken = [
        stats.flows_opened,
        stats.flows_closed,
        stats.intervals,
        stats.intervals_without_rtt,
        stats.intervals_app_limited,
        stats.decisions_model,
        stats.decisions_explored,
        stats.decisions_control,
        stats.rebinds,
        stats.samples_model,
        stats.samples_explored,
        stats.samples_control,
        stats.ecn_marks,
        stats.pace_refused_held,
        stats.retransmitted_bytes,
        tally.ended[Verdict::Forwarded as usize],
        tally.ended[Verdict::Paced as usize],
        tally.ended[Verdict::TxFull as usize],
    ];
    assert!(taken.iter().all(|count| *count > 0), "{stats:#?} {tally:?}");
    assert!(stats.flows_opened > 200, "{stats:#?}");
}
