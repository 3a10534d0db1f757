//! Closed-loop check: does a driver keep a link full and its queue short, also when the capacity changes?

use super::teacher;
use super::world::{Link, Measured, Policy, World};
use crate::network::Network;
use crate::rng::Rng;
use weir_features::{INPUTS, ONE, PacingSpec};
use weir_snapshot::{Executable, Executor, Scratch, Snapshot, Unavailable};

/// The link of the check: that of `conf/demo.toml`'s demonstration, with a little jitter.
pub const LINK: Link = Link { capacity_bps: 1e8, base_rtt_s: 0.02, queue_bdp: 2.0, jitter_s: 2e-4 };
/// Numbers of flows that are checked.
pub const FLOWS: [usize; 3] = [1, 4, 16];
/// Least utilisation and largest mean RTT (in base RTTs) of a pass.
pub const BOUNDS: (f64, f64) = (0.93, 1.25);
/// Time that a driver has to recover after a change, and that it is then measured for, in seconds.
pub const RECOVERY_S: f64 = 1.0;
const MEASURED_S: f64 = 3.0;

/// One driver on one number of flows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row {
    /// Flows that share the link.
    pub flows: usize,
    /// At the first capacity.
    pub steady: Measured,
    /// From [`RECOVERY_S`] after the capacity was halved.
    pub halved: Measured,
    /// From [`RECOVERY_S`] after it was doubled again.
    pub doubled: Measured,
}

impl Row {
    /// Whether every stretch is within [`BOUNDS`].
    pub fn passes(&self) -> bool {
        let within = |m: &Measured| m.utilisation >= BOUNDS.0 && m.rtt_ratio <= BOUNDS.1;
        [self.steady, self.halved, self.doubled].iter().all(within)
    }
}

/// Runs the check for every number of flows. Each flow starts at 10 Mb/s, or its fair share if that is less.
pub fn closed_loop(policy: &mut dyn Policy) -> Vec<Row> {
    let row = |flows: usize| {
        let rate = 1e7_f64.min(LINK.capacity_bps / flows as f64);
        let mut world = World::new(LINK, PacingSpec::default(), &vec![rate; flows], Rng::new(flows as u64));
        let mut stretch = |factor: f64, before_s: f64| {
            world.change_capacity(factor);
            world.run(before_s, policy);
            world.run(MEASURED_S, policy)
        };
        Row {
            flows,
            steady: stretch(1.0, 3.0),
            halved: stretch(0.5, RECOVERY_S),
            doubled: stretch(2.0, RECOVERY_S),
        }
    };
    FLOWS.map(row).to_vec()
}

/// The teacher as a driver.
#[derive(Debug)]
pub struct Teacher;

impl Policy for Teacher {
    fn act(&mut self, _flow: usize, inputs: &[i32; INPUTS]) -> f64 {
        teacher::action(inputs)
    }
}

/// A float network as a driver.
#[derive(Debug)]
pub struct Float<'n>(pub &'n Network);

impl Policy for Float<'_> {
    fn act(&mut self, _flow: usize, inputs: &[i32; INPUTS]) -> f64 {
        let row: Vec<f64> = inputs.iter().map(|&x| f64::from(x) / f64::from(ONE)).collect();
        self.0.evaluate(&row).first().copied().unwrap_or(0.0)
    }
}

/// A snapshot as a driver: the very integers that a worker runs.
pub struct Integers {
    executable: Executable,
    scratch: Scratch,
}

impl Integers {
    /// A driver for this snapshot on the scalar executor.
    ///
    /// # Errors
    /// None in practice: the scalar executor is always available.
    pub fn new(snapshot: Snapshot) -> Result<Self, Unavailable> {
        Ok(Self { executable: Executable::new(snapshot, Executor::Scalar)?, scratch: Scratch::new() })
    }
}

impl Policy for Integers {
    fn act(&mut self, _flow: usize, inputs: &[i32; INPUTS]) -> f64 {
        let mut out = [0];
        self.executable.evaluate(inputs, &mut out, &mut self.scratch);
        f64::from(out[0]) / f64::from(ONE)
    }
}
