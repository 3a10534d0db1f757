//! Watching a turn from outside, for a caller that has a clock.

/// The steps of a turn, in the order in which they first come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Stage {
    /// Held frames whose time has come leave the wheel.
    Release = 0,
    /// The port gives a burst.
    Receive = 1,
    /// Headers are read.
    Parse = 2,
    /// Flows are hashed and found.
    LookUp = 3,
    /// Frames from outside: tracked, counted, put on their way.
    Acknowledge = 4,
    /// Frames from inside: tracked, paced, put on their way.
    Pace = 5,
    /// Intervals end, networks run, rates change.
    Decide = 6,
    /// Ports take what leaves.
    Send = 7,
    /// Silent flows are forgotten, samples passed on, books closed.
    Keep = 8,
}

impl Stage {
    /// How many there are.
    pub const COUNT: usize = 9;

    /// All, in the order of their index.
    pub const ALL: [Stage; Stage::COUNT] = [
        Stage::Release,
        Stage::Receive,
        Stage::Parse,
        Stage::LookUp,
        Stage::Acknowledge,
        Stage::Pace,
        Stage::Decide,
        Stage::Send,
        Stage::Keep,
    ];

    /// Name as in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Stage::Release => "release",
            Stage::Receive => "receive",
            Stage::Parse => "parse",
            Stage::LookUp => "look_up",
            Stage::Acknowledge => "acknowledge",
            Stage::Pace => "pace",
            Stage::Decide => "decide",
            Stage::Send => "send",
            Stage::Keep => "keep",
        }
    }
}

/// Watches. Every method does nothing by default.
pub trait Probe {
    /// What was done since the turn began, or since the last call, was this. Stages that belong to one side's burst come
    /// once per side.
    #[inline(always)]
    fn stage(&mut self, stage: Stage) {
        let _ = stage;
    }
    /// Inputs are about to be gathered and quantised, and a network run.
    #[inline(always)]
    fn inference_begin(&mut self) {}
    /// The network has been run over this many rows, and its actions are about to be applied.
    #[inline(always)]
    fn inference_end(&mut self, rows: usize) {
        let _ = rows;
    }
}

/// Watches nothing.
impl Probe for () {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_and_order_agree() {
        for (index, stage) in Stage::ALL.iter().enumerate() {
            assert_eq!(*stage as usize, index);
        }
    }
}
