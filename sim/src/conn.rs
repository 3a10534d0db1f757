//! A connection: the end that has data, the end that takes it, and what they say to each other in frames.

use crate::frame::{Envelope, HostId, SimFrame, TcpFields};
use crate::link::BANDS;
use crate::tcp::{self, Arrival, Heard, Receiver, Sender, TcpConfig};
use std::sync::Arc;
use weir_engine::io::Frame as _;
use weir_engine::time::Ns;
use weir_engine::wire::{Ecn, Flags, IpVersion, TcpFrame, set_dscp};

/// Client ports per server port, and where each range begins: a connection's number follows from its ports. Services have the
/// ports below all of those, and the first range alone.
pub(crate) const CLIENT_PORTS: u32 = 60_000;
const CLIENT_PORT: u32 = 1_024;
const SERVER_PORT: u32 = 61_100;
/// Tries to open a connection, each with twice the last one's patience, before it counts as failed: Linux
/// `tcp_syn_retries`.
const SYN_TRIES: u32 = 6;

/// A transfer that is to happen.
#[derive(Clone, Debug)]
pub struct FlowSpec {
    /// Who sends.
    pub from: HostId,
    /// Who receives.
    pub to: HostId,
    /// Bytes; `None` for as long as the run lasts.
    pub bytes: Option<u64>,
    /// When it begins.
    pub start: Ns,
    /// How both ends behave.
    pub tcp: TcpConfig,
    /// IP version.
    pub version: IpVersion,
    /// Which group it counts to.
    pub group: u32,
    /// The port of the service that it is of, 1 to 1023, as engines know peers by it; 0 for none. Only the first 60 000
    /// connections of a world can be of one.
    pub service: u16,
    /// How urgent its frames say that they are.
    pub priority: Priority,
}

/// Who marks frames, and how: class 0 is the most urgent of [`BANDS`]. Acknowledgements of a marked transfer are of class 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Priority {
    /// Nobody.
    None,
    /// The sender's stack, the same for all.
    Fixed(u8),
    /// The sender's stack, by the bytes sent before: one class lower at each of these.
    Ageing(Arc<[u64]>),
}

impl Priority {
    /// The DSCP of a frame before which `sent` bytes of data left: class selectors, 7 the most urgent (RFC 2474).
    fn dscp(&self, sent: u64) -> Option<u8> {
        let class = match self {
            Priority::None => return None,
            Priority::Fixed(class) => usize::from(*class),
            Priority::Ageing(thresholds) => thresholds.iter().filter(|end| sent >= **end).count(),
        };
        Some(((BANDS - 1 - class.min(BANDS - 1)) as u8) << 3)
    }
}

/// What has come of a transfer.
#[derive(Clone, Debug)]
pub struct FlowReport {
    /// As it was asked for.
    pub spec: FlowSpec,
    /// Bytes that have reached the receiver in order.
    pub delivered: u64,
    /// When the last of them did.
    pub finished: Option<Ns>,
    /// Segments repeated.
    pub retransmitted: u64,
    /// Timeouts.
    pub timeouts: u64,
    /// Smoothed RTT, as the sender has it.
    pub rtt: Option<Ns>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting,
    Opening { tries: u32 },
    Open,
    Closed,
}

/// Both ends.
pub(crate) struct Conn {
    pub(crate) spec: FlowSpec,
    number: u32,
    state: State,
    opened_at: Ns,
    open_again_at: Ns,
    pub(crate) sender: Option<Sender>,
    receiver: Receiver,
    /// What acknowledgements of the sender's echo.
    echo: u32,
    pub(crate) finished: Option<Ns>,
    /// IPv6 flow label of its data frames.
    pub(crate) flow_label: u32,
    /// When each end's timer is scheduled, by whoever drives this.
    pub(crate) scheduled: [Ns; 2],
    /// When its last data frame left the host, for who finds flowlets.
    pub(crate) last_departure: Ns,
    /// The spine that its data frames were last sent by, where a policy has named one.
    pub(crate) spine: Option<u16>,
}

/// One of the two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Sender = 0,
    Receiver = 1,
}

/// What a segment brought to its connection.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) rtt: Option<Ns>,
    pub(crate) acked_bytes: u64,
    pub(crate) lost: u64,
    pub(crate) marked: bool,
    pub(crate) finished: bool,
}

