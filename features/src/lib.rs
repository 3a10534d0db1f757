//! What the networks see: fixed-point feature definitions and the monitor-interval rule.
//!
//! A pacing network is shown Aurora's three features (Jay et al., ICML 2019) of a flow's last ten *monitor
//! intervals* (MI). This crate defines those integers once, for the wire, the simulator and training; kernel C
//! and BPF reproduce them bit for bit. The definition in prose, enough to write another implementation from, is
//! `docs/features.md`; `golden/aurora-trace.txt` is the shared trace to check one against.
//!
//! Order of use, per flow:
//!
//! 1. [`PacingSpec::interval_ns`] gives the length of the next interval, [`Interval::new`] opens it;
//! 2. [`Interval::on_send`], [`Interval::on_ack`] and [`Interval::on_loss`] record what happens in it;
//! 3. once [`Interval::due`], [`Interval::finish`] gives the features, [`History::push`] keeps them, and
//!    [`History::write_inputs`] lays out the network's inputs;
//! 4. [`apply_action`] turns the network's answer into the next rate, [`Brake`] holds it down where it floods;
//!    [`LongerPath`] says when what passes for a queue is another path;
//!    [`Interval::restart`] begins again.
//!
//! A network that predicts flow sizes is shown what [`SizeSpec::row`] makes of a flow's first data segment and its peer's
//! history ([`PeerHistory`]).
//!
//! Nothing here allocates, uses floating point or divides per packet (the divisions come once per interval), or
//! panics, for any input: clocks that step back, counters at their limits, specifications that contradict
//! themselves. All arithmetic is 64-bit and unsigned with the sign kept apart, because BPF has no signed and no
//! 128-bit division.
#![no_std]
#![forbid(unsafe_code)]

mod action;
mod brake;
mod fixed;
mod history;
mod interval;
mod longer;
mod path;
mod sample;
mod schema;
mod size;
mod spec;

pub use action::{ACTION_MAX_Q16, RATE_MAX_BPS, apply_action};
pub use brake::Brake;
pub use fixed::{FRAC_BITS, ONE, f64_from_q16, q16_from_f64};
pub use history::History;
pub use interval::{Interval, IntervalReport, RttBase};
pub use longer::LongerPath;
pub use path::{
    FlowSignals, OF_FLOW, OF_PATH, PATH_INPUTS, PathSample, PathSchema, PathSignals, PathSource, PathSpec,
    log2_q16,
};
pub use sample::{Noise, Sample, Source};
pub use schema::{Input, InputSchema, SchemaError};
pub use size::{
    FirstData, FlowEnd, FlowSample, PEER_SIZES, PeerHistory, SIZE_INPUTS, SizeSchema, SizeSpec,
    bytes_of_log2_q16, log2_1p_q16,
};
pub use spec::PacingSpec;

/// Features per monitor interval.
pub const FEATURES: usize = 3;
/// Monitor intervals that a pacing network is shown.
pub const HISTORY: usize = 10;
/// Inputs of a pacing network.
pub const INPUTS: usize = FEATURES * HISTORY;
