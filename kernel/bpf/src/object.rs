//! Loading the compiled programs, and what the test programs among them say.

use crate::error::BpfError;
use crate::net;
use libbpf_rs::{
    MapCore as _, MapFlags, MapHandle, MapMut, MapType, Object, ObjectBuilder, OpenObject, PrintLevel,
    ProgramInput,
};
use std::ffi::OsStr;
use std::os::fd::AsFd as _;
use std::sync::Mutex;
use weir_features::PacingSpec;
use weir_snapshot::{Executable, Executor, Snapshot, WIDTH_MAX};

pub(crate) static YIELD: &Bytes<[u8]> = &Bytes(*include_bytes!(concat!(env!("OUT_DIR"), "/yield.bpf.o")));
pub(crate) static AURORA: &Bytes<[u8]> = &Bytes(*include_bytes!(concat!(env!("OUT_DIR"), "/aurora.bpf.o")));

/// libelf reads words of an object where they stand.
#[repr(align(8))]
pub(crate) struct Bytes<T: ?Sized>(pub(crate) T);

/// Slots of `nets`.
pub(crate) const LIVE: u32 = 0;
pub(crate) const CANDIDATE: u32 = 1;
/// Bytes of `struct weir_row`.
const ROW_BYTES: usize = 2 * WIDTH_MAX * 4;
/// Rows that a network is held to before it may decide.
const SELF_TEST_ROWS: usize = 64;

/// What libbpf said last: it writes to standard error unless told otherwise.
static SAID: Mutex<String> = Mutex::new(String::new());

fn listen() {
    if let Ok(mut said) = SAID.lock() {
        said.clear();
    }
    fn note(_: PrintLevel, text: String) {
        // Of a program that the verifier refuses: a line that names it, its whole log, and lines that say less and less.
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let refusal = lines.clone().position(|line| line.starts_with("processed "));
        let line = match refusal {
            Some(at) => lines.nth(at.saturating_sub(1)),
            None => lines.next_back(),
        };
        if let (Ok(mut said), Some(line)) = (SAID.lock(), line)
            && (said.is_empty() || refusal.is_some())
        {
            line.clone_into(&mut said);
        }
    }
    libbpf_rs::set_print(Some((PrintLevel::Warn, note)));
}

/// The error for something that libbpf or the kernel refused.
pub(crate) fn refused(what: &'static str) -> impl FnOnce(libbpf_rs::Error) -> BpfError {
    move |error| {
        if error.kind() == libbpf_rs::ErrorKind::PermissionDenied && !crate::preflight::is_privileged() {
            return BpfError::NotPermitted;
        }
        let said = SAID.lock().map(|mut said| std::mem::take(&mut *said)).unwrap_or_default();
        BpfError::Refused { what, error, said }
    }
}

pub(crate) fn open(bytes: &[u8]) -> Result<OpenObject, BpfError> {
    listen();
    ObjectBuilder::default().open_memory(bytes).map_err(refused("reading the programs"))
}

/// A map of a loaded object.
pub(crate) fn map<'a>(object: &'a mut Object, name: &str) -> Result<MapMut<'a>, BpfError> {
    let found = object.maps_mut().find(|map| map.name() == OsStr::new(name));
    found.ok_or_else(|| refused("looking for a map")(std::io::Error::other(name.to_owned()).into()))
}

/// An inner map that holds a network.
pub(crate) fn inner(snapshot: &Snapshot, spec: &PacingSpec, generation: u32) -> Result<MapHandle, BpfError> {
    let options = libbpf_rs::libbpf_sys::bpf_map_create_opts {
        sz: size_of::<libbpf_rs::libbpf_sys::bpf_map_create_opts>() as u64,
        ..Default::default()
    };
    let map = MapHandle::create(MapType::Array, Some("weir_net"), 4, net::VALUE_BYTES as u32, 1, &options)
        .map_err(refused("making a map for a network"))?;
    let value = net::value(snapshot, spec, generation);
    map.update(&0_u32.to_ne_bytes(), &value, MapFlags::ANY).map_err(refused("writing a network"))?;
    Ok(map)
}

