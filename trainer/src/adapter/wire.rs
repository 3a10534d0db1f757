//! Frames of the adapter protocol as bytes; `docs/adapter-protocol.md` is the reference. All integers and floats are
//! little-endian. Nothing here touches a socket.

use super::fault::Fault;
use crate::online::Batch;

/// Version of the protocol.
pub const VERSION: u32 = 1;
/// Bytes of a frame's body, either way.
pub const FRAME_BYTES_MAX: usize = 16 << 20;
/// Bytes of a model that a process freezes: twice the largest snapshot's network in double precision.
pub const MODEL_BYTES_MAX: usize = 8 << 20;
/// Rows of a batch; fewer where the network has so many inputs that they do not fit a frame.
pub const ROWS_MAX: usize = 65_536;

const MAGIC: &[u8; 8] = b"WEIRADPT";
/// Body length u32, kind u16, zero u16, call number u32.
pub(super) const HEADER_BYTES: usize = 12;
/// Set in the kind of an answer.
const ANSWER: u16 = 0x8000;
/// The kind of an error.
const ERROR: u16 = 0xffff;
/// Of a text within a body.
const TEXT_BYTES_MAX: usize = 1024;

/// What Weir asks for; the number is the request's kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum Call {
    /// The first request: what is to be tuned.
    Hello = 1,
    /// Tune on a batch.
    Adapt = 2,
    /// The stability value on a batch.
    Evaluate = 3,
    /// The network as it is now.
    Freeze = 4,
    /// Start over from a network.
    Reset = 5,
}

impl Call {
    const fn answer(self) -> u16 {
        self as u16 | ANSWER
    }

    /// Bytes that the answer's body may have, so that nothing is read that cannot be one.
    const fn answer_bytes_max(self) -> usize {
        match self {
            Call::Hello => 4 + 2 + TEXT_BYTES_MAX,
            Call::Adapt => 24,
            Call::Evaluate => 8,
            Call::Freeze => MODEL_BYTES_MAX,
            Call::Reset => 0,
        }
    }
}

/// A whole request: header and body in `frame`, whose allocation is used again.
pub(super) fn request(frame: &mut Vec<u8>, call: Call, number: u32, body: impl FnOnce(&mut Vec<u8>)) {
    frame.clear();
    frame.extend_from_slice(&[0; HEADER_BYTES]);
    body(frame);
    let length = (frame.len() - HEADER_BYTES) as u32;
    frame[..4].copy_from_slice(&length.to_le_bytes());
    frame[4..6].copy_from_slice(&(call as u16).to_le_bytes());
    frame[8..HEADER_BYTES].copy_from_slice(&number.to_le_bytes());
}

/// What a header says follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Follows {
    /// The answer's body, of so many bytes.
    Answer(usize),
    /// An error's body, of so many bytes.
    Error(usize),
}

/// What follows this header, if it is the answer to request `number`. An error with number 0 is about the connection.
pub(super) fn header(bytes: &[u8; HEADER_BYTES], call: Call, number: u32) -> Result<Follows, Fault> {
    let [l0, l1, l2, l3, k0, k1, z0, z1, n0, n1, n2, n3] = *bytes;
    let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
    let (kind, zero) = (u16::from_le_bytes([k0, k1]), u16::from_le_bytes([z0, z1]));
    let found = u32::from_le_bytes([n0, n1, n2, n3]);
    let refuse = |why: String| Err(Fault::Protocol(call, why));
    if zero != 0 {
        return refuse("not a frame".into());
    }
    let (follows, length_max) = match kind {
        ERROR => (Follows::Error(length), 2 + 2 + TEXT_BYTES_MAX),
        kind if kind == call.answer() => (Follows::Answer(length), call.answer_bytes_max()),
        kind => return refuse(format!("a frame of kind {kind:#06x}")),
    };
    if found != number && !(found == 0 && kind == ERROR) {
        return refuse(format!("an answer to call {found}, expected {number}"));
    }
    if length > length_max {
        return refuse(format!("a body of {length} bytes, expected at most {length_max}"));
    }
    Ok(follows)
}

/// The fault that an error's body describes.
pub(super) fn error(body: &[u8], call: Call) -> Fault {
    let mut fields = Fields(body);
    let said = fields.u16().zip(fields.text()).filter(|_| fields.0.is_empty());
    match said {
        Some((1, message)) => Fault::Unsuitable(message),
        Some((2, message)) => Fault::Failed(call, message),
        Some((3, message)) => Fault::Busy(message),
        Some((code, _)) => Fault::Protocol(call, format!("an error of code {code}")),
        None => Fault::Protocol(call, "a malformed error".into()),
    }
}

/// The body of a hello.
pub(super) struct Hello<'a> {
    pub(super) schema_hash: u64,
    pub(super) inputs: u32,
    pub(super) outputs: u32,
    pub(super) deadline_ms: u32,
    pub(super) name: &'a str,
    pub(super) function: &'a str,
    pub(super) onnx: &'a [u8],
}