/// The connection that a segment belongs to, and the end that it is for.
pub(crate) fn owner(frame: &TcpFrame) -> Option<(u32, End)> {
    let (from, to) = (u32::from(frame.tuple.source.port), u32::from(frame.tuple.destination.port));
    let to_server = !(CLIENT_PORT..SERVER_PORT).contains(&to);
    let (server, client, end) = if to_server { (to, from, End::Receiver) } else { (from, to, End::Sender) };
    Some((number(client, server)?, end))
}

/// The connection whose data a frame with these ports, source first, carries; `None` for acknowledgements.
pub(crate) fn data_owner(ports: &[u8]) -> Option<u32> {
    let port = |at: usize| Some(u32::from(u16::from_be_bytes([*ports.get(at)?, *ports.get(at + 1)?])));
    let (from, to) = (port(0)?, port(2)?);
    number(from, to)
}

fn number(client: u32, server: u32) -> Option<u32> {
    let range = if server < CLIENT_PORT { 0 } else { server.checked_sub(SERVER_PORT)? };
    Some(range * CLIENT_PORTS + client.checked_sub(CLIENT_PORT)?)
}

/// RFC 7323's clock, in milliseconds as Linux' is.
fn tick(now: Ns) -> u32 {
    (now.0 / 1_000_000) as u32 + 1
}

impl Conn {
    /// Connection `number`; `label` is its first flow label.
    pub(crate) fn new(number: u32, spec: FlowSpec, label: u32) -> Conn {
        let receiver = Receiver::new(&spec.tcp);
        Conn {
            spec,
            number,
            state: State::Waiting,
            opened_at: Ns::ZERO,
            open_again_at: Ns::NEVER,
            sender: None,
            receiver,
            echo: 0,
            finished: None,
            flow_label: label & 0xf_ffff,
            scheduled: [Ns::NEVER; 2],
            last_departure: Ns::ZERO,
            spine: None,
        }
    }

    /// Sequence number before each end's first byte, so that some connections wrap.
    fn initial(&self, end: End) -> u32 {
        (self.number + 1).wrapping_mul(0x9e37_79b9) ^ end as u32
    }

    /// A frame without data.
    fn say(&self, end: End, say: &TcpFields) -> SimFrame {
        let mut frame = SimFrame::tcp(&self.envelope(end, 0), say);
        if self.spec.priority != Priority::None {
            set_dscp(frame.bytes_mut(), ((BANDS - 1) as u8) << 3);
        }
        frame
    }

    fn envelope(&self, end: End, ecn: u8) -> Envelope {
        let client = (self.spec.from, (CLIENT_PORT + self.number % CLIENT_PORTS) as u16);
        let port = match self.spec.service {
            service @ 1..=1_023 if self.number < CLIENT_PORTS => service,
            _ => (SERVER_PORT + self.number / CLIENT_PORTS) as u16,
        };
        let server = (self.spec.to, port);
        let (from, to) = if end == End::Sender { (client, server) } else { (server, client) };
        Envelope { version: self.spec.version, from, to, ecn, flow_label: self.flow_label }
    }

    /// Begins to open.
    pub(crate) fn open(&mut self, now: Ns, emit: &mut Vec<SimFrame>) {
        self.state = State::Opening { tries: 1 };
        self.opened_at = now;
        self.say_syn(now, emit);
        self.open_again_at = now + self.spec.tcp.rto_initial;
    }

    fn say_syn(&self, now: Ns, emit: &mut Vec<SimFrame>) {
        let say = TcpFields {
            seq: self.initial(End::Sender),
            flags: Flags::SYN.0,
            window: u16::MAX,
            timestamps: (tick(now), 0),
            syn: Some((self.spec.tcp.mss as u16 + 12, tcp::WINDOW_SCALE)),
            ..TcpFields::default()
        };
        emit.push(self.say(End::Sender, &say));
    }

    /// A segment has arrived at `end`.
    pub(crate) fn on_segment(
        &mut self,
        now: Ns,
        end: End,
        frame: &TcpFrame,
        emit: &mut Vec<SimFrame>,
    ) -> Outcome {
        match end {
            End::Sender => self.on_answer(now, frame, emit),
            End::Receiver => self.on_data(now, frame, emit),
        }
    }

