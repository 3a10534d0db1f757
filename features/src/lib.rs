//! What the networks see: fixed-point feature definitions and the monitor-interval rule.
#![no_std]
#![forbid(unsafe_code)]
/// Placeholder bounds; see the features crate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PacingSpec {}
