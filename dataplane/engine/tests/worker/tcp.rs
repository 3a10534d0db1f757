//! A TCP sender and receiver, as far as a link and a pacer can tell: slow start, Reno, selective repair, a timeout.

use super::frames::{ACK, Say};
use std::collections::{BTreeMap, VecDeque};
use weir_engine::time::Ns;

pub(crate) const MSS: u32 = 1_448;

/// What an acknowledgement says to a sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Heard {
    pub(crate) ack: u32,
    pub(crate) echo: u32,
    pub(crate) sack: [(u32, u32); 3],
}

/// The sending half of a flow that always has data.
#[derive(Debug)]
pub(crate) struct Sender {
    pub(crate) flow: u16,
    pub(crate) una: u32,
    next: u32,
    /// Bytes in flight at most; grows and shrinks unless the sender is a fixed one.
    pub(crate) window: f64,
    adapts: bool,
    threshold: f64,
    /// One per segment from `una` to `next`.
    outstanding: VecDeque<Outstanding>,
    /// Transmissions so far, and the latest one that has arrived.
    order: u64,
    arrived: u64,
    /// While repairing: all below must be acknowledged before the window may shrink again.
    recover: Option<u32>,
    pub(crate) timeout_at: Ns,
    rtt: Ns,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outstanding {
    /// On its way since this transmission.
    Sent(u64),
    Lost,
    Arrived,
}

impl Sender {
    /// A sender that behaves like Reno. Its window goes up to 4 MB.
    pub(crate) fn reno(flow: u16, start: u32) -> Sender {
        Sender {
            flow,
            una: start,
            next: start,
            window: f64::from(10 * MSS),
            adapts: true,
            threshold: f64::MAX,
            outstanding: VecDeque::new(),
            order: 0,
            arrived: 0,
            recover: None,
            timeout_at: Ns::NEVER,
            rtt: Ns::from_millis(100),
        }
    }

    /// A sender that keeps `window` bytes in flight, whatever happens.
    pub(crate) fn fixed(flow: u16, start: u32, window: u32) -> Sender {
        Sender { window: f64::from(window), adapts: false, ..Sender::reno(flow, start) }
    }

    /// The segments that may leave now: repairs first, then new data, as far as the window goes.
    pub(crate) fn poll(&mut self, now: Ns, mut send: impl FnMut(Say)) {
        let timestamp = (now.0 / 1_000_000) as u32;
        let mut pipe = self.outstanding.iter().filter(|one| matches!(one, Outstanding::Sent(_))).count();
        while ((pipe + 1) * MSS as usize) as f64 <= self.window {
            self.order += 1;
            let index = self.outstanding.iter().position(|one| *one == Outstanding::Lost);
            let index = index.unwrap_or(self.outstanding.len());
            if index == self.outstanding.len() {
                self.outstanding.push_back(Outstanding::Lost);
                self.next = self.next.wrapping_add(MSS);
            }
            self.outstanding[index] = Outstanding::Sent(self.order);
            let seq = self.una.wrapping_add(index as u32 * MSS);
            let payload = MSS as usize;
            send(Say {
                flow: self.flow,
                seq,
                ack: 1,
                payload,
                flags: ACK,
                timestamp,
                echo: 1,
                ..Say::default()
            });
            pipe += 1;
        }
        if self.timeout_at == Ns::NEVER && !self.outstanding.is_empty() {
            self.timeout_at = now + self.patience();
        }
    }

    fn patience(&self) -> Ns {
        Ns(self.rtt.0 * 3).max(Ns::from_millis(200))
    }

    fn on_arrival(&mut self, one: Outstanding) {
        if let Outstanding::Sent(order) = one {
            self.arrived = self.arrived.max(order);
        }
    }