    fn on_answer(&mut self, now: Ns, frame: &TcpFrame, emit: &mut Vec<SimFrame>) -> Outcome {
        let segment = &frame.segment;
        self.echo = segment.timestamps.map_or(self.echo, |timestamps| timestamps.value);
        if segment.flags.has(Flags::SYN) {
            if let State::Opening { tries } = self.state {
                self.state = State::Open;
                self.open_again_at = Ns::NEVER;
                // Karn: a repeated SYN gives no sample.
                let rtt = (tries == 1).then_some(now - self.opened_at);
                let total = self.spec.bytes.unwrap_or(u64::MAX);
                self.sender = Some(Sender::new(&self.spec.tcp, total, now, rtt));
            }
            self.say_ack(now, emit);
            self.pump(now, emit);
            return Outcome::default();
        }
        let first = self.initial(End::Sender).wrapping_add(1);
        let Some(sender) = &mut self.sender else { return Outcome::default() };
        let near = sender.acknowledged();
        let offset = |low: u32| tcp::unwrap(near, low.wrapping_sub(first));
        let mut heard = Heard {
            offset: offset(segment.ack),
            runs: [(0, 0); 3],
            window: u64::from(segment.window) << tcp::WINDOW_SCALE,
            ece: segment.flags.has(Flags::ECE),
        };
        for (run, block) in heard.runs.iter_mut().zip(segment.sack.as_slice()) {
            *run = (offset(block.start), offset(block.end));
        }
        let report = sender.on_ack(now, &heard);
        if sender.is_done() && self.state == State::Open {
            self.state = State::Closed;
        }
        if segment.flags.has(Flags::FIN) {
            self.say_ack(now, emit);
        }
        self.pump(now, emit);
        Outcome {
            rtt: report.rtt,
            acked_bytes: report.bytes,
            lost: report.lost,
            marked: heard.ece,
            finished: false,
        }
    }

    fn on_data(&mut self, now: Ns, frame: &TcpFrame, emit: &mut Vec<SimFrame>) -> Outcome {
        let segment = &frame.segment;
        let timestamp = segment.timestamps.map_or(0, |timestamps| timestamps.value);
        if segment.flags.has(Flags::SYN) {
            let say = TcpFields {
                seq: self.initial(End::Receiver),
                ack: segment.seq.wrapping_add(1),
                flags: Flags::SYN.with(Flags::ACK).0,
                window: u16::MAX,
                timestamps: (tick(now), timestamp),
                syn: Some((self.spec.tcp.mss as u16 + 12, tcp::WINDOW_SCALE)),
                ..TcpFields::default()
            };
            emit.push(self.say(End::Receiver, &say));
            return Outcome::default();
        }
        if segment.payload_len == 0 {
            return Outcome::default();
        }
        let first = self.initial(End::Sender).wrapping_add(1);
        let arrival = Arrival {
            offset: tcp::unwrap(self.receiver.next, segment.seq.wrapping_sub(first)),
            payload: u32::from(segment.payload_len),
            fin: segment.flags.has(Flags::FIN),
            timestamp,
            marked: frame.ecn == Ecn::Ce,
            reduced: segment.flags.has(Flags::CWR),
        };
        let was_complete = self.receiver.is_complete();
        let answer = self.receiver.on_data(now, &arrival);
        if let Some(ece) = answer.first {
            let told = arrival.offset.min(self.receiver.next);
            self.say_received(now, told, ece, false, emit);
        }
        if answer.now {
            let ece = self.receiver.ece;
            self.say_received(now, self.receiver.next, ece, self.receiver.is_complete(), emit);
        }
        let finished = !was_complete && self.receiver.is_complete();
        if finished {
            self.finished = Some(now);
        }
        Outcome { finished, ..Outcome::default() }
    }

    /// The receiver acknowledges up to `offset`.
    fn say_received(&mut self, now: Ns, offset: u64, ece: bool, complete: bool, emit: &mut Vec<SimFrame>) {
        let first = self.initial(End::Sender).wrapping_add(1);
        let number = |offset: u64| first.wrapping_add(offset as u32);
        let mut flags = Flags::ACK;
        if ece {
            flags = flags.with(Flags::ECE);
        }
        if complete {
            flags = flags.with(Flags::FIN);
        }
        let runs = self.receiver.runs();
        let mut sack = [(0, 0); 3];
        sack.iter_mut().zip(runs).for_each(|(slot, run)| *slot = (number(run.0), number(run.1)));
        let say = TcpFields {
            seq: self.initial(End::Receiver).wrapping_add(1),
            // The FIN is one more number.
            ack: number(offset).wrapping_add(u32::from(complete)),
            flags: flags.0,
            window: tcp::window_field(self.spec.tcp.receive_window),
            timestamps: (tick(now), self.receiver.echo),
            sack,
            ..TcpFields::default()
        };
        self.receiver.on_told();
        emit.push(self.say(End::Receiver, &say));
    }

