//! The core's commands.

use super::message::{Answer, Message, attributes, next, u16_at, u32_at, u64_at};
use anyhow::{Context as _, bail};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send, socket,
};
use std::fmt;
use std::os::fd::{AsRawFd as _, OwnedFd};
use weir_features::{INPUTS, Noise, PacingSpec, Sample, Source};
use weir_snapshot::Function;

/// `weir_uapi.h`: commands and attributes, by their places there.
const STATUS: u8 = 1;
const INSTALL: u8 = 2;
const ROLLBACK: u8 = 4;
const WITHDRAW: u8 = 5;
const SAMPLES: u8 = 6;
const SETTINGS: u8 = 7;
const A_FUNCTION: u16 = 2;
const A_GENERATION: u16 = 3;
const A_PREVIOUS: u16 = 4;
const A_NAME: u16 = 5;
const A_CHECKSUM: u16 = 6;
const A_SCHEMA: u16 = 7;
const A_TOTAL: u16 = 8;
const A_OFFSET: u16 = 9;
const A_DATA: u16 = 10;
const A_EXPECT: u16 = 11;
const A_SAMPLE: u16 = 12;
const A_LOST: u16 = 13;
const A_SHARES: u16 = 14;
const A_RULE: u16 = 15;
const A_AFFINE: u16 = 16;
/// Bytes of `struct weir_sample`.
const SAMPLE_BYTES: usize = 224;
/// A file goes in pieces of so many bytes; an attribute holds less than 65 532.
const PIECE: usize = 32_768;
/// The kernel sends dumps in datagrams of up to 32 KiB.
const DATAGRAM: usize = 65_536;
/// `GENL_ID_CTRL`, `CTRL_CMD_GETFAMILY`, `CTRL_ATTR_FAMILY_NAME`, `CTRL_ATTR_FAMILY_ID`
const CONTROLLER: u16 = 0x10;
const GET_FAMILY: u8 = 3;
const FAMILY_NAME: u16 = 2;
const FAMILY_ID: u16 = 1;

/// An open conversation with the core.
#[derive(Debug)]
pub(crate) struct Core {
    socket: OwnedFd,
    family: u16,
    sequence: u32,
    buffer: Vec<u8>,
}

/// What the core does with which flows, in 1/65536.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shares {
    pub(crate) control: u32,
    pub(crate) explore: u32,
    pub(crate) sample: u32,
    pub(crate) sigma_q16: u32,
}

/// The networks of one function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) function: Function,
    /// The generation that decides; 0 where the rule does.
    pub(crate) active: u32,
    /// The one before, which a rollback publishes anew; 0 for none.
    pub(crate) previous: u32,
    /// Of the active one; empty and 0 without it.
    pub(crate) name: String,
    pub(crate) checksum: u32,
    pub(crate) schema_hash: u64,
}

/// What the core has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CoreStatus {
    /// By function, of each that the core knows.
    pub(crate) rows: Vec<Row>,
    /// Samples that found the core's ring full.
    pub(crate) samples_lost: u64,
}

impl CoreStatus {
    /// The generation that is active in a function; 0 where none is.
    pub(crate) fn active(&self, function: Function) -> u32 {
        self.rows.iter().find(|row| row.function == function).map_or(0, |row| row.active)
    }

    /// Takes in one attribute of the answer to `STATUS`: a message for each function begins with its number, and `known` says
    /// whether Weir knows the one that is being heard.
    fn hear(&mut self, known: &mut bool, attribute: u16, data: &[u8]) {
        let number = u32_at(data, 0).unwrap_or_default();
        match (attribute, self.rows.last_mut().filter(|_| *known)) {
            (A_FUNCTION, _) => {
                let function = Function::ALL.into_iter().find(|function| *function as u32 == number);
                *known = function.is_some();
                self.rows.extend(function.map(|function| Row {
                    function,
                    active: 0,
                    previous: 0,
                    name: String::new(),
                    checksum: 0,
                    schema_hash: 0,
                }));
            }
            (A_GENERATION, Some(row)) => row.active = number,
            (A_PREVIOUS, Some(row)) => row.previous = number,
            (A_NAME, Some(row)) => {
                row.name = String::from_utf8_lossy(data.strip_suffix(&[0]).unwrap_or(data)).into_owned();
            }
            (A_CHECKSUM, Some(row)) => row.checksum = number,
            (A_SCHEMA, Some(row)) => row.schema_hash = u64_at(data, 0).unwrap_or_default(),
            (A_LOST, _) => self.samples_lost = u64_at(data, 0).unwrap_or_default(),
            _ => {}
        }
    }
}

