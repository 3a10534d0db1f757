//! What an engine is told at its start. Plain checked values: the shell reads them from TOML, tests and the
//! simulator write them by hand.

use crate::limit::Limits;
use crate::route::RouteConfig;
use crate::schedule::ScheduleConfig;
use crate::time::{BitsPerSec, Ns};
use weir_features::PacingSpec;

/// Everything a worker needs to know at its start. All but the settings in `pacing` and `schedule` is fixed for the worker's
/// life; those change with each [`Policy`](crate::policy::Policy).
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Key material for the flow hash and seed of every random choice. Same seed, same decisions.
    pub seed: u64,
    /// Tracked flows at most, per worker.
    pub flows_max: u32,
    /// Half-open connections at most, per worker; in a table of their own, so that a flood of SYNs cannot push
    /// out an established flow.
    pub half_open_max: u32,
    /// A tracked flow with no frame for this long is forgotten.
    pub flow_idle_max: Ns,
    /// Frames on the wheel at most, per worker. Beyond it the verdict is `pace_full`, so that a receive queue
    /// never starves of buffers.
    pub held_max: u32,
    /// How flows are paced; `None` forwards only, and takes no memory for more.
    pub pacing: Option<PacingConfig>,
    /// Mode `route`; `None` is mode `wire`: what arrives on one side leaves by the other, untouched.
    pub route: Option<RouteConfig>,
    /// How what leaves by the outside is scheduled; `None` sends it as it comes, and takes no memory for more.
    pub schedule: Option<ScheduleConfig>,
}

/// How flows from inside to outside are paced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PacingConfig {
    /// The classical fallback: governs a flow when no model may.
    pub rule: PacingRule,
    /// Whether flows follow the published model where there is one.
    pub model: bool,
    /// The definitions and bounds of the features that the model sees.
    pub spec: PacingSpec,
    /// The guard's lower bound, whatever the model or rule says.
    pub rate_min: BitsPerSec,
    /// The guard's upper bound.
    pub rate_max: BitsPerSec,
    /// The rate of a flow before its first decision.
    pub rate_start: BitsPerSec,
    /// Share of flows that stay on the rule although a model runs, in 1/65536. Seeded by the flow hash, so
    /// that "worse than the rule" is measured and not assumed: their intervals become samples.
    pub control_share: u32,
    /// Share of the other flows that explore, in 1/65536: noise is added to their network's actions, and their intervals
    /// become samples.
    pub explore_share: u32,
    /// The noise's standard deviation in 1/65536 of an action; see [`explore`](crate::explore). 0: no flow explores.
    pub explore_sigma_q16: u32,
    /// Share of what is left whose intervals become samples, in 1/65536. Seeded by the flow hash; all consecutive
    /// intervals of a sampled flow are taken.
    pub sample_share: u32,
    /// A frame that would wait longer than this gets an ECN mark where its sender understands one, once its flow
    /// holds 8 full frames: at a low rate a few frames wait long, and are no queue.
    pub mark_delay: Ns,
    /// A frame that would wait longer than this is dropped (`pace_full`), once its flow holds 16 full frames.
    pub delay_max: Ns,
    /// Bytes that one flow may hold on the wheel.
    pub flow_held_bytes_max: u32,
    /// When a network is asked.
    pub cadence: PacingCadence,
    /// The longest time for which a flow may keep an old snapshot generation when `pin` is per flow.
    pub pin: Pin,
    /// Whether senders answer to the network or to Weir.
    pub mode: PacingMode,
    /// How fast frames of several flows leave together; those that no flow paces, too.
    pub limits: Limits,
}

/// When a network that paces is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PacingCadence {
    /// At the end of each monitor interval.
    #[default]
    Interval,
    /// Also before each data frame, about the interval so far. The answer holds until the next; only that at the interval's end
    /// stays. Flows that explore are asked at the end only: what an interval brought is their one action's outcome.
    Packet,
}

/// Who governs a flow besides its sender.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PacingMode {
    /// Weir can only delay what the sender's own congestion control sends.
    #[default]
    Transparent,
    /// The sender sends what its receive window admits (`weir_yield`), and Weir lowers that window to what the rate needs: the
    /// arrangement of AC/DC TCP (He et al., SIGCOMM 2016).
    Yield,
}

/// A flow knows for a minute when it took up its generation.
pub const PIN_MAX: Ns = Ns::from_secs(60);

/// When a flow takes up a newer snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pin {
    /// At its next monitor-interval boundary.
    Interval,
    /// When it has kept its generation for this long.
    Flow {
        /// Longest stay on one generation; at most [`PIN_MAX`].
        max: Ns,
    },
}

/// The classical pacing rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacingRule {
    /// Do not hold the flow's frames.
    None,
    /// One configured rate for every flow.
    Fixed(BitsPerSec),
    /// Pace at a gain on the windowed maximum delivery rate, with min-RTT probes.
    BbrLite,
}
