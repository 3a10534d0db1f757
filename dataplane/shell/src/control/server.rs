//! Weir's end of the control socket: one request per connection, few connections, short deadlines.

use super::protocol::{Answer, Body, REQUEST_BYTES_MAX, Request, VERSION};
use crate::acceptor::{Acceptor, Manners, before, write_before};
use anyhow::{Context as _, bail};
use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Connections served at once. One more is told so: an operator has few hands.
const CONNECTIONS_MAX: usize = 4;
/// From accept to the end of the request, and from the answer to its last byte.
const DEADLINE: Duration = Duration::from_secs(2);
/// How long a start waits to find out whether another process listens.
const PROBE: Duration = Duration::from_secs(2);
/// A reload reads and quantises models on the connection's thread.
const STACK_BYTES: usize = 2 << 20;
/// Owner and group. The group of the socket's folder is the way to let others in.
const MODE: u32 = 0o660;

/// Answers a command. Called on a connection's own thread; may take its time.
pub type Handler = dyn Fn(&Request) -> Body + Send + Sync;

/// A listening control socket. Stops, and takes the socket away, when dropped.
pub struct Server {
    path: PathBuf,
    /// Device and inode of our socket: what stands there later may be another process's.
    own: (u64, u64),
    acceptor: Option<Acceptor>,
}

impl Server {
    /// Makes the socket and starts to serve. A socket that a dead process left behind makes way.
    ///
    /// # Errors
    /// Another process listens there, something that is no socket is in the way, or the folder cannot be written.
    pub fn start(path: &Path, handler: Box<Handler>) -> anyhow::Result<Server> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o750)
                .create(folder)
                .with_context(|| format!("cannot make the folder {}", folder.display()))?;
        }
        make_way(path)?;
        // Made under another name and moved, so that it is never there without its mode, and never not there.
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{}", std::process::id()));
        let draft = PathBuf::from(name);
        let _ = fs::remove_file(&draft);
        let listener = UnixListener::bind(&draft)
            .with_context(|| format!("cannot make a socket in the folder of {}", path.display()))?;
        let placed = fs::set_permissions(&draft, fs::Permissions::from_mode(MODE))
            .and_then(|()| fs::metadata(&draft))
            .and_then(|made| fs::rename(&draft, path).map(|()| made));
        let made = match placed {
            Ok(made) => made,
            Err(error) => {
                let _ = fs::remove_file(&draft);
                return Err(error).with_context(|| format!("cannot place {}", path.display()));
            }
        };
        let manners = Manners {
            name: "weir-ctl",
            connections_max: CONNECTIONS_MAX,
            stack_bytes: STACK_BYTES,
            busy: line(Body::Error { message: "too many connections, try again".to_owned() }),
        };
        let own = path.to_owned();
        let wake = move || super::connect(&own, PROBE).is_ok();
        let acceptor = Acceptor::start(manners, listener, move |stream| serve(stream, &*handler), wake)?;
        Ok(Server { path: path.to_owned(), own: (made.dev(), made.ino()), acceptor: Some(acceptor) })
    }

    fn is_ours(&self) -> bool {
        fs::symlink_metadata(&self.path).is_ok_and(|found| (found.dev(), found.ino()) == self.own)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let ours = self.is_ours();
        if let Some(acceptor) = self.acceptor.take() {
            match ours {
                true => drop(acceptor),
                // Its thread waits for a connection that cannot come any more; it ends with the process.
                false => std::mem::forget(acceptor),
            }
        }
        if ours {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Makes sure that nobody listens at `path`.
fn make_way(path: &Path) -> anyhow::Result<()> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).with_context(|| path.display().to_string()),
    };
    if !found.file_type().is_socket() {
        bail!("{} is there and is no socket: remove it, or name another path", path.display());
    }
    match super::connect(path, PROBE) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Ok(_) => bail!(
            "another process listens at {}: a weir that runs already? (`weir ctl --socket {} status` asks it)",
            path.display(),
            path.display()
        ),
        Err(error) => Err(error)
            .with_context(|| format!("cannot tell whether another process listens at {}", path.display())),
    }
}

/// One request, one answer. Errors of the peer's making end here: there is nobody to tell.
fn serve(mut stream: UnixStream, handler: &Handler) {
    let body = match read_line(&mut stream, Instant::now() + DEADLINE) {
        Ok(line) => answer(&line, handler),
        Err(Some(message)) => Body::Error { message },
        Err(None) => return,
    };
    let _ = write_before(&mut stream, &line(body), Instant::now() + DEADLINE);
}

/// An answer as it is sent. What it is made of can always be written as JSON; were that ever wrong, nothing is sent.
fn line(body: Body) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(&Answer { version: VERSION, body }).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

/// The request without its newline; `Err(None)` when the peer has gone.
fn read_line(stream: &mut UnixStream, deadline: Instant) -> Result<Vec<u8>, Option<String>> {
    let mut line = Vec::with_capacity(256);
    let mut chunk = [0; 512];
    loop {
        let read = before(stream, deadline).and_then(|()| stream.read(&mut chunk));
        match read {
            Ok(0) => return Err(None),
            Ok(count) => {
                let chunk = &chunk[..count];
                if let Some(end) = chunk.iter().position(|byte| *byte == b'\n') {
                    line.extend_from_slice(&chunk[..end]);
                    return Ok(line);
                }
                line.extend_from_slice(chunk);
                if line.len() >= REQUEST_BYTES_MAX {
                    return Err(Some(format!("a request is one line of at most {REQUEST_BYTES_MAX} bytes")));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                return Err(Some(format!("no whole line within {} s", DEADLINE.as_secs())));
            }
            Err(_) => return Err(None),
        }
    }
}

fn answer(line: &[u8], handler: &Handler) -> Body {
    match serde_json::from_slice::<Request>(line) {
        Ok(request) if request.version == VERSION => handler(&request),
        Ok(Request { version, .. }) => {
            Body::Error { message: format!("expected version {VERSION} of the protocol, found {version}") }
        }
        Err(error) => {
            let example = r#"{"version":1,"command":"status"}"#;
            Body::Error { message: format!("expected a request such as {example}: {error}") }
        }
    }
}
