//! The shipped starting model: a network trained from nothing to imitate a classical delay-based controller.

pub mod check;
mod mlp;
pub mod rng;
pub mod teacher;
pub mod train;
pub mod world;
