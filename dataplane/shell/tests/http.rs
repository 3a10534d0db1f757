//! The HTTP server against clients that are wrong, slow or many.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};
use weir_shell::http::{CONNECTIONS_MAX, Response, Server};

fn server() -> Server {
    let handler = |path: &str| match path {
        "/long" => Response::text(200, "x".repeat(1 << 20)),
        "/" => Response::text(200, "hello\n"),
        other => Response::text(404, other),
    };
    Server::start("127.0.0.1:0".parse().unwrap(), Arc::new(handler)).unwrap()
}

fn ask(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    // A server that has seen enough may close before it has read all.
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn it_answers_what_is_asked() {
    let server = server();
    let answer = ask(server.address(), b"GET /?x=1 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nhello\n"), "{answer}");
    let head = ask(server.address(), b"HEAD / HTTP/1.0\r\n\r\n");
    assert!(head.contains("content-length: 6\r\n") && head.ends_with("\r\n\r\n"), "{head}");
    assert!(ask(server.address(), b"GET /long HTTP/1.1\r\n\r\n").len() > 1 << 20);
    assert!(ask(server.address(), b"GET /no HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404 "));
}

#[test]
fn bad_requests_get_an_answer_and_disturb_nothing() {
    let server = server();
    let long = [b"GET /".as_slice(), &[b'a'; 20_000], b" HTTP/1.1\r\n\r\n"].concat();
    let many: Vec<u8> = [b"GET / HTTP/1.1\r\n".as_slice(), &b"a: b\r\n".repeat(100), b"\r\n"].concat();
    for (request, status) in [
        (b"POST / HTTP/1.1\r\ncontent-length: 0\r\n\r\n".as_slice(), "405"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\r\n\r\n", "400"),
        (b"GET\r\n\r\n", "400"),
        (b"GET / HTTP/9.9\r\n\r\n", "400"),
        (&many, "400"),
        (&long, "431"),
    ] {
        let answer = ask(server.address(), request);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{status}: {answer}");
    }
    assert!(ask(server.address(), b"GET / HTTP/1.1\r\n\r\n").contains("hello"));
}

#[test]
fn idle_connections_are_bounded_and_end() {
    let server = server();
    let idle: Vec<TcpStream> =
        (0..CONNECTIONS_MAX).map(|_| TcpStream::connect(server.address()).unwrap()).collect();
    std::thread::sleep(Duration::from_millis(200));
    let refused = ask(server.address(), b"GET / HTTP/1.1\r\n\r\n");
    assert!(refused.is_empty() || refused.starts_with("HTTP/1.1 503 "), "{refused}");
    // All of them are past their deadline after two seconds, and their places are free.
    let began = Instant::now();
    while !ask(server.address(), b"GET / HTTP/1.1\r\n\r\n").contains("hello") {
        assert!(began.elapsed() < Duration::from_secs(8), "idle connections hold the server");
        std::thread::sleep(Duration::from_millis(100));
    }
    drop(idle);
}

#[test]
fn it_stops_when_dropped() {
    let server = server();
    let address = server.address();
    drop(server);
    assert!(TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_err());
}
