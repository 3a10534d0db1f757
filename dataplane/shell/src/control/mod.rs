//! The control socket: how an operator speaks to a running Weir. `docs/control-protocol.md` is the reference.
//!
//! [`protocol`] is what is said, [`Server`] and [`client`] are the two who say it, [`screen`] is a status as an operator
//! reads it. A new command is a variant of [`protocol::Command`] and of [`protocol::Body`], and an arm in the handler.

pub mod client;
pub mod learning;
pub mod models_screen;
pub mod protocol;
pub mod screen;
mod server;
mod table;

pub use server::{Handler, Server};

use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

/// Connects, or gives up: the kernel lets a connect to a stopped process wait without an end.
fn connect(path: &Path, wait: Duration) -> io::Result<UnixStream> {
    let (sender, receiver) = mpsc::channel();
    let path = path.to_owned();
    std::thread::Builder::new().name("weir-connect".to_owned()).spawn(move || {
        // Fails when nobody waits any more; the stream then closes.
        let _ = sender.send(UnixStream::connect(path));
    })?;
    receiver.recv_timeout(wait).unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
