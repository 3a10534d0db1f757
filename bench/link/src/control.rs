//! The control socket: one request per line, one answer per line.
//!
//! | request | answer |
//! |---|---|
//! | `set both rate=50Mbps delay=5ms` | `ok` |
//! | `show` | `ok ` and a [`Report`](crate::Report) as JSON |
//! | anything else | `error: ` and what was expected |

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use crate::link::Link;

/// A line longer than this is no request.
const LINE_BYTES_MAX: usize = 4_096;
/// Clients served at once; a further one is turned away.
pub(crate) const CLIENTS_MAX: usize = 8;

/// Answers one request about `link` at `now`.
pub fn answer(link: &mut Link, now: u64, line: &str) -> String {
    let line = line.trim();
    if line == "show" {
        return match serde_json::to_string(&link.report(now)) {
            Ok(report) => format!("ok {report}"),
            Err(error) => format!("error: {error}"),
        };
    }
    match line.strip_prefix("set ") {
        Some(text) => match text.parse() {
            Ok(change) => {
                link.change(now, &change);
                "ok".to_owned()
            }
            Err(error) => format!("error: {error}"),
        },
        None => format!("error: {line:?} is no request: expected set DIRECTION KEY=VALUE... or show"),
    }
}

/// Sends one request to a running link and returns its answer.
///
/// # Errors
/// Nothing listens at `socket`, or it went away.
pub fn request(socket: &Path, line: &str) -> io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.write_all(line.as_bytes())?;
    stream.write_all(b"\n")?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    Ok(answer.trim_end().to_owned())
}

struct Client {
    stream: UnixStream,
    line: Vec<u8>,
}

/// The listening end. Removes its socket when dropped.
pub(crate) struct Server {
    listener: UnixListener,
    path: PathBuf,
    clients: Vec<Client>,
}

impl Server {
    /// Listens at `path`. A socket that a dead link left there is replaced; a live one is not.
    pub(crate) fn bind(path: &Path) -> io::Result<Server> {
        let listener = match UnixListener::bind(path) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && UnixStream::connect(path).is_err() => {
                std::fs::remove_file(path)?;
                UnixListener::bind(path)?
            }
            other => other?,
        };
        listener.set_nonblocking(true)?;
        Ok(Server { listener, path: path.to_owned(), clients: Vec::new() })
    }

    /// Everything to wait for.
    pub(crate) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        std::iter::once(self.listener.as_fd()).chain(self.clients.iter().map(|client| client.stream.as_fd()))
    }

    /// Accepts, reads and answers whatever is there, without waiting.
    pub(crate) fn serve(&mut self, mut answer: impl FnMut(&str) -> String) {
        while let Ok((stream, _)) = self.listener.accept() {
            if self.clients.len() < CLIENTS_MAX && stream.set_nonblocking(true).is_ok() {
                self.clients.push(Client { stream, line: Vec::new() });
            }
        }
        self.clients.retain_mut(|client| client.serve(&mut answer));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nothing is lost if it is gone already.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Client {
    /// Returns whether to keep the client.
    fn serve(&mut self, answer: &mut impl FnMut(&str) -> String) -> bool {
        let mut bytes = [0; 512];
        loop {
            match self.stream.read(&mut bytes) {
                Ok(0) => return false,
                Ok(count) => self.line.extend_from_slice(&bytes[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(_) => return false,
            }
            while let Some(end) = self.line.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.line.drain(..=end).collect();
                let reply = answer(&String::from_utf8_lossy(&line)) + "\n";
                // A client that does not read its answers is dropped rather than waited for.
                if self.stream.write_all(reply.as_bytes()).is_err() {
                    return false;
                }
            }
            if self.line.len() > LINE_BYTES_MAX {
                return false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Direction, Settings};

    #[test]
    fn a_bad_request_changes_nothing_and_says_why() {
        let mut link = Link::new(0, [Settings::default(); 2], 1, &[]);
        let before = *link.settings(Direction::Up);
        assert!(
            answer(&mut link, 0, "set both rate=50Mbps queue=lots").starts_with("error: \"lots\" is not")
        );
        assert!(answer(&mut link, 0, "reset").starts_with("error: \"reset\" is no request"));
        assert_eq!(*link.settings(Direction::Up), before);
        assert_eq!(answer(&mut link, 0, "set up rate=50Mbps\n"), "ok");
        assert_eq!(link.settings(Direction::Up).rate_bps, Some(50_000_000));
        assert_eq!(link.settings(Direction::Down).rate_bps, before.rate_bps);
        assert!(answer(&mut link, 0, "show").contains(r#""rate_bps":50000000"#));
    }

    #[test]
    fn a_client_gets_one_answer_per_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control");
        let mut server = Server::bind(&path).unwrap();
        assert!(Server::bind(&path).is_err(), "a live socket is not taken over");
        let mut client = UnixStream::connect(&path).unwrap();
        client.write_all(b"one\ntw").unwrap();
        server.serve(|line| line.trim().to_uppercase());
        client.write_all(b"o\n").unwrap();
        server.serve(|line| line.trim().to_uppercase());
        client.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
        let mut reply = [0; 8];
        client.read_exact(&mut reply).unwrap();
        assert_eq!(&reply, b"ONE\nTWO\n");
        drop(server);
        assert!(!path.exists());
    }

    #[test]
    fn a_dead_links_socket_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control");
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        Server::bind(&path).unwrap();
    }
}
