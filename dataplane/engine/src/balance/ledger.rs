//! What has departed of each paced datagram flow, and what probes say became of it.
//!
//! What a datagram's receiver acknowledges nobody else can read (QUIC) or says nothing at all. But a path is probed, so: *the answer
//! to a probe acknowledges what departed before it on its path.*
//!
//! ```text
//!   departs:      | 1 200 | 1 200 | probe 7 | 1 200 | 1 200 | 1 200 | probe 8 |
//!   entries:        2 400, decided by 7       3 600, decided by 8
//!   7 answered:     2 400 delivered but for the share that the path has lost, RTT of probe 7
//!   8 lost, 9 answered: 3 600 and what followed, with the share and the RTT of 9
//! ```
//!
//! An answer is heard once, whatever number of flows it is about; each flow takes from it what concerns it when it is looked at.
//! Of a path that is found to be down, everything that is not decided is lost.

use super::config::PATHS_MAX;
use super::measure::Loss;
use crate::time::Ns;
use crate::track::Acked;

/// Probes under way at a time that a flow tells apart. With more, what departs joins the newest, and is decided with that.
const ENTRIES: usize = 16;
/// Rulings remembered of a path: flows are looked at within some turns of one.
const RULINGS: usize = 8;

const _: () = assert!(ENTRIES > PATHS_MAX);

/// A datagram of a paced flow, as it departs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Datagram {
    /// Which flow's.
    pub(crate) slot: u32,
    /// Its length, the path's header aside.
    pub(crate) bytes: u32,
}

/// What answers say of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Settled {
    /// What has become of what it had sent.
    pub(crate) acked: Acked,
    /// The path that it sends by is down.
    pub(crate) fallen: bool,
}

/// Bytes on their way.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    /// 0: a free place.
    bytes: u32,
    /// The number of the probe that left next on the path.
    probe: u32,
    path: u8,
}

#[derive(Clone, Copy, Debug, Default)]
struct Account {
    entries: [Entry; ENTRIES],
    newest: u8,
    /// The path that its last datagram went by.
    path: u8,
}

/// What became of all that departed before a probe and after the last one of which this is known.
#[derive(Clone, Copy, Debug)]
struct Ruling {
    probe: u32,
    loss: Loss,
    /// `None`: nothing came back, the path is down.
    rtt: Option<Ns>,
}

/// The last rulings of one path, and how many there were.
#[derive(Clone, Copy, Debug)]
struct Rulings {
    last: [Ruling; RULINGS],
    count: usize,
}

/// The accounts of all paced datagram flows of a worker.
#[derive(Debug)]
pub(crate) struct Ledger {
    accounts: Box<[Account]>,
    paths: [Rulings; PATHS_MAX],
    has_news: bool,
}

impl Rulings {
    const NONE: Rulings =
        Rulings { last: [Ruling { probe: 0, loss: Loss { lost: 0, of: 1 }, rtt: None }; RULINGS], count: 0 };

    /// Oldest first.
    fn iter(&self) -> impl Iterator<Item = &Ruling> {
        (self.count.saturating_sub(RULINGS)..self.count).map(|nth| &self.last[nth % RULINGS])
    }

    /// The first that decides what departed before this probe.
    fn on(&self, probe: u32) -> Option<&Ruling> {
        self.iter().find(|ruling| reaches(ruling.probe, probe))
    }

    /// Takes note of a ruling, unless it has been overtaken. Whether it did.
    fn add(&mut self, ruling: Ruling) -> bool {
        let last = self.count.checked_sub(1).map(|last| self.last[last % RULINGS]);
        if last.is_some_and(|last| reaches(last.probe, ruling.probe)) {
            return false;
        }
        self.last[self.count % RULINGS] = ruling;
        self.count += 1;
        true
    }
}

/// Whether probe `a` is `b` or a later one, modulo 2^32.
fn reaches(a: u32, b: u32) -> bool {
    a.wrapping_sub(b) <= u32::MAX / 2
}

impl Ledger {
    /// Room for this many flows. Everything is allocated here.
    pub(super) fn new(flows: u32) -> Ledger {
        Ledger {
            accounts: weir_cpu::large_slice(flows as usize, |_| Account::default()),
            paths: [Rulings::NONE; PATHS_MAX],
            has_news: false,
        }
    }

    /// Another flow begins in this place.
    pub(crate) fn open(&mut self, slot: u32) {
        if let Some(account) = self.accounts.get_mut(slot as usize) {
            *account = Account::default();
        }
    }

    /// A datagram departs by `path`, on which probe number `probe` is the next to leave.
    #[inline]
    pub(super) fn on_departed(&mut self, datagram: Datagram, path: usize, probe: u32) {
        let Some(account) = self.accounts.get_mut(datagram.slot as usize) else { return };
        let path = path as u8;
        account.path = path;
        let Account { entries, newest, .. } = account;
        let same = |entry: &Entry| entry.bytes > 0 && (entry.path, entry.probe) == (path, probe);
        let place = match entries.get(usize::from(*newest)) {
            Some(entry) if same(entry) => Some(usize::from(*newest)),
            _ => entries
                .iter()
                .position(same)
                .or_else(|| entries.iter().position(|entry| entry.bytes == 0))
                .or_else(|| youngest(entries, path))
                .or_else(|| merge(entries)),
        };
        let Some((place, entry)) = place.and_then(|at| Some((at, entries.get_mut(at)?))) else { return };
        *entry = Entry { bytes: entry.bytes.saturating_add(datagram.bytes), probe, path };
        *newest = place as u8;
    }

