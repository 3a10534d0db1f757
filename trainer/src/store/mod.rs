//! Published snapshots on disk: what a restarted appliance goes on with.
//!
//! ```text
//! folder/lock                                    held while a process uses the folder
//! folder/generation-00000012/snapshot.weir       the snapshot, as published
//!                            network.onnx        the float network it came from, so that tuning goes on from it
//!                            manifest            generation, time, reason, gate figures, checksums of all three
//!                            refused             there once live traffic has shown that it is worse than the rule
//! folder/.new-00000013/                          being written; means nothing
//! folder/.old-00000003/                          being removed; means nothing
//! ```
//!
//! A generation is written under another name, flushed (`fsync`) file by file and as a folder, and renamed. A rename is
//! atomic, so whoever is killed in the midst, and whenever the power fails, leaves either all of it or nothing that counts
//! (POSIX `rename`; ext4 and XFS keep a rename behind the flush of what was renamed). What was flushed and rots all the
//! same is found by its checksums.

mod load;
mod manifest;

#[cfg(test)]
mod tests;

pub use load::{Expected, Fault, Loaded, Skipped, Stored};
pub use manifest::{Manifest, Reason};

use crate::network::Network;
use crate::onnx;
use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use weir_snapshot::Snapshot;

const SNAPSHOT: &str = "snapshot.weir";
const NETWORK: &str = "network.onnx";
const MANIFEST: &str = "manifest";
const REFUSED: &str = "refused";
/// Before the number of a generation that counts.
const PREFIX: &str = "generation-";

/// One model's folder of generations. One process uses it at a time.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    keep: usize,
    /// The kernel lets go of the lock when the process ends, however it ends.
    _lock: File,
}

/// A generation to be kept.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// Its number: higher than those of all before.
    pub generation: u32,
    /// When it is published, in seconds since 1970.
    pub unix_seconds: u64,
    /// The snapshot's bytes, as published.
    pub snapshot: &'a [u8],
    /// The float network that it was quantised from.
    pub network: &'a Network,
    /// Why it is published.
    pub reason: Reason,
    /// CRC-32C of the snapshot that the configuration named then, which this one descends from: another one at a restart
    /// says that an operator has put another model in its place.
    pub configured: u32,
    /// What the gate measured, by name.
    pub figures: &'a BTreeMap<String, f64>,
}

/// Why the folder cannot be used. One line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The file system refuses.
    #[error("{}: cannot {action}: {error}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the system said.
        error: io::Error,
    },
    /// Another process uses the folder.
    #[error("{}: in use by another process: give each appliance a folder of its own", .0.display())]
    InUse(PathBuf),
    /// The bytes are no snapshot.
    #[error("generation {generation} is not stored: {reason}")]
    Invalid {
        /// The record's.
        generation: u32,
        /// What is wrong with it.
        reason: String,
    },
}

