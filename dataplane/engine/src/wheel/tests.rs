//! The wheel against a sorted list.

use super::*;
use proptest::prelude::*;

/// What the wheel ought to do: a list in order of (slot, insertion).
#[derive(Default)]
struct Oracle {
    cursor: u64,
    held: Vec<(u64, u32)>,
}

impl Oracle {
    fn insert(&mut self, handle: u32, at: Ns) {
        let tick = at.0.div_ceil(SLOT.0).max(self.cursor);
        let place = self.held.partition_point(|(other, _)| *other <= tick);
        self.held.insert(place, (tick, handle));
    }
    fn pop(&mut self, now: Ns) -> Option<u32> {
        let target = now.0 / SLOT.0;
        match self.held.first() {
            Some(&(tick, handle)) if target >= self.cursor && tick <= target => {
                self.cursor = tick;
                self.held.remove(0);
                Some(handle)
            }
            _ => {
                self.cursor = self.cursor.max(target);
                None
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// Put in a free handle so far ahead of now (negative: late).
    Insert(i64),
    /// Advance by so much and take out at most so many.
    Advance(u64, usize),
    /// The clock steps back, and something is asked for.
    Back(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (-20_000_i64..60_000).prop_map(Step::Insert),
        3 => (0_i64..20_000_000).prop_map(Step::Insert),
        2 => (0..HORIZON.0 as i64).prop_map(Step::Insert),
        4 => (0_u64..50_000, 0_usize..8).prop_map(|(by, room)| Step::Advance(by, room)),
        2 => (0_u64..30_000_000, 0_usize..40).prop_map(|(by, room)| Step::Advance(by, room)),
        1 => (0_u64..9_000_000_000, 0_usize..200).prop_map(|(by, room)| Step::Advance(by, room)),
        1 => (0_u64..100_000_000).prop_map(Step::Back),
    ]
}

const HANDLES: u32 = 200;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn agrees_with_a_sorted_list(start in 0_u64..1 << 50, steps in prop::collection::vec(step(), 1..300)) {
        let mut now = start;
        let mut wheel = Wheel::new(HANDLES, Ns(now));
        let mut oracle = Oracle { cursor: now / SLOT.0, held: Vec::new() };
        let mut free: Vec<u32> = (0..HANDLES).collect();
        for step in steps {
            match step {
                Step::Insert(ahead) => {
                    // A cursor that lags behind the clock shortens the horizon; stay within it.
                    let reach = Ns(oracle.cursor * SLOT.0) + HORIZON;
                    let at = Ns(now.saturating_add_signed(ahead)).min(reach);
                    if let Some(handle) = free.pop() {
                        wheel.insert(handle, at);
                        oracle.insert(handle, at);
                    }
                }
                Step::Advance(by, room) => {
                    now += by;
                    for _ in 0..room {
                        if let Some(due) = wheel.next_due() {
                            prop_assert!(due.0 <= oracle.held[0].0 * SLOT.0);
                        }
                        let handle = wheel.pop(Ns(now));
                        prop_assert_eq!(handle, oracle.pop(Ns(now)));
                        free.extend(handle);
                    }
                }
                Step::Back(by) => {
                    let earlier = Ns(now.saturating_sub(by));
                    let handle = wheel.pop(earlier);
                    prop_assert_eq!(handle, oracle.pop(earlier));
                    free.extend(handle);
                }
            }
            prop_assert_eq!(wheel.len() as usize, oracle.held.len());
        }
        // All come out in the end, once, and every chunk is back in the pool.
        now += HORIZON.0;
        while let Some(handle) = wheel.pop(Ns(now)) {
            prop_assert_eq!(Some(handle), oracle.pop(Ns(now)));
        }
        prop_assert!(wheel.is_empty() && oracle.held.is_empty() && wheel.next_due().is_none());
        prop_assert_eq!(free_chunks(&wheel), wheel.chunks.len());
    }
}

fn free_chunks(wheel: &Wheel) -> usize {
    let mut count = 0;
    let mut at = wheel.free;
    while at != NONE {
        count += 1;
        at = wheel.chunks[at as usize].next;
    }
    count
}

#[test]
fn every_handle_in_one_slot_and_every_handle_in_a_slot_of_its_own() {
    let count = 5_000;
    let mut wheel = Wheel::new(count, Ns::ZERO);
    for handle in 0..count {
        wheel.insert(handle, Ns(7 * SLOT.0));
    }
    for handle in 0..count {
        assert_eq!(wheel.pop(Ns(7 * SLOT.0)), Some(handle));
    }
    let from = Ns::from_secs(1);
    assert_eq!(wheel.pop(from), None);
    for handle in 0..count {
        wheel.insert(handle, from + Ns(u64::from(handle) * 400_000));
    }
    for handle in 0..count {
        let at = from + Ns(u64::from(handle) * 400_000);
        if !at.0.is_multiple_of(SLOT.0) {
            assert_eq!(wheel.pop(at), None, "never early");
        }
        assert_eq!(wheel.pop(at + SLOT), Some(handle), "at most a slot late");
    }
    assert!(wheel.is_empty());
}

#[test]
fn a_time_beyond_the_horizon_comes_out_no_later_than_it() {
    let mut wheel = Wheel::new(1, Ns::from_secs(5));
    wheel.insert(0, Ns::NEVER);
    assert_eq!(wheel.pop(Ns::from_secs(5) + HORIZON - Ns::from_millis(10)), None);
    assert_eq!(wheel.pop(Ns::from_secs(5) + HORIZON + Ns::from_millis(9)), Some(0));
}
