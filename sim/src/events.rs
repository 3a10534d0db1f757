//! What happens next.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use weir_engine::time::Ns;

/// Events in order of their time, and those of one time in the order in which they were scheduled. That order is all that
/// decides what happens first, so a run depends on nothing but its seed.
#[derive(Debug)]
pub struct EventQueue<E> {
    heap: BinaryHeap<Reverse<Entry<E>>>,
    serial: u64,
}

#[derive(Debug)]
struct Entry<E> {
    at: Ns,
    serial: u64,
    event: E,
}

impl<E> EventQueue<E> {
    /// An empty queue.
    pub fn new() -> EventQueue<E> {
        EventQueue { heap: BinaryHeap::new(), serial: 0 }
    }

    /// Adds an event.
    pub fn schedule(&mut self, at: Ns, event: E) {
        self.serial += 1;
        self.heap.push(Reverse(Entry { at, serial: self.serial, event }));
    }

    /// The first event and its time, unless it comes after `until`.
    pub fn next(&mut self, until: Ns) -> Option<(Ns, E)> {
        if self.heap.peek()?.0.at > until {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| (entry.at, entry.event))
    }

    /// Events that wait.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }
}

impl<E> Default for EventQueue<E> {
    fn default() -> Self {
        EventQueue::new()
    }
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.serial) == (other.at, other.serial)
    }
}
impl<E> Eq for Entry<E> {}
impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<E> Ord for Entry<E> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.serial).cmp(&(other.at, other.serial))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_time_and_then_the_order_of_scheduling() {
        let mut queue = EventQueue::new();
        for (at, name) in [(5, 'c'), (3, 'a'), (5, 'd'), (4, 'b')] {
            queue.schedule(Ns(at), name);
        }
        assert_eq!(queue.next(Ns(2)), None);
        let order: String = std::iter::from_fn(|| queue.next(Ns(9))).map(|(_, name)| name).collect();
        assert_eq!(order, "abcd");
        assert!(queue.is_empty());
    }
}
