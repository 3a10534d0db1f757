//! The shared token bucket: what it grants, to one and to many.
#![cfg(not(loom))]

use proptest::prelude::*;
use std::sync::atomic::{AtomicU64, Ordering};
use weir_handoff::Budget;

/// Ten milliseconds a token, five at once.
const TOKEN_NS: u64 = 10_000_000;
const MAX: u64 = 5;

fn granted(budget: &Budget, now_ns: u64) -> u64 {
    (0..100).filter(|_| budget.take(now_ns, TOKEN_NS, MAX)).count() as u64
}

#[test]
fn a_burst_then_the_rate_and_full_again_after_a_rest() {
    let budget = Budget::new();
    assert_eq!(granted(&budget, 7_000_000_000), MAX);
    assert_eq!(granted(&budget, 7_009_999_999), 0);
    assert_eq!(granted(&budget, 7_030_000_000), 3);
    assert_eq!(granted(&budget, 3_600_000_000_000), MAX);
}

#[test]
fn a_clock_that_is_a_little_behind_gets_nothing_extra() {
    let budget = Budget::new();
    assert_eq!(granted(&budget, 7_000_000_000), MAX);
    assert_eq!(granted(&budget, 6_999_000_000), 0);
}

proptest! {
    /// Over any stretch of time, whoever takes: no more than a full bucket and what grows back.
    #[test]
    fn never_more_than_the_rate(steps in prop::collection::vec((0..40_000_000_u64, 0..4_usize), 1..200)) {
        let budget = Budget::new();
        let sharers = [budget.clone(), budget];
        let (mut now, mut taken) = (1_000_000_000, Vec::new());
        for (step, tries) in steps {
            now += step;
            taken.extend((0..tries).filter(|at| sharers[at % 2].take(now, TOKEN_NS, MAX)).map(|_| now));
        }
        for (first, from) in taken.iter().enumerate() {
            for (last, to) in taken.iter().enumerate().skip(first) {
                let count = (last - first) as u64 + 1;
                prop_assert!(count <= MAX + (to - from) / TOKEN_NS, "{count} from {from} to {to}");
            }
        }
    }
}

#[test]
fn what_is_spent_varies_and_one_knows_when_there_is_enough() {
    let (budget, start) = (Budget::new(), 1_000_000);
    assert!(budget.spend(start, 700, 1_000) && budget.spend(start, 300, 1_000), "a full bucket");
    assert!(!budget.spend(start, 1, 1_000));
    assert_eq!(budget.ready_at(250, 1_000), start + 250);
    assert!(!budget.spend(start + 249, 250, 1_000) && budget.spend(start + 250, 250, 1_000));
    assert!(!budget.spend(start + 1_000_000, 1_001, 1_000), "never there");
    assert!(budget.ready_at(1_000, 1_000) <= start + 1_250, "full again by then, and no fuller later");
    assert!(budget.spend(start + 1_000_000, 1_000, 1_000) && !budget.spend(start + 1_000_000, 1, 1_000));
}

#[test]
fn a_reservation_is_a_time_that_nobody_else_gets() {
    let (budget, start) = (Budget::new(), 1_000_000);
    assert_eq!([0; 3].map(|_| budget.reserve(start, 400, 1_000)), [start - 600, start - 200, start + 200]);
    assert!(!budget.spend(start + 199, 1, 1_000), "what is reserved is taken");
    assert_eq!(budget.reserve(start + 5_000, 400, 1_000), start + 5_000 - 600, "full again, and no fuller");
    assert_eq!(budget.reserve(start + 5_000, 3_000, 1_000), start + 5_000 + 2_400, "more than fits waits");
}

proptest! {
    /// Over any stretch of time, what is acted on at its time, or as soon as it is taken, is no more than the depth and what
    /// grows back.
    #[test]
    fn reservations_keep_the_rate(steps in prop::collection::vec((0..3_000_u64, 1..2_000_u64), 1..200)) {
        const DEPTH: u64 = 2_500;
        let budget = Budget::new();
        let (mut now, mut acted) = (1_000_000, Vec::new());
        for (step, cost) in steps {
            now += step;
            acted.push((budget.reserve(now, cost, DEPTH).max(now), cost));
        }
        for (first, (from, _)) in acted.iter().enumerate() {
            let mut sum = 0;
            for (at, cost) in &acted[first..] {
                sum += cost;
                prop_assert!(sum <= DEPTH + (at - from), "{sum} from {from} to {at}");
            }
        }
    }
}

#[test]
fn many_threads_get_together_what_one_would() {
    let (budget, total) = (Budget::new(), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for step in 0..10_000_u64 {
                    // 10 000 steps of 1 ms: a thousand tokens grow back.
                    let got = budget.take(1_000_000_000 + step * 1_000_000, TOKEN_NS, MAX);
                    total.fetch_add(u64::from(got), Ordering::Relaxed);
                }
            });
        }
    });
    // Each thread alone takes every token; together no more than there are.
    let total = total.into_inner();
    assert!((1_000..=1_000 + MAX).contains(&total), "{total}");
}
