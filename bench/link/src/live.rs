//! The edge of the link: two taps, the monotonic clock, one `ppoll`. One thread does everything.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime};

use crate::control::{Server, answer};
use crate::link::{Link, Report};
use crate::settings::{Direction, Scheduled, Settings};
use crate::tap::{Tap, TapName};

/// A tap gives no frame longer than its MTU allows, and no MTU is larger than this.
const FRAME_BYTES_MAX: usize = 65_536 + 64;
/// Frames taken from one tap in a row, so that a flood on one does not keep the other waiting.
const RECEIVE_BURST: usize = 64;

/// What a live link is made of.
#[derive(Clone, Debug)]
pub struct Options {
    /// The device at each end: `up` leads from the first to the second.
    pub taps: [TapName; 2],
    /// Behaviour at the start, by [`Direction`] index.
    pub settings: [Settings; 2],
    /// Seed of the loss patterns.
    pub seed: u64,
    /// Changes to come.
    pub schedule: Vec<Scheduled>,
    /// How often to report, in ns; not zero.
    pub report_every_ns: u64,
}

/// Why a live link could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// A tap could not be made.
    #[error("cannot make the tap {name}: {source}")]
    Open {
        /// Which.
        name: TapName,
        /// Why.
        source: io::Error,
    },
    /// A tap went away, for example with its namespace.
    #[error("the tap {name} is gone: {source}")]
    Gone {
        /// Which.
        name: TapName,
        /// Why.
        source: io::Error,
    },
    /// The control socket could not be made.
    #[error("cannot listen at {path}: {source}")]
    Control {
        /// Where.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The clock or the poll failed.
    #[error("system call failed: {0}")]
    System(#[from] Errno),
}

/// What the wire itself cannot know: how well the host kept up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct HostReport {
    /// The latest that a frame left after it was due since the last report, ns: how far the host's scheduler
    /// blurs this link.
    pub late_ns_max: u64,
    /// Frames that the receiving side's kernel refused (its device down, or out of memory), since the start.
    pub refused_frames: u64,
}

/// A link between two live taps.
pub struct Live {
    link: Link,
    names: [TapName; 2],
    taps: [Tap; 2],
    control: Option<Server>,
    host: HostReport,
    report_every_ns: u64,
    report_at: u64,
    buffer: Vec<u8>,
}

/// Nanoseconds of CLOCK_MONOTONIC, the clock of every report.
///
/// # Errors
/// The system has no such clock.
pub fn now() -> Result<u64, LiveError> {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC)?;
    Ok(time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64)
}

impl Live {
    /// Makes both taps. They exist from here until drop; bring them up with `ip link set DEVICE up`.
    ///
    /// # Errors
    /// A tap cannot be made: not root, no such namespace, name taken.
    pub fn open(options: &Options) -> Result<Live, LiveError> {
        // The default slack of 50 us would round every departure up by as much.
        nix::sys::prctl::set_timerslack(1)?;
        let open =
            |name: &TapName| Tap::open(name).map_err(|source| LiveError::Open { name: name.clone(), source });
        let taps = [open(&options.taps[0])?, open(&options.taps[1])?];
        let start = now()?;
        Ok(Live {
            link: Link::new(start, options.settings, options.seed, &options.schedule),
            names: options.taps.clone(),
            taps,
            control: None,
            host: HostReport::default(),
            report_every_ns: options.report_every_ns.max(1),
            report_at: start,
            buffer: vec![0; FRAME_BYTES_MAX],
        })
    }

    /// Also answers requests at a socket; see [`crate::control`].
    ///
    /// # Errors
    /// The socket cannot be made.
    pub fn listen(&mut self, path: &Path) -> Result<(), LiveError> {
        let server = Server::bind(path)
            .map_err(|source| LiveError::Control { path: path.display().to_string(), source })?;
        self.control = Some(server);
        Ok(())
    }

    /// The link itself, to change or to question.
    pub fn link(&mut self) -> &mut Link {
        &mut self.link
    }

    /// One round: deliver what is due, report if it is time, wait for the next event, take what has arrived.
    /// Returns within the report interval at the latest.
    ///
    /// # Errors
    /// A tap went away, or the poll failed.
    pub fn turn(&mut self, report: &mut impl FnMut(&Report, &HostReport)) -> Result<(), LiveError> {
        self.deliver()?;
        let time = now()?;
        if time >= self.report_at {
            report(&self.link.report(time), &self.host);
            self.host.late_ns_max = 0;
            // Missed reports are skipped, not made up for.
            self.report_at += ((time - self.report_at) / self.report_every_ns + 1) * self.report_every_ns;
        }
        let wake = self.link.next_event().map_or(self.report_at, |event| event.min(self.report_at));
        self.wait(wake.saturating_sub(time))?;
        self.receive()?;
        if let Some(control) = &mut self.control {
            let link = &mut self.link;
            let time = now()?;
            control.serve(|line| answer(link, time, line));
        }
        Ok(())
    }

    fn deliver(&mut self) -> Result<(), LiveError> {
        for direction in Direction::ALL {
            let far = 1 - direction as usize;
            let mut time = now()?;
            while let Some(delivered) = self.link.pop(direction, time) {
                self.host.late_ns_max = self.host.late_ns_max.max(time - delivered.due_ns);
                match self.taps[far].send(&delivered.frame) {
                    Ok(()) => {}
                    // EBADFD: the device was deleted under us.
                    Err(source) if source.raw_os_error() == Some(Errno::EBADFD as i32) => {
                        return Err(LiveError::Gone { name: self.names[far].clone(), source });
                    }
                    // EIO while the device is down, ENOBUFS, ENOMEM: a real wire's receiver loses such a frame too.
                    Err(_) => self.host.refused_frames += 1,
                }
                time = now()?;
            }
        }
        Ok(())
    }

    fn wait(&self, span_ns: u64) -> Result<(), LiveError> {
        let taps = self.taps.iter().map(AsFd::as_fd);
        let control = self.control.iter().flat_map(Server::fds);
        let mut fds: Vec<PollFd<'_>> =
            taps.chain(control).map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        match ppoll(&mut fds, Some(TimeSpec::from(Duration::from_nanos(span_ns))), None) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn receive(&mut self) -> Result<(), LiveError> {
        for direction in Direction::ALL {
            let near = direction as usize;
            for _ in 0..RECEIVE_BURST {
                match self.taps[near].receive(&mut self.buffer) {
                    Ok(Some(bytes)) => self.link.push(direction, now()?, self.buffer[..bytes].to_vec()),
                    Ok(None) => break,
                    // While the device is down there is nothing to read, and the kernel says so with EIO.
                    Err(error) if error.raw_os_error() == Some(Errno::EIO as i32) => break,
                    Err(source) => return Err(LiveError::Gone { name: self.names[near].clone(), source }),
                }
            }
        }
        Ok(())
    }
}
