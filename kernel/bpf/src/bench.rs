//! The programs under test: what they compute, without a flow.

use crate::error::BpfError;
use crate::object::{self, AURORA, CANDIDATE, refused};
use libbpf_rs::{MapCore as _, MapFlags, Object};
use std::ffi::OsStr;
use weir_features::PacingSpec;
use weir_snapshot::Snapshot;

/// Numbers of an event: kind, whether its last argument is missing, arguments, results.
const ARGUMENTS: usize = 12;
const RESULTS: usize = 32;

/// The test programs of `weir_aurora`, loaded and attached to nothing.
pub struct Bench {
    object: Object,
}

impl Bench {
    /// Loads them.
    ///
    /// # Errors
    /// The kernel cannot, the caller may not.
    pub fn new() -> Result<Bench, BpfError> {
        let mut open = object::open(&AURORA.0)?;
        for mut program in open.progs_mut() {
            if program.section().to_string_lossy().starts_with("struct_ops") {
                program.set_autoload(false);
            }
        }
        for mut map in open.maps_mut() {
            if map.name() == OsStr::new("weir_aurora") {
                map.set_autocreate(false).map_err(refused("leaving a map out"))?;
            }
        }
        Ok(Bench { object: crate::control::load(open)? })
    }

    /// Results of a network, for at most 10 000 rows of features one after the other.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn evaluate(&mut self, snapshot: &Snapshot, features: &[i32]) -> Result<Vec<i32>, BpfError> {
        let inner = object::inner(snapshot, &PacingSpec::default(), 1)?;
        object::put(&object::map(&mut self.object, "nets")?, CANDIDATE, &inner)?;
        object::evaluate(&mut self.object, CANDIDATE, snapshot, features)
    }

    /// Replays at most 16 384 events, each a kind's number and its arguments, `None` for one that is missing; 32 results each.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn replay(&mut self, events: &[(u32, Vec<Option<i64>>)]) -> Result<Vec<[i64; RESULTS]>, BpfError> {
        let map = object::map(&mut self.object, "events")?;
        for (key, (kind, arguments)) in (0_u32..).zip(events) {
            let mut value = Vec::new();
            value.extend_from_slice(&kind.to_ne_bytes());
            let none = arguments.iter().any(Option::is_none);
            value.extend_from_slice(&u32::from(none).to_ne_bytes());
            let mut numbers: Vec<i64> = arguments.iter().map(|argument| argument.unwrap_or(0)).collect();
            numbers.resize(ARGUMENTS + RESULTS, 0);
            numbers.iter().for_each(|number| value.extend_from_slice(&number.to_ne_bytes()));
            map.update(&key.to_ne_bytes(), &value, MapFlags::ANY).map_err(refused("writing events"))?;
        }
        object::run(&mut self.object, "replay", 0, events.len())?;
        let map = object::map(&mut self.object, "events")?;
        let mut results = Vec::with_capacity(events.len());
        for key in 0..events.len() as u32 {
            let value = map.lookup(&key.to_ne_bytes(), MapFlags::ANY).map_err(refused("reading results"))?;
            let mut row = [0; RESULTS];
            for (bytes, out) in value.unwrap_or_default()[8..].chunks_exact(8).skip(ARGUMENTS).zip(&mut row) {
                *out = bytes.try_into().map_or(0, i64::from_ne_bytes);
            }
            results.push(row);
        }
        Ok(results)
    }
}
