//! `/metrics`, `/healthz` and `/readyz` over HTTP/1.1, and nothing else.
//!
//! One request per connection, at most [`CONNECTIONS_MAX`] at a time, each with a bounded head and a deadline of two
//! seconds. Why not a crate: `docs/decisions/0002-http-server.md`.

use crate::acceptor::{Acceptor, Manners, before, write_before};
use std::io::{self, Read};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
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
    _acceptor: Acceptor,
}

impl Server {
    /// Binds and starts to serve.
    ///
    /// # Errors
    /// The address cannot be bound, most often because another process has it.
    pub fn start(address: SocketAddr, handler: Arc<Handler>) -> io::Result<Server> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let manners = Manners {
            name: "weir-http",
            connections_max: CONNECTIONS_MAX,
            stack_bytes: 256 * 1024,
            busy: b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\nretry-after: 1\r\n\r\n".to_vec(),
        };
        // Where the listener is on a wildcard address, connecting to it reaches this machine.
        let wake = move || TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok();
        let acceptor = Acceptor::start(manners, listener, move |stream| serve(stream, &*handler), wake)?;
        Ok(Server { address, _acceptor: acceptor })
    }

    /// The address in use: with port 0 asked for, the one that the kernel chose.
    pub fn address(&self) -> SocketAddr {
        self.address
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

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Refusal {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Refusal::Slow,
            _ => Refusal::Peer,
        }
    }
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
            Err(error) => return Err(error.into()),
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
) -> io::Result<()> {
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
    write_before(stream, &bytes, deadline)
}