    fn say_ack(&self, now: Ns, emit: &mut Vec<SimFrame>) {
        let sent = self.sender.as_ref().map_or(0, Sender::acknowledged);
        let closed = self.state == State::Closed;
        let say = TcpFields {
            seq: self
                .initial(End::Sender)
                .wrapping_add(1)
                .wrapping_add(sent as u32)
                .wrapping_add(closed.into()),
            ack: self.initial(End::Receiver).wrapping_add(1).wrapping_add(closed.into()),
            flags: Flags::ACK.0,
            window: tcp::window_field(self.spec.tcp.receive_window),
            timestamps: (tick(now), self.echo),
            ..TcpFields::default()
        };
        emit.push(self.say(End::Sender, &say));
    }

    /// Lets the sender say what it may.
    pub(crate) fn pump(&mut self, now: Ns, emit: &mut Vec<SimFrame>) {
        let envelope = self.envelope(End::Sender, if self.spec.tcp.ecn { 2 } else { 0 });
        let first = self.initial(End::Sender).wrapping_add(1);
        let ack = self.initial(End::Receiver).wrapping_add(1);
        let (echo, window) = (self.echo, tcp::window_field(self.spec.tcp.receive_window));
        let priority = &self.spec.priority;
        let Some(sender) = &mut self.sender else { return };
        sender.poll(now, |one| {
            let mut flags = Flags::ACK;
            if one.last {
                flags = flags.with(Flags::PSH).with(Flags::FIN);
            }
            if one.reduced {
                flags = flags.with(Flags::CWR);
            }
            let say = TcpFields {
                seq: first.wrapping_add(one.offset as u32),
                ack,
                flags: flags.0,
                window,
                timestamps: (tick(now), echo),
                payload: one.payload,
                ..TcpFields::default()
            };
            let mut frame = SimFrame::tcp(&envelope, &say);
            if let Some(dscp) = priority.dscp(one.offset) {
                set_dscp(frame.bytes_mut(), dscp);
            }
            emit.push(frame);
        });
    }

    /// When an end's timer is to go off.
    pub(crate) fn due(&self, end: End, now: Ns) -> Ns {
        match end {
            End::Receiver => self.receiver.ack_at,
            End::Sender => {
                let paced = |sender: &Sender| {
                    let pace_at = if sender.pace_at > now { sender.pace_at } else { Ns::NEVER };
                    sender.timeout_at.min(pace_at)
                };
                self.open_again_at.min(self.sender.as_ref().map_or(Ns::NEVER, paced))
            }
        }
    }

    /// An end's timer has gone off. Says whether that was a timeout of the sender's.
    pub(crate) fn on_timer(&mut self, now: Ns, end: End, emit: &mut Vec<SimFrame>) -> bool {
        if end == End::Receiver {
            if now >= self.receiver.ack_at {
                let ece = self.receiver.ece;
                self.say_received(now, self.receiver.next, ece, self.receiver.is_complete(), emit);
            }
            return false;
        }
        if let State::Opening { tries } = self.state
            && now >= self.open_again_at
        {
            if tries > SYN_TRIES {
                self.open_again_at = Ns::NEVER;
            } else {
                self.state = State::Opening { tries: tries + 1 };
                self.open_again_at = now + Ns(self.spec.tcp.rto_initial.0 << tries);
                self.say_syn(now, emit);
            }
            return true;
        }
        let timeout = self.sender.as_mut().is_some_and(|sender| sender.on_timeout(now));
        self.pump(now, emit);
        timeout
    }

    /// What has come of it so far.
    pub(crate) fn report(&self) -> FlowReport {
        let sender = self.sender.as_ref();
        FlowReport {
            spec: self.spec.clone(),
            delivered: self.receiver.next,
            finished: self.finished,
            retransmitted: sender.map_or(0, |sender| sender.retransmitted),
            timeouts: sender.map_or(0, |sender| sender.timeouts),
            rtt: sender.and_then(Sender::smoothed_rtt),
        }
    }

    /// Bytes that have reached the receiver in order.
    pub(crate) fn delivered(&self) -> u64 {
        self.receiver.next
    }

    /// Its number.
    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// Whether both ends are through with it.
    pub(crate) fn is_over(&self) -> bool {
        self.state == State::Closed
    }
}
