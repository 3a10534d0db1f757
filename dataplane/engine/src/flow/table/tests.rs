use super::*;
use crate::hash::FlowHasher;
use proptest::prelude::*;
use std::collections::HashMap;

fn key(flow: u32) -> Tuple {
    let mut key = Tuple::default();
    key.source.address[..4].copy_from_slice(&flow.to_be_bytes());
    key.destination.port = 443;
    key
}

/// Fills a table with flows 0, 1, ... until it refuses one; returns how many it took.
fn fill(table: &mut Table<u32>, hasher: &FlowHasher) -> usize {
    for flow in 0.. {
        if table.insert(hasher.hash(&key(flow)), &key(flow), flow).is_err() {
            break;
        }
    }
    table.len()
}

#[test]
fn nine_tenths_fit_before_the_first_refusal() {
    // 1 638 and 52 428 make exactly 4/5 of a power of two: the tightest index that the table ever builds.
    for flows_max in [1, 7, 100, 1_638, 10_000, 52_428, 65_536] {
        for seed in 0..4 {
            let hasher = FlowHasher::new(seed);
            let mut table = Table::<u32>::new(flows_max);
            let taken = fill(&mut table, &hasher);
            assert!(taken * 10 >= table.capacity() * 9, "seed {seed}: {taken} of {flows_max}");
            for flow in 0..taken as u32 {
                let id = table.find(hasher.hash(&key(flow)), &key(flow)).unwrap();
                assert_eq!((table.get(id), table.key(id)), (Some(&flow), Some(&key(flow))));
            }
        }
    }
}

#[test]
fn a_full_table_refuses_and_changes_nothing() {
    let hasher = FlowHasher::new(1);
    let mut table = Table::<u32>::new(64);
    let taken = fill(&mut table, &hasher) as u32;
    let hash = hasher.hash(&key(taken));
    assert_eq!(table.insert(hash, &key(taken), taken), Err(Full));
    assert_eq!(table.find(hash, &key(taken)), None);
    assert_eq!(table.len(), taken as usize);
    let id = table.find(hasher.hash(&key(0)), &key(0)).unwrap();
    assert_eq!(table.remove(id), Some(0));
    assert!(table.insert(hash, &key(taken), taken).is_ok(), "room again");
}

#[test]
fn an_id_does_not_reach_the_next_tenant_of_its_slot() {
    let hasher = FlowHasher::new(1);
    let mut table = Table::<u32>::new(1);
    let old = table.insert(hasher.hash(&key(1)), &key(1), 1).unwrap();
    assert_eq!(table.remove(old), Some(1));
    assert_eq!((table.get(old), table.hash(old), table.key(old)), (None, None, None));
    assert_eq!(table.remove(old), None);
    let new = table.insert(hasher.hash(&key(2)), &key(2), 2).unwrap();
    assert_eq!((table.get(old), table.key(old)), (None, None));
    assert_eq!(table.get_mut(old), None);
    assert_eq!(table.get(new), Some(&2));
}

#[test]
fn the_sweep_sees_each_slot_once_a_round_and_takes_only_what_is_over() {
    let hasher = FlowHasher::new(1);
    let mut table = Table::<u32>::new(100);
    let taken = fill(&mut table, &hasher) as u32;
    let mut gone = Vec::new();
    for _ in 0..10 {
        let seen = std::cell::Cell::new(0);
        table.sweep(
            10,
            |flow| {
                seen.set(seen.get() + 1);
                flow % 3 == 0
            },
            |id, flow| gone.push((id, flow)),
        );
        assert!(seen.get() <= 10);
    }
    gone.sort_by_key(|(_, flow)| *flow);
    let expected: Vec<u32> = (0..taken).filter(|flow| flow % 3 == 0).collect();
    assert_eq!(gone.iter().map(|(_, flow)| *flow).collect::<Vec<_>>(), expected);
    assert!(gone.iter().all(|(id, _)| table.get(*id).is_none()));
    assert_eq!(table.len(), taken as usize - expected.len());
}

