//! A connection to an adapter process: one request, one answer, by a deadline.

use super::fault::Fault;
use super::wire::{self, Call, Follows, HEADER_BYTES};
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Instant;

/// What was last sent and received; kept, so that a call allocates nothing once they have grown.
#[derive(Debug)]
pub(super) struct Stream {
    socket: UnixStream,
    number: u32,
    frame: Vec<u8>,
    answer: Vec<u8>,
}

impl Stream {
    /// Connects without waiting: a process that is stopped, and whose queue of connections is full, would otherwise hold
    /// its caller for ever.
    pub(super) fn connect(path: &Path) -> Result<Stream, Fault> {
        let absent =
            |error: Errno| Fault::Absent { socket: path.to_path_buf(), why: error.desc().to_owned() };
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let made = socket(AddressFamily::Unix, SockType::Stream, flags, None).map_err(absent)?;
        let address = UnixAddr::new(path).map_err(absent)?;
        connect(made.as_raw_fd(), &address).map_err(|error| match error {
            Errno::EAGAIN => Fault::Busy("its queue of connections is full; is it stopped?".into()),
            error => absent(error),
        })?;
        let socket = UnixStream::from(made);
        socket
            .set_nonblocking(false)
            .map_err(|error| Fault::Absent { socket: path.to_path_buf(), why: error.to_string() })?;
        Ok(Stream { socket, number: 0, frame: Vec::new(), answer: Vec::new() })
    }

    /// Sends a request and returns the body of its answer.
    ///
    /// After an error that [ends the connection](Fault::ends_connection) the stream is of no more use.
    pub(super) fn ask(
        &mut self,
        call: Call,
        deadline: Instant,
        body: impl FnOnce(&mut Vec<u8>),
    ) -> Result<&[u8], Fault> {
        // Zero is the number of nothing: errors about the connection have it.
        self.number = self.number.checked_add(1).unwrap_or(1);
        wire::request(&mut self.frame, call, self.number, body);
        let sent = self.send(deadline);
        // A process that refuses a connection says so and closes before it reads: the answer is there nevertheless.
        let received = self.receive(call, deadline);
        match (sent, received) {
            (_, Err(fault @ (Fault::Busy(_) | Fault::Unsuitable(_)))) => Err(fault),
            (Err(error), _) => Err(fault_of(&error, call)),
            (Ok(()), Err(fault)) => Err(fault),
            (Ok(()), Ok(())) => Ok(&self.answer),
        }
    }

    fn send(&mut self, deadline: Instant) -> io::Result<()> {
        let mut rest = self.frame.as_slice();
        while !rest.is_empty() {
            self.socket.set_write_timeout(Some(left(deadline)?))?;
            match self.socket.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => rest = &rest[count..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn receive(&mut self, call: Call, deadline: Instant) -> Result<(), Fault> {
        let mut header = [0; HEADER_BYTES];
        read(&self.socket, &mut header, deadline).map_err(|error| fault_of(&error, call))?;
        let follows = wire::header(&header, call, self.number)?;
        let (Follows::Answer(length) | Follows::Error(length)) = follows;
        self.answer.clear();
        self.answer.resize(length, 0);
        read(&self.socket, &mut self.answer, deadline).map_err(|error| fault_of(&error, call))?;
        match follows {
            Follows::Answer(_) => Ok(()),
            Follows::Error(_) => Err(wire::error(&self.answer, call)),
        }
    }
}

/// Fills `into` by the deadline, however many pieces it comes in.
fn read(mut socket: &UnixStream, mut into: &mut [u8], deadline: Instant) -> io::Result<()> {
    while !into.is_empty() {
        socket.set_read_timeout(Some(left(deadline)?))?;
        match socket.read(into) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => into = &mut into[count..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn left(deadline: Instant) -> io::Result<std::time::Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

fn fault_of(error: &io::Error, call: Call) -> Fault {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Fault::Late(call),
        io::ErrorKind::UnexpectedEof => Fault::Closed(call, "the process closed it, or has ended".into()),
        _ => Fault::Closed(call, error.to_string()),
    }
}
