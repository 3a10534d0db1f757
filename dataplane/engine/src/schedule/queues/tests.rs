use super::*;
use proptest::prelude::*;
use std::collections::VecDeque;

const WAIT_MAX: Ns = Ns(1_000);

fn waiting(frame: u32) -> Waiting<u32> {
    Waiting { frame, verdict: Verdict::Forwarded, hop: Hop::NONE, cost_bytes: frame }
}

#[test]
fn the_most_urgent_leaves_first_and_each_queue_in_order() {
    let mut queues = Queues::new(64);
    for (priority, frame) in [(3, 1), (0, 2), (7, 3), (0, 4), (3, 5)] {
        queues.push(priority, waiting(frame), Ns(5)).unwrap();
    }
    let mut left = Vec::new();
    while let Some((priority, cost)) = queues.next(Ns(6), WAIT_MAX) {
        let frame = queues.pop(priority).unwrap().frame;
        assert_eq!(cost, frame);
        left.push(frame);
    }
    assert_eq!(left, [2, 4, 1, 5, 3]);
    assert_eq!(queues.len(), 0);
}

#[test]
fn what_has_waited_long_goes_first_the_oldest_before_others() {
    let mut queues = Queues::new(64);
    queues.push(7, waiting(1), Ns(0)).unwrap();
    queues.push(6, waiting(2), Ns(10)).unwrap();
    queues.push(0, waiting(3), Ns(20)).unwrap();
    assert_eq!(queues.next(Ns(1_000), WAIT_MAX), Some((0, 3)), "not longer than that yet");
    assert_eq!(queues.next(Ns(1_015), WAIT_MAX), Some((7, 1)));
    assert!(queues.is_ahead_by_age(7));
    queues.pop(7);
    assert_eq!(queues.next(Ns(1_011), WAIT_MAX), Some((6, 2)));
    queues.pop(6);
    assert_eq!(queues.next(Ns(2_000), WAIT_MAX), Some((0, 3)));
    assert!(!queues.is_ahead_by_age(0));
}

#[test]
fn no_queue_shuts_out_another() {
    let mut queues = Queues::new(64);
    let fill = |queues: &mut Queues<u32>, priority| {
        (0..).take_while(|_| queues.push(priority, waiting(1), Ns(0)).is_ok()).count()
    };
    assert_eq!(fill(&mut queues, 7), 36, "its own four, and the 32 for all");
    for priority in 0..7 {
        assert_eq!(fill(&mut queues, priority), 4, "its own");
    }
    assert_eq!(queues.len(), 64);
    queues.pop(7);
    assert_eq!(fill(&mut queues, 0), 1, "what another gave back of the common part");
    assert_eq!(queues.push(8, waiting(1), Ns(0)), Err(1), "no such priority");
}

proptest! {
    /// Against a plain list: the same frames leave in the same order, and tickets say who has left.
    #[test]
    fn queues_do_what_a_list_would(
        steps in prop::collection::vec((0_u8..10, 0_u64..400), 1..300),
        max in 1_u32..80,
    ) {
        let mut queues = Queues::new(max);
        let mut oracle: [VecDeque<(u32, Ns)>; PRIORITIES] = Default::default();
        let mut tickets = Vec::new();
        let mut now = Ns(0);
        for (frame, (what, wait)) in (0_u32..).zip(steps) {
            now += Ns(wait);
            if usize::from(what) < PRIORITIES {
                match queues.push(what, waiting(frame), now) {
                    Ok(ticket) => {
                        oracle[usize::from(what)].push_back((frame, now));
                        tickets.push((what, ticket, frame));
                    }
                    Err(refused) => {
                        prop_assert_eq!(refused, frame);
                        let len = oracle[usize::from(what)].len() as u32;
                        prop_assert!(len >= queues.reserve, "refused within its own part");
                    }
                }
            } else {
                let aged = |queue: &VecDeque<(u32, Ns)>| queue.front().is_some_and(|(_, at)| now - *at > WAIT_MAX);
                let mut wanted = oracle.iter().position(|queue| !queue.is_empty());
                for (priority, queue) in oracle.iter().enumerate() {
                    let older = wanted.is_some_and(|wanted| {
                        priority > wanted && queue.front().is_some_and(|(_, at)| *at < oracle[wanted][0].1)
                    });
                    if older && aged(queue) {
                        wanted = Some(priority);
                    }
                }
                let found = queues.next(now, WAIT_MAX).map(|(priority, _)| usize::from(priority));
                prop_assert_eq!(found, wanted);
                if let Some(priority) = wanted {
                    let (frame, _) = oracle[priority].pop_front().unwrap();
                    prop_assert_eq!(queues.pop(priority as u8).map(|waiting| waiting.frame), Some(frame));
                }
            }
            let len: usize = oracle.iter().map(VecDeque::len).sum();
            prop_assert_eq!(queues.len() as usize, len);
            for (priority, ticket, frame) in &tickets {
                let waits = oracle[usize::from(*priority)].iter().any(|(waiting, _)| waiting == frame);
                prop_assert_eq!(queues.has_left(*priority, *ticket), !waits);
            }
        }
    }
}
