//! The ways in which an adapter process fails its caller.

use super::wire::Call;
use crate::onnx::ImportError;
use std::fmt;
use std::path::PathBuf;

/// A closed set of names for [`Fault`]s: one counter each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Nobody listens at the socket.
    Absent,
    /// The process takes no more connections.
    Busy,
    /// The process says that it cannot tune this model, or speaks another version of the protocol.
    Unsuitable,
    /// The process reports that the call failed in it.
    Failed,
    /// No whole answer by the deadline.
    Late,
    /// The connection ended.
    Closed,
    /// What came is no answer of the protocol.
    Protocol,
    /// A number that is none, or one that cannot be.
    Value,
    /// The frozen bytes are no model that Weir reads.
    Model,
    /// The frozen model has other inputs or outputs than the one that it came from.
    Shape,
    /// Not asked: the wait after an earlier fault is not over.
    Waiting,
}

impl Reason {
    /// Every reason, in the order of their counters.
    pub const ALL: [Reason; 11] = [
        Reason::Absent,
        Reason::Busy,
        Reason::Unsuitable,
        Reason::Failed,
        Reason::Late,
        Reason::Closed,
        Reason::Protocol,
        Reason::Value,
        Reason::Model,
        Reason::Shape,
        Reason::Waiting,
    ];

    /// Name as in metrics and `weir ctl models`.
    pub const fn name(self) -> &'static str {
        match self {
            Reason::Absent => "absent",
            Reason::Busy => "busy",
            Reason::Unsuitable => "unsuitable",
            Reason::Failed => "failed",
            Reason::Late => "late",
            Reason::Closed => "closed",
            Reason::Protocol => "protocol",
            Reason::Value => "value",
            Reason::Model => "model",
            Reason::Shape => "shape",
            Reason::Waiting => "waiting",
        }
    }
}

/// Why an adapter process gave no answer that can be used. `Display` gives one line.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// [`Reason::Absent`]
    #[error("{}: cannot connect: {why}; is the adapter process running?", socket.display())]
    Absent {
        /// Where it should listen.
        socket: PathBuf,
        /// The system's words.
        why: String,
    },
    /// [`Reason::Busy`]
    #[error("the process takes no more connections: {0}")]
    Busy(String),
    /// [`Reason::Unsuitable`]
    #[error("the process cannot tune this model: {0}")]
    Unsuitable(String),
    /// [`Reason::Failed`]
    #[error("{0} failed in the process: {1}")]
    Failed(Call, String),
    /// [`Reason::Late`]
    #[error("no answer to {0} by the deadline")]
    Late(Call),
    /// [`Reason::Closed`]
    #[error("the connection ended during {0}: {1}")]
    Closed(Call, String),
    /// [`Reason::Protocol`]
    #[error("the answer to {0} is not in the protocol: {1}")]
    Protocol(Call, String),
    /// [`Reason::Value`]
    #[error("the answer to {call} has a {what} of {found}")]
    Value {
        /// What was asked.
        call: Call,
        /// Which number.
        what: &'static str,
        /// What it was.
        found: f64,
    },
    /// [`Reason::Model`]
    #[error("the frozen model is refused: {0}")]
    Model(#[from] ImportError),
    /// [`Reason::Shape`]
    #[error("the frozen model has {found:?} inputs and outputs, the adapter was given {expected:?}")]
    Shape {
        /// Inputs and outputs of the network that it came from.
        expected: [usize; 2],
        /// Of the frozen one.
        found: [usize; 2],
    },
    /// [`Reason::Waiting`]
    #[error("waiting after a fault before the next connection")]
    Waiting,
}

impl Fault {
    /// Which counter it belongs to.
    pub const fn reason(&self) -> Reason {
        match self {
            Fault::Absent { .. } => Reason::Absent,
            Fault::Busy(_) => Reason::Busy,
            Fault::Unsuitable(_) => Reason::Unsuitable,
            Fault::Failed(..) => Reason::Failed,
            Fault::Late(_) => Reason::Late,
            Fault::Closed(..) => Reason::Closed,
            Fault::Protocol(..) => Reason::Protocol,
            Fault::Value { .. } => Reason::Value,
            Fault::Model(_) => Reason::Model,
            Fault::Shape { .. } => Reason::Shape,
            Fault::Waiting => Reason::Waiting,
        }
    }

    /// Whether the two ends may have lost each other: what comes next on the connection cannot be told from what is late.
    pub(super) const fn ends_connection(&self) -> bool {
        match self {
            Fault::Failed(..)
            | Fault::Value { .. }
            | Fault::Model(_)
            | Fault::Shape { .. }
            | Fault::Waiting => false,
            Fault::Absent { .. }
            | Fault::Busy(_)
            | Fault::Unsuitable(_)
            | Fault::Late(_)
            | Fault::Closed(..)
            | Fault::Protocol(..) => true,
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Call::Hello => "hello",
            Call::Adapt => "adapt",
            Call::Evaluate => "evaluate",
            Call::Freeze => "freeze",
            Call::Reset => "reset",
        })
    }
}
