//! Weir's frames against `frames.txt`, which the Python side is held to as well.

use super::peer::{self, Peer};
use super::{batch, process};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::mpsc::channel;
use weir_trainer::online::{AdaptReport, Adapter};

/// Every frame of the file, by name.
fn golden() -> BTreeMap<&'static str, Vec<u8>> {
    let mut frames: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
    let mut name = "";
    for line in include_str!("frames.txt").lines() {
        if let Some(found) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            name = found;
            frames.insert(name, Vec::new());
        } else if let Some((_, bytes)) = line.split_once('|') {
            let bytes = bytes.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap());
            frames.get_mut(name).unwrap().extend(bytes);
        }
    }
    frames
}

/// A hello and a reset end in a model, which has tests of its own: its length says where.
fn without_model(kind: u16, frame: &[u8]) -> (Vec<u8>, usize) {
    let model = match kind {
        peer::HELLO => 12 + 52,
        peer::RESET => 12,
        _ => frame.len(),
    };
    let mut head = frame[..model].to_vec();
    // The lengths of the body and of the model are the model's, too.
    head[..4].fill(0);
    if kind == peer::HELLO {
        head[model - 4..].fill(0);
    }
    (head, frame.len() - model)
}

#[test]
fn requests_and_answers_are_as_documented() {
    let answers = ["ready", "adapted", "evaluated", "frozen", "done"];
    let (seen, requests) = channel();
    let peer = Peer::start(move |stream, _| {
        let golden = golden();
        while let Some(request) = peer::receive(stream) {
            let reply = &golden[answers[usize::from(request.kind) - 1]];
            seen.send(request).unwrap();
            stream.write_all(reply).unwrap();
        }
    });
    let mut process = process(peer.socket());
    let report = process.adapt(&batch()).unwrap();
    assert_eq!(report, AdaptReport { loss: 0.25, gradient_norm: 0.5, rows: 2, steps: 4 });
    assert_eq!(process.watch().peer(), "scripted");
    assert_eq!(process.evaluate(&batch()).unwrap(), 0.125);
    // The file's model is the beginning of one.
    let refused = process.freeze().unwrap_err().to_string();
    assert!(refused.contains("the frozen model is refused") && refused.contains("truncated"), "{refused}");
    process.reset(&super::network(1.0)).unwrap();
    assert!(process.watch().is_connected());

    let golden = golden();
    for (name, request) in ["hello", "adapt", "evaluate", "freeze", "reset"].iter().zip(requests.try_iter()) {
        let (sent, model) = without_model(request.kind, &request.frame);
        let (documented, _) = without_model(request.kind, &golden[name]);
        assert_eq!(sent, documented, "{name}");
        assert_eq!(model > 0, [peer::HELLO, peer::RESET].contains(&request.kind), "{name}");
        let length = u32::from_le_bytes(request.frame[..4].try_into().unwrap()) as usize;
        assert_eq!(length, request.frame.len() - 12);
    }
}

#[test]
fn an_error_is_as_documented() {
    let peer = Peer::start(|stream, _| {
        peer::receive(stream).unwrap();
        stream.write_all(&golden()["ready"]).unwrap();
        peer::receive(stream).unwrap();
        stream.write_all(&golden()["error"]).unwrap();
    });
    let error = process(peer.socket()).adapt(&batch()).unwrap_err().to_string();
    assert_eq!(error, "the adapter process failed: adapt failed in the process: no rows");
}
