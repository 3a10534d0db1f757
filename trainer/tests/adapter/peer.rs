//! A scripted peer: what it does with each connection is the test's to say. It has an encoder of its own, so that a
//! mistake in Weir's cannot hide.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

pub(crate) const HELLO: u16 = 1;
pub(crate) const ADAPT: u16 = 2;
pub(crate) const EVALUATE: u16 = 3;
pub(crate) const FREEZE: u16 = 4;
pub(crate) const RESET: u16 = 5;
pub(crate) const ERROR: u16 = 0xffff;

/// One request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) kind: u16,
    pub(crate) number: u32,
    pub(crate) body: Vec<u8>,
    /// Header and body.
    pub(crate) frame: Vec<u8>,
}

/// A peer that serves one connection at a time until dropped.
pub(crate) struct Peer {
    socket: PathBuf,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    _folder: tempfile::TempDir,
}

impl Peer {
    /// `serve` is called with each connection and its number, from 0; the connection closes when it returns.
    pub(crate) fn start(mut serve: impl FnMut(&mut UnixStream, usize) + Send + 'static) -> Peer {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("peer.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let stopping = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stopping);
        let thread = std::thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                serve(&mut stream.unwrap(), number);
            }
        });
        Peer { socket, stopping, thread: Some(thread), _folder: folder }
    }

    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        let _ = UnixStream::connect(&self.socket);
        let joined = self.thread.take().unwrap().join();
        assert!(joined.is_ok() || std::thread::panicking(), "the peer's script panicked");
    }
}

/// The next request, `None` where Weir has closed.
pub(crate) fn receive(stream: &mut UnixStream) -> Option<Request> {
    let mut frame = vec![0; 12];
    stream.read_exact(&mut frame).ok()?;
    let length = u32::from_le_bytes(frame[..4].try_into().unwrap()) as usize;
    let kind = u16::from_le_bytes(frame[4..6].try_into().unwrap());
    let number = u32::from_le_bytes(frame[8..12].try_into().unwrap());
    frame.resize(12 + length, 0);
    stream.read_exact(&mut frame[12..]).ok()?;
    Some(Request { kind, number, body: frame[12..].to_vec(), frame })
}

pub(crate) fn frame(kind: u16, number: u32, body: &[u8]) -> Vec<u8> {
    let mut frame = (body.len() as u32).to_le_bytes().to_vec();
    frame.extend(kind.to_le_bytes());
    frame.extend([0, 0]);
    frame.extend(number.to_le_bytes());
    frame.extend(body);
    frame
}

pub(crate) fn answer(stream: &mut UnixStream, request: &Request, body: &[u8]) {
    // Weir may have given up by now.
    let _ = stream.write_all(&frame(request.kind | 0x8000, request.number, body));
}

pub(crate) fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u16).to_le_bytes()[..], text.as_bytes()].concat()
}

pub(crate) fn ready() -> Vec<u8> {
    [&1u32.to_le_bytes()[..], &text("scripted")].concat()
}

pub(crate) fn adapted(rows: u32, loss: f64) -> Vec<u8> {
    let mut body = rows.to_le_bytes().to_vec();
    body.extend(4u32.to_le_bytes());
    body.extend(loss.to_le_bytes());
    body.extend(0.5f64.to_le_bytes());
    body
}

pub(crate) fn error(code: u16, message: &str) -> Vec<u8> {
    [&code.to_le_bytes()[..], &text(message)].concat()
}

/// The model in a hello: the last field.
pub(crate) fn hello_model(request: &Request) -> Vec<u8> {
    let mut at = 8 + 4 + 8 + 3 * 4;
    for _ in 0..2 {
        at += 2 + usize::from(u16::from_le_bytes(request.body[at..at + 2].try_into().unwrap()));
    }
    request.body[at + 4..].to_vec()
}

/// The answer of a peer that does as it should: it tunes nothing, and freezes the model that it was last given.
pub(crate) fn good(model: &mut Vec<u8>, request: &Request) -> Vec<u8> {
    match request.kind {
        HELLO => {
            *model = hello_model(request);
            ready()
        }
        ADAPT => adapted(2, 0.25),
        EVALUATE => 0.125f64.to_le_bytes().to_vec(),
        FREEZE => model.clone(),
        RESET => {
            model.clone_from(&request.body);
            Vec::new()
        }
        kind => panic!("request of kind {kind}"),
    }
}

/// Serves a whole connection well.
pub(crate) fn serve_well(stream: &mut UnixStream) {
    let mut model = Vec::new();
    while let Some(request) = receive(stream) {
        let body = good(&mut model, &request);
        answer(stream, &request, &body);
    }
}