    pub(crate) fn on_ack(&mut self, heard: Heard, now: Ns) {
        let advance = heard.ack.wrapping_sub(self.una);
        if advance > 0 && advance < 1 << 30 {
            for _ in 0..advance / MSS {
                let one = self.outstanding.pop_front().expect("what is acknowledged was sent");
                self.on_arrival(one);
            }
            self.una = heard.ack;
            self.rtt = Ns(((now.0 / 1_000_000).saturating_sub(u64::from(heard.echo)) + 1) * 1_000_000);
            self.timeout_at = if self.outstanding.is_empty() { Ns::NEVER } else { now + self.patience() };
            if self.recover.is_none_or(|recover| !after(recover, heard.ack)) {
                self.recover = None;
                if self.adapts {
                    let acked = f64::from(advance);
                    let slow = f64::from(MSS) * acked / self.window;
                    self.window += if self.window < self.threshold { acked } else { slow };
                    self.window = self.window.min(4e6);
                }
            }
        }
        for (start, end) in heard.sack {
            if start != end && !after(self.una, start) {
                let range = start.wrapping_sub(self.una) / MSS..end.wrapping_sub(self.una) / MSS;
                for index in range {
                    let one = core::mem::replace(&mut self.outstanding[index as usize], Outstanding::Arrived);
                    self.on_arrival(one);
                }
            }
        }
        // Lost is what was sent three transmissions or more before something that has arrived (as RACK, RFC 8985).
        let mut lost = false;
        for one in &mut self.outstanding {
            if matches!(one, Outstanding::Sent(order) if *order + 3 <= self.arrived) {
                *one = Outstanding::Lost;
                lost = true;
            }
        }
        if lost && self.recover.is_none() {
            self.recover = Some(self.next);
            self.shrink(self.window / 2.0);
        }
    }

    fn shrink(&mut self, window: f64) {
        if self.adapts {
            self.threshold = (self.window / 2.0).max(f64::from(2 * MSS));
            self.window = window.max(f64::from(2 * MSS));
        }
    }

    pub(crate) fn on_timeout(&mut self, now: Ns) {
        if now < self.timeout_at || self.outstanding.is_empty() {
            return;
        }
        for one in &mut self.outstanding {
            if *one != Outstanding::Arrived {
                *one = Outstanding::Lost;
            }
        }
        self.recover = Some(self.next);
        self.shrink(0.0);
        self.timeout_at = now + self.patience();
    }
}

fn after(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) > 0
}

/// The receiving half: acknowledges every segment.
#[derive(Debug)]
pub(crate) struct Receiver {
    pub(crate) next: u32,
    pub(crate) delivered: u64,
    beyond: BTreeMap<u32, u32>,
}

impl Receiver {
    pub(crate) fn new(start: u32) -> Receiver {
        Receiver { next: start, delivered: 0, beyond: BTreeMap::new() }
    }

    /// A segment has arrived; the answer.
    pub(crate) fn on_data(&mut self, seq: u32, payload: u32, timestamp: u32) -> Heard {
        if !after(self.next, seq) {
            self.beyond.insert(seq, payload);
        }
        while let Some(payload) = self.beyond.remove(&self.next) {
            self.next = self.next.wrapping_add(payload);
            self.delivered += u64::from(payload);
        }
        Heard { ack: self.next, echo: timestamp, sack: self.runs(seq) }
    }

    /// The run around `seq`, and the two highest others: enough for the sender to learn of all in time.
    fn runs(&self, seq: u32) -> [(u32, u32); 3] {
        let mut runs: Vec<(u32, u32)> = Vec::new();
        for (start, payload) in &self.beyond {
            match runs.last_mut() {
                Some((_, end)) if *end == *start => *end = start.wrapping_add(*payload),
                _ => runs.push((*start, start.wrapping_add(*payload))),
            }
        }
        runs.sort_by_key(|(start, end)| (*start > seq || seq >= *end, u32::MAX - start));
        let mut told = [(0, 0); 3];
        told.iter_mut().zip(runs).for_each(|(slot, run)| *slot = run);
        told
    }
}
