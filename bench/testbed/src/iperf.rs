//! iperf3: the senders and receivers, and what they measured.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::interrupt::Interrupt;
use crate::measure::Point;
use crate::netns::Netns;
use crate::process::Process;

/// How often both ends write down what happened; also the spacing of every series from here.
pub const INTERVAL_S: f64 = 0.1;
/// How long after its time iperf3 may still drain the link and exchange its results.
const OVERTIME: Duration = Duration::from_secs(15);

/// What one pair of client and server is for.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a> {
    /// Distinguishes the logs.
    pub name: &'a str,
    /// The server's address.
    pub address: &'a str,
    /// Its port.
    pub port: u16,
    /// Parallel flows.
    pub flows: u32,
    /// The client's first port, of which each flow has one, if Weir's draws by flow are to be the same in every run. A port
    /// cannot be used again within a minute.
    pub from: Option<u16>,
    /// For how long to send.
    pub seconds: u32,
}

/// A server and, once started, its client.
#[derive(Debug)]
pub struct Iperf {
    server: Process,
    client: Option<Process>,
    seconds: u32,
}

/// One flow, as its two ends saw it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Flow {
    /// Payload bytes received per interval, timed at the interval's end.
    pub received: Vec<Point>,
    /// The sender's smoothed round trip (tcpi_rtt) at each interval's end, ms.
    pub rtt_ms: Vec<Point>,
    /// Segments retransmitted per interval.
    pub retransmits: Vec<Point>,
}

impl Iperf {
    /// Starts the server, which takes one client and ends.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn serve(plan: Plan<'_>, server: &Netns, logs: &Path, cpu: usize) -> Result<Iperf> {
        let (port, every) = (plan.port.to_string(), INTERVAL_S.to_string());
        let words = ["iperf3", "-s", "-1", "-J", "-p", &port, "-i", &every];
        let server = server.spawn(&format!("iperf3-server-{}", plan.name), logs, Some(cpu), &words)?;
        Ok(Iperf { server, client: None, seconds: plan.seconds })
    }

    /// Starts to send with `cubic`, whatever the host's default congestion control is.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn send(&mut self, plan: Plan<'_>, client: &Netns, logs: &Path, cpu: usize) -> Result<()> {
        self.send_by("cubic", plan, client, logs, cpu)
    }

    /// Starts to send by a congestion control.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn send_by(
        &mut self,
        congestion: &str,
        plan: Plan<'_>,
        client: &Netns,
        logs: &Path,
        cpu: usize,
    ) -> Result<()> {
        let (port, every) = (plan.port.to_string(), INTERVAL_S.to_string());
        let (flows, seconds) = (plan.flows.to_string(), plan.seconds.to_string());
        let from = plan.from.map(|from| from.to_string());
        let from = from.as_deref().map_or(vec![], |from| vec!["--cport", from]);
        let words = [
            ["iperf3", "-c", plan.address, "-J", "-C", congestion].as_slice(),
            &["-p", &port, "-i", &every, "-P", &flows, "-t", &seconds, "--connect-timeout", "5000"],
            &from,
        ]
        .concat();
        self.client = Some(client.spawn(&format!("iperf3-client-{}", plan.name), logs, Some(cpu), &words)?);
        Ok(())
    }

    /// Waits for both ends and reads what they measured, one entry per flow.
    ///
    /// # Errors
    /// An end failed, did not end in time, or wrote no report; or a signal came.
    pub fn finish(mut self, interrupt: &Interrupt) -> Result<Vec<Flow>> {
        let mut client = self.client.take().context("this iperf3 was never told to send")?;
        let span = Duration::from_secs(self.seconds.into()) + OVERTIME;
        let sender = report(&mut client, span, interrupt)?;
        let receiver = report(&mut self.server, OVERTIME, interrupt)?;
        Ok(flows(&sender, &receiver))
    }
}

fn report(process: &mut Process, span: Duration, interrupt: &Interrupt) -> Result<Report> {
    let status = process.wait(span, interrupt)?;
    let text = process.output()?;
    let report: Report = serde_json::from_str(&text)
        .with_context(|| format!("iperf3 ended with {status} and no report{}", process.last_words()))?;
    match &report.error {
        Some(error) => bail!("iperf3: {error}"),
        None => Ok(report),
    }
}

/// Both ends list their flows in the order in which the connections were made.
fn flows(sender: &Report, receiver: &Report) -> Vec<Flow> {
    let count = receiver.intervals.iter().map(|interval| interval.streams.len()).max().unwrap_or(0);
    let mut flows = vec![Flow::default(); count];
    for interval in &receiver.intervals {
        for (flow, stream) in flows.iter_mut().zip(&interval.streams) {
            flow.received.push(Point { at_s: stream.end, value: stream.bytes as f64 });
        }
    }
    for interval in &sender.intervals {
        for (flow, stream) in flows.iter_mut().zip(&interval.streams) {
            // 0 until the first measurement.
            if let Some(rtt_us) = stream.rtt.filter(|&rtt_us| rtt_us > 0) {
                flow.rtt_ms.push(Point { at_s: stream.end, value: rtt_us as f64 / 1e3 });
            }
            flow.retransmits.push(Point { at_s: stream.end, value: stream.retransmits.unwrap_or(0) as f64 });
        }
    }
    flows
}

#[derive(Debug, Deserialize)]
struct Report {
    #[serde(default)]
    intervals: Vec<Interval>,
    error: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Interval {
    streams: Vec<Stream>,
}

#[derive(Debug, Deserialize)]
struct Stream {
    /// Seconds after the test's start.
    end: f64,
    bytes: u64,
    /// Microseconds; the sender's side only.
    rtt: Option<u64>,
    retransmits: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flows_join_what_both_ends_saw() {
        let sender: Report = serde_json::from_str(
            r#"{"start":{},"intervals":[{"streams":[
                {"socket":5,"end":0.1,"bytes":9,"rtt":20500,"retransmits":2},
                {"socket":7,"end":0.1,"bytes":9,"rtt":0,"retransmits":0}],"sum":{}}]}"#,
        )
        .unwrap();
        let receiver: Report = serde_json::from_str(
            r#"{"intervals":[{"streams":[{"socket":5,"end":0.1,"bytes":1000},{"socket":8,"end":0.1,"bytes":3000}]}]}"#,
        )
        .unwrap();
        let flows = flows(&sender, &receiver);
        assert_eq!(flows[0].rtt_ms, [Point { at_s: 0.1, value: 20.5 }]);
        assert_eq!(flows[0].retransmits[0].value, 2.0);
        assert_eq!(flows[1].received[0].value, 3000.0);
        assert!(flows[1].rtt_ms.is_empty(), "0 is no measurement");
    }

    #[test]
    fn an_error_is_read() {
        let report: Report = serde_json::from_str(r#"{"start":{},"error":"unable to connect"}"#).unwrap();
        assert_eq!(report.error.as_deref(), Some("unable to connect"));
    }
}
