//! Connections from outside, bounded: at most so many at a time, each on a small thread of its own and with a deadline.
//! A client that is slow, rude or many costs those threads for that long, and the packet path nothing.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A connected stream with timeouts.
pub(crate) trait Stream: Read + Write + Send + 'static {
    /// Bounds how long a read and a write may wait.
    fn set_timeout(&self, left: Duration) -> io::Result<()>;
    /// Makes every call return at once.
    fn set_nonblocking(&self) -> io::Result<()>;
}

/// Where connections come from.
pub(crate) trait Listener: Send + 'static {
    /// What a connection is.
    type Stream: Stream;
    /// Waits for the next one.
    fn accept(&self) -> io::Result<Self::Stream>;
}

macro_rules! sockets {
    ($listener:ty, $stream:ty) => {
        impl Stream for $stream {
            fn set_timeout(&self, left: Duration) -> io::Result<()> {
                self.set_read_timeout(Some(left))?;
                self.set_write_timeout(Some(left))
            }
            fn set_nonblocking(&self) -> io::Result<()> {
                <$stream>::set_nonblocking(self, true)
            }
        }
        impl Listener for $listener {
            type Stream = $stream;
            fn accept(&self) -> io::Result<$stream> {
                <$listener>::accept(self).map(|(stream, _)| stream)
            }
        }
    };
}

sockets!(TcpListener, TcpStream);
sockets!(UnixListener, UnixStream);

/// Sets the stream's timeouts to what is left until `deadline`.
///
/// # Errors
/// `TimedOut` when nothing is left.
pub(crate) fn before(stream: &impl Stream, deadline: Instant) -> io::Result<()> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    stream.set_timeout(left)
}

/// Writes all of `bytes` by `deadline`.
///
/// # Errors
/// The peer is gone, or takes too long.
pub(crate) fn write_before(stream: &mut impl Stream, bytes: &[u8], deadline: Instant) -> io::Result<()> {
    let mut rest = bytes;
    while !rest.is_empty() {
        before(stream, deadline)?;
        match stream.write(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => rest = &rest[count..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// What an acceptor's connections have in common.
pub(crate) struct Manners {
    /// Names the threads.
    pub(crate) name: &'static str,
    /// Connections served at once.
    pub(crate) connections_max: usize,
    /// Stack of a connection's thread, in bytes.
    pub(crate) stack_bytes: usize,
    /// What one connection too many is told. Sent as far as the socket takes it at once.
    pub(crate) busy: Vec<u8>,
}

/// A thread that accepts. Stops when dropped.
pub(crate) struct Acceptor {
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    /// Ends a wait in `accept`, which has no deadline, by a connection of our own; says whether that worked.
    wake: Box<dyn Fn() -> bool + Send>,
}

impl Acceptor {
    /// Starts to accept; `serve` is called on each connection's own thread.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(crate) fn start<L: Listener>(
        manners: Manners,
        listener: L,
        serve: impl Fn(L::Stream) + Send + Sync + 'static,
        wake: impl Fn() -> bool + Send + 'static,
    ) -> io::Result<Acceptor> {
        let stopping = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stopping);
        let serve = Arc::new(serve);
        let thread = std::thread::Builder::new()
            .name(manners.name.to_owned())
            .spawn(move || accept_loop(&manners, &listener, &serve, &stop))?;
        Ok(Acceptor { stopping, thread: Some(thread), wake: Box::new(wake) })
    }
}

impl Drop for Acceptor {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        if (self.wake)()
            && let Some(thread) = self.thread.take()
        {
            // A panic in the acceptor has been reported by the hook; there is nothing left to stop.
            let _ = thread.join();
        }
    }
}

fn accept_loop<L: Listener>(
    manners: &Manners,
    listener: &L,
    serve: &Arc<impl Fn(L::Stream) + Send + Sync + 'static>,
    stopping: &AtomicBool,
) {
    let serving = Arc::new(AtomicUsize::new(0));
    loop {
        let accepted = listener.accept();
        if stopping.load(Ordering::Relaxed) {
            return;
        }
        let Ok(mut stream) = accepted else {
            // Out of descriptors, or the peer is gone already. Do not spin on the former.
            std::thread::sleep(Duration::from_millis(10));
            continue;
        };
        if serving.load(Ordering::Acquire) >= manners.connections_max {
            // On the acceptor's own thread, so it may not wait.
            if stream.set_nonblocking().is_ok() {
                let _ = stream.write(&manners.busy);
            }
            continue;
        }
        serving.fetch_add(1, Ordering::AcqRel);
        let slot = Slot(Arc::clone(&serving));
        let serve = Arc::clone(serve);
        let spawned = std::thread::Builder::new()
            .name(format!("{}-conn", manners.name))
            .stack_size(manners.stack_bytes)
            .spawn(move || {
                let _slot = slot;
                serve(stream);
            });
        if let Err(error) = spawned {
            tracing::warn!(%error, "no thread for a connection of {}", manners.name);
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
