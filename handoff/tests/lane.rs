//! The lanes' promises, one by one.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::rc::Rc;
use weir_handoff::lane;

/// Counts this thread's allocations: pushing must not make any.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// The counting allocator is the one use of `unsafe` here.
#[allow(unsafe_code)]
// SAFETY: passes every call on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // Fails only while the thread ends, when nothing is counted any more.
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise about `layout` is the one that `System` asks for.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as in `alloc`; `pointer` came from `System`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn drain_all<T: Clone>(receiver: &mut weir_handoff::LaneReceiver<T>, limit: usize) -> Vec<T> {
    let mut out = Vec::new();
    while receiver.drain(limit, |element| out.push(element.clone())) > 0 {}
    out
}

#[test]
fn elements_arrive_in_order_whatever_the_limit() {
    for limit in [1, 2, 3, 5, 7, 100] {
        let (mut sender, mut receiver) = lane(4, 3);
        for number in 0..10 {
            sender.push(number).unwrap();
        }
        assert_eq!(
            drain_all(&mut receiver, limit),
            (0..9).collect::<Vec<_>>(),
            "the tenth is still being filled"
        );
        sender.flush();
        sender.flush();
        assert_eq!(drain_all(&mut receiver, limit), [9]);
        assert_eq!(sender.dropped(), 0);
    }
}

#[test]
fn the_limit_holds_inside_a_batch() {
    let (mut sender, mut receiver) = lane(1, 8);
    for number in 0..8 {
        sender.push(number).unwrap();
    }
    let mut seen = Vec::new();
    assert_eq!(receiver.drain(0, |_| unreachable!()), 0);
    assert_eq!(receiver.drain(5, |number| seen.push(*number)), 5);
    assert_eq!(sender.push(8), Err(8), "a batch half read is still the receiver's");
    assert_eq!(receiver.drain(5, |number| seen.push(*number)), 3);
    assert_eq!(sender.push(9), Ok(()));
    assert_eq!(seen, (0..8).collect::<Vec<_>>());
    assert_eq!(sender.dropped(), 1);
}

#[test]
fn a_batch_that_has_come_back_is_used_before_one_that_never_was() {
    let (mut sender, mut receiver) = lane(64, 4);
    let mut places = std::collections::HashSet::new();
    for number in 0..400_u64 {
        sender.push(number).unwrap();
        receiver.drain(1, |element| {
            places.insert(std::ptr::from_ref(element));
        });
    }
    // One batch is being read while the next is being filled.
    assert_eq!(places.len(), 2 * 4);
}

#[test]
fn a_full_lane_hands_the_element_back_and_counts_it() {
    let (mut sender, mut receiver) = lane(2, 4);
    let refused: Vec<_> = (0..20).filter_map(|number| sender.push(number).err()).collect();
    assert_eq!(refused, (8..20).collect::<Vec<_>>());
    assert_eq!(sender.dropped(), 12);
    assert_eq!(drain_all(&mut receiver, 3), (0..8).collect::<Vec<_>>());
    sender.push(20).unwrap();
    sender.flush();
    assert_eq!(drain_all(&mut receiver, 3), [20]);
}

#[test]
fn nothing_is_allocated_after_the_lane_is_made() {
    let (mut sender, mut receiver) = lane::<[u64; 16]>(8, 32);
    let before = ALLOCATIONS.get();
    let mut sum = 0;
    for round in 0..50_u64 {
        // More than fits, so that the refusals are covered too.
        for number in 0..300 {
            let _ = sender.push([round + number; 16]);
        }
        sender.flush();
        while receiver.drain(17, |element| sum += element[15]) > 0 {}
    }
    assert_eq!(ALLOCATIONS.get(), before);
    assert!(sum > 0 && sender.dropped() > 0);
}

#[test]
fn a_sender_outlives_its_receiver_and_counts_what_is_lost() {
    let (mut sender, receiver) = lane(2, 4);
    drop(receiver);
    for number in 0..10 {
        sender.push(number).unwrap();
    }
    assert_eq!(sender.dropped(), 8, "two more are in the batch being filled");
    sender.flush();
    assert_eq!(sender.dropped(), 10);
}

#[test]
fn a_batch_half_full_arrives_when_the_sender_stops() {
    let (mut sender, mut receiver) = lane(2, 4);
    for number in 0..6 {
        sender.push(number).unwrap();
    }
    drop(sender);
    assert_eq!(drain_all(&mut receiver, 100), [0, 1, 2, 3, 4, 5]);
    assert_eq!(receiver.drain(1, |_| ()), 0);
}

#[test]
fn every_element_is_dropped_once() {
    let token = Rc::new(());
    let (mut sender, mut receiver) = lane(2, 2);
    for _ in 0..7 {
        let _ = sender.push(token.clone());
    }
    assert_eq!(Rc::strong_count(&token), 5, "refused ones are the caller's to drop");
    receiver.drain(3, |_| ());
    drop((sender, receiver));
    assert_eq!(Rc::strong_count(&token), 1);
}

#[test]
fn a_lane_of_nothing_is_a_lane_of_one() {
    let (mut sender, mut receiver) = lane(0, 0);
    sender.push('a').unwrap();
    assert_eq!(sender.push('b'), Err('b'));
    assert_eq!(drain_all(&mut receiver, 9), ['a']);
}
