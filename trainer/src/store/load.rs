//! Reads one stored generation, and believes nothing that its checksums and its own format do not prove.

use super::manifest::{Manifest, sha256};
use super::{MANIFEST, NETWORK, REFUSED, SNAPSHOT};
use crate::network::Network;
use crate::onnx::{self, ImportError};
use std::io::Read;
use std::path::{Path, PathBuf};
use weir_snapshot::{Function, Snapshot, SnapshotError};

/// More than any manifest has.
const MANIFEST_BYTES_MAX: u64 = 1 << 16;

/// What a snapshot must be made for, to be run here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    /// What it decides.
    pub function: Function,
    /// Names the input definitions.
    pub schema_hash: u64,
    /// Values that it takes.
    pub inputs: usize,
    /// Values that it gives.
    pub outputs: usize,
}

/// A generation as found on disk.
#[derive(Debug, Clone)]
pub struct Stored {
    /// What is known of it.
    pub manifest: Manifest,
    /// The snapshot's bytes.
    pub bytes: Vec<u8>,
    /// The snapshot.
    pub snapshot: Snapshot,
    /// The float network that it came from.
    pub network: Network,
    /// Whether live traffic has shown that it is worse than the rule.
    pub refused: bool,
}

/// What a folder holds.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    /// What can be run, newest first.
    pub generations: Vec<Stored>,
    /// What cannot.
    pub skipped: Vec<Skipped>,
    /// The highest number in the folder, of what can be run and of what cannot; 0 when there is none.
    pub highest: u32,
}

/// A generation that cannot be run.
#[derive(Debug, Clone)]
pub struct Skipped {
    /// Where it lies.
    pub folder: PathBuf,
    /// Why.
    pub fault: Fault,
}

/// Why a stored generation is not used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// A file is missing, is none, or cannot be read.
    #[error("{file}: {reason}")]
    Unreadable {
        /// Its name in the generation's folder.
        file: &'static str,
        /// What the system said.
        reason: String,
    },
    /// The manifest is torn, changed or of another format.
    #[error("manifest: {0}")]
    Manifest(String),
    /// A file is not the one that was stored.
    #[error("{0}: its checksum is not the manifest's: torn or changed")]
    Checksum(&'static str),
    /// The manifest is another generation's.
    #[error("manifest: of generation {0}")]
    Generation(u32),
    /// The snapshot is refused by its own checks.
    #[error("{SNAPSHOT}: {0}")]
    Snapshot(SnapshotError),
    /// The snapshot was made for another configuration.
    #[error("{SNAPSHOT}: {what} is {found}, the configuration needs {expected}")]
    Foreign {
        /// Which of its properties.
        what: &'static str,
        /// The configuration's.
        expected: String,
        /// The snapshot's.
        found: String,
    },
    /// The float network is refused, or does not fit the snapshot.
    #[error("{0}")]
    Network(String),
}

pub(super) fn generation(folder: &Path, number: u32, expected: &Expected) -> Result<Stored, Fault> {
    let manifest = Manifest::decode(&read(folder, MANIFEST, MANIFEST_BYTES_MAX)?).map_err(Fault::Manifest)?;
    if manifest.generation != number {
        return Err(Fault::Generation(manifest.generation));
    }
    let bytes = read(folder, SNAPSHOT, weir_snapshot::FILE_BYTES_MAX as u64)?;
    if sha256(&bytes) != manifest.snapshot_sha256 {
        return Err(Fault::Checksum(SNAPSHOT));
    }
    let snapshot = Snapshot::decode(&bytes).map_err(Fault::Snapshot)?;
    expected.check(&snapshot)?;
    let float = read(folder, NETWORK, onnx::FILE_BYTES_MAX)?;
    if sha256(&float) != manifest.network_sha256 {
        return Err(Fault::Checksum(NETWORK));
    }
    let network = onnx::import_bytes(&float, Path::new(NETWORK))
        .map_err(|error: ImportError| Fault::Network(error.to_string()))?;
    let float = network.layers.iter().map(|layer| (layer.inputs, layer.outputs));
    if !float.eq(snapshot.layers().iter().map(|layer| (layer.inputs, layer.outputs))) {
        return Err(Fault::Network(format!("{NETWORK}: another shape than the snapshot's")));
    }
    let refused = folder.join(REFUSED).exists();
    Ok(Stored { manifest, bytes, snapshot, network, refused })
}

impl Expected {
    fn check(&self, snapshot: &Snapshot) -> Result<(), Fault> {
        let equal = |what, expected: String, found: String| match expected == found {
            true => Ok(()),
            false => Err(Fault::Foreign { what, expected, found }),
        };
        let function = |function: Function| function.name().to_owned();
        equal("its function", function(self.function), function(snapshot.function()))?;
        let schema = |hash: u64| format!("{hash:016x}");
        equal("its schema", schema(self.schema_hash), schema(snapshot.schema_hash()))?;
        let shape = |inputs: usize, outputs: usize| format!("{inputs} to {outputs}");
        equal("its shape", shape(self.inputs, self.outputs), shape(snapshot.inputs(), snapshot.outputs()))
    }
}

/// Reads a file of at most `max` bytes.
fn read(folder: &Path, file: &'static str, max: u64) -> Result<Vec<u8>, Fault> {
    let fault = |reason: String| Fault::Unreadable { file, reason };
    let path = folder.join(file);
    // Before opening: opening a pipe would block.
    let metadata = std::fs::metadata(&path).map_err(|error| fault(error.to_string()))?;
    if !metadata.is_file() || metadata.len() > max {
        return Err(fault(format!("not a file of at most {max} bytes")));
    }
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(&path);
    // The file may grow after it was measured.
    opened
        .and_then(|file| file.take(max).read_to_end(&mut bytes))
        .map_err(|error| fault(error.to_string()))?;
    Ok(bytes)
}
