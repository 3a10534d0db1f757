//! A checked snapshot.

use crate::error::SnapshotError;
use crate::format;
use crate::parts::{Function, LayerParts, Output, Parts, Precision};

/// An immutable quantised model that passed every check: shapes chain, fields are in range, no input can overflow an
/// accumulator. [`Snapshot::decode`] is the only way to one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    parts: Parts,
    checksum: u32,
}

impl Snapshot {
    /// Reads a snapshot file.
    ///
    /// Never panics, and allocates nothing for a declared size that the bytes do not back.
    ///
    /// # Errors
    /// [`SnapshotError`] with the offset, what was expected there and what was found, for anything but the one
    /// canonical encoding of a valid snapshot.
    pub fn decode(bytes: &[u8]) -> Result<Snapshot, SnapshotError> {
        let (parts, checksum) = format::decode(bytes)?;
        Ok(Snapshot { parts, checksum })
    }

    /// All fields.
    pub fn parts(&self) -> &Parts {
        &self.parts
    }
    /// The CRC-32C at the file's end: tells two snapshots apart in logs.
    pub fn checksum(&self) -> u32 {
        self.checksum
    }
    /// Features that the network takes.
    pub fn inputs(&self) -> usize {
        self.parts.inputs.len()
    }
    /// Results of one inference: the last layer's width, or 1 for [`Output::ArgMax`].
    pub fn outputs(&self) -> usize {
        match self.parts.output {
            Output::Linear | Output::Softmax => self.parts.outputs.len(),
            Output::ArgMax => 1,
        }
    }
    /// Width of weights and values.
    pub fn precision(&self) -> Precision {
        self.parts.precision
    }
    /// What the network decides.
    pub fn function(&self) -> Function {
        self.parts.function
    }
    /// Names the feature definitions that the network was trained on.
    pub fn schema_hash(&self) -> u64 {
        self.parts.schema_hash
    }
    /// 1 to 32 printable ASCII bytes.
    pub fn name(&self) -> &str {
        &self.parts.name
    }
    /// The layers, first to last.
    pub fn layers(&self) -> &[LayerParts] {
        &self.parts.layers
    }
}
