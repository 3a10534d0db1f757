//! `/metrics`, `/healthz` and `/readyz` over HTTP/1.1, and nothing else.
//!
//! One request per connection, at most [`CONNECTIONS_MAX`] at a time, each with a bounded head and a deadline: a
//! client that is slow, rude or many costs a few small threads on the control core for two seconds, and the packet
//! path nothing. Why not a crate: `docs/decisions/0002-http-server.md`.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Connections served at once; one more is told to come again.
pub const CONNECTIONS_MAX: usize = 8;
/// Bytes of a request's head.
const HEAD_BYTES_MAX: usize = 8_192;
const HEADERS_MAX: usize = 64;
/// From accept to the last byte of the answer.
const DEADLINE: Duration = Duration::from_secs(2);

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// HTTP status code.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: &'static str,
    /// The body.
    pub body: String,
}

impl Response {
    /// Plain text.
    pub fn text(status: u16, body: impl Into<String>) -> Response {
        Response { status, content_type: "text/plain; charset=utf-8", body: body.into() }
    }
}

/// Answers a GET of a path. Called on a connection's own thread.
pub type Handler = dyn Fn(&str) -> Response + Send + Sync;

/// A running server. Stops when dropped.
pub struct Server {
    address: SocketAddr,
    stopping: Arc<AtomicBool>,
    acceptor: Option<JoinHandle<()>>,
}

impl Server {
    /// Binds and starts to serve.
    ///
    /// # Errors
    /// The address cannot be bound, most often because another process has it.
    pub fn start(address: SocketAddr, handler: Arc<Handler>) -> io::Result<Server> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let stopping = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stopping);
        let acceptor = std::thread::Builder::new()
            .name("weir-http".to_owned())
            .spawn(move || accept_loop(&listener, &handler, &stop))?;
        Ok(Server { address, stopping, acceptor: Some(acceptor) })
    }

    /// The address in use: with port 0 asked for, the one that the kernel chose.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        // `accept` has no deadline; a connection of our own ends its wait. Where the listener is on a wildcard
        // address, connecting to it reaches this machine.
        if TcpStream::connect_timeout(&self.address, Duration::from_secs(1)).is_ok()
            && let Some(acceptor) = self.acceptor.take()
        {
            // A panic in the acceptor has been reported by the hook; there is nothing left to stop.
            let _ = acceptor.join();
        }
    }
}

fn accept_loop(listener: &TcpListener, handler: &Arc<Handler>, stopping: &AtomicBool) {
    let serving = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming() {
        if stopping.load(Ordering::Relaxed) {
            return;
        }
        let Ok(stream) = stream else {
            // Out of descriptors, or the peer is gone already. Do not spin on the former.
            std::thread::sleep(Duration::from_millis(10));
            continue;
        };
        if serving.load(Ordering::Acquire) >= CONNECTIONS_MAX {
            refuse(stream);
            continue;
        }
        serving.fetch_add(1, Ordering::AcqRel);
        let slot = Slot(Arc::clone(&serving));
        let handler = Arc::clone(handler);
        let spawned = std::thread::Builder::new()
            .name("weir-http-conn".to_owned())
            .stack_size(256 * 1024)
            .spawn(move || {
                let _slot = slot;
                serve(stream, &*handler);
            });
        if let Err(error) = spawned {
            tracing::warn!(%error, "no thread for an HTTP connection");
        }
    }
}

/// A place among the connections; given back on every way out, a panic included.
struct Slot(Arc<AtomicUsize>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Runs on the acceptor, so it may not wait: what the socket's buffer does not take at once is lost.
fn refuse(mut stream: TcpStream) {
    let answer = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\nretry-after: 1\r\n\r\n";
    if stream.set_nonblocking(true).is_ok() {
        let _ = stream.write(answer);
    }
}

/// One request, one answer. Errors of the peer's making end here: there is nobody to tell.
fn serve(mut stream: TcpStream, handler: &Handler) {
    let deadline = Instant::now() + DEADLINE;
    let response = match read_head(&mut stream, deadline) {
        Ok(head) => answer(&head, handler),
        Err(Refusal::Peer) => return,
        Err(Refusal::TooLarge) => (Response::text(431, "the request's head is larger than 8 KiB\n"), true),
        Err(Refusal::Slow) => (Response::text(408, "the request's head did not come in time\n"), true),
    };
    let (response, with_body) = response;
    let _ = write_response(&mut stream, &response, with_body, deadline);
    // Closing with unread input would reset the connection and could take the answer with it.
    let _ = stream.shutdown(Shutdown::Write);
    let mut sink = [0; 1024];
    for _ in 0..64 {
        if before(&stream, deadline).is_err() || matches!(stream.read(&mut sink), Ok(0) | Err(_)) {
            break;
        }
    }
}

enum Refusal {
    Peer,
    TooLarge,
    Slow,
}

/// Sets the socket's timeouts to what is left.
fn before(stream: &TcpStream, deadline: Instant) -> Result<(), Refusal> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(Refusal::Slow);
    }
    stream.set_read_timeout(Some(left)).map_err(|_| Refusal::Peer)?;
    stream.set_write_timeout(Some(left)).map_err(|_| Refusal::Peer)
}

fn read_head(stream: &mut TcpStream, deadline: Instant) -> Result<Vec<u8>, Refusal> {
    let mut head = Vec::with_capacity(1024);
    let mut chunk = [0; 1024];
    loop {
        before(stream, deadline)?;
        match stream.read(&mut chunk) {
            Ok(0) => return Err(Refusal::Peer),
            Ok(count) => {
                let seen = head.len().saturating_sub(3);
                head.extend_from_slice(&chunk[..count]);
                if head[seen..].windows(4).any(|four| four == b"\r\n\r\n") {
                    return Ok(head);
                }
                if head.len() > HEAD_BYTES_MAX {
                    return Err(Refusal::TooLarge);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                return Err(Refusal::Slow);
            }
            Err(_) => return Err(Refusal::Peer),
        }
    }
}

/// The response, and whether its body goes along (not for HEAD).
fn answer(head: &[u8], handler: &Handler) -> (Response, bool) {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    if !matches!(request.parse(head), Ok(httparse::Status::Complete(_))) {
        return (Response::text(400, "not an HTTP/1 request\n"), true);
    }
    let (Some(method), Some(target)) = (request.method, request.path) else {
        return (Response::text(400, "not an HTTP/1 request\n"), true);
    };
    let path = target.split(['?', '#']).next().unwrap_or(target);
    match method {
        "GET" => (handler(path), true),
        "HEAD" => (handler(path), false),
        _ => (Response::text(405, "only GET and HEAD\n"), true),
    }
}

fn write_response(
    stream: &mut TcpStream,
    response: &Response,
    with_body: bool,
    deadline: Instant,
) -> Result<(), Refusal> {
    let reason = match response.status {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        _ => "Internal Server Error",
    };
    let allow = if response.status == 405 { "allow: GET, HEAD\r\n" } else { "" };
    let mut bytes = format!(
        "HTTP/1.1 {} {reason}\r\ncontent-type: {}\r\ncontent-length: {}\r\nconnection: close\r\n{allow}\r\n",
        response.status,
        response.content_type,
        response.body.len(),
    )
    .into_bytes();
    if with_body {
        bytes.extend_from_slice(response.body.as_bytes());
    }
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        before(stream, deadline)?;
        match stream.write(rest) {
            Ok(count) if count > 0 => rest = &rest[count..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            _ => return Err(Refusal::Peer),
        }
    }
    Ok(())
}
