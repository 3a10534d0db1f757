//! The published snapshots as a worker sees them.

use std::fmt;
use std::sync::Arc;
use weir_features::{INPUTS, PATH_INPUTS, SIZE_INPUTS};
use weir_snapshot::{Executable, Function, Snapshot};

/// A published snapshot, ready to run, and its number.
#[derive(Debug)]
pub struct Generation {
    number: u32,
    executable: Executable,
}

/// Why a snapshot cannot drive a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// It was made for another function.
    Function {
        /// What was wanted.
        expected: Function,
        /// The snapshot's.
        found: Function,
    },
    /// Its features are defined otherwise than this engine's.
    Schema {
        /// The engine's schema hash.
        expected: u64,
        /// The snapshot's.
        found: u64,
    },
    /// It does not map the function's features to one answer.
    Shape {
        /// The function's inputs.
        expected: usize,
        /// Its inputs.
        inputs: usize,
        /// Its outputs.
        outputs: usize,
    },
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unfit::Function { expected, found } => {
                write!(f, "expected a snapshot for {}, found one for {}", expected.name(), found.name())
            }
            Unfit::Schema { expected, found } => {
                write!(f, "expected features of schema {expected:016x}, found {found:016x}")
            }
            Unfit::Shape { expected, inputs, outputs } => {
                write!(f, "expected {expected} inputs and 1 output, found {inputs} and {outputs}")
            }
        }
    }
}

impl std::error::Error for Unfit {}

impl Generation {
    /// Makes `executable` generation `number` for an engine whose features have `schema_hash`.
    ///
    /// # Errors
    /// [`Unfit`], when it was made for something else.
    pub fn new(number: u32, executable: Executable, schema_hash: u64) -> Result<Generation, Unfit> {
        Generation::of(number, executable, schema_hash, (Function::Pacing, INPUTS))
    }

    /// The same for an engine that predicts flow sizes.
    ///
    /// # Errors
    /// [`Unfit`], when it was made for something else.
    pub fn of_sizes(number: u32, executable: Executable, schema_hash: u64) -> Result<Generation, Unfit> {
        Generation::of(number, executable, schema_hash, (Function::Schedule, SIZE_INPUTS))
    }

    /// The same for an engine that chooses paths.
    ///
    /// # Errors
    /// [`Unfit`], when it was made for something else.
    pub fn of_paths(number: u32, executable: Executable, schema_hash: u64) -> Result<Generation, Unfit> {
        Generation::of(number, executable, schema_hash, (Function::Balance, PATH_INPUTS))
    }

    fn of(
        number: u32,
        executable: Executable,
        schema_hash: u64,
        (function, inputs): (Function, usize),
    ) -> Result<Generation, Unfit> {
        let snapshot: &Snapshot = executable.snapshot();
        if snapshot.function() != function {
            return Err(Unfit::Function { expected: function, found: snapshot.function() });
        }
        if snapshot.schema_hash() != schema_hash {
            return Err(Unfit::Schema { expected: schema_hash, found: snapshot.schema_hash() });
        }
        if (snapshot.inputs(), snapshot.outputs()) != (inputs, 1) {
            let found = (snapshot.inputs(), snapshot.outputs());
            return Err(Unfit::Shape { expected: inputs, inputs: found.0, outputs: found.1 });
        }
        Ok(Generation { number, executable })
    }

    /// The same under its number.
    #[must_use]
    pub fn numbered(self, number: u32) -> Generation {
        Generation { number, ..self }
    }

    /// Its number. Later publications have higher ones.
    pub fn number(&self) -> u32 {
        self.number
    }
    /// What to run.
    pub fn executable(&self) -> &Executable {
        &self.executable
    }
}

/// What the epoch publishes: the newest generation and the one before it, which flows may still be bound to.
/// A flow stores a generation's number and never a pointer.
///
/// Who publishes a third waits until the workers say that no flow follows the first any more
/// ([`holds_back`](ModelSet::holds_back), [`WorkerStats::following_previous`](crate::counters::WorkerStats)). Who does not
/// wait makes such flows rebind at their next frame: the rate that they have stays until their interval ends, and nobody is
/// told what it brought.
#[derive(Clone, Debug, Default)]
pub struct ModelSet {
    active: Option<Arc<Generation>>,
    previous: Option<Arc<Generation>>,
}

impl ModelSet {
    /// No model: every flow follows the rule.
    pub fn empty() -> ModelSet {
        ModelSet::default()
    }

    /// This set with `next` as the active generation and today's active one as the previous.
    #[must_use]
    pub fn with(&self, next: Arc<Generation>) -> ModelSet {
        ModelSet { active: Some(next), previous: self.active.clone() }
    }

    /// The newest generation.
    pub fn active(&self) -> Option<&Generation> {
        self.active.as_deref()
    }

    /// The generation before it.
    pub fn previous(&self) -> Option<&Generation> {
        self.previous.as_deref()
    }

    /// The live generation with this number, if it still is one.
    pub fn live(&self, number: u32) -> Option<&Generation> {
        [self.active(), self.previous()].into_iter().flatten().find(|live| live.number == number)
    }

    /// Whether `next` has to wait until no flow follows the previous generation of this set: it drops that and keeps the active
    /// one, and three weight sets at a time are one too many for a burst.
    pub fn holds_back(&self, next: &ModelSet) -> bool {
        let keeps = |generation: &Generation| next.live(generation.number).is_some();
        self.active().is_some_and(keeps) && !self.previous().is_none_or(keeps)
    }

    /// This set without the previous generation: flows that are still bound to it rebind at their next frame.
    #[must_use]
    pub fn retire_previous(&self) -> ModelSet {
        ModelSet { active: self.active.clone(), previous: None }
    }

    /// Flows bound to a generation below this one must rebind; 0 when there is none.
    pub fn oldest_live(&self) -> u32 {
        self.previous().or(self.active()).map_or(0, Generation::number)
    }
}
