//! What a network that predicts flow sizes is shown: twelve integers at a flow's first data segment.
//!
//! A datapath sees no application, so what it can know is the segment itself, and what flows between the same two hosts
//! for the same service did before: the *peer*'s history. The definition in prose is in `docs/features.md`.

use crate::fixed::FRAC_BITS;
use crate::path::log2_q16;
use crate::schema::{Fnv, Input, SchemaError};
use crate::{ONE, schema};

/// Inputs of a size-predicting network: one row per flow.
pub const SIZE_INPUTS: usize = 12;
/// Flow sizes remembered of a peer.
pub const PEER_SIZES: usize = 5;
/// What the gap reads for the first flow to a peer, in 1/65536: more than an hour of microseconds.
const GAP_NONE: i32 = 32 * ONE;
/// How slowly a peer's mean follows: a new size counts an eighth.
const MEAN_SHIFT: u32 = 3;

/// `log2(1 + x)` in 1/65536, exact where `1 + x` is a power of two and straight between (at most 0.086 too low).
pub const fn log2_1p_q16(x: u64) -> i32 {
    // At most 64 x 2^16.
    log2_q16(x.saturating_add(1)) as i32
}

/// The bytes whose [`log2_1p_q16`] this is, rounded down; 0 for what is negative.
pub const fn bytes_of_log2_q16(log2_q16: i32) -> u64 {
    if log2_q16 <= 0 {
        return 0;
    }
    let (whole, rest) = (log2_q16 as u32 >> FRAC_BITS, log2_q16 as u64 & (ONE as u64 - 1));
    // Below 2^17.
    let mantissa = ONE as u64 + rest;
    let bytes = match whole {
        0..FRAC_BITS => mantissa >> (FRAC_BITS - whole),
        FRAC_BITS..=62 => mantissa << (whole - FRAC_BITS),
        _ => u64::MAX,
    };
    bytes - 1
}

/// What the flows of one peer did: the last few sizes, their mean, how many are under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeerHistory {
    /// When its last flow began, in nanoseconds; counts while `begun`.
    last_ns: u64,
    /// The newest last, in a ring; in 1/65536 of log2.
    sizes: [i32; PEER_SIZES],
    mean: i32,
    /// Flows that have begun and not ended.
    in_flight: u32,
    known: u8,
    /// The next place to be replaced, which holds the oldest.
    oldest: u8,
    begun: bool,
}

const _: () = assert!(size_of::<PeerHistory>() <= 48);

/// What a flow's first data segment itself says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FirstData {
    /// Its payload in bytes.
    pub payload_len: u16,
    /// The lesser of the connection's two ports: the service's, as ephemeral ports are high.
    pub service_port: u16,
    /// The sender of the data has that port: it answers rather than asks.
    pub serving: bool,
}

impl PeerHistory {
    /// Whether a flow of the peer is under way: then nobody else may have its place.
    pub const fn is_busy(&self) -> bool {
        self.in_flight > 0
    }

    /// A flow begins at `now_ns`. Read the inputs first: the flow is none of its own history.
    pub fn on_begin(&mut self, now_ns: u64) {
        (self.last_ns, self.begun) = (now_ns, true);
        self.in_flight = self.in_flight.saturating_add(1);
    }

    /// A flow has ended; with its size in bytes, where all of it was seen.
    pub fn on_end(&mut self, bytes: Option<u64>) {
        self.in_flight = self.in_flight.saturating_sub(1);
        let Some(size) = bytes.map(log2_1p_q16) else { return };
        self.mean = match self.known {
            0 => size,
            _ if size >= self.mean => self.mean + ((size - self.mean) >> MEAN_SHIFT),
            _ => self.mean - ((self.mean - size) >> MEAN_SHIFT),
        };
        if let Some(place) = self.sizes.get_mut(usize::from(self.oldest)) {
            *place = size;
        }
        self.oldest = (self.oldest + 1) % PEER_SIZES as u8;
        self.known = (self.known + 1).min(PEER_SIZES as u8);
    }

    /// The size before `back` others, newest first; 0 where there is none.
    fn size(&self, back: usize) -> i32 {
        if back >= usize::from(self.known) {
            return 0;
        }
        let at = (usize::from(self.oldest) + 2 * PEER_SIZES - 1 - back) % PEER_SIZES;
        self.sizes.get(at).copied().unwrap_or_default()
    }
}

/// Everything that a size-predicting network's inputs depend on besides the traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SizeSpec {
    /// Lowest and highest value of each feature in 1/65536, in the order of [`SizeSpec::FEATURES`].
    pub clips: [(i32, i32); SIZE_INPUTS],
}

impl Default for SizeSpec {
    /// The values of `conf/schedule.toml`.
    fn default() -> SizeSpec {
        let to = |high: i32| (0, high * ONE);
        SizeSpec {
            clips: [
                to(16),
                to(2),
                to(1),
                to(32),
                to(16),
                to(PEER_SIZES as i32),
                to(40),
                to(40),
                to(40),
                to(40),
                to(40),
                to(40),
            ],
        }
    }
}

