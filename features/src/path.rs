//! What a network that chooses paths is shown: eight features of each path and three of the decision.
//!
//! One row per path, all with the same weights: the network gives each path a score, and the least one wins. Nothing in a
//! row says which path it is, so permuting paths permutes scores. The definition in prose is `docs/features.md` section 13.

use crate::fixed::{clip_q16, ratio_q16};
use crate::schema::{Fnv, Input, SchemaError};
use crate::{FRAC_BITS, ONE, schema};

/// Inputs of a path-choosing network: one row.
pub const PATH_INPUTS: usize = 11;

/// What is known of a path when it may be chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PathSignals {
    /// Smoothed RTT in nanoseconds; 0: none yet.
    pub rtt_ns: u64,
    /// The smallest RTT of late of any path that may be chosen, in nanoseconds; 0: none yet.
    pub base_rtt_ns: u64,
    /// By how much the RTT rises per unit of time, smoothed, in 1/65536.
    pub rtt_gradient_q16: i32,
    /// Smoothed share of acknowledgements that echo a congestion mark, in 1/65536.
    pub ecn_q16: u32,
    /// Smoothed share of reports that tell of a loss, timeouts among them, in 1/65536.
    pub loss_q16: u32,
    /// Payload bytes on their way.
    pub in_flight: u64,
    /// Own sending rate in bits per second, by a discounting estimator.
    pub sent_bps: u64,
    /// What the path carries in bits per second, configured or learned; 0: unknown.
    pub rate_bps: u64,
    /// Time since the last RTT sample in nanoseconds; `None`: there was none.
    pub sample_age_ns: Option<u64>,
    /// The flow is on this path now.
    pub current: bool,
}

/// What is known of the flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowSignals {
    /// Predicted bytes to come; `None`: no prediction.
    pub remaining: Option<u64>,
    /// Bytes sent so far.
    pub sent: u64,
    /// Idle time before this frame in nanoseconds; `None` for a new flow.
    pub gap_ns: Option<u64>,
    /// The gap that makes a flowlet, in nanoseconds.
    pub flowlet_ns: u64,
}

/// The definitions' parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathSpec {
    /// RTTs below it count as it, in nanoseconds.
    pub rtt_floor_ns: u64,
    /// Lowest and highest value of each feature, in 1/65536.
    pub clips: [(i32, i32); PATH_INPUTS],
}

/// Inputs that tell of the path alone, the first of a row.
pub const OF_PATH: usize = 7;
/// Inputs that tell of the flow alone, the last of a row. Between them stands what tells of both, `is_current`.
pub const OF_FLOW: usize = PATH_INPUTS - OF_PATH - 1;
/// Definition version: part of the schema hash.
const VERSION: u64 = 1;
/// What a path's bandwidth-delay product counts as at least: one full frame's payload.
const BDP_MIN: u64 = 1_460;

impl Default for PathSpec {
    fn default() -> PathSpec {
        let whole = |low: i32, high: i32| (low * ONE, high * ONE);
        PathSpec {
            rtt_floor_ns: 100_000,
            clips: [
                whole(1, 8),
                whole(-1, 1),
                whole(0, 1),
                whole(0, 1),
                whole(0, 8),
                whole(0, 2),
                whole(0, 24),
                whole(0, 1),
                whole(0, 40),
                whole(0, 40),
                whole(0, 16),
            ],
        }
    }
}

impl PathSpec {
    /// The features, in the order of a row.
    pub const FEATURES: [&'static str; PATH_INPUTS] = [
        "rtt_ratio",
        "rtt_gradient",
        "ecn_fraction",
        "loss_fraction",
        "in_flight_ratio",
        "utilisation",
        "sample_age",
        "is_current",
        "log_remaining",
        "log_sent",
        "gap_ratio",
    ];

    /// The row of one path, in 1/65536.
    pub fn row(&self, path: &PathSignals, flow: &FlowSignals) -> [i32; PATH_INPUTS] {
        PathSpec::join(&self.of_path(path), self.of_both(path.current), &self.of_flow(flow))
    }

    /// The part of a row that is the path's alone, whoever asks.
    pub fn of_path(&self, path: &PathSignals) -> [i32; OF_PATH] {
        let clips = &self.clips;
        let share = |q16: u32, at: usize| clip_q16(u64::from(q16), false, clips[at]);
        let floor = self.rtt_floor_ns.max(1);
        let rtt_ratio = match (path.rtt_ns, path.base_rtt_ns) {
            (0, _) | (_, 0) => ONE as u64,
            (rtt, base) => ratio_q16(rtt.max(floor), base.max(floor)),
        };
        let of_rate = |value: u64, whole: u64| if path.rate_bps == 0 { 0 } else { ratio_q16(value, whole) };
        let bdp = bdp(path.rate_bps, path.base_rtt_ns);
        let age = path.sample_age_ns.map_or(u64::MAX, |age| log2_q16(1 + age / 1_000));
        let gradient = path.rtt_gradient_q16;
        [
            clip_q16(rtt_ratio, false, clips[0]),
            clip_q16(u64::from(gradient.unsigned_abs()), gradient < 0, clips[1]),
            share(path.ecn_q16, 2),
            share(path.loss_q16, 3),
            clip_q16(of_rate(path.in_flight, bdp), false, clips[4]),
            clip_q16(of_rate(path.sent_bps, path.rate_bps), false, clips[5]),
            clip_q16(age, false, clips[6]),
        ]
    }

