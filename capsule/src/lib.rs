//! A pipeline of the crate `capsule` in front of a Weir worker.
//!
//! The worker polls a [`Front`] instead of its queues. What arrives runs through a capsule pipeline, one for each side, on
//! the worker's own thread; what the pipeline transmits is what the worker receives. The frames pass by ownership: the
//! same buffers, no copy. What the pipeline drops, the worker counts as received and `denied`, so that its books hold:
//! `received + originated + steered in = sum of verdicts + held + steered out`.
//!
//! [`acl`] is such a pipeline: an access control list read from a file. `examples/acl` is a whole `weir` behind it.
//!
//! Capsule's own runtime has no part in this: no executor, no port of capsule's, no thread. A pipeline's [`Inlet`] and
//! [`Outlet`] are its only ends, and its frames come out of Weir's pools. `Mbuf::new` fails on a worker's thread, because
//! capsule has no pool there; a pipeline may rewrite and drop, it does not make frames.
//!
//! Unlike the worker, a pipeline allocates: capsule passes bursts in vectors.

pub mod acl;
mod books;
mod front;
mod lend;

pub use books::{Books, SideBooks};
pub use front::{Front, Inlet, Outlet};
