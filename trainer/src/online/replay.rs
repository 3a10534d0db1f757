//! Where candidates are driven before they drive anything real.

use super::conditions::Conditions;
use weir_snapshot::Executable;

/// What drives a replayed flow.
#[derive(Debug, Clone, Copy)]
pub enum Driver<'a> {
    /// A snapshot, through the same integers as on the wire.
    Snapshot(&'a Executable),
    /// The classical fallback.
    Rule,
}

/// A closed loop in which what a driver does has consequences: a link world.
///
/// The same conditions and seed give the same episode, so that drivers are compared in pairs: what one episode has of luck
/// drops out of the difference.
pub trait Replay: Send {
    /// Mean reward of one episode, 0 to 1 (MOCC's, see [`crate::reward`], with the world's true capacity and base RTT).
    fn reward(&mut self, driver: Driver<'_>, conditions: &Conditions, seed: u64) -> f64;
}
