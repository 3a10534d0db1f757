//! The steering lane under the model checker: every interleaving and every reordering that C11 allows, up to a bound
//! on preemptions. Run with
//!
//! ```text
//! RUSTFLAGS="--cfg loom" cargo test -p weir-handoff --test loom_steer --release
//! ```
//!
//! The slots are cells that the model checker watches: a read that does not *happen after* the write of its element,
//! or a write that does not happen after the read of its predecessor, is reported as a race.
//!
//! That these tests can fail was seen by relaxing each of S1, S3, R1, R3 and both ends of `closed` in turn.
#![cfg(loom)]
#![allow(clippy::unwrap_used)]

use loom::model::Builder;
use loom::thread;
use weir_handoff::steer_lane;

const PREEMPTIONS: usize = 3;

fn explore(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(PREEMPTIONS);
    builder.check(model);
}

#[test]
fn bursts_arrive_whole_in_order_and_once_round_the_ring() {
    explore(|| {
        // Two slots and up to five elements: both ends go round.
        let (mut sender, mut receiver) = steer_lane::<Box<u32>>(2);
        let worker = thread::spawn(move || {
            let mut accepted = Vec::new();
            for number in 0..5 {
                if sender.push(Box::new(number)).is_ok() {
                    accepted.push(number);
                }
                if number % 2 == 1 {
                    sender.flush();
                }
            }
            accepted
        });
        let mut seen = Vec::new();
        for _ in 0..2 {
            receiver.take(2, |element| seen.push(*element));
            thread::yield_now();
        }
        let accepted = worker.join().unwrap();
        while receiver.take(1, |element| seen.push(*element)) > 0 {}
        assert_eq!(seen, accepted);
        assert!(receiver.is_over());
    });
}

#[test]
fn over_is_said_only_when_nothing_is_left() {
    explore(|| {
        let (mut sender, mut receiver) = steer_lane::<u32>(4);
        let worker = thread::spawn(move || {
            sender.push(1).unwrap();
            sender.flush();
            sender.push(2).unwrap();
            // Dropped here: shows the second, then closes.
        });
        let mut seen = 0;
        let over = receiver.is_over();
        seen += receiver.take(4, drop);
        if over {
            assert_eq!(seen, 0, "over, and yet there was something");
        }
        let over = receiver.is_over();
        let late = receiver.take(4, drop);
        assert!(!over || late == 0);
        seen += late;
        worker.join().unwrap();
        seen += receiver.take(4, drop);
        assert_eq!(seen, 2);
    });
}

#[test]
fn what_nobody_took_is_dropped_with_the_last_end() {
    explore(|| {
        let (mut sender, mut receiver) = steer_lane::<loom::sync::Arc<()>>(2);
        let counted = loom::sync::Arc::new(());
        let element = counted.clone();
        let worker = thread::spawn(move || {
            assert!(sender.push(element.clone()).is_ok() && sender.push(element).is_ok());
        });
        receiver.take(1, drop);
        drop(receiver);
        worker.join().unwrap();
        assert_eq!(loom::sync::Arc::strong_count(&counted), 1);
    });
}
