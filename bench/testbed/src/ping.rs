//! Echo requests beside the traffic: the path's round trip as a stranger to every flow sees it.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use nix::sys::signal::Signal;

use crate::interrupt::Interrupt;
use crate::measure::Point;
use crate::netns::Netns;
use crate::process::Process;

/// A running `ping`, 20 requests a second.
#[derive(Debug)]
pub struct Ping(Process);

impl Ping {
    /// Starts it.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(from: &Netns, to: &str, logs: &Path, cpu: usize) -> Result<Ping> {
        Ok(Ping(from.spawn("ping", logs, Some(cpu), &["ping", "-n", "-D", "-i", "0.05", to])?))
    }

    /// Stops it; the round trips in ms, timed in seconds after `start`.
    ///
    /// # Errors
    /// It does not stop, or its output cannot be read.
    pub fn finish(mut self, start: SystemTime, interrupt: &Interrupt) -> Result<Vec<Point>> {
        self.0.signal(Signal::SIGINT)?;
        self.0.wait(Duration::from_secs(5), interrupt)?;
        let start_s = start.duration_since(UNIX_EPOCH).context("the clock is before 1970")?.as_secs_f64();
        Ok(parse(&self.0.output()?, start_s))
    }
}

/// Reads `[1700000000.25] 64 bytes from ...: icmp_seq=1 ttl=64 time=20.3 ms`; other lines are prose.
fn parse(text: &str, start_s: f64) -> Vec<Point> {
    let reply = |line: &str| {
        let (stamp, rest) = line.strip_prefix('[')?.split_once(']')?;
        let trip = rest.split_once("time=")?.1.split(' ').next()?;
        Some(Point { at_s: stamp.parse::<f64>().ok()? - start_s, value: trip.parse().ok()? })
    };
    text.lines().filter_map(reply).collect()
}

/// Whether `to` answers at all within `span`, which also fills the neighbour caches before anything is measured.
///
/// # Errors
/// A signal came, or `ping` cannot be run.
pub fn reaches(from: &Netns, to: &str, logs: &Path, span: Duration, interrupt: &Interrupt) -> Result<bool> {
    let deadline = span.as_secs().max(1).to_string();
    let words = ["ping", "-n", "-c", "1", "-i", "0.1", "-w", &deadline, to];
    let mut ping = from.spawn("reach", logs, None, &words)?;
    Ok(ping.wait(span + Duration::from_secs(2), interrupt)?.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_read_and_prose_is_not() {
        let text = "PING 10.9.0.2 (10.9.0.2) 56(84) bytes of data.\n\
                    [1700000001.500000] 64 bytes from 10.9.0.2: icmp_seq=1 ttl=64 time=20.3 ms\n\
                    [1700000002.000000] no answer yet for icmp_seq=2\n\n--- statistics ---\n";
        assert_eq!(parse(text, 1_700_000_000.0), [Point { at_s: 1.5, value: 20.3 }]);
    }
}
