//! What a direction of the link is told, and the one grammar for telling it: `both rate=50Mbps delay=5ms`. The
//! command line, the schedule and the control socket all speak it.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use crate::units::{parse_bytes, parse_rate, parse_share, parse_span};

/// One direction's behaviour. The default is one way of a 100 Mb/s link with 20 ms round trip and a queue of
/// two bandwidth-delay products.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Settings {
    /// Bits per second over whole frames (Ethernet header included, FCS, preamble and gap not); `None` is no
    /// limit.
    pub rate_bps: Option<u64>,
    /// Propagation delay in ns, from the end of a frame's serialisation to its delivery.
    pub delay_ns: u64,
    /// Bytes that may wait for the wire, not counting the frame on it, of each flow where it has a queue of its own. A frame that would
    /// exceed it is dropped.
    pub queue_bytes_max: u64,
    /// Probability in [0, 1] that a frame is lost on arrival.
    pub loss: f64,
    /// A frame whose arrival makes more bytes than this wait gets a congestion mark if its sender understands
    /// marks; `None` marks nothing.
    pub ecn_bytes: Option<u64>,
    /// Whether each flow has a queue of its own, all served in turns.
    pub fair: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            rate_bps: Some(100_000_000),
            delay_ns: 10_000_000,
            queue_bytes_max: 500_000,
            loss: 0.0,
            ecn_bytes: None,
            fair: false,
        }
    }
}

impl Settings {
    /// Replaces one value.
    pub fn set(&mut self, setting: Setting) {
        match setting {
            Setting::Rate(rate) => self.rate_bps = rate,
            Setting::Delay(ns) => self.delay_ns = ns,
            Setting::Queue(bytes) => self.queue_bytes_max = bytes,
            Setting::Loss(share) => self.loss = share,
            Setting::Ecn(bytes) => self.ecn_bytes = bytes,
            Setting::Fair(fair) => self.fair = fair,
        }
    }
}

/// One way through the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Direction {
    /// From tap `a` to tap `b`.
    Up = 0,
    /// From tap `b` to tap `a`.
    Down = 1,
}

impl Direction {
    /// Both, in the order of their index.
    pub const ALL: [Direction; 2] = [Direction::Up, Direction::Down];
}

/// Which directions a change is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// One direction.
    One(Direction),
    /// Both directions.
    Both,
}

impl Target {
    /// Whether `direction` is meant.
    pub fn includes(self, direction: Direction) -> bool {
        self == Target::Both || self == Target::One(direction)
    }
}

/// One `key=value`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Setting {
    /// `rate=50Mbps` or `rate=none`
    Rate(Option<u64>),
    /// `delay=10ms`
    Delay(u64),
    /// `queue=500kB`
    Queue(u64),
    /// `loss=1%`
    Loss(f64),
    /// `ecn=100kB` or `ecn=none`
    Ecn(Option<u64>),
    /// `queues=shared` or `queues=fair`
    Fair(bool),
}

/// A checked change: parsed whole before any of it is applied.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// For which directions.
    pub target: Target,
    /// What to replace.
    pub settings: Vec<Setting>,
}

/// A change for later.
#[derive(Clone, Debug, PartialEq)]
pub struct Scheduled {
    /// When, in ns after the link's start.
    pub after_ns: u64,
    /// What.
    pub change: Change,
}

/// Why a text is no change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Not a number with a known unit.
    #[error("{text:?} is not {what}: expected a number with one of the units {units}")]
    Quantity {
        /// What was read.
        text: String,
        /// What was expected.
        what: &'static str,
        /// The known units.
        units: String,
    },
    /// Above the range.
    #[error("{text:?} is too large for {what}")]
    TooLarge {
        /// What was read.
        text: String,
        /// What was expected.
        what: &'static str,
    },
    /// Below the range.
    #[error("{text:?} is too small for {what}")]
    TooSmall {
        /// What was read.
        text: String,
        /// What was expected.
        what: &'static str,
    },
    /// No such direction.
    #[error("{0:?} is no direction: expected up, down or both")]
    Target(String),
    /// No such key.
    #[error("{0:?} is no setting: expected rate=, delay=, queue=, loss=, ecn= or queues=")]
    Key(String),
    /// No way to queue.
    #[error("{0:?} is no way to queue: expected shared or fair")]
    Queues(String),
    /// A direction and nothing to change.
    #[error("nothing to change: expected a direction, then at least one key=value")]
    Nothing,
}