    /// The part of a row that is the flow's alone, for all paths.
    pub fn of_flow(&self, flow: &FlowSignals) -> [i32; OF_FLOW] {
        let clips = &self.clips;
        let gap = flow.gap_ns.map_or(u64::MAX, |gap| ratio_q16(gap, flow.flowlet_ns));
        [
            clip_q16(flow.remaining.map_or(0, |bytes| log2_q16(bytes.saturating_add(1))), false, clips[8]),
            clip_q16(log2_q16(flow.sent.saturating_add(1)), false, clips[9]),
            clip_q16(gap, false, clips[10]),
        ]
    }

    /// The input between them: whether the flow is on the path.
    pub fn of_both(&self, current: bool) -> i32 {
        clip_q16(if current { ONE as u64 } else { 0 }, false, self.clips[OF_PATH])
    }

    /// A row of its parts, as features or as what a network makes of each.
    pub fn join<T: Copy>(of_path: &[T; OF_PATH], of_both: T, of_flow: &[T; OF_FLOW]) -> [T; PATH_INPUTS] {
        let mut row = [of_both; PATH_INPUTS];
        row[..OF_PATH].copy_from_slice(of_path);
        row[OF_PATH + 1..].copy_from_slice(of_flow);
        row
    }

    /// Names the definitions: `docs/features.md` section 10 has the bytes.
    pub fn schema_hash(&self) -> u64 {
        let mut hash = Fnv::new();
        hash.bytes(b"weir.features.balance");
        hash.u64(VERSION);
        hash.u64(PATH_INPUTS as u64);
        for (name, (low, high)) in PathSpec::FEATURES.iter().zip(self.clips) {
            hash.bytes(name.as_bytes());
            hash.i64(low.into());
            hash.i64(high.into());
        }
        hash.u64(self.rtt_floor_ns);
        hash.finish()
    }
}

/// Bandwidth times delay in bytes, at least one frame's payload. Rates count up to 2^40 bit/s, delays up to 2^36 ns, in
/// 1/1024 of a second's nanoseconds each, so that the product fits.
fn bdp(rate_bps: u64, rtt_ns: u64) -> u64 {
    let (rate, rtt_us) = (rate_bps.min(1 << 40) / 8, (rtt_ns.min(1 << 36)) / 1_000);
    (rate * rtt_us.min(1 << 26) / 1_000_000).max(BDP_MIN)
}

/// The binary logarithm of `x` in 1/65536, exact at powers of two and straight between them (at most 0.086 too low); 0 for 0.
pub const fn log2_q16(x: u64) -> u64 {
    let Some(whole) = x.checked_ilog2() else { return 0 };
    let mantissa = if whole >= FRAC_BITS { x >> (whole - FRAC_BITS) } else { x << (FRAC_BITS - whole) };
    ((whole as u64) << FRAC_BITS) + (mantissa - (1 << FRAC_BITS))
}

/// A path model's complete input definition, as [`InputSchema`](crate::InputSchema) is a pacing model's.
#[derive(Clone, Debug, PartialEq)]
pub struct PathSchema {
    spec: PathSpec,
    affine: [(f64, f64); PATH_INPUTS],
}

impl PathSchema {
    /// The schema of a path model with these inputs.
    ///
    /// # Errors
    /// The first thing about the inputs that the datapath cannot give.
    pub fn new(inputs: &[Input<'_>]) -> Result<PathSchema, SchemaError> {
        let schema::Definition { clips, affine } = schema::definition(&PathSpec::FEATURES, inputs)?;
        Ok(PathSchema { spec: PathSpec { clips, ..PathSpec::default() }, affine })
    }

    /// The feature definitions, for the datapath.
    pub const fn spec(&self) -> &PathSpec {
        &self.spec
    }

    /// Scale and offset of each feature, in the order of [`PathSpec::FEATURES`].
    pub const fn affine(&self) -> &[(f64, f64); PATH_INPUTS] {
        &self.affine
    }

    /// The 64-bit name of the whole definition; what a snapshot carries.
    pub fn hash(&self) -> u64 {
        schema::name(b"weir.inputs.balance", self.spec.schema_hash(), &self.affine)
    }
}

impl Default for PathSchema {
    /// Default definitions, scale 1, offset 0.
    fn default() -> PathSchema {
        PathSchema { spec: PathSpec::default(), affine: [(1.0, 0.0); PATH_INPUTS] }
    }
}

/// What a trainer is told of a choice: one record per *delivery* of a sampled flow, with what came of it. A
/// delivery is what a flow sends from a choice on, up to 256 KiB, or until it begins again after a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathSample {
    /// Who chose.
    pub source: PathSource,
    /// Names the definitions of `features`, and how the network takes them.
    pub schema_hash: u64,
    /// The generation that decided; 0 where the rule chose.
    pub generation: u32,
    /// The flow: its keyed hash.
    pub flow: u64,
    /// The chosen path's row in 1/65536.
    pub features: [i32; PATH_INPUTS],
    /// What the network answered for it, in 1/65536; 0 where the rule chose.
    pub score_q16: i32,
    /// The chosen path, by its place in the configuration.
    pub path: u8,
    /// How many paths could have been chosen.
    pub choices: u8,
    /// With which probability this one was, in 1/65536; 65536 where the rule chose.
    pub probability_q16: u32,
    /// When the delivery's first frame departed, in nanoseconds of the engine's clock.
    pub at_ns: u64,
    /// From there to the last acknowledgement of new data, in nanoseconds; 0: none came.
    pub delivery_ns: u64,
    /// Payload bytes that departed for the first time.
    pub sent_bytes: u64,
    /// Payload bytes acknowledged.
    pub acked_bytes: u64,
    /// Payload bytes that departed again.
    pub repeated_bytes: u64,
    /// The path's smallest RTT of late, in nanoseconds; 0: none.
    pub base_rtt_ns: u64,
    /// What the path carries in bits per second; 0: unknown.
    pub rate_bps: u64,
}

