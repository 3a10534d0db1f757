//! The epoch and the lanes on real threads and real memory, for well under a second each.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use weir_handoff::{RETIRED_MAX, epoch, lane};

/// Every word is the version; [`Drop`] overwrites them, so a value read after its end gives itself away.
struct Page {
    words: [AtomicU64; 64],
    live: Arc<AtomicU64>,
    home: thread::ThreadId,
}

const POISON: u64 = u64::MAX;

impl Page {
    fn new(version: u64, live: &Arc<AtomicU64>) -> Page {
        live.fetch_add(1, Ordering::Relaxed);
        Page {
            words: std::array::from_fn(|_| AtomicU64::new(version)),
            live: live.clone(),
            home: thread::current().id(),
        }
    }
    fn version(&self) -> u64 {
        let first = self.words[0].load(Ordering::Relaxed);
        for word in &self.words {
            assert_eq!(word.load(Ordering::Relaxed), first, "torn or freed");
        }
        assert_ne!(first, POISON);
        first
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        assert_eq!(thread::current().id(), self.home, "freed on the publisher's thread");
        for word in &self.words {
            word.store(POISON, Ordering::Relaxed);
        }
        self.live.fetch_sub(1, Ordering::Relaxed);
    }
}

#[test]
fn readers_at_full_speed_never_meet_a_freed_value() {
    const PUBLICATIONS: u64 = 40_000;
    let live = Arc::new(AtomicU64::new(0));
    let (mut publisher, readers) = epoch(Page::new(0, &live), 3);
    let stop = Arc::new(AtomicBool::new(false));
    // Everybody is online before the first publication.
    let start = Arc::new(Barrier::new(readers.len() + 1));

    let workers: Vec<_> = readers
        .into_iter()
        .map(|mut reader| {
            let (stop, start) = (stop.clone(), start.clone());
            thread::spawn(move || {
                reader.online();
                start.wait();
                let (mut last, mut seen, mut turns) = (0, 0_u64, 0_u64);
                while !stop.load(Ordering::Relaxed) {
                    let version = reader.borrow().version();
                    assert!(version >= last, "versions never go back");
                    seen += u64::from(version != last);
                    last = version;
                    turns += 1;
                    // Each reader has habits of its own: one is always online, one naps often, one seldom.
                    match reader.index() {
                        1 if turns.is_multiple_of(3) => reader.offline(),
                        2 if turns.is_multiple_of(1_000) => reader.offline(),
                        _ => reader.quiesce(),
                    }
                    // More threads than cores: let the publisher run.
                    if turns.is_multiple_of(64) {
                        thread::yield_now();
                    }
                }
                seen
            })
        })
        .collect();

    let mut refused = 0_u64;
    start.wait();
    for version in 1..=PUBLICATIONS {
        let mut next = Page::new(version, &live);
        while let Err(back) = publisher.publish(next) {
            refused += 1;
            next = back.next;
            // More threads than cores: let the laggard run.
            thread::yield_now();
        }
    }
    stop.store(true, Ordering::Relaxed);
    let seen: Vec<u64> = workers.into_iter().map(|worker| worker.join().unwrap()).collect();
    publisher.reclaim();
    assert_eq!(publisher.version(), PUBLICATIONS);
    assert_eq!(live.load(Ordering::Relaxed), 1, "all but the live value are freed ({refused} refusals)");
    // The first reader never goes offline, so it must report at least every RETIRED_MAX + 1 publications, and it
    // borrows between two reports. Two borrows in a row may show one version: the pointer moves before the token.
    assert!(seen[0] >= PUBLICATIONS / (2 * (RETIRED_MAX as u64 + 1)) - 1, "{seen:?}");
    drop(publisher);
    assert_eq!(live.load(Ordering::Relaxed), 0);
}

#[test]
fn what_was_pushed_was_received_or_dropped() {
    const PUSHED: u64 = 400_000;
    let (mut sender, mut receiver) = lane::<u64>(4, 64);
    let worker = thread::spawn(move || {
        let mut refused = 0;
        for number in 0..PUSHED {
            refused += u64::from(sender.push(number).is_err());
            if number % 1_000 == 0 {
                sender.flush();
            }
        }
        assert_eq!(refused, sender.dropped());
        refused
    });
    let (mut received, mut next) = (0_u64, 0_u64);
    let mut take = |received: &mut u64| {
        let shown = receiver.drain(100, |number| {
            assert!(*number >= next, "order is kept across drops");
            next = number + 1;
        });
        *received += shown as u64;
        shown
    };
    while !worker.is_finished() {
        if take(&mut received) == 0 {
            thread::yield_now();
        }
    }
    while take(&mut received) > 0 {}
    let dropped = worker.join().unwrap();
    assert_eq!(received + dropped, PUSHED);
    assert!(received > 0);
}