impl SizeSpec {
    /// The features by name, in the order of a row.
    pub const FEATURES: [&'static str; SIZE_INPUTS] = [
        "log_first_len",
        "port_class",
        "is_serving",
        "log_gap",
        "log_in_flight",
        "sizes_known",
        "log_mean_size",
        "log_size_1",
        "log_size_2",
        "log_size_3",
        "log_size_4",
        "log_size_5",
    ];

    /// Version of the definitions. Rises with every change of meaning.
    pub const VERSION: u32 = 1;

    /// The row of a flow whose first data segment is `first`, at `now_ns`, to a peer with this history.
    pub fn row(&self, first: &FirstData, peer: &PeerHistory, now_ns: u64) -> [i32; SIZE_INPUTS] {
        let port_class = match first.service_port {
            0..1_024 => 0,
            1_024..32_768 => ONE,
            _ => 2 * ONE,
        };
        let gap = match peer.begun {
            true => log2_1p_q16(now_ns.saturating_sub(peer.last_ns) / 1_000),
            false => GAP_NONE,
        };
        let row = [
            log2_1p_q16(u64::from(first.payload_len)),
            port_class,
            if first.serving { ONE } else { 0 },
            gap,
            log2_1p_q16(u64::from(peer.in_flight)),
            i32::from(peer.known) * ONE,
            peer.mean,
            peer.size(0),
            peer.size(1),
            peer.size(2),
            peer.size(3),
            peer.size(4),
        ];
        let mut clipped = [0; SIZE_INPUTS];
        for ((out, value), (low, high)) in clipped.iter_mut().zip(row).zip(self.clips) {
            *out = value.max(low).min(high);
        }
        clipped
    }

    /// A stable 64-bit name for these definitions: FNV-1a over the bytes that `docs/features.md` lists.
    pub fn schema_hash(&self) -> u64 {
        let mut hash = Fnv::new();
        hash.bytes(b"weir.features.schedule");
        hash.u64(u64::from(SizeSpec::VERSION));
        hash.u64(PEER_SIZES as u64);
        hash.u64(SIZE_INPUTS as u64);
        for (name, (low, high)) in SizeSpec::FEATURES.iter().zip(self.clips) {
            hash.bytes(name.as_bytes());
            hash.i64(low.into());
            hash.i64(high.into());
        }
        hash.finish()
    }
}

/// A size model's complete input definition: the features with their clips, and the affine map to the network.
#[derive(Clone, Debug, PartialEq)]
pub struct SizeSchema {
    spec: SizeSpec,
    affine: [(f64, f64); SIZE_INPUTS],
}

impl SizeSchema {
    /// The schema of a size model with these inputs.
    ///
    /// # Errors
    /// The first thing about the inputs that the datapath cannot give.
    pub fn new(inputs: &[Input<'_>]) -> Result<SizeSchema, SchemaError> {
        let schema::Definition { clips, affine } = schema::definition(&SizeSpec::FEATURES, inputs)?;
        Ok(SizeSchema { spec: SizeSpec { clips }, affine })
    }

    /// The feature definitions, for the datapath.
    pub const fn spec(&self) -> &SizeSpec {
        &self.spec
    }

    /// The 64-bit name of the whole definition; what a snapshot carries.
    pub fn hash(&self) -> u64 {
        schema::name(b"weir.inputs.schedule", self.spec.schema_hash(), &self.affine)
    }
}

/// How a flow came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowEnd {
    /// Both sides said FIN.
    Fin,
    /// A reset.
    Reset,
    /// Silence.
    Idle,
}

/// What the trainer is told of a flow, at its end: what was predicted, from what, and what it came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowSample {
    /// Names the definitions of `features`, and how the network takes them. 0 where the rule decided.
    pub schema_hash: u64,
    /// The generation that predicted. 0 where the rule decided.
    pub generation: u32,
    /// The flow: its keyed hash.
    pub flow: u64,
    /// The network's inputs in 1/65536.
    pub features: [i32; SIZE_INPUTS],
    /// What the network answered: [`log2_1p_q16`] of the size, before the guard's bounds. 0 where the rule decided.
    pub output_q16: i32,
    /// The priority that followed, 0 the most urgent.
    pub priority: u8,
    /// The flow belongs to the control share: the rule decided although a model runs.
    pub control: bool,
    /// The true size: payload bytes from inside, each counted once.
    pub bytes: u64,
    /// When the first data segment came, in nanoseconds of the engine's clock.
    pub began_ns: u64,
    /// When the last frame came.
    pub ended_ns: u64,
    /// How it ended.
    pub end: FlowEnd,
}

impl FlowSample {
    /// What the network should have said.
    pub const fn target_q16(&self) -> i32 {
        log2_1p_q16(self.bytes)
    }
}
