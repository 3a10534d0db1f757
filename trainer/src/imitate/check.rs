//! Closed-loop check: does a driver keep a link full and its queue short, also when the capacity changes?

use super::teacher;
use super::world::{Link, Measured, Policy, Stalls, World};
use crate::network::Network;
use crate::rng::Rng;
use weir_features::{INPUTS, ONE, PacingSpec};
use weir_snapshot::{Executable, Executor, Scratch, Snapshot, Unavailable};

/// The link of the check: that of `conf/demo.toml`'s demonstration, with a little jitter and an ordinary receiver.
pub const LINK: Link = Link {
    capacity_bps: 1e8,
    base_rtt_s: 0.02,
    queue_bdp: 2.0,
    jitter_s: 2e-4,
    delayed_acks: true,
    stalls: None,
};
/// The hosts that are checked.
pub const HOSTS: [Host; 2] = [
    Host { name: "quiet", stalls: None, utilisation_min: 0.95, rtt_ratio_max: 1.6 },
    // Other jobs have the core for half of the time, two slices of the kernel's scheduler in a row.
    Host {
        name: "busy",
        stalls: Some(Stalls { gap_s: 0.006, length_s: 0.006 }),
        utilisation_min: 0.6,
        rtt_ratio_max: 1.8,
    },
];
/// Numbers of flows that are checked.
pub const FLOWS: [usize; 3] = [1, 4, 16];
/// Time that a driver has to recover after a change, and that it is then measured for, in seconds.
pub const RECOVERY_S: f64 = 1.0;
const MEASURED_S: f64 = 5.0;

/// What the flows run on, and what a driver must reach there.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Host {
    /// What it is called on the card.
    pub name: &'static str,
    /// How its core is taken away.
    pub stalls: Option<Stalls>,
    /// Least utilisation of a pass.
    pub utilisation_min: f64,
    /// Largest mean RTT of a pass, in base RTTs.
    pub rtt_ratio_max: f64,
}

/// One driver on one host with one number of flows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row {
    /// The host.
    pub host: Host,
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
    /// Whether every stretch is within the host's bounds.
    pub fn passes(&self) -> bool {
        let host = &self.host;
        let within =
            |m: &Measured| m.utilisation >= host.utilisation_min && m.rtt_ratio <= host.rtt_ratio_max;
        [self.steady, self.halved, self.doubled].iter().all(within)
    }
}

/// Runs the check on every host for every number of flows. Every other flow starts at its fair share, the rest at a
/// fifth of it, so that sharing has something to do.
pub fn closed_loop(policy: &mut dyn Policy) -> Vec<Row> {
    let mut row = |host: Host, flows: usize| {
        let share = LINK.capacity_bps / flows as f64;
        let rates: Vec<f64> =
            (0..flows).map(|flow| if flow % 2 == 0 { share } else { share / 5.0 }).collect();
        let link = Link { stalls: host.stalls, ..LINK };
        let mut world = World::new(link, PacingSpec::default(), &rates, Rng::new(flows as u64));
        let mut stretch = |factor: f64, before_s: f64| {
            world.change_capacity(factor);
            world.run(before_s, policy);
            world.run(MEASURED_S, policy)
        };
        Row {
            host,
            flows,
            steady: stretch(1.0, 3.0),
            halved: stretch(0.5, RECOVERY_S),
            doubled: stretch(2.0, RECOVERY_S),
        }
    };
    HOSTS
        .iter()
        .flat_map(|host| FLOWS.map(|flows| (*host, flows)))
        .map(|(host, flows)| row(host, flows))
        .collect()
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
        self.0.answer(inputs.iter().map(|&x| f64::from(x) / f64::from(ONE)))
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