    /// A probe has been answered: of what departed before it this share was lost.
    pub(super) fn on_answer(&mut self, path: usize, probe: u32, loss: Loss, rtt: Ns) {
        self.rule(path, Ruling { probe, loss, rtt: Some(rtt) });
    }

    /// The path is down, and this the last probe that has been sent.
    pub(super) fn on_fall(&mut self, path: usize, probe: u32) {
        self.rule(path, Ruling { probe, loss: Loss { lost: 1, of: 1 }, rtt: None });
    }

    fn rule(&mut self, path: usize, ruling: Ruling) {
        if self.accounts.is_empty() {
            return;
        }
        if let Some(rulings) = self.paths.get_mut(path) {
            self.has_news |= rulings.add(ruling);
        }
    }

    /// Whether there was a ruling since this was asked last.
    pub(crate) fn take_news(&mut self) -> bool {
        core::mem::take(&mut self.has_news)
    }

    /// What rulings say of a flow that it has not been told; `None` where they say nothing.
    pub(crate) fn settle(&mut self, slot: u32) -> Option<Settled> {
        let Account { entries, path: current, .. } = self.accounts.get_mut(slot as usize)?;
        let mut settled = Settled { acked: Acked::default(), fallen: false };
        let mut any = false;
        for entry in entries.iter_mut().filter(|entry| entry.bytes > 0) {
            let Some(ruling) = self.paths.get(usize::from(entry.path)).and_then(|path| path.on(entry.probe))
            else {
                continue;
            };
            any = true;
            let bytes = core::mem::take(&mut entry.bytes);
            let Loss { lost, of } = ruling.loss;
            let lost = (u64::from(bytes) * u64::from(lost.min(of)) / u64::from(of.max(1))) as u32;
            let acked = &mut settled.acked;
            acked.lost_bytes = acked.lost_bytes.saturating_add(lost);
            acked.delivered_bytes = acked.delivered_bytes.saturating_add(bytes - lost);
            // The RTT of a path that the flow has left tells nothing of its present one.
            if entry.path == *current {
                settled.fallen |= ruling.rtt.is_none();
                acked.rtt_ns = ruling.rtt.map(|rtt| rtt.0).or(acked.rtt_ns);
            }
        }
        any.then_some(settled)
    }
}

/// Where the bytes of this path are that departed last.
fn youngest(entries: &[Entry; ENTRIES], path: u8) -> Option<usize> {
    let of_path = |at: &usize| entries[*at].bytes > 0 && entries[*at].path == path;
    let later = |a: usize, b: usize| if reaches(entries[b].probe, entries[a].probe) { b } else { a };
    (0..ENTRIES).filter(of_path).reduce(later)
}