impl Hello<'_> {
    pub(super) fn write(&self, body: &mut Vec<u8>) {
        body.extend_from_slice(MAGIC);
        body.extend_from_slice(&VERSION.to_le_bytes());
        body.extend_from_slice(&self.schema_hash.to_le_bytes());
        for number in [self.inputs, self.outputs, self.deadline_ms] {
            body.extend_from_slice(&number.to_le_bytes());
        }
        text(body, self.name);
        text(body, self.function);
        body.extend_from_slice(&(self.onnx.len() as u32).to_le_bytes());
        body.extend_from_slice(self.onnx);
    }
}

/// A text as a body holds it; the rest of one that is too long is left out.
fn text(body: &mut Vec<u8>, text: &str) {
    let bytes = &text.as_bytes()[..text.floor_char_boundary(TEXT_BYTES_MAX)];
    body.extend_from_slice(&(bytes.len() as u16).to_le_bytes());
    body.extend_from_slice(bytes);
}

/// The name of the process, from the body of the answer to a hello.
pub(super) fn ready(body: &[u8]) -> Result<String, Fault> {
    let mut fields = Fields(body);
    match (fields.u32(), fields.text()) {
        (Some(VERSION), Some(name)) if fields.0.is_empty() => Ok(name),
        (Some(version), _) if version != VERSION => {
            Err(Fault::Unsuitable(format!("it speaks version {version} of the protocol, Weir {VERSION}")))
        }
        _ => Err(Fault::Protocol(Call::Hello, "a malformed answer".into())),
    }
}

/// Rows, steps, loss and gradient norm, from the body of the answer to an adapt.
pub(super) fn adapted(body: &[u8]) -> Result<(u32, u32, f64, f64), Fault> {
    let mut fields = Fields(body);
    let found = fields.u32().zip(fields.u32()).zip(fields.f64()).zip(fields.f64());
    match found {
        Some((((rows, steps), loss), norm)) if fields.0.is_empty() => Ok((rows, steps, loss, norm)),
        _ => Err(Fault::Protocol(Call::Adapt, "a malformed answer".into())),
    }
}

/// The stability value, from the body of the answer to an evaluate.
pub(super) fn evaluated(body: &[u8]) -> Result<f64, Fault> {
    let mut fields = Fields(body);
    let malformed = Fault::Protocol(Call::Evaluate, "a malformed answer".into());
    fields.f64().filter(|_| fields.0.is_empty()).ok_or(malformed)
}

/// Element types of a batch's columns.
const F32: u8 = 1;
const U8: u8 = 2;
/// Columns of a batch; the last is that of flags.
const COLUMNS: u32 = 7;
/// More than what a batch has besides its rows.
const HEADS_BYTES: usize = 1024;
/// Bits of the column of flags.
const CONTINUES: u8 = 1;
const EXPLORED: u8 = 2;
const REMEMBERED: u8 = 4;

/// The body that carries a batch: rows u32, columns u32, then for each column its number u16, element type u8, zero u8,
/// width u32 and `rows * width` elements.
///
/// Of a batch that is too large for a frame the last rows are sent.
pub(super) fn batch(body: &mut Vec<u8>, batch: &Batch) {
    let row_bytes = 4 * (batch.width() + 5) + 1;
    let rows = batch.len().min(ROWS_MAX).min((FRAME_BYTES_MAX - HEADS_BYTES) / row_bytes);
    let from = batch.len() - rows;
    body.extend_from_slice(&(rows as u32).to_le_bytes());
    body.extend_from_slice(&COLUMNS.to_le_bytes());
    column(body, 1, F32, batch.width());
    floats(body, &batch.inputs()[from * batch.width()..]);
    let scalars = [batch.actions(), batch.noises(), batch.log_probs(), batch.rewards(), batch.weights()];
    for (number, cells) in (2..).zip(scalars) {
        column(body, number, F32, 1);
        floats(body, &cells[from..]);
    }
    column(body, COLUMNS as u16, U8, 1);
    let flags = batch.continues().iter().zip(batch.explored()).zip(batch.remembered()).skip(from);
    body.extend(flags.enumerate().map(|(at, ((&continues, &explored), &remembered))| {
        // The first row sent continues nothing that was sent.
        let bits = [(continues && at > 0, CONTINUES), (explored, EXPLORED), (remembered, REMEMBERED)];
        bits.iter().filter(|(set, _)| *set).map(|(_, bit)| bit).sum::<u8>()
    }));
}

fn column(body: &mut Vec<u8>, number: u16, kind: u8, width: usize) {
    body.extend_from_slice(&number.to_le_bytes());
    body.extend_from_slice(&[kind, 0]);
    body.extend_from_slice(&(width as u32).to_le_bytes());
}

fn floats(body: &mut Vec<u8>, cells: &[f32]) {
    body.extend(cells.iter().flat_map(|cell| cell.to_le_bytes()));
}

/// Takes fields from the front of a body.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*field)
    }
    fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_le_bytes)
    }
    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }
    fn f64(&mut self) -> Option<f64> {
        self.take().map(f64::from_le_bytes)
    }
    /// Shown to operators: what could break a line or a terminal is replaced.
    fn text(&mut self) -> Option<String> {
        let length = usize::from(self.u16()?);
        let (text, rest) = self.0.split_at_checked(length).filter(|_| length <= TEXT_BYTES_MAX)?;
        self.0 = rest;
        let shown = |c: char| if c.is_control() { '\u{fffd}' } else { c };
        Some(String::from_utf8_lossy(text).chars().map(shown).collect())
    }
}
