//! The shared token bucket under the model checker. Run with
//!
//! ```text
//! RUSTFLAGS="--cfg loom" cargo test -p weir-handoff --test loom_budget --release
//! ```
//!
//! That this test can fail was seen with a load and a store in the place of the compare and exchange.
#![cfg(loom)]
#![allow(clippy::unwrap_used)]

use loom::thread;
use weir_handoff::Budget;

#[test]
fn no_token_is_granted_twice_and_none_is_lost() {
    loom::model(|| {
        let budget = Budget::new();
        let takers: Vec<_> = (0..2)
            .map(|_| {
                let budget = budget.clone();
                thread::spawn(move || (0..2).filter(|_| budget.take(1_000, 10, 3)).count())
            })
            .collect();
        let granted: usize = takers.into_iter().map(|taker| taker.join().unwrap()).sum();
        assert_eq!(granted, 3);
    });
}

#[test]
fn no_two_reservations_are_of_the_same_time() {
    loom::model(|| {
        let budget = Budget::new();
        let takers: Vec<_> = (0..2)
            .map(|_| {
                let budget = budget.clone();
                thread::spawn(move || [0, 0].map(|_| budget.reserve(1_000, 10, 10)))
            })
            .collect();
        let mut times: Vec<u64> = takers.into_iter().flat_map(|taker| taker.join().unwrap()).collect();
        times.sort_unstable();
        assert_eq!(times, [1_000, 1_010, 1_020, 1_030]);
    });
}
