//! One of something for each function that a network decides.

use std::ops::{Index, IndexMut};
use weir_snapshot::Function;

/// One for pacing, one for balance, one for schedule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Each<T>([T; Function::ALL.len()]);

impl<T> Each<T> {
    /// What `make` makes for each.
    pub(super) fn of(make: impl FnMut(Function) -> T) -> Each<T> {
        Each(Function::ALL.map(make))
    }

    /// The same, where making may fail.
    pub(super) fn try_of<E>(mut make: impl FnMut(Function) -> Result<T, E>) -> Result<Each<T>, E> {
        let [pacing, balance, schedule] = Function::ALL;
        Ok(Each([make(pacing)?, make(balance)?, make(schedule)?]))
    }

    /// All, in the functions' order.
    pub(super) fn all(&self) -> impl Iterator<Item = &T> {
        self.0.iter()
    }
}

impl<T> Index<Function> for Each<T> {
    type Output = T;
    fn index(&self, function: Function) -> &T {
        let [pacing, balance, schedule] = &self.0;
        match function {
            Function::Pacing => pacing,
            Function::Balance => balance,
            Function::Schedule => schedule,
        }
    }
}

impl<T> IndexMut<Function> for Each<T> {
    fn index_mut(&mut self, function: Function) -> &mut T {
        let [pacing, balance, schedule] = &mut self.0;
        match function {
            Function::Pacing => pacing,
            Function::Balance => balance,
            Function::Schedule => schedule,
        }
    }
}
