//! One request to a server inside a namespace.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::netns::Netns;

const HTTP_MAX: Duration = Duration::from_secs(2);

/// The body of the answer; an error unless that is 200. HTTP/1.0, so that the body ends with the connection and never
/// comes in chunks.
///
/// # Errors
/// Nothing listens at `address`, or it does not answer 200.
pub fn get(netns: &Netns, address: &str, path: &str) -> Result<String> {
    netns.inside(|| {
        let address: SocketAddr = address.parse()?;
        let mut stream = TcpStream::connect_timeout(&address, HTTP_MAX).context("nothing listens")?;
        stream.set_read_timeout(Some(HTTP_MAX))?;
        stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").context("no HTTP answer")?;
        let status = head.lines().next().unwrap_or("");
        ensure!(status.split(' ').nth(1) == Some("200"), "GET {path}: {status}: {}", body.trim());
        Ok(body.to_owned())
    })
}
