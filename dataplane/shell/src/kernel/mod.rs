//! Weir's kernel core (`kernel/module`), as user space sees it: generic netlink family `weir`.

mod core;
mod message;

pub(crate) use core::{Core, Refused, Shares};
