//! The epoch, step by step on one thread, against an oracle that knows exactly which values must be alive.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use weir_handoff::{RETIRED_MAX, epoch};

const READERS: usize = 3;

/// Versions whose values have not been dropped.
type Alive = Arc<Mutex<BTreeSet<u64>>>;

struct Counted {
    version: u64,
    alive: Alive,
}

impl Counted {
    fn new(version: u64, alive: &Alive) -> Counted {
        alive.lock().unwrap().insert(version);
        Counted { version, alive: alive.clone() }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        assert!(self.alive.lock().unwrap().remove(&self.version), "dropped once");
    }
}

#[derive(Clone, Debug)]
enum Step {
    Publish,
    Reclaim,
    Borrow(usize),
    Quiesce(usize),
    Offline(usize),
    Online(usize),
    Leave(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let reader = 0..READERS;
    prop_oneof![
        4 => Just(Step::Publish),
        2 => Just(Step::Reclaim),
        4 => reader.clone().prop_map(Step::Borrow),
        4 => reader.clone().prop_map(Step::Quiesce),
        1 => reader.clone().prop_map(Step::Offline),
        1 => reader.clone().prop_map(Step::Online),
        1 => (0..READERS * 8).prop_map(|n| if n < READERS { Step::Leave(n) } else { Step::Reclaim }),
    ]
}

/// What each reader has promised: `None` offline, else the version since which it may hold anything.
#[derive(Default)]
struct Oracle {
    live: u64,
    since: [Option<u64>; READERS],
    /// Versions replaced and not freed, oldest first.
    retired: Vec<u64>,
}

impl Oracle {
    /// A replaced version may go once every online reader has reported since its replacement was published.
    fn reclaim(&mut self) -> usize {
        let passed = self.since.iter().flatten().min().copied().unwrap_or(u64::MAX);
        let before = self.retired.len();
        self.retired.retain(|version| version + 1 > passed);
        before - self.retired.len()
    }
    fn alive(&self) -> BTreeSet<u64> {
        self.retired.iter().copied().chain([self.live]).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn the_epoch_frees_exactly_what_the_oracle_frees(steps in prop::collection::vec(step(), 1..80)) {
        let alive = Alive::default();
        let (mut publisher, readers) = epoch(Counted::new(0, &alive), READERS);
        let mut readers: Vec<_> = readers.into_iter().map(Some).collect();
        let mut oracle = Oracle::default();

        for step in steps {
            match step {
                Step::Publish => {
                    oracle.reclaim();
                    let version = oracle.live + 1;
                    match publisher.publish(Counted::new(version, &alive)) {
                        Ok(given) => {
                            prop_assert_eq!(given, version);
                            prop_assert!(oracle.retired.len() < RETIRED_MAX);
                            oracle.retired.push(oracle.live);
                            oracle.live = version;
                        }
                        Err(refused) => {
                            prop_assert_eq!(oracle.retired.len(), RETIRED_MAX);
                            prop_assert_eq!(refused.next.version, version);
                            prop_assert_eq!(refused.version, oracle.live);
                            prop_assert_eq!(oracle.since[refused.reader], Some(refused.passed));
                            prop_assert_eq!(oracle.since.iter().flatten().min(), Some(&refused.passed));
                        }
                    }
                }
                Step::Reclaim => prop_assert_eq!(publisher.reclaim(), oracle.reclaim()),
                Step::Borrow(index) => if let Some(reader) = &mut readers[index] {
                    let version = reader.borrow().version;
                    prop_assert_eq!(version, oracle.live);
                    prop_assert_eq!(reader.version(), version);
                    oracle.since[index].get_or_insert(oracle.live);
                },
                Step::Quiesce(index) => if let Some(reader) = &mut readers[index] {
                    reader.quiesce();
                    oracle.since[index] = oracle.since[index].map(|_| oracle.live);
                },
                Step::Offline(index) => if let Some(reader) = &mut readers[index] {
                    reader.offline();
                    oracle.since[index] = None;
                },
                Step::Online(index) => if let Some(reader) = &mut readers[index] {
                    reader.online();
                    oracle.since[index].get_or_insert(oracle.live);
                },
                Step::Leave(index) => {
                    readers[index] = None;
                    oracle.since[index] = None;
                }
            }
            prop_assert_eq!(publisher.version(), oracle.live);
            prop_assert_eq!(&*alive.lock().unwrap(), &oracle.alive());
        }
        drop(publisher);
        drop(readers);
        prop_assert!(alive.lock().unwrap().is_empty(), "the last handle frees the rest");
    }
}

#[test]
fn a_refusal_says_who_and_since_when() {
    let (mut publisher, mut readers) = epoch(0_u64, 2);
    readers[0].online();
    readers[1].online();
    for number in 1..=RETIRED_MAX as u64 {
        readers[0].quiesce();
        publisher.publish(number).unwrap();
    }
    let refused = publisher.publish(77).unwrap_err();
    assert_eq!((refused.reader, refused.passed, refused.next), (1, 0, 77));
    let said = refused.to_string();
    assert!(said.contains("reader 1") && said.contains("version 0"), "{said}");
    assert_eq!(*readers[1].borrow(), RETIRED_MAX as u64, "a refusal changes nothing");

    readers[1].quiesce();
    readers[0].quiesce();
    assert_eq!(publisher.publish(77).unwrap(), RETIRED_MAX as u64 + 1);
    assert_eq!(*readers[1].borrow(), 77);
}

#[test]
fn without_readers_nothing_is_held_back() {
    let (mut publisher, readers) = epoch(String::from("a"), 0);
    assert!(readers.is_empty());
    publisher.publish(String::from("b")).unwrap();
    assert_eq!(publisher.reclaim(), 1);
}