/// Frees a place: what departed by some path before two of its probes is decided by the later one. There are more places than paths.
fn merge(entries: &mut [Entry; ENTRIES]) -> Option<usize> {
    let twins = (0..ENTRIES).find_map(|a| {
        let twin = (a + 1..ENTRIES).find(|b| entries[*b].path == entries[a].path)?;
        Some(if reaches(entries[twin].probe, entries[a].probe) { (a, twin) } else { (twin, a) })
    });
    let (earlier, later) = twins?;
    let bytes = core::mem::take(&mut entries[earlier].bytes);
    entries[later].bytes = entries[later].bytes.saturating_add(bytes);
    Some(earlier)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NO_LOSS: Loss = Loss { lost: 0, of: 100 };
    const RTT: Ns = Ns::from_millis(10);

    fn ledger(departures: &[(usize, u32, u32)]) -> Ledger {
        let mut ledger = Ledger::new(2);
        for &(path, probe, bytes) in departures {
            ledger.on_departed(Datagram { slot: 1, bytes }, path, probe);
        }
        ledger
    }

    fn told(ledger: &mut Ledger) -> Option<(u32, u32, Option<u64>, bool)> {
        let Settled { acked, fallen } = ledger.settle(1)?;
        Some((acked.delivered_bytes, acked.lost_bytes, acked.rtt_ns, fallen))
    }

    #[test]
    fn an_answer_acknowledges_what_departed_before_its_probe() {
        let mut ledger = ledger(&[(0, 7, 1_200), (0, 7, 1_200), (0, 8, 3_600)]);
        assert_eq!((told(&mut ledger), ledger.take_news()), (None, false));
        ledger.on_answer(0, 7, NO_LOSS, RTT);
        assert!(ledger.take_news() && !ledger.take_news());
        assert_eq!(told(&mut ledger), Some((2_400, 0, Some(RTT.0), false)));
        assert_eq!(told(&mut ledger), None);
        ledger.on_answer(0, 8, Loss { lost: 1, of: 100 }, RTT);
        assert_eq!(told(&mut ledger), Some((3_564, 36, Some(RTT.0), false)));
    }

    #[test]
    fn the_next_answered_probe_decides_for_a_lost_one() {
        let mut ledger = ledger(&[(0, 7, 1_000), (0, 8, 1_000), (0, 10, 1_000)]);
        ledger.on_answer(0, 9, Loss { lost: 1, of: 2 }, RTT);
        assert_eq!(told(&mut ledger), Some((1_000, 1_000, Some(RTT.0), false)));
        // Overtaken, it decides nothing any more.
        ledger.on_answer(0, 8, NO_LOSS, RTT);
        assert_eq!(told(&mut ledger), None);
    }

    #[test]
    fn each_of_two_answers_decides_its_own_though_the_flow_was_not_looked_at() {
        let mut ledger = ledger(&[(0, 7, 1_000), (0, 8, 1_000)]);
        ledger.on_answer(0, 7, Loss { lost: 1, of: 1 }, RTT);
        ledger.on_answer(0, 8, NO_LOSS, Ns(5));
        assert_eq!(told(&mut ledger), Some((1_000, 1_000, Some(5), false)));
    }

    #[test]
    fn what_departed_on_a_path_is_decided_by_its_probes_after_the_flow_has_left() {
        let mut ledger = ledger(&[(0, 7, 1_000), (1, 3, 500)]);
        ledger.on_answer(0, 7, NO_LOSS, RTT);
        assert_eq!(told(&mut ledger), Some((1_000, 0, None, false)), "no RTT of the path that it is on");
        ledger.on_answer(1, 3, NO_LOSS, RTT);
        assert_eq!(told(&mut ledger), Some((500, 0, Some(RTT.0), false)));
    }

    #[test]
    fn on_a_path_that_is_down_all_is_lost() {
        let mut ledger = ledger(&[(0, 7, 1_000), (0, 9, 500)]);
        ledger.on_fall(0, 9);
        assert_eq!(told(&mut ledger), Some((0, 1_500, None, true)));
        ledger.on_departed(Datagram { slot: 1, bytes: 100 }, 0, 10);
        ledger.on_departed(Datagram { slot: 1, bytes: 100 }, 1, 1);
        ledger.on_fall(0, 10);
        assert_eq!(told(&mut ledger), Some((0, 100, None, false)), "it has left");
    }

    #[test]
    fn a_place_is_another_flows_after_it_was_opened() {
        let mut ledger = ledger(&[(0, 7, 1_000)]);
        ledger.open(1);
        ledger.on_answer(0, 7, NO_LOSS, RTT);
        assert_eq!(told(&mut ledger), None);
    }

    #[test]
    fn more_probes_under_way_than_are_told_apart_decide_later() {
        let numbers = u32::MAX - 10..=u32::MAX;
        let departures: Vec<_> = numbers.chain(0..14).map(|probe| (0, probe, 100)).collect();
        let mut ledger = ledger(&departures);
        ledger.on_answer(0, 3, NO_LOSS, RTT);
        assert_eq!(told(&mut ledger), Some((1_500, 0, Some(RTT.0), false)), "fifteen are told apart");
        ledger.on_answer(0, 13, NO_LOSS, RTT);
        assert_eq!(told(&mut ledger), Some((1_000, 0, Some(RTT.0), false)), "the rest went with the newest");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever paths a flow takes and whatever is answered: no byte is told twice, and in the end all of them are.
        #[test]
        fn each_byte_is_told_once(
            steps in prop::collection::vec((0..3_usize, 0..5_u8, 1..9_000_u32, 0..101_u32), 1..300),
        ) {
            let mut ledger = Ledger::new(1);
            let (mut next, mut sent, mut decided) = ([u32::MAX - 20; PATHS_MAX], 0_u64, 0_u64);
            let mut settle = |ledger: &mut Ledger| {
                let acked = ledger.settle(0).map(|settled| settled.acked).unwrap_or_default();
                decided += u64::from(acked.delivered_bytes) + u64::from(acked.lost_bytes);
                decided
            };
            for (path, kind, bytes, lost) in steps {
                match kind {
                    0 | 1 => {
                        ledger.on_departed(Datagram { slot: 0, bytes }, path, next[path]);
                        sent += u64::from(bytes);
                    }
                    2 => next[path] = next[path].wrapping_add(1),
                    3 => ledger.on_answer(path, next[path].wrapping_sub(lost), Loss { lost, of: 100 }, RTT),
                    _ => ledger.on_fall(path, next[path].wrapping_sub(1)),
                }
                prop_assert!(settle(&mut ledger) <= sent);
            }
            for (path, next) in next.into_iter().enumerate() {
                ledger.on_answer(path, next.wrapping_add(200), NO_LOSS, RTT);
            }
            prop_assert_eq!(settle(&mut ledger), sent);
        }
    }
}
