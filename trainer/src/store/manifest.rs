//! What is known of a stored generation, as text: one line of JSON, and a line with its checksum.

use super::Record;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::{self, Write};
use weir_snapshot::Snapshot;

/// Version of the fields.
const FORMAT: u32 = 1;

/// Why a generation was published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The configuration names it.
    Configured,
    /// Tuned on samples, and through the gate.
    Adapted,
    /// An earlier generation again, because an operator asked for it.
    RolledBack {
        /// The earlier one's number.
        to: u32,
    },
    /// An earlier generation again, because live traffic fared worse than under the rule.
    Recalled {
        /// The earlier one's number.
        to: u32,
    },
    /// An earlier generation again, because it does better than what ran on the paths that are in use now.
    Returned {
        /// The earlier one's number.
        to: u32,
    },
}

impl Reason {
    /// The earlier generation that is published again, if it is one.
    pub(crate) fn repeats(self) -> Option<u32> {
        match self {
            Reason::RolledBack { to } | Reason::Recalled { to } | Reason::Returned { to } => Some(to),
            Reason::Configured | Reason::Adapted => None,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Configured => f.write_str("configured"),
            Reason::Adapted => f.write_str("adapted"),
            Reason::RolledBack { to } => write!(f, "rolled back to {to}"),
            Reason::Recalled { to } => write!(f, "rolled back to {to} by itself"),
            Reason::Returned { to } => write!(f, "returned to {to}"),
        }
    }
}

/// All that is known of a stored generation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    format: u32,
    /// Its number.
    pub generation: u32,
    /// When it was published, in seconds since 1970.
    pub unix_seconds: u64,
    /// What it decides.
    pub function: String,
    /// Names the input definitions: sixteen hexadecimal digits.
    pub schema_hash: String,
    /// Why it was published.
    pub reason: Reason,
    /// CRC-32C of the snapshot that the configuration named then.
    pub configured: u32,
    /// What the gate measured, by name.
    pub figures: BTreeMap<String, f64>,
    /// SHA-256 of the snapshot file.
    pub(super) snapshot_sha256: String,
    /// SHA-256 of the float network's file.
    pub(super) network_sha256: String,
}

impl Manifest {
    pub(super) fn new(record: &Record<'_>, snapshot: &Snapshot, network: &[u8]) -> Manifest {
        Manifest {
            format: FORMAT,
            generation: record.generation,
            unix_seconds: record.unix_seconds,
            function: snapshot.function().name().to_owned(),
            schema_hash: format!("{:016x}", snapshot.schema_hash()),
            reason: record.reason,
            configured: record.configured,
            // JSON has no other numbers.
            figures: record
                .figures
                .iter()
                .filter(|(_, value)| value.is_finite())
                .map(|(name, value)| (name.clone(), *value))
                .collect(),
            snapshot_sha256: sha256(record.snapshot),
            network_sha256: sha256(network),
        }
    }

    pub(super) fn encode(&self) -> String {
        // A map with string keys and finite numbers always has a JSON form; an empty text would be refused when read.
        let body = serde_json::to_string(self).unwrap_or_default();
        let sum = sha256(body.as_bytes());
        format!("{body}\n{sum}\n")
    }

    /// Reads what [`encode`](Self::encode) wrote; otherwise what is wrong with it.
    pub(super) fn decode(bytes: &[u8]) -> Result<Manifest, String> {
        let text = std::str::from_utf8(bytes).map_err(|_| "it is no text".to_owned())?;
        let rest = text.strip_suffix('\n').ok_or("its end is missing")?;
        let (body, sum) = rest.split_once('\n').ok_or("its checksum is missing")?;
        if sha256(body.as_bytes()) != sum {
            return Err("its checksum does not match".into());
        }
        let manifest: Manifest = serde_json::from_str(body).map_err(|error| error.to_string())?;
        match manifest.format {
            FORMAT => Ok(manifest),
            found => Err(format!("it is of format {found}, this build reads {FORMAT}")),
        }
    }
}

/// In hexadecimal.
pub(super) fn sha256(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in Sha256::digest(bytes) {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