#[test]
fn hash_collisions_are_told_apart_by_key() {
    let mut table = Table::<u32>::new(64);
    // One hash for all, whose two buckets are the same: eight ways are all that they can have.
    for flow in 0..8 {
        table.insert(0, &key(flow), flow).unwrap();
    }
    assert_eq!(table.insert(0, &key(8), 8), Err(Full));
    for flow in 0..8 {
        let id = table.find(0, &key(flow)).unwrap();
        assert_eq!(table.get(id), Some(&flow));
    }
    assert_eq!(table.find(0, &key(8)), None);
}

#[derive(Clone, Debug)]
enum Op {
    Insert(u32),
    Remove(u32),
    Set(u32, u32),
    Sweep(usize, u32),
}

fn op() -> impl Strategy<Value = Op> {
    let flow = 0..160u32;
    prop_oneof![
        5 => flow.clone().prop_map(Op::Insert),
        3 => flow.clone().prop_map(Op::Remove),
        1 => (flow, any::<u32>()).prop_map(|(flow, value)| Op::Set(flow, value)),
        1 => (0..40usize, 2..9u32).prop_map(|(slots, divisor)| Op::Sweep(slots, divisor)),
    ]
}

proptest! {
    #[test]
    fn agrees_with_a_hash_map(
        ops in prop::collection::vec(op(), 0..400),
        seed: u64,
        // Few distinct hashes make every displacement and second bucket happen.
        hash_mask in prop_oneof![Just(u64::MAX), Just(0x0007_0000_0007_0000_u64 | 0xff), Just(0xffff_0003_0000_0003_u64)],
    ) {
        let hasher = FlowHasher::new(seed);
        let hash = |flow: u32| hasher.hash(&key(flow)) & hash_mask;
        let mut table = Table::<u32>::new(102);
        let mut oracle = HashMap::new();
        for op in ops {
            match op {
                Op::Insert(flow) => {
                    if table.find(hash(flow), &key(flow)).is_none()
                        && let Ok(id) = table.insert(hash(flow), &key(flow), flow)
                    {
                        oracle.insert(flow, (id, flow));
                    }
                }
                Op::Remove(flow) => {
                    let id = table.find(hash(flow), &key(flow));
                    let removed = id.and_then(|id| table.remove(id));
                    prop_assert_eq!(removed, oracle.remove(&flow).map(|(_, value)| value));
                }
                Op::Set(flow, value) => {
                    if let Some((id, kept)) = oracle.get_mut(&flow) {
                        *table.get_mut(*id).unwrap() = value;
                        *kept = value;
                    }
                }
                Op::Sweep(slots, divisor) => {
                    let mut gone = Vec::new();
                    table.sweep(slots, |value| value % divisor == 0, |id, value| gone.push((id, value)));
                    for entry in gone {
                        prop_assert_eq!(entry.1 % divisor, 0);
                        oracle.retain(|_, kept| *kept != entry);
                    }
                }
            }
            prop_assert_eq!(table.len(), oracle.len());
        }
        for flow in 0..160 {
            let id = table.find(hash(flow), &key(flow));
            prop_assert_eq!(id.and_then(|id| table.get(id)).copied(), oracle.get(&flow).map(|kept| kept.1));
            prop_assert_eq!(id, oracle.get(&flow).map(|kept| kept.0));
            table.prefetch(hash(flow));
            table.prefetch_entry(hash(flow));
        }
        let sent_away: u32 = table.buckets.iter().map(|bucket| bucket.sent_away).sum();
        let away = oracle.values().filter(|(id, _)| {
            let hash = table.hash(*id).unwrap();
            table.locate(hash, id.slot()).unwrap().0 != table.first_bucket(hash)
        });
        prop_assert_eq!(sent_away as usize, away.count());
    }
}