/// The core's refusal.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) errno: Errno,
    words: Option<String>,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.words {
            Some(words) => write!(f, "the kernel's core refuses: {words} ({})", self.errno),
            None => write!(f, "the kernel's core refuses: {}", self.errno.desc()),
        }
    }
}

impl std::error::Error for Refused {}

impl Core {
    /// Finds the core.
    ///
    /// # Errors
    /// It is not loaded.
    pub(crate) fn open() -> anyhow::Result<Core> {
        let socket = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkGeneric,
        )
        .context("netlink")?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, 0)).context("netlink")?;
        // A refusal comes with the core's words; without them it would be a bare errno.
        weir_netdev::explain_refusals(&socket).context("netlink")?;
        let mut core = Core { socket, family: CONTROLLER, sequence: 0, buffer: vec![0; DATAGRAM] };
        let mut family = None;
        let sequence = core.next();
        let ask = Message::request(CONTROLLER, GET_FAMILY, sequence).put(FAMILY_NAME, b"weir\0");
        let found = core.exchange(&ask.finish(), |attribute, data| {
            if attribute == FAMILY_ID {
                family = u16_at(data, 0);
            }
        });
        match (found, family) {
            (Ok(()), Some(family)) => Ok(Core { family, ..core }),
            _ => bail!(
                "the kernel has no family \"weir\": insmod weir_core.ko (`weir snapshot kernel` writes it)"
            ),
        }
    }

    /// What is active, by function.
    ///
    /// # Errors
    /// The conversation failed.
    pub(crate) fn status(&mut self) -> anyhow::Result<CoreStatus> {
        let (mut status, mut known) = (CoreStatus::default(), false);
        let sequence = self.next();
        let ask = Message::dump(self.family, STATUS, sequence).finish();
        self.exchange(&ask, |attribute, data| status.hear(&mut known, attribute, data))?;
        Ok(status)
    }

    /// Publishes a snapshot in place of generation `expect`; returns the number that it got. `spec` is the rule of monitor
    /// intervals, `affine` scale and offset of each feature: what of its inputs a snapshot does not say.
    ///
    /// # Errors
    /// [`Refused`], or the conversation failed. Nothing has changed then.
    pub(crate) fn install(
        &mut self,
        bytes: &[u8],
        expect: u32,
        spec: &PacingSpec,
        affine: &[(f64, f64)],
    ) -> anyhow::Result<u32> {
        let mut rule = Vec::new();
        rule.extend(
            [spec.rtt_floor_ns, spec.interval_min_ns, spec.interval_max_ns].map(u64::to_ne_bytes).concat(),
        );
        rule.extend(
            [spec.interval_rtt_q8.into(), spec.interval_packets_min.into()].map(u32::to_ne_bytes).concat(),
        );
        let affine: Vec<u8> = affine
            .iter()
            .flat_map(|(scale, offset)| [scale.to_bits(), offset.to_bits()])
            .flat_map(u64::to_ne_bytes)
            .collect();
        let mut generation = 0;
        for (at, piece) in bytes.chunks(PIECE).enumerate() {
            let sequence = self.next();
            let mut message = Message::request(self.family, INSTALL, sequence)
                .put_u32(A_OFFSET, (at * PIECE) as u32)
                .put(A_DATA, piece);
            if at == 0 {
                message = message
                    .put_u32(A_TOTAL, bytes.len() as u32)
                    .put_u32(A_EXPECT, expect)
                    .put(A_RULE, &rule)
                    .put(A_AFFINE, &affine);
            }
            generation = self.published(&message.finish())?;
        }
        Ok(generation)
    }

    /// Publishes the generation before `expect` anew; returns the number that it got.
    ///
    /// # Errors
    /// [`Refused`], or the conversation failed. Nothing has changed then.
    pub(crate) fn roll_back(&mut self, function: Function, expect: u32) -> anyhow::Result<u32> {
        self.change(ROLLBACK, function, expect)
    }

    /// Takes both generations back: the rule decides.
    ///
    /// # Errors
    /// [`Refused`], or the conversation failed. Nothing has changed then.
    pub(crate) fn withdraw(&mut self, function: Function, expect: u32) -> anyhow::Result<()> {
        self.change(WITHDRAW, function, expect).map(|_| ())
    }

    fn change(&mut self, command: u8, function: Function, expect: u32) -> anyhow::Result<u32> {
        let sequence = self.next();
        let ask = Message::request(self.family, command, sequence)
            .put_u32(A_FUNCTION, function as u32)
            .put_u32(A_EXPECT, expect)
            .finish();
        self.published(&ask)
    }

    /// Sends a request; the generation that its answer names, 0 where it names none.
    fn published(&mut self, request: &[u8]) -> anyhow::Result<u32> {
        let mut generation = 0;
        self.exchange(request, |attribute, data| {
            if attribute == A_GENERATION {
                generation = u32_at(data, 0).unwrap_or_default();
            }
        })?;
        Ok(generation)
    }

    /// Sets what is done with which flows.
    ///
    /// # Errors
    /// [`Refused`], or the conversation failed.
    pub(crate) fn set_shares(&mut self, shares: Shares) -> anyhow::Result<()> {
        let numbers = [shares.control, shares.explore, shares.sample, shares.sigma_q16];
        let sequence = self.next();
        let ask = Message::request(self.family, SETTINGS, sequence)
            .put(A_SHARES, &numbers.map(u32::to_ne_bytes).concat())
            .finish();
        self.exchange(&ask, |_, _| {})
    }

    /// Takes all samples. The generation of one that the network decided is the core's number.
    ///
    /// # Errors
    /// The conversation failed.
    pub(crate) fn samples(&mut self, mut each: impl FnMut(Sample)) -> anyhow::Result<()> {
        let sequence = self.next();
        let ask = Message::dump(self.family, SAMPLES, sequence).finish();
        self.exchange(&ask, |attribute, data| {
            if attribute == A_SAMPLE
                && let Some(sample) = sample(data)
            {
                each(sample);
            }
        })
    }

    fn next(&mut self) -> u32 {
        self.sequence += 1;
        self.sequence
    }

    /// Sends a request and shows every attribute of what comes, up to the acknowledgement or the end of the series.
    fn exchange(&mut self, request: &[u8], mut each: impl FnMut(u16, &[u8])) -> anyhow::Result<()> {
        let fd = self.socket.as_raw_fd();
        send(fd, request, MsgFlags::empty()).context("netlink")?;
        loop {
            let length = match recv(fd, &mut self.buffer, MsgFlags::empty()) {
                Err(Errno::EINTR) => continue,
                length => length.context("netlink")?,
            };
            let mut left = &self.buffer[..length];
            while let Some((answer, rest)) = next(left) {
                match answer {
                    Answer::End(0, _) => return Ok(()),
                    Answer::End(errno, words) => {
                        let refused =
                            Refused { errno: Errno::from_raw(errno), words: words.map(str::to_owned) };
                        return Err(refused.into());
                    }
                    Answer::Attributes(bytes) => {
                        for (attribute, data) in attributes(bytes) {
                            each(attribute, data);
                        }
                    }
                }
                left = rest;
            }
        }
    }
}