/// Who chose the path of a sampled delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathSource {
    /// The network.
    Model,
    /// A draw among all paths that could be chosen.
    Explored,
    /// The rule, in a flow of the control share.
    Control,
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    #[test]
    fn logarithms_are_exact_at_powers_of_two_and_rise() {
        for whole in 0..64 {
            assert_eq!(log2_q16(1 << whole), u64::from(whole as u32) << 16);
        }
        assert_eq!((log2_q16(0), log2_q16(3)), (0, (1 << 16) + (1 << 15)));
        let mut last = 0;
        for x in (1..1_000_000).step_by(37) {
            let log = log2_q16(x);
            assert!(log >= last && (x as f64).log2() - log as f64 / 65_536.0 < 0.087, "{x}");
            last = log;
        }
    }

    #[test]
    fn a_row_says_what_its_definition_says() {
        let path = PathSignals {
            rtt_ns: 300_000,
            base_rtt_ns: 200_000,
            rtt_gradient_q16: -2 * ONE,
            ecn_q16: 16_384,
            loss_q16: 70_000,
            in_flight: 25_000,
            sent_bps: 500_000_000,
            rate_bps: 1_000_000_000,
            sample_age_ns: Some(3_000),
            current: true,
        };
        let flow = FlowSignals { remaining: None, sent: 1_023, gap_ns: Some(750_000), flowlet_ns: 500_000 };
        let spec = PathSpec::default();
        let half = ONE / 2;
        let expected = [ONE + half, -ONE, 16_384, ONE, ONE, half, 2 * ONE, ONE, 0, 10 * ONE, ONE + half];
        assert_eq!(spec.row(&path, &flow), expected);

        let nothing = spec.row(&PathSignals::default(), &FlowSignals::default());
        assert_eq!(nothing, [ONE, 0, 0, 0, 0, 0, 24 * ONE, 0, 0, 0, 16 * ONE]);
    }

    #[test]
    fn extremes_stay_within_their_clips() {
        let path = PathSignals {
            rtt_ns: u64::MAX,
            base_rtt_ns: 1,
            rtt_gradient_q16: i32::MIN,
            ecn_q16: u32::MAX,
            loss_q16: u32::MAX,
            in_flight: u64::MAX,
            sent_bps: u64::MAX,
            rate_bps: u64::MAX,
            sample_age_ns: Some(u64::MAX),
            current: true,
        };
        let flow =
            FlowSignals { remaining: Some(u64::MAX), sent: u64::MAX, gap_ns: Some(u64::MAX), flowlet_ns: 0 };
        let spec = PathSpec { rtt_floor_ns: 0, ..PathSpec::default() };
        for (value, (low, high)) in spec.row(&path, &flow).into_iter().zip(spec.clips) {
            assert!((low..=high).contains(&value));
        }
    }

    #[test]
    fn the_hash_names_every_part_of_the_definition() {
        let inputs =
            PathSpec::FEATURES.map(|feature| Input { feature, scale: 1.0, offset: 0.0, clip: [0.0, 1.0] });
        let schema = PathSchema::new(&inputs).unwrap();
        let mut hashes = std::vec![PathSchema::default().hash(), schema.hash()];
        for at in 0..PATH_INPUTS {
            for change in [
                |input: &mut Input<'_>| input.scale = 2.0,
                |input: &mut Input<'_>| input.offset = 1.0,
                |input: &mut Input<'_>| input.clip[1] = 2.0,
            ] {
                let mut inputs = inputs;
                change(&mut inputs[at]);
                hashes.push(PathSchema::new(&inputs).unwrap().hash());
            }
        }
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), 2 + 3 * PATH_INPUTS);
        assert_eq!(
            PathSchema::new(&inputs[1..]),
            Err(SchemaError::Count { expected: PATH_INPUTS, found: 10 })
        );
    }
}
