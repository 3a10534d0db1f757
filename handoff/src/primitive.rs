//! The only door to atomics in this crate: the processor's, or under `--cfg loom` those of the model checker,
//! which explores every order of their effects that the C11 memory model allows.

#[cfg(loom)]
pub(crate) use loom::sync::{
    Arc,
    atomic::{AtomicPtr, AtomicU64, Ordering, fence},
};
#[cfg(not(loom))]
pub(crate) use std::sync::{
    Arc,
    atomic::{AtomicPtr, AtomicU64, Ordering, fence},
};
