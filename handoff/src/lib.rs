//! How values cross cores: the snapshot [`mod@epoch`] down to the workers, the sample [`mod@lane`]s up to the trainer,
//! the [steering lanes](mod@steer) between workers, a [`budget`] that they share.
//!
//! ```text
//!                 epoch: one Publisher, a Reader per worker
//!    trainer ------------------------------------------------> worker
//!            <------------------------------------------------
//!                 lane: a LaneSender per worker, batches recycled
//!
//!    worker  <---- steering lanes: one for each ordered pair ---->  worker
//! ```
//!
//! A worker may not wait: not for a lock that the trainer holds, not for an allocator, not in the kernel to wake a
//! sleeper. So each direction has one rule that keeps the worker's side to plain loads and stores.
//!
//! * **Down** ([`epoch()`]): the worker reads one pointer per burst. The trainer may free what it replaced only
//!   after each worker has said, between two bursts, that it holds nothing. Saying so costs a worker one load of
//!   a line that nobody writes while nothing is published, and one store to a line of its own when something was.
//!   A reference count would instead make every worker write one shared line every burst.
//! * **Up** ([`lane()`]): the worker fills a batch that it owns and passes it on whole; empty ones come back the
//!   same way. No batch left means that the trainer is behind: the sample is dropped and counted, the packet goes
//!   on. The trainer only polls, so there is never anyone to wake.
//! * **Across** ([`steer_lane()`]): a worker that received another's frames writes them into a ring and shows them a
//!   burst at a time, with one store. A full ring is the sender's to count; neither side waits.
//! * **Together** ([`Budget`]): what is allowed so many times a second, whoever does it, is one word that all move on. What
//!   all have counted ([`SharedCounts`]) is a line for each, which no other writes.
//!
//! What breaks when an ordering is weakened is written beside each atomic operation, and
//! `make loom` explores the interleavings.
// The epoch hands out references into memory that another thread frees, and the steering lanes move values through
// memory that two threads take turns at; only the protocols make that sound, and no safe type expresses them.
// `unsafe` stays in `epoch.rs` and `steer.rs`.
#![allow(unsafe_code)]

pub mod budget;
pub mod counts;
pub mod epoch;
pub mod lane;
mod primitive;
pub mod steer;

pub use budget::Budget;
pub use counts::SharedCounts;
pub use epoch::{PublishRefused, Publisher, RETIRED_MAX, Reader, epoch};
pub use lane::{LaneReceiver, LaneSender, lane};
pub use steer::{SteerReceiver, SteerSender, steer_lane};