/// Puts a network into a slot: from then on it is what programs find there.
pub(crate) fn put(nets: &impl libbpf_rs::MapCore, slot: u32, inner: &MapHandle) -> Result<(), BpfError> {
    use std::os::fd::AsRawFd as _;
    let number = inner.as_fd().as_raw_fd().to_ne_bytes();
    nets.update(&slot.to_ne_bytes(), &number, MapFlags::ANY).map_err(refused("putting a network into place"))
}

/// Results of the network in `slot`, for rows of features one after the other.
pub(crate) fn evaluate(
    object: &mut Object,
    slot: u32,
    snapshot: &Snapshot,
    features: &[i32],
) -> Result<Vec<i32>, BpfError> {
    let (inputs, outputs) = (snapshot.inputs(), snapshot.outputs());
    let count = features.len() / inputs;
    let rows = map(object, "rows")?;
    let keys: Vec<u8> = (0..count as u32).flat_map(u32::to_ne_bytes).collect();
    let mut values = vec![0; count * ROW_BYTES];
    for (row, value) in features.chunks_exact(inputs).zip(values.chunks_exact_mut(ROW_BYTES)) {
        for (feature, bytes) in row.iter().zip(value.chunks_exact_mut(4)) {
            bytes.copy_from_slice(&feature.to_ne_bytes());
        }
    }
    rows.update_batch(&keys, &values, count as u32, MapFlags::ANY, MapFlags::ANY)
        .map_err(refused("writing rows"))?;
    run(object, "evaluate", slot, count)?;
    let rows = map(object, "rows")?;
    let mut results = Vec::with_capacity(count * outputs);
    for key in 0..count as u32 {
        let row = rows.lookup(&key.to_ne_bytes(), MapFlags::ANY).map_err(refused("reading results"))?;
        let row = row.unwrap_or_default();
        let values = row.chunks_exact(4).skip(WIDTH_MAX).take(outputs);
        results.extend(values.filter_map(|bytes| Some(i32::from_ne_bytes(bytes.try_into().ok()?))));
    }
    Ok(results)
}

/// Runs a test program over `count` rows or events.
pub(crate) fn run(object: &mut Object, name: &str, slot: u32, count: usize) -> Result<(), BpfError> {
    let program = object.progs_mut().find(|program| program.name() == OsStr::new(name));
    let program = program
        .ok_or_else(|| refused("looking for a program")(std::io::Error::other(name.to_owned()).into()))?;
    let mut request = [slot.to_ne_bytes(), (count as u32).to_ne_bytes()].concat();
    let input = ProgramInput { context_in: Some(&mut request), ..ProgramInput::default() };
    let output = program.test_run(input).map_err(refused("running a test program"))?;
    if output.return_value == count as u32 {
        return Ok(());
    }
    let text = format!("{name} did {} of {count}", output.return_value as i32);
    Err(refused("running a test program")(std::io::Error::other(text).into()))
}

/// Holds the program with the candidate's network to the scalar executor, on rows all over the inputs' clips.
pub(crate) fn self_test(object: &mut Object, snapshot: &Snapshot) -> Result<(), BpfError> {
    // Numerical Recipes' 64-bit congruential generator: any spread of numbers does.
    let mut state = u64::from(snapshot.checksum());
    let mut draw = |low: i32, high: i32| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let span = (i64::from(high) - i64::from(low) + 1) as u64;
        (i64::from(low) + ((state >> 33) % span) as i64) as i32
    };
    let mut features = Vec::new();
    for _ in 0..SELF_TEST_ROWS {
        features.extend(snapshot.parts().inputs.iter().map(|input| draw(input.clip_lo, input.clip_hi)));
    }
    let found = evaluate(object, CANDIDATE, snapshot, &features)?;
    let meant = Executable::new(snapshot.clone(), Executor::Scalar)
        .map_or_else(|_| Vec::new(), |scalar| scalar.evaluate_rows(&features));
    match found.iter().zip(&meant).enumerate().find(|(_, (found, meant))| found != meant) {
        None if found.len() == meant.len() => Ok(()),
        None => Err(BpfError::Results { found: found.len(), meant: meant.len() }),
        Some((row, (found, meant))) => Err(BpfError::Differs { row, found: *found, meant: *meant }),
    }
}

/// Rows that an object which only tests itself needs room for.
pub(crate) const fn self_test_rows() -> u32 {
    SELF_TEST_ROWS as u32
}
