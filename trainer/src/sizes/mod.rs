//! The shipped model that predicts flow sizes, from nothing: flows of made-up jobs ([`flows`]), regression on the logarithm of
//! their sizes ([`train`](mod@train)), what could be known of them ([`observer`]), and the card that says how good it is, also
//! after drift.

mod card;
pub mod flows;
mod make;
pub mod observer;
pub mod train;

pub use make::{NAME, Options, TrainError, make};

#[cfg(test)]
mod tests;
