//! A seeded user-space link between two tap devices: per direction a rate, a delay, a byte-limited drop-tail
//! queue, random loss and an ECN mark threshold, all of them changeable while it runs.
//!
//! It stands in for `tc netem` on hosts whose kernel lacks it, and it measures: the bytes in, the bytes out and
//! the queue are sampled on a timer. It deliberately shares no code with the datapath that it measures.
//!
//! What it refuses to do: it does not reorder, duplicate or corrupt frames, and it is no switch (two taps, one
//! wire).
//!
//! [`Pipe`] and [`Link`] are sans-IO: frames and the time are arguments, so that tests drive them in virtual
//! time. [`live::Live`] is the edge: taps, the clock and one `ppoll`.

pub mod control;
mod ecn;
mod link;
pub mod live;
mod pipe;
mod rng;
mod settings;
mod tap;
mod units;
mod waiting;

pub use link::{DirectionReport, Link, Report};
pub use pipe::{Counters, Delivered, Pipe};
pub use rng::SplitMix64;
pub use settings::{Change, Direction, ParseError, Scheduled, Setting, Settings, Target};
pub use tap::TapName;
pub use units::{parse_bytes, parse_rate, parse_share, parse_span};
