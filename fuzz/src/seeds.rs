//! What inputs are made from: the repository's own frames, snapshots, models and configurations.

use std::fs;
use std::path::{Path, PathBuf};

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The files of a folder with this extension, in the order of their names.
fn files(folder: &str, extension: &str) -> Vec<Vec<u8>> {
    let folder = workspace().join(folder);
    let mut paths: Vec<PathBuf> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "{}: no .{extension}", folder.display());
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// Frames of the corpus up to `len_max` bytes.
pub(crate) fn frames(len_max: usize) -> Vec<Vec<u8>> {
    let captures = files("dataplane/engine/corpus", "pcap");
    captures.iter().flat_map(|capture| records(capture)).filter(|frame| frame.len() <= len_max).collect()
}

/// One whole TCP connection over IPv4 without VLAN tags, with the side from which each frame comes: true is inside.
pub(crate) fn connection() -> Vec<(bool, Vec<u8>)> {
    let capture = fs::read(workspace().join("dataplane/engine/corpus/conversation.pcap")).unwrap();
    let is_plain = |frame: &Vec<u8>| frame[12..14] == [0x08, 0x00] && frame[23] == 6 && frame[20] & 0x3f == 0;
    let frames = records(&capture).into_iter().filter(is_plain);
    frames.map(|frame| (frame[26] == 10, frame)).collect()
}

/// The frames of a capture as the corpus' script writes it.
fn records(capture: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = &capture[24..];
    let mut records = Vec::new();
    while let Some((head, after)) = rest.split_first_chunk::<16>() {
        let len = u32::from_le_bytes([head[8], head[9], head[10], head[11]]) as usize;
        records.push(after[..len].to_vec());
        rest = &after[len..];
    }
    records
}

/// Golden snapshots of every precision and output.
pub(crate) fn snapshots() -> Vec<Vec<u8>> {
    files("snapshot/golden", "snapshot")
}

/// The shipped models.
pub(crate) fn models() -> Vec<Vec<u8>> {
    files("conf/models", "onnx")
}

/// The shipped configurations.
pub(crate) fn configurations() -> Vec<String> {
    files("conf", "toml").into_iter().map(|bytes| String::from_utf8(bytes).unwrap()).collect()
}