impl Store {
    /// Takes hold of `folder` (made if it is not there) and removes what earlier processes left half done.
    ///
    /// `keep`, at least 1: how many generations [`save`](Self::save) leaves there.
    ///
    /// # Errors
    /// [`StoreError::InUse`], [`StoreError::Io`].
    pub fn open(folder: &Path, keep: usize) -> Result<Store, StoreError> {
        fs::create_dir_all(folder).map_err(failed(folder, "make the folder"))?;
        let path = folder.join("lock");
        let lock = File::create(&path).map_err(failed(&path, "open"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreError::InUse(folder.to_path_buf())),
            Err(TryLockError::Error(error)) => return Err(failed(&path, "lock")(error)),
        }
        let store = Store { folder: folder.to_path_buf(), keep: keep.max(1), _lock: lock };
        for name in store.names()? {
            if name.starts_with(".new-") || name.starts_with(".old-") {
                remove(&store.folder.join(name))?;
            }
        }
        Ok(store)
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// All generations that can be run, newest first, and those that cannot, with the reason.
    ///
    /// # Errors
    /// [`StoreError::Io`] when the folder itself cannot be listed; a file that cannot be read is skipped.
    pub fn load(&self, expected: &Expected) -> Result<Loaded, StoreError> {
        let mut numbers: Vec<u32> = self.names()?.iter().filter_map(|name| number(name)).collect();
        numbers.sort_unstable();
        let mut loaded = Loaded { highest: numbers.last().copied().unwrap_or(0), ..Loaded::default() };
        for number in numbers.into_iter().rev() {
            let folder = self.place(number);
            match load::generation(&folder, number, expected) {
                Ok(stored) => loaded.generations.push(stored),
                Err(fault) => loaded.skipped.push(Skipped { folder, fault }),
            }
        }
        Ok(loaded)
    }

    /// Keeps a generation. Once this returns, every restart finds it or a newer one; the oldest ones beyond `keep` are
    /// gone.
    ///
    /// # Errors
    /// [`StoreError`]; the folder is then as it was before, or has an unnamed leftover that the next [`open`](Self::open)
    /// removes.
    pub fn save(&self, record: &Record<'_>) -> Result<(), StoreError> {
        let invalid = |reason: String| StoreError::Invalid { generation: record.generation, reason };
        let snapshot = Snapshot::decode(record.snapshot).map_err(|error| invalid(error.to_string()))?;
        let network = onnx::export(record.network, snapshot.name());
        let manifest = Manifest::new(record, &snapshot, &network).encode();
        let (made, place) =
            (self.folder.join(format!(".new-{:08}", record.generation)), self.place(record.generation));
        if place.exists() {
            return Err(invalid(format!("{} is there already", place.display())));
        }
        remove(&made)?;
        fs::create_dir(&made).map_err(failed(&made, "make the folder"))?;
        for (name, bytes) in
            [(SNAPSHOT, record.snapshot), (NETWORK, &network), (MANIFEST, manifest.as_bytes())]
        {
            write(&made.join(name), bytes)?;
        }
        flush(&made)?;
        fs::rename(&made, &place).map_err(failed(&place, "rename to"))?;
        flush(&self.folder)?;
        self.prune()
    }

    /// Marks a generation as one that live traffic has shown to be bad: it is never rolled back to.
    ///
    /// # Errors
    /// [`StoreError::Io`], also when it is no longer kept.
    pub fn refuse(&self, generation: u32) -> Result<(), StoreError> {
        let place = self.place(generation);
        write(&place.join(REFUSED), &[])?;
        flush(&place)
    }

    /// Removes the oldest generations beyond those to be kept.
    fn prune(&self) -> Result<(), StoreError> {
        let mut numbers: Vec<u32> = self.names()?.iter().filter_map(|name| number(name)).collect();
        numbers.sort_unstable();
        let surplus = numbers.len().saturating_sub(self.keep);
        for number in numbers.into_iter().take(surplus) {
            // Removing a folder takes several steps; under another name, none of them leaves half a generation.
            let (place, dying) = (self.place(number), self.folder.join(format!(".old-{number:08}")));
            remove(&dying)?;
            fs::rename(&place, &dying).map_err(failed(&place, "rename"))?;
            remove(&dying)?;
        }
        Ok(())
    }

    fn place(&self, generation: u32) -> PathBuf {
        self.folder.join(format!("{PREFIX}{generation:08}"))
    }

    fn names(&self) -> Result<Vec<String>, StoreError> {
        let listed = failed(&self.folder, "list the folder");
        let entries = fs::read_dir(&self.folder).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        Ok(entries
            .map_err(listed)?
            .iter()
            .filter_map(|entry| entry.file_name().to_str().map(str::to_owned))
            .collect())
    }
}

/// The number of a folder's name, if it is the one name that this number has.
fn number(name: &str) -> Option<u32> {
    let number = name.strip_prefix(PREFIX)?.parse().ok()?;
    (name == format!("{PREFIX}{number:08}")).then_some(number)
}

fn failed(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_path_buf();
    move |error| StoreError::Io { path, action, error }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let mut file = File::create(path).map_err(failed(path, "make the file"))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed(path, "write"))
}

/// Makes the entries of a folder last.
fn flush(folder: &Path) -> Result<(), StoreError> {
    File::open(folder).and_then(|file| file.sync_all()).map_err(failed(folder, "flush"))
}

/// Removes a folder and what is in it; nothing there is fine.
fn remove(folder: &Path) -> Result<(), StoreError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(folder, "remove")(error)),
        _ => Ok(()),
    }
}
