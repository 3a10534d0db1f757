//! The small link world in which pacing policies are trained and candidates are replayed.
//!
//! One bottleneck, one FIFO queue, paced flows, feedback one round trip late ([`World`]). What a flow is shown is computed
//! by `weir_features` through the calls that the datapath makes, so a policy that is trained here sees on the wire what it
//! has seen here. Two families of conditions are drawn from a seed:
//!
//! * [`published`]: Aurora's own simulator, ranges and reward, to be comparable with what others have published;
//! * [`wide`]: links from 1 Mb/s to 10 Gb/s and 50 us to 1 s, with what a host adds: delayed acknowledgements, stalls,
//!   jitter, changes of capacity, several flows.
//!
//! Beside it [`jobs`]: the flows in which size predictors are trained, drawn from tables of [`Sizes`].
//!
//! [`evaluate()`] drives a [`Controller`] through a list of [`Conditions`] and gives its [`Scores`]; scores over the same
//! list are paired. [`baseline`] has what to compare with.
//!
//! Not here: TCP (a flow always has data and is never window-limited), retransmission, ECN, several queues; no clock, no
//! thread, no file.
#![forbid(unsafe_code)]

pub mod baseline;
mod conditions;
mod controller;
mod evaluate;
pub mod jobs;
mod link;
pub mod math;
pub mod published;
pub mod reward;
pub mod rng;
mod sizes;
pub mod wide;
mod world;

pub use conditions::{Change, Conditions, DECISIONS, Estimates, Length, Start, WarmUp};
pub use controller::{Acting, Braked, Controller, Ended, Policy, Truth};
pub use evaluate::{Episode, Estimate, Scores, evaluate};
pub use link::{Host, Link, PACKET_BYTES, Stalls};
pub use reward::{Outcome, Preference, Reward};
pub use rng::Rng;
pub use sizes::{Sizes, SizesError};
pub use world::{Measured, World};