/// `struct weir_sample`
fn sample(bytes: &[u8]) -> Option<Sample> {
    if bytes.len() != SAMPLE_BYTES {
        return None;
    }
    let word = |at: usize| u64_at(bytes, 8 * at);
    let half = |at: usize| u32_at(bytes, 80 + 4 * at);
    let signed = |at: usize| half(at).map(|number| number as i32);
    let mut features = [0; INPUTS];
    for (at, feature) in features.iter_mut().enumerate() {
        *feature = signed(2 + at)?;
    }
    let (noise_q16, sigma_q16) = (signed(34)?, half(35)?);
    let source = match half(0)? {
        0 => Source::Model,
        1 => Source::Explored(Noise {
            noise_q16,
            sigma_q16,
            log_prob_q16: weir_engine::explore::Explorer::new(sigma_q16)?.log_prob_q16(noise_q16),
        }),
        2 => Source::Control,
        _ => return None,
    };
    Some(Sample {
        source,
        schema_hash: word(0)?,
        generation: half(1)?,
        flow: word(1)?,
        features,
        output_q16: signed(32)?,
        action_q16: signed(33)?,
        rate_bps: word(2)?,
        at_ns: word(3)?,
        duration_ns: word(4)?,
        sent_bytes: word(5)?,
        acked_bytes: word(6)?,
        lost_bytes: word(7)?,
        rtt_ns: word(8)?,
        base_rtt_ns: word(9)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The places of names in one of the header's enumerations.
    fn place(name: &str) -> Option<usize> {
        let header = weir_kernel_emit::MODULES.iter().find(|(file, _)| *file == "weir_uapi.h")?.1;
        let body = header.split("enum {").find(|body| body.contains(name))?.split('}').next()?;
        // Comments hold commas.
        let mut text = String::new();
        for (at, part) in body.split("/*").enumerate() {
            text.push_str(if at == 0 { part } else { part.split_once("*/")?.1 });
        }
        text.split(',').position(|word| word.trim() == name)
    }

    #[test]
    fn commands_and_attributes_are_the_headers() {
        for (name, number) in [
            ("WEIR_CMD_STATUS", STATUS),
            ("WEIR_CMD_INSTALL", INSTALL),
            ("WEIR_CMD_ROLLBACK", ROLLBACK),
            ("WEIR_CMD_WITHDRAW", WITHDRAW),
            ("WEIR_CMD_SAMPLES", SAMPLES),
            ("WEIR_CMD_SETTINGS", SETTINGS),
        ] {
            assert_eq!(place(name), Some(number.into()), "{name}");
        }
        for (name, number) in [
            ("WEIR_A_FUNCTION", A_FUNCTION),
            ("WEIR_A_GENERATION", A_GENERATION),
            ("WEIR_A_PREVIOUS", A_PREVIOUS),
            ("WEIR_A_NAME", A_NAME),
            ("WEIR_A_CHECKSUM", A_CHECKSUM),
            ("WEIR_A_SCHEMA", A_SCHEMA),
            ("WEIR_A_TOTAL", A_TOTAL),
            ("WEIR_A_OFFSET", A_OFFSET),
            ("WEIR_A_DATA", A_DATA),
            ("WEIR_A_EXPECT", A_EXPECT),
            ("WEIR_A_SAMPLE", A_SAMPLE),
            ("WEIR_A_LOST", A_LOST),
            ("WEIR_A_SHARES", A_SHARES),
            ("WEIR_A_RULE", A_RULE),
            ("WEIR_A_AFFINE", A_AFFINE),
        ] {
            assert_eq!(place(name), Some(number.into()), "{name}");
        }
    }

    #[test]
    fn a_status_has_a_row_for_each_function_that_weir_knows() {
        let (mut status, mut known) = (CoreStatus::default(), false);
        for (function, generation) in [(0_u32, 7_u32), (2, 0), (9, 3)] {
            status.hear(&mut known, A_FUNCTION, &function.to_ne_bytes());
            status.hear(&mut known, A_GENERATION, &generation.to_ne_bytes());
            status.hear(&mut known, A_LOST, &5_u64.to_ne_bytes());
            if generation == 7 {
                status.hear(&mut known, A_PREVIOUS, &6_u32.to_ne_bytes());
                status.hear(&mut known, A_NAME, b"aurora\0");
                status.hear(&mut known, A_CHECKSUM, &0xABCD_u32.to_ne_bytes());
                status.hear(&mut known, A_SCHEMA, &99_u64.to_ne_bytes());
            }
        }
        assert_eq!(status.samples_lost, 5);
        assert_eq!(status.active(Function::Pacing), 7);
        assert_eq!((status.active(Function::Balance), status.active(Function::Schedule)), (0, 0));
        let [pacing, schedule] = &status.rows[..] else { panic!("{:?}", status.rows) };
        assert_eq!(
            (pacing.previous, pacing.name.as_str(), pacing.checksum, pacing.schema_hash),
            (6, "aurora", 0xABCD, 99)
        );
        assert_eq!(schedule.function, Function::Schedule);
    }

    #[test]
    fn a_sample_has_its_fields_where_the_header_has_them() {
        let mut bytes = Vec::new();
        bytes.extend((1..=10_u64).flat_map(u64::to_ne_bytes));
        bytes.extend([1_u32, 12].map(u32::to_ne_bytes).concat());
        bytes.extend((0..30_i32).flat_map(|feature| (-feature).to_ne_bytes()));
        bytes.extend([-41_i32, -42, -43].map(i32::to_ne_bytes).concat());
        bytes.extend(32_768_u32.to_ne_bytes());
        let sample = super::sample(&bytes).expect("a sample");
        assert_eq!((sample.schema_hash, sample.flow, sample.rate_bps, sample.at_ns), (1, 2, 3, 4));
        assert_eq!(
            (sample.duration_ns, sample.sent_bytes, sample.acked_bytes, sample.lost_bytes),
            (5, 6, 7, 8)
        );
        assert_eq!((sample.rtt_ns, sample.base_rtt_ns, sample.generation), (9, 10, 12));
        assert_eq!((sample.features[29], sample.output_q16, sample.action_q16), (-29, -41, -42));
        let noise = sample.noise().expect("explored");
        assert_eq!((noise.noise_q16, noise.sigma_q16), (-43, 32_768));
        assert_eq!(super::sample(&bytes[1..]), None);
    }
}
