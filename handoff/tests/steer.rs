//! The steering lanes' promises, one by one; the interleavings are the model checker's (`loom_steer.rs`).
#![cfg(not(loom))]
#![allow(clippy::unwrap_used)]

use std::rc::Rc;
use weir_handoff::steer_lane;

#[test]
fn elements_arrive_in_order_after_the_flush_and_not_before() {
    let (mut sender, mut receiver) = steer_lane(4);
    let mut seen = Vec::new();
    for round in 0..10 {
        sender.push(2 * round).unwrap();
        sender.push(2 * round + 1).unwrap();
        assert_eq!((receiver.take(9, |_| unreachable!()), receiver.waiting()), (0, 0));
        sender.flush();
        assert_eq!(receiver.waiting(), 2);
        while receiver.take(1, |element| seen.push(element)) > 0 {}
    }
    assert_eq!(seen, (0..20).collect::<Vec<_>>());
}

#[test]
fn a_full_lane_hands_back_and_takes_again_once_there_is_room() {
    let (mut sender, mut receiver) = steer_lane(3);
    let taken = (0..9).filter(|number| sender.push(*number).is_ok()).count();
    assert_eq!(taken, 4, "rounded up to a power of two");
    assert_eq!(sender.push(100), Err(100));
    sender.flush();
    assert_eq!(receiver.take(1, |element| assert_eq!(element, 0)), 1);
    sender.push(101).unwrap();
    assert_eq!(sender.push(102), Err(102));
}

#[test]
fn a_closed_lane_is_over_once_it_is_empty() {
    let (mut sender, mut receiver) = steer_lane(4);
    sender.push(7).unwrap();
    assert!(!receiver.is_over());
    drop(sender);
    assert!(!receiver.is_over(), "an element is left");
    assert_eq!(receiver.take(4, drop), 1);
    assert!(receiver.is_over());
}

#[test]
fn every_element_is_dropped_once_wherever_it_was() {
    let element = Rc::new(());
    let (mut sender, mut receiver) = steer_lane(4);
    for _ in 0..3 {
        sender.push(Rc::clone(&element)).unwrap();
    }
    sender.flush();
    receiver.take(1, drop);
    // Not visible yet when the sender goes: its drop shows it, and the ring's own drop finds it.
    sender.push(Rc::clone(&element)).unwrap();
    assert_eq!(Rc::strong_count(&element), 4);
    drop(receiver);
    drop(sender);
    assert_eq!(Rc::strong_count(&element), 1);
}

#[test]
fn a_reader_that_unwinds_loses_only_the_element_that_it_held() {
    let (mut sender, mut receiver) = steer_lane(4);
    for number in 0..4 {
        sender.push(number).unwrap();
    }
    sender.flush();
    let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        receiver.take(4, |element| assert_ne!(element, 1));
    }));
    assert!(unwound.is_err());
    let mut seen = Vec::new();
    receiver.take(4, |element| seen.push(element));
    assert_eq!(seen, [2, 3]);
}

#[test]
fn two_threads_pass_a_million_elements_without_loss() {
    const COUNT: u64 = 1_000_000;
    let (mut sender, mut receiver) = steer_lane(512);
    let worker = std::thread::spawn(move || {
        let mut number = 0;
        while number < COUNT {
            for _ in 0..32 {
                if number < COUNT && sender.push(Box::new(number)).is_ok() {
                    number += 1;
                }
            }
            sender.flush();
            std::thread::yield_now();
        }
    });
    let mut expected = 0;
    while !receiver.is_over() {
        let taken = receiver.take(32, |element| {
            assert_eq!(*element, expected);
            expected += 1;
        });
        if taken == 0 {
            std::thread::yield_now();
        }
    }
    worker.join().unwrap();
    assert_eq!(expected, COUNT);
}
