//! The epoch under the model checker: every interleaving and every reordering that C11 allows, up to a bound on
//! preemptions. Run with
//!
//! ```text
//! RUSTFLAGS="--cfg loom" cargo test -p weir-handoff --test loom --release
//! ```
//!
//! A value here is a [`Canary`] whose life is a cell that the model checker watches. Dropping the canary writes
//! the cell; a reader reads it for as long as it may hold the canary. A free that does not *happen after* those
//! reads is reported as a race even where, in that one order, it came late enough; a free before them fails the
//! assertion. The reader keeps the cell alive by itself, so a free in the midst of a burst is a clean failure; a
//! free before the burst picks the value up may end in a stray read, which kills the test as well.
//!
//! That these tests can fail was seen by breaking `epoch.rs` in turn: P1 and P2 swapped; either fence left out;
//! each of P1, P2, P4, R1, R2, R3 and the report on drop relaxed; freeing at once, or one token too early. Every
//! one of the twelve was caught.
#![cfg(loom)]
// The canary looks into the model checker's cell, which hands out raw pointers.
#![allow(unsafe_code, clippy::unwrap_used)]

use loom::cell::UnsafeCell;
use loom::model::Builder;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;
use std::sync::Arc;
use weir_handoff::{RETIRED_MAX, Reader, epoch};

/// Three forced preemptions find every published example of a bug of this size; the switches at the end of a
/// thread come on top.
const PREEMPTIONS: usize = 3;

fn explore(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(PREEMPTIONS);
    builder.check(model);
}

struct Life(UnsafeCell<bool>);
// SAFETY: the model checker serialises the threads, and reports any pair of accesses that it had to.
unsafe impl Send for Life {}
// SAFETY: as above.
unsafe impl Sync for Life {}

impl Life {
    fn check(&self) {
        // SAFETY: the pointer is to the cell's own content.
        self.0.with(|alive| assert!(unsafe { *alive }, "used after it was freed"));
    }
}

struct Canary {
    number: u64,
    // The plain `Arc`: the model checker must not take its counting for synchronisation.
    life: Arc<Life>,
}

impl Canary {
    fn new(number: u64) -> Canary {
        Canary { number, life: Arc::new(Life(UnsafeCell::new(true))) }
    }
}

impl Drop for Canary {
    fn drop(&mut self) {
        // SAFETY: the pointer is to the cell's own content.
        self.life.0.with_mut(|alive| unsafe { *alive = false });
    }
}

/// One burst: pick the value up, use it at the start and at the end. Returns its number.
fn burst(reader: &mut Reader<Canary>) -> u64 {
    let canary = reader.borrow();
    let life = canary.life.clone();
    let number = canary.number;
    life.check();
    thread::yield_now();
    life.check();
    number
}

#[test]
fn a_reader_never_sees_a_freed_value_through_two_publications() {
    explore(|| {
        let (mut publisher, mut readers) = epoch(Canary::new(0), 1);
        let mut reader = readers.remove(0);
        let worker = thread::spawn(move || {
            let first = burst(&mut reader);
            reader.quiesce();
            let second = burst(&mut reader);
            assert!(first <= second, "versions never go back");
            assert_eq!(reader.version(), second);
        });
        assert_eq!(publisher.publish(Canary::new(1)).unwrap(), 1);
        publisher.reclaim();
        assert_eq!(publisher.publish(Canary::new(2)).unwrap(), 2);
        publisher.reclaim();
        worker.join().unwrap();
        // Its reader is gone: nothing can hold the old ones back any more.
        publisher.reclaim();
        assert_eq!(publisher.reclaim(), 0);
    });
}

#[test]
fn a_value_is_freed_only_after_every_reader_has_passed() {
    explore(|| {
        let (mut publisher, readers) = epoch(Canary::new(0), 2);
        let passed = Arc::new([AtomicBool::new(false), AtomicBool::new(false)]);
        let workers: Vec<_> = readers
            .into_iter()
            .map(|mut reader| {
                let passed = passed.clone();
                // Online before the publication, so that it has to wait for both.
                reader.online();
                thread::spawn(move || {
                    burst(&mut reader);
                    // Relaxed: visible to the publisher only through the report that follows.
                    passed[reader.index()].store(true, Ordering::Relaxed);
                    reader.quiesce();
                })
            })
            .collect();
        publisher.publish(Canary::new(1)).unwrap();
        let freed = publisher.reclaim();
        if freed > 0 {
            assert!(
                passed.iter().all(|passed| passed.load(Ordering::Relaxed)),
                "freed before a reader passed"
            );
        }
        for worker in workers {
            worker.join().unwrap();
        }
        assert_eq!(freed + publisher.reclaim(), 1);
    });
}

#[test]
fn an_offline_reader_does_not_hold_a_value_back() {
    explore(|| {
        let (mut publisher, mut readers) = epoch(Canary::new(0), 2);
        let mut reader = readers.remove(0);
        let worker = thread::spawn(move || {
            burst(&mut reader);
            reader.offline();
            reader
        });
        let reader = worker.join().unwrap();
        // `reader` has been online and is offline, the other has never been online.
        publisher.publish(Canary::new(1)).unwrap();
        assert_eq!(publisher.reclaim(), 1);
        drop((reader, readers));
    });
}

#[test]
fn coming_online_during_a_publication_is_safe() {
    explore(|| {
        let (mut publisher, mut readers) = epoch(Canary::new(0), 1);
        let mut reader = readers.remove(0);
        let worker = thread::spawn(move || {
            burst(&mut reader);
            reader.offline();
            burst(&mut reader);
        });
        publisher.publish(Canary::new(1)).unwrap();
        publisher.reclaim();
        worker.join().unwrap();
    });
}

#[test]
fn a_refused_publication_names_the_laggard_and_changes_nothing() {
    explore(|| {
        let (mut publisher, mut readers) = epoch(Canary::new(0), 2);
        readers[0].online();
        let mut stuck = readers.pop().unwrap();
        let worker = thread::spawn(move || {
            burst(&mut stuck);
            stuck
        });
        for number in 1..=RETIRED_MAX as u64 {
            readers[0].quiesce();
            publisher.publish(Canary::new(number)).unwrap();
        }
        readers[0].quiesce();
        // The worker may not have come online yet, or only with a recent value; then there is nothing to refuse.
        match publisher.publish(Canary::new(99)) {
            Ok(version) => assert_eq!(version, RETIRED_MAX as u64 + 1),
            Err(refused) => {
                assert_eq!(refused.reader, 1);
                assert_eq!(refused.version, RETIRED_MAX as u64);
                assert!(refused.passed <= refused.version);
                assert_eq!(refused.next.number, 99);
                refused.next.life.check();
            }
        }
        let mut stuck = worker.join().unwrap();
        stuck.quiesce();
        readers[0].quiesce();
        publisher.publish(Canary::new(100)).unwrap();
        assert_eq!(burst(&mut stuck), 100);
    });
}

#[test]
fn what_the_publisher_leaves_behind_outlives_its_readers() {
    explore(|| {
        let (mut publisher, mut readers) = epoch(Canary::new(0), 1);
        let mut reader = readers.remove(0);
        reader.online();
        let worker = thread::spawn(move || {
            burst(&mut reader);
            reader.quiesce();
            burst(&mut reader);
        });
        publisher.publish(Canary::new(1)).unwrap();
        drop(publisher);
        worker.join().unwrap();
    });
}
