//! The largest value of the last few rounds, in constant space.
//!
//! Kathleen Nichols' windowed filter, as in Linux `lib/win_minmax.c`: the best sample, the best since that one,
//! and the best since that. When the best falls out of the window the second is ready to take its place.

/// Rates in kbit/s by round number; rounds wrap.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct MaxFilter {
    values: [u32; 3],
    rounds: [u16; 3],
}

impl MaxFilter {
    /// The largest value in the window; 0 before the first.
    pub(super) fn max(&self) -> u32 {
        self.values[0]
    }

    /// Takes in `value`, seen in `round`, and forgets what is more than `window` rounds older.
    pub(super) fn update(&mut self, window: u16, round: u16, value: u32) {
        let age = |of: u16| round.wrapping_sub(of);
        if value >= self.values[0] || age(self.rounds[2]) > window {
            *self = MaxFilter { values: [value; 3], rounds: [round; 3] };
            return;
        }
        if value >= self.values[1] {
            (self.values[1], self.rounds[1]) = (value, round);
            (self.values[2], self.rounds[2]) = (value, round);
        } else if value >= self.values[2] {
            (self.values[2], self.rounds[2]) = (value, round);
        }
        if age(self.rounds[0]) > window {
            self.shift(round, value);
            // The second choice may have been sampled a window ago too.
            if age(self.rounds[0]) > window {
                self.shift(round, value);
            }
        } else if self.rounds[1] == self.rounds[0] && age(self.rounds[1]) > window / 4 {
            // A quarter of the window without a better second choice: take one from the second quarter.
            (self.values[1], self.rounds[1]) = (value, round);
            (self.values[2], self.rounds[2]) = (value, round);
        } else if self.rounds[2] == self.rounds[1] && age(self.rounds[2]) > window / 2 {
            (self.values[2], self.rounds[2]) = (value, round);
        }
    }

    fn shift(&mut self, round: u16, value: u32) {
        self.values = [self.values[1], self.values[2], value];
        self.rounds = [self.rounds[1], self.rounds[2], round];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// The filter is exact when the maximum is in the window's first sample, and otherwise between the maximum
        /// of the last half window and that of the whole one: what its authors promise.
        #[test]
        fn lies_between_the_half_window_and_the_whole(start: u16, values in prop::collection::vec(1_u32..1_000, 1..200)) {
            const WINDOW: u16 = 10;
            let mut filter = MaxFilter::default();
            for (index, value) in values.iter().enumerate() {
                filter.update(WINDOW, start.wrapping_add(index as u16), *value);
                let from = |back: usize| values[index.saturating_sub(back)..=index].iter().max().copied();
                prop_assert!(Some(filter.max()) <= from(usize::from(WINDOW)));
                prop_assert!(Some(filter.max()) >= from(usize::from(WINDOW) / 2));
            }
        }
    }
}
