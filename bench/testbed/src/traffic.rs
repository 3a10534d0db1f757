//! TCP flows from the client to the server's two addresses.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::bed::{Bed, CPU, SERVER_V4, SERVER_V6};
use crate::interrupt::Interrupt;
use crate::iperf::{Flow, Iperf, Plan};
use crate::ping::reaches;

/// How long the path may take until a first echo comes back.
const REACH_MAX: Duration = Duration::from_secs(5);
/// The servers need a moment to listen.
const LISTEN: Duration = Duration::from_millis(300);

/// Waits until the server answers at both addresses.
///
/// # Errors
/// It does not in time, or a signal came.
pub fn check_path(bed: &Bed, logs: &Path, interrupt: &Interrupt) -> Result<()> {
    for address in [SERVER_V4, SERVER_V6] {
        let answers = reaches(&bed.client, address, logs, REACH_MAX, interrupt)?;
        ensure!(answers, "{address} does not answer: the path is broken");
    }
    Ok(())
}

/// Flows over IPv4 and IPv6.
pub struct Traffic {
    /// Each with what it is to do.
    pairs: Vec<(Iperf, Plan<'static>)>,
}

impl Traffic {
    /// Starts the servers for so many flows over IPv4 and over IPv6, and returns when they listen.
    ///
    /// # Errors
    /// They cannot be started, or a signal came.
    pub fn serve(
        bed: &Bed,
        flows: [u32; 2],
        seconds: u32,
        logs: &Path,
        interrupt: &Interrupt,
    ) -> Result<Traffic> {
        let plans = [
            Plan { name: "v4", address: SERVER_V4, port: 5201, from: Some(20_001), flows: flows[0], seconds },
            Plan { name: "v6", address: SERVER_V6, port: 5202, from: Some(30_001), flows: flows[1], seconds },
        ];
        let serve = |plan| Ok((Iperf::serve(plan, &bed.server, logs, CPU)?, plan));
        let pairs = plans.into_iter().map(serve).collect::<Result<_>>()?;
        interrupt.sleep_until(Instant::now() + LISTEN)?;
        Ok(Traffic { pairs })
    }

    /// Begins to send.
    ///
    /// # Errors
    /// A client cannot be started.
    pub fn send(&mut self, bed: &Bed, logs: &Path) -> Result<()> {
        self.pairs.iter_mut().try_for_each(|(pair, plan)| pair.send(*plan, &bed.client, logs, CPU))
    }

    /// Waits for the end; what each flow measured, those over IPv4 first.
    ///
    /// # Errors
    /// As [`Iperf::finish`].
    pub fn finish(self, interrupt: &Interrupt) -> Result<Vec<Flow>> {
        Ok(self
            .pairs
            .into_iter()
            .map(|(pair, _)| pair.finish(interrupt))
            .collect::<Result<Vec<_>>>()?
            .concat())
    }
}
