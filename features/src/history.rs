//! A flow's last ten rows of features: what its network is shown.

use crate::{FEATURES, HISTORY, INPUTS, ONE};

/// A ring of the last [`HISTORY`] rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct History {
    rows: [[i32; FEATURES]; HISTORY],
    /// The oldest row, and the next to be replaced. Always below [`HISTORY`].
    oldest: u8,
}

const _: () = assert!(size_of::<History>() <= 124, "a paced flow's slab entry counts on this");
const _: () = assert!(HISTORY <= u8::MAX as usize);

impl History {
    /// The row of an interval in which nothing is known: no inflation, ratios of one.
    pub const NEUTRAL: [i32; FEATURES] = [0, ONE, ONE];

    /// A history of a flow that has not finished an interval yet: all rows neutral, as in Aurora.
    pub const fn fresh() -> History {
        History { rows: [History::NEUTRAL; HISTORY], oldest: 0 }
    }

    /// Appends `row` and forgets the oldest one.
    pub fn push(&mut self, row: [i32; FEATURES]) {
        if let Some(slot) = self.rows.get_mut(usize::from(self.oldest)) {
            *slot = row;
        }
        self.oldest = (self.oldest + 1) % HISTORY as u8;
    }

    /// The network's inputs: rows oldest first, each in the order of
    /// [`PacingSpec::FEATURES`](crate::PacingSpec::FEATURES).
    pub fn write_inputs(&self, out: &mut [i32; INPUTS]) {
        self.write(0, out);
    }

    /// What [`write_inputs`](History::write_inputs) would write after [`push`](History::push) of `row`, which is not pushed: the
    /// interval so far, in the place of the last.
    pub fn write_inputs_with(&self, row: [i32; FEATURES], out: &mut [i32; INPUTS]) {
        self.write(1, out);
        if let Some(last) = out.last_chunk_mut::<FEATURES>() {
            *last = row;
        }
    }

    /// Writes all rows but the oldest `without`.
    fn write(&self, without: usize, out: &mut [i32; INPUTS]) {
        let (newer, older) = self.rows.split_at(usize::from(self.oldest).min(HISTORY));
        for (inputs, row) in out.chunks_exact_mut(FEATURES).zip(older.iter().chain(newer).skip(without)) {
            inputs.copy_from_slice(row);
        }
    }
}

impl Default for History {
    fn default() -> History {
        History::fresh()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_out_oldest_first_however_often_the_ring_wraps() {
        let mut history = History::fresh();
        let mut out = [0; INPUTS];
        history.write_inputs(&mut out);
        assert!(out.chunks(FEATURES).all(|row| row == History::NEUTRAL));
        for pushed in 1..=37_i32 {
            let row = [pushed, -pushed, pushed * 1_000];
            let mut provisional = [0; INPUTS];
            history.write_inputs_with(row, &mut provisional);
            history.push(row);
            history.write_inputs(&mut out);
            assert_eq!(provisional, out);
            for (place, row) in out.chunks(FEATURES).enumerate() {
                let number = pushed - (HISTORY as i32 - 1) + place as i32;
                let expected = if number < 1 { History::NEUTRAL } else { [number, -number, number * 1_000] };
                assert_eq!(row, expected, "place {place} after {pushed}");
            }
        }
    }
}