impl FromStr for Target {
    type Err = ParseError;
    fn from_str(text: &str) -> Result<Self, ParseError> {
        match text {
            "up" => Ok(Target::One(Direction::Up)),
            "down" => Ok(Target::One(Direction::Down)),
            "both" => Ok(Target::Both),
            other => Err(ParseError::Target(other.to_owned())),
        }
    }
}

impl FromStr for Setting {
    type Err = ParseError;
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let (key, value) = text.split_once('=').ok_or_else(|| ParseError::Key(text.to_owned()))?;
        Ok(match key {
            "rate" => Setting::Rate(parse_rate(value)?),
            "delay" => Setting::Delay(parse_span(value)?),
            "queue" => Setting::Queue(parse_bytes(value)?),
            "loss" => Setting::Loss(parse_share(value)?),
            "ecn" if value == "none" => Setting::Ecn(None),
            "ecn" => Setting::Ecn(Some(parse_bytes(value)?)),
            "queues" if value == "shared" => Setting::Fair(false),
            "queues" if value == "fair" => Setting::Fair(true),
            "queues" => return Err(ParseError::Queues(value.to_owned())),
            other => return Err(ParseError::Key(other.to_owned())),
        })
    }
}

impl FromStr for Change {
    type Err = ParseError;
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let mut words = text.split_whitespace();
        let target = words.next().ok_or(ParseError::Nothing)?.parse()?;
        let settings = words.map(str::parse).collect::<Result<Vec<Setting>, _>>()?;
        if settings.is_empty() {
            return Err(ParseError::Nothing);
        }
        Ok(Change { target, settings })
    }
}

impl FromStr for Scheduled {
    type Err = ParseError;
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let (when, change) = text.split_once(char::is_whitespace).ok_or(ParseError::Nothing)?;
        Ok(Scheduled { after_ns: parse_span(when)?, change: change.parse()? })
    }
}

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.rate_bps {
            Some(rate) => write!(f, "{} Mb/s", rate as f64 / 1e6)?,
            None => write!(f, "no rate limit")?,
        }
        write!(
            f,
            ", delay {} ms, queue {} kB{}",
            self.delay_ns as f64 / 1e6,
            self.queue_bytes_max as f64 / 1e3,
            if self.fair { " of each flow's own" } else { "" }
        )?;
        if self.loss > 0.0 {
            write!(f, ", loss {} %", self.loss * 100.0)?;
        }
        match self.ecn_bytes {
            Some(bytes) => write!(f, ", ECN marks above {} kB", bytes as f64 / 1e3),
            None => write!(f, ", no ECN"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_a_direction_and_settings() {
        let change: Change =
            "both rate=50Mbps delay=5ms queue=64KiB loss=1% ecn=none queues=fair".parse().unwrap();
        let mut settings = Settings::default();
        for &setting in &change.settings {
            settings.set(setting);
        }
        assert_eq!(change.target, Target::Both);
        assert!(change.target.includes(Direction::Down));
        let expected = Settings {
            rate_bps: Some(50_000_000),
            delay_ns: 5_000_000,
            queue_bytes_max: 65_536,
            loss: 0.01,
            ecn_bytes: None,
            fair: true,
        };
        assert_eq!(settings, expected);
    }

    #[test]
    fn a_scheduled_change_starts_with_its_time() {
        let at: Scheduled = "1.5s down loss=0.1".parse().unwrap();
        assert_eq!(at.after_ns, 1_500_000_000);
        assert!(!at.change.target.includes(Direction::Up));
    }

    #[test]
    fn errors_say_what_was_expected() {
        let message = |text: &str| text.parse::<Change>().unwrap_err().to_string();
        assert_eq!(message(""), "nothing to change: expected a direction, then at least one key=value");
        assert_eq!(message("both"), message(""));
        assert_eq!(message("left rate=1Mbps"), r#""left" is no direction: expected up, down or both"#);
        assert_eq!(
            message("up speed=1"),
            r#""speed" is no setting: expected rate=, delay=, queue=, loss=, ecn= or queues="#
        );
        assert_eq!(message("up queues=many"), r#""many" is no way to queue: expected shared or fair"#);
        assert!(message("up rate=fast").contains("bps, kbps, Mbps, Gbps"));
        assert!("both rate=1Mbps".parse::<Scheduled>().is_err(), "no time");
    }
}
