//! Weir's kernel core (`kernel/module`), as user space sees it: generic netlink family `weir`.

mod core;
mod message;

#[cfg(test)]
pub(crate) use core::Row;
pub(crate) use core::{Core, CoreStatus, Refused, Shares};
