//! How values cross cores: the snapshot [`mod@epoch`] down to the workers, the sample [`mod@lane`]s up to the trainer.
//!
//! ```text
//!                 epoch: one Publisher, a Reader per worker
//!    trainer ------------------------------------------------> worker
//!            <------------------------------------------------
//!                 lane: a LaneSender per worker, batches recycled
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
//!
//! What breaks when an ordering is weakened is written beside each atomic operation, and
//! `RUSTFLAGS="--cfg loom" cargo test -p weir-handoff --test loom --release` explores the interleavings.
// The epoch hands out references into memory that another thread frees; only the protocol above makes that
// sound, and no safe type expresses it. `unsafe` stays in `epoch.rs`.
#![allow(unsafe_code)]

pub mod epoch;
pub mod lane;
mod primitive;

pub use epoch::{PublishRefused, Publisher, RETIRED_MAX, Reader, epoch};
pub use lane::{LaneReceiver, LaneSender, lane};
