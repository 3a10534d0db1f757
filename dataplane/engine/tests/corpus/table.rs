//! The corpus as it lies on disk.

use std::fmt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// One frame and what is expected of it.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) side: String,
    pub(crate) verdict: String,
    pub(crate) again: String,
    pub(crate) kind: String,
    pub(crate) headers: usize,
    pub(crate) end: usize,
    pub(crate) sentence: String,
    pub(crate) bytes: Rc<[u8]>,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, {} bytes)", self.name, self.sentence, self.bytes.len())
    }
}

/// Frames that one worker sees in this order.
pub(crate) struct Scene {
    pub(crate) cases: Vec<Case>,
}

pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

/// All of the corpus, file by file.
pub(crate) fn scenes() -> Vec<Scene> {
    let mut scenes = Vec::new();
    let frames = lines("frames.tsv");
    for of_one_file in frames.chunk_by(|a, b| a[0] == b[0]) {
        let records = records(&of_one_file[0][0]);
        assert_eq!(records.len(), of_one_file.len(), "{}: a line for each frame", of_one_file[0][0]);
        let cases = of_one_file.iter().zip(records).map(|(line, bytes)| case(line, bytes));
        scenes.push(Scene { cases: cases.collect() });
    }
    let crash = lines("crash.tsv");
    scenes.push(Scene { cases: crash.iter().map(|line| case(line, from_hex(&line[9]))).collect() });
    scenes
}

fn lines(file: &str) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(folder().join(file)).unwrap();
    let table = text.lines().filter(|line| !line.starts_with('#'));
    table.map(|line| line.split('\t').map(str::to_owned).collect()).collect()
}

fn case(line: &[String], bytes: Vec<u8>) -> Case {
    let [file, name, side, verdict, again, kind, headers, end, sentence, ..] = line else {
        panic!("expected nine columns: {line:?}");
    };
    Case {
        name: format!("{file}/{name}"),
        side: side.clone(),
        verdict: verdict.clone(),
        again: again.clone(),
        kind: kind.clone(),
        headers: headers.parse().unwrap(),
        end: end.parse().unwrap(),
        sentence: sentence.clone(),
        bytes: bytes.into(),
    }
}

/// The frames of a capture as the script writes it: little-endian, nothing cut.
fn records(file: &str) -> Vec<Vec<u8>> {
    let capture = std::fs::read(folder().join(file).with_extension("pcap")).unwrap();
    let mut rest = &capture[24..];
    let mut records = Vec::new();
    while !rest.is_empty() {
        let len = u32::from_le_bytes(rest[8..12].try_into().unwrap()) as usize;
        records.push(rest[16..16 + len].to_vec());
        rest = &rest[16 + len..];
    }
    records
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter(|c| *c != ' ').map(|c| c.to_digit(16).unwrap()).collect();
    digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}
