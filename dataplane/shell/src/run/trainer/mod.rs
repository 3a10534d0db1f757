//! The trainer's thread: samples in, now and then a generation out, an operator's orders in between.
//!
//! ```text
//! workers --samples--> Desk --Submission--> Publication --policy--> workers
//!                       ^ |  <--outcome----
//!   reload, weir ctl ---' '--> disk, status
//! ```
//!
//! Several models may learn, one for each function: each has its own trainer, numbers and folder, and they step one at a time.
//!
//! [`Desk`] is all of it without the thread: time is an argument. [`TrainerThread`] turns it, on a core of its own or
//! control's. It shares lanes, messages and a status with others, and no lock that a packet waits for: one that is slow,
//! hangs or panics costs samples, which are counted.

mod begin;
mod desk;
mod letters;
mod lineage;
mod parts;
mod runtime;
mod stores;
mod thread;
mod tuning;

#[cfg(test)]
mod tests;

pub(super) use begin::begin;
pub(super) use desk::Begun;
#[cfg_attr(not(feature = "dpdk"), allow(unused_imports, reason = "nothing is learned from captures"))]
pub(super) use desk::Desk;
#[cfg_attr(not(feature = "dpdk"), allow(unused_imports, reason = "nothing is learned from captures"))]
pub(super) use letters::{Order, Post};
pub(super) use parts::Parts;
pub(super) use runtime::Runtime;
#[cfg_attr(not(feature = "dpdk"), allow(unused_imports, reason = "nothing is learned from captures"))]
pub(super) use thread::{TrainerThread, Turn};
