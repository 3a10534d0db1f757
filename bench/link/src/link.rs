//! Two pipes, a schedule, and the report of both.

use serde::Serialize;

use crate::pipe::{Counters, Delivered, Pipe};
use crate::rng::SplitMix64;
use crate::settings::{Change, Direction, Scheduled, Settings};

/// Both directions of a link.
#[derive(Debug)]
pub struct Link {
    pipes: [Pipe; 2],
    /// Changes to come, soonest last.
    schedule: Vec<(u64, Change)>,
}

/// One direction at one moment. Counters count from the start.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct DirectionReport {
    /// The configured rate, bit/s.
    pub rate_bps: Option<u64>,
    /// Bytes that wait for the wire.
    pub queue_bytes: u64,
    /// How long a frame that arrived now would wait for the wire, ns.
    pub queue_ns: u64,
    /// Everything counted so far.
    #[serde(flatten)]
    pub counters: Counters,
}

/// Both directions at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The moment, in ns of the caller's clock.
    pub at_ns: u64,
    /// From tap `a` to tap `b`.
    pub up: DirectionReport,
    /// From tap `b` to tap `a`.
    pub down: DirectionReport,
}

impl Link {
    /// A link that starts at `now`; `schedule` counts from there. Each direction draws from its own stream of
    /// `seed`.
    pub fn new(now: u64, settings: [Settings; 2], seed: u64, schedule: &[Scheduled]) -> Self {
        let mut link = Link {
            pipes: Direction::ALL.map(|direction| {
                Pipe::new(settings[direction as usize], SplitMix64::new(seed, direction as u64))
            }),
            schedule: Vec::new(),
        };
        for scheduled in schedule {
            link.schedule(now + scheduled.after_ns, scheduled.change.clone());
        }
        link
    }

    /// A frame enters.
    pub fn push(&mut self, direction: Direction, now: u64, frame: Vec<u8>) {
        self.run_schedule(now);
        self.pipes[direction as usize].push(now, frame);
    }

    /// The next frame that leaves by `now`.
    pub fn pop(&mut self, direction: Direction, now: u64) -> Option<Delivered> {
        self.run_schedule(now);
        self.pipes[direction as usize].pop(now)
    }

    /// The next moment at which something happens by itself.
    pub fn next_event(&self) -> Option<u64> {
        let change = self.schedule.last().map(|(at, _)| *at);
        self.pipes.iter().filter_map(Pipe::next_event).chain(change).min()
    }

    /// Applies a change at `now`.
    pub fn change(&mut self, now: u64, change: &Change) {
        for direction in Direction::ALL.into_iter().filter(|&direction| change.target.includes(direction)) {
            let pipe = &mut self.pipes[direction as usize];
            let mut settings = *pipe.settings();
            change.settings.iter().for_each(|&setting| settings.set(setting));
            pipe.reconfigure(now, settings);
        }
    }

    /// Applies a change later, at `at`. Of two for the same moment, the one that was scheduled first goes first.
    pub fn schedule(&mut self, at: u64, change: Change) {
        let index = self.schedule.partition_point(|(other, _)| *other > at);
        // Equal moments sit soonest-last too: insert before them.
        self.schedule.insert(index, (at, change));
    }

    /// The settings of one direction.
    pub fn settings(&self, direction: Direction) -> &Settings {
        self.pipes[direction as usize].settings()
    }

    /// Both directions as they stand at `now`.
    pub fn report(&mut self, now: u64) -> Report {
        self.run_schedule(now);
        let [up, down] = &mut self.pipes;
        let of = |pipe: &mut Pipe| DirectionReport {
            rate_bps: pipe.settings().rate_bps,
            queue_bytes: pipe.queue_bytes(now),
            queue_ns: pipe.queue_ns(now),
            counters: *pipe.counters(),
        };
        Report { at_ns: now, up: of(up), down: of(down) }
    }

    /// Applies what is due, each change at its own moment rather than at `now`.
    fn run_schedule(&mut self, now: u64) {
        while let Some((at, change)) = self.schedule.pop_if(|(at, _)| *at <= now) {
            self.change(at, &change);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn rates(link: &mut Link, now: u64) -> [Option<u64>; 2] {
        let report = link.report(now);
        [report.up.rate_bps, report.down.rate_bps]
    }

    #[test]
    fn scheduled_changes_apply_in_order_and_on_time() {
        let schedule: Vec<Scheduled> = ["20ms up rate=2Mbps", "10ms both rate=1Mbps", "20ms up rate=3Mbps"]
            .map(|text| text.parse().unwrap())
            .into();
        let mut link = Link::new(5 * MS, [Settings::default(); 2], 1, &schedule);
        let start = Settings::default().rate_bps;
        assert_eq!(link.next_event(), Some(15 * MS));
        assert_eq!(rates(&mut link, 15 * MS - 1), [start, start]);
        assert_eq!(rates(&mut link, 15 * MS), [Some(1_000_000); 2]);
        assert_eq!(rates(&mut link, 30 * MS), [Some(3_000_000), Some(1_000_000)]);
        assert_eq!(link.next_event(), None);
    }

    #[test]
    fn a_change_seen_late_still_acts_at_its_moment() {
        // Two frames of 1 250 B at 10 Mb/s take 1 ms each; at 0.5 ms the link falls to 1 Mb/s. The frame on the
        // wire ends at 1 ms, the second takes 10 ms from there, although nobody looked in between.
        let settings = Settings { rate_bps: Some(10_000_000), delay_ns: 0, ..Settings::default() };
        let mut link = Link::new(0, [settings; 2], 1, &[]);
        link.schedule(MS / 2, "up rate=1Mbps".parse().unwrap());
        link.push(Direction::Up, 0, vec![0; 1_250]);
        link.push(Direction::Up, 0, vec![0; 1_250]);
        let due: Vec<u64> =
            std::iter::from_fn(|| link.pop(Direction::Up, 50 * MS)).map(|frame| frame.due_ns).collect();
        assert_eq!(due, [MS, 11 * MS]);
    }

    #[test]
    fn directions_do_not_share_a_queue_or_a_loss_pattern() {
        let settings = Settings { rate_bps: None, delay_ns: 0, loss: 0.5, ..Settings::default() };
        let mut link = Link::new(0, [settings; 2], 7, &[]);
        let pattern = |link: &mut Link, direction| {
            (0..256)
                .map(|now| {
                    link.push(direction, now, vec![0; 60]);
                    link.pop(direction, now).is_some()
                })
                .collect::<Vec<bool>>()
        };
        let up = pattern(&mut link, Direction::Up);
        let mut again = Link::new(0, [settings; 2], 7, &[]);
        assert_ne!(up, pattern(&mut again, Direction::Down));
        assert_eq!(up, pattern(&mut again, Direction::Up), "the other direction's frames do not disturb it");
    }
}
