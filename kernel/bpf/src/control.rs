//! Attach, swap, detach, and what is attached. What is attached lives in the kernel, held by files of the BPF file system, and
//! outlives whoever attached it.

use crate::error::BpfError;
use crate::net::Header;
use crate::object::{self, AURORA, CANDIDATE, LIVE, YIELD, refused};
use crate::preflight;
use libbpf_rs::{Link, MapCore as _, MapFlags, MapHandle, Object, OpenObject};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use weir_features::{FEATURES, HISTORY, PacingSpec};
use weir_snapshot::{Function, Snapshot};

/// Where the BPF file system is, by convention.
const BPFFS: &str = "/sys/fs/bpf";
const FOLDER: &str = "weir";

/// A congestion control of Weir's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Congestion {
    /// Sends what the receive window admits; a Weir on the way governs.
    Yield,
    /// A pacing snapshot decides.
    Aurora,
}

impl Congestion {
    /// Both.
    pub const ALL: [Congestion; 2] = [Congestion::Yield, Congestion::Aurora];

    /// As the kernel calls it: for `net.ipv4.tcp_congestion_control` and the socket option `TCP_CONGESTION`.
    pub const fn name(self) -> &'static str {
        match self {
            Congestion::Yield => "weir_yield",
            Congestion::Aurora => "weir_aurora",
        }
    }
}

/// Rates of a flow under `weir_aurora`, in bit/s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    /// Before the first decision.
    pub start_bps: u64,
    /// The guard's lower bound.
    pub min_bps: u64,
    /// The guard's upper bound.
    pub max_bps: u64,
}

/// What flows have done since the control was attached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Flows begun.
    pub flows: u64,
    /// Times that there was no memory for a flow's state.
    pub refused: u64,
    /// Decisions of the network.
    pub decisions: u64,
    /// Of those, how many would have raised the rate of a flow that had nothing to send, and did not.
    pub app_limited: u64,
    /// Of those, how many the guard bounded.
    pub bounded: u64,
    /// Of those, how many the brake held ([`weir_features::Brake`]).
    pub braked: u64,
}

/// What of `weir_aurora` is attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuroraStatus {
    /// The network that decides.
    pub network: Header,
    /// The rates.
    pub rates: Rates,
    /// The counts.
    pub stats: Stats,
}

/// The congestion controls on this host: `new()` is the usual place, tests have their own.
#[derive(Clone, Debug)]
pub struct Bpf {
    bpffs: PathBuf,
}

impl Default for Bpf {
    fn default() -> Bpf {
        Bpf::new(Path::new(BPFFS))
    }
}

impl Bpf {
    /// With the BPF file system that is mounted there.
    pub fn new(bpffs: &Path) -> Bpf {
        Bpf { bpffs: bpffs.to_owned() }
    }

    fn folder(&self, congestion: Congestion) -> PathBuf {
        self.bpffs.join(FOLDER).join(congestion.name())
    }

    fn pin(&self, congestion: Congestion, name: &str) -> PathBuf {
        self.folder(congestion).join(name)
    }

    /// Whether it is attached.
    pub fn is_attached(&self, congestion: Congestion) -> bool {
        self.pin(congestion, "link").exists()
    }

    fn begin(&self, congestion: Congestion) -> Result<(), BpfError> {
        preflight::check(&self.bpffs)?;
        if self.is_attached(congestion) {
            return Err(BpfError::Attached(congestion.name()));
        }
        let path = self.folder(congestion);
        std::fs::create_dir_all(&path).map_err(|error| BpfError::File { path, error })
    }

    /// Registers the congestion control, and keeps it so. What else is in the folder goes when that fails.
    fn register(&self, object: &mut Object, congestion: Congestion) -> Result<(), BpfError> {
        let mut map = object::map(object, congestion.name())?;
        let mut link = map.attach_struct_ops().map_err(refused("registering the congestion control"))?;
        let path = self.pin(congestion, "link");
        link.pin(path).map_err(refused("keeping the congestion control (bpffs)"))
    }

    /// Attaches `weir_yield`.
    ///
    /// # Errors
    /// It is attached already, the kernel cannot, the caller may not.
    pub fn attach_yield(&self) -> Result<(), BpfError> {
        self.begin(Congestion::Yield)?;
        let done = object::open(&YIELD.0).and_then(|open| {
            let mut object = load(open)?;
            self.register(&mut object, Congestion::Yield)
        });
        done.inspect_err(|_| self.clear(Congestion::Yield))
    }

    /// Attaches `weir_aurora` with a network, whose features have these definitions, after the program with that network has
    /// given what the scalar executor gives.
    ///
    /// # Errors
    /// As [`attach_yield`](Bpf::attach_yield); the snapshot is no pacing network; the results differ.
    pub fn attach_aurora(
        &self,
        snapshot: &Snapshot,
        spec: &PacingSpec,
        rates: Rates,
    ) -> Result<(), BpfError> {
        check(snapshot)?;
        self.begin(Congestion::Aurora)?;
        self.attach_aurora_unpinned(snapshot, spec, rates).inspect_err(|_| self.clear(Congestion::Aurora))
    }

    fn attach_aurora_unpinned(
        &self,
        snapshot: &Snapshot,
        spec: &PacingSpec,
        rates: Rates,
    ) -> Result<(), BpfError> {
        let mut open = object::open(&AURORA.0)?;
        leave_out(&mut open, &["replay"], &["events", "bench_spec"])?;
        few_rows(&mut open)?;
        let mut object = load(open)?;
        let inner = object::inner(snapshot, spec, 1)?;
        let nets = object::map(&mut object, "nets")?;
        object::put(&nets, CANDIDATE, &inner)?;
        object::put(&nets, LIVE, &inner)?;
        object::self_test(&mut object, snapshot)?;
        let settings = [rates.start_bps, rates.min_bps, rates.max_bps].map(u64::to_ne_bytes).concat();
        object::map(&mut object, "settings")?
            .update(&0_u32.to_ne_bytes(), &settings, MapFlags::ANY)
            .map_err(refused("writing the rates"))?;
        for name in ["nets", "settings", "stats"] {
            let path = self.pin(Congestion::Aurora, name);
            object::map(&mut object, name)?.pin(path).map_err(refused("keeping a map (bpffs)"))?;
        }
        self.register(&mut object, Congestion::Aurora)
    }

    /// Gives every flow of `weir_aurora` another network, at its next interval, after the same test. Returns its number.
    ///
    /// # Errors
    /// It is not attached, or as [`attach_aurora`](Bpf::attach_aurora); then the network is the one that it was.
    pub fn swap(&self, snapshot: &Snapshot, spec: &PacingSpec) -> Result<u32, BpfError> {
        check(snapshot)?;
        let mut swapper = self.swapper()?;
        swapper.swap(snapshot, spec)
    }

    /// What swaps again and again, with the test program loaded once.
    ///
    /// # Errors
    /// It is not attached, the caller may not.
    pub fn swapper(&self) -> Result<Swapper, BpfError> {
        preflight::check(&self.bpffs)?;
        if !self.is_attached(Congestion::Aurora) {
            return Err(BpfError::NotAttached(Congestion::Aurora.name()));
        }
        let generation = self.aurora()?.network.generation;
        let mut open = object::open(&AURORA.0)?;
        if let Some(mut nets) = open.maps_mut().find(|map| map.name() == OsStr::new("nets")) {
            nets.reuse_pinned_map(self.pin(Congestion::Aurora, "nets"))
                .map_err(refused("taking up the map"))?;
        }
        let controls: Vec<String> = open
            .progs()
            .filter(|program| program.section().to_string_lossy().starts_with("struct_ops"))
            .map(|program| program.name().to_string_lossy().into_owned())
            .collect();
        let mut unused: Vec<&str> = controls.iter().map(String::as_str).collect();
        unused.push("replay");
        leave_out(
            &mut open,
            &unused,
            &["events", "bench_spec", "settings", "stats", "flows", "weir_aurora"],
        )?;
        few_rows(&mut open)?;
        Ok(Swapper { object: load(open)?, generation })
    }

    /// Takes the congestion control away. Flows that use it go on with it to their end.
    ///
    /// # Errors
    /// It is not attached, the caller may not.
    pub fn detach(&self, congestion: Congestion) -> Result<(), BpfError> {
        if !self.is_attached(congestion) {
            return Err(BpfError::NotAttached(congestion.name()));
        }
        let path = self.pin(congestion, "link");
        // At once, where the kernel can (6.9); with its last file the link goes in any case, a little later.
        if let Ok(link) = Link::open(&path) {
            let _ = link.detach();
        }
        std::fs::remove_file(&path).map_err(|error| BpfError::File { path, error })?;
        self.clear(congestion);
        Ok(())
    }

    /// Removes what is left in the folder.
    fn clear(&self, congestion: Congestion) {
        let folder = self.folder(congestion);
        for file in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let _ = std::fs::remove_file(file.path());
        }
        let _ = std::fs::remove_dir(&folder);
        // Only when the other is not attached either.
        let _ = std::fs::remove_dir(self.bpffs.join(FOLDER));
    }

    /// What `weir_aurora` is and has done.
    ///
    /// # Errors
    /// It is not attached, the caller may not.
    pub fn aurora(&self) -> Result<AuroraStatus, BpfError> {
        if !self.is_attached(Congestion::Aurora) {
            return Err(BpfError::NotAttached(Congestion::Aurora.name()));
        }
        let first = |name: &'static str| {
            let map = MapHandle::from_pinned_path(self.pin(Congestion::Aurora, name));
            let value = map.and_then(|map| map.lookup(&0_u32.to_ne_bytes(), MapFlags::ANY));
            value.map(Option::unwrap_or_default).map_err(refused("reading what is attached"))
        };
        // Of a map of maps one reads the number of the inner one.
        let id = first("nets")?.try_into().map_or(0, u32::from_ne_bytes);
        let inner =
            MapHandle::from_map_id(id).and_then(|map| map.lookup(&0_u32.to_ne_bytes(), MapFlags::ANY));
        let value = inner.map_err(refused("reading the network"))?.unwrap_or_default();
        let missing = || refused("reading the network")(std::io::Error::other("there is none").into());
        let network = Header::of(&value).ok_or_else(missing)?;
        let words = |value: Vec<u8>| -> Vec<u64> {
            value.chunks_exact(8).filter_map(|word| Some(u64::from_ne_bytes(word.try_into().ok()?))).collect()
        };
        let (rates, stats) = (words(first("settings")?), words(first("stats")?));
        let word = |words: &[u64], at: usize| words.get(at).copied().unwrap_or(0);
        Ok(AuroraStatus {
            network,
            rates: Rates { start_bps: word(&rates, 0), min_bps: word(&rates, 1), max_bps: word(&rates, 2) },
            stats: Stats {
                flows: word(&stats, 0),
                refused: word(&stats, 1),
                decisions: word(&stats, 2),
                app_limited: word(&stats, 3),
                bounded: word(&stats, 4),
                braked: word(&stats, 5),
            },
        })
    }
}

/// Swaps networks of an attached `weir_aurora`.
pub struct Swapper {
    object: Object,
    generation: u32,
}

impl Swapper {
    /// See [`Bpf::swap`].
    ///
    /// # Errors
    /// See [`Bpf::swap`].
    pub fn swap(&mut self, snapshot: &Snapshot, spec: &PacingSpec) -> Result<u32, BpfError> {
        check(snapshot)?;
        let next = self.generation + 1;
        let inner = object::inner(snapshot, spec, next)?;
        object::put(&object::map(&mut self.object, "nets")?, CANDIDATE, &inner)?;
        object::self_test(&mut self.object, snapshot)?;
        object::put(&object::map(&mut self.object, "nets")?, LIVE, &inner)?;
        self.generation = next;
        Ok(next)
    }
}

/// Whether a snapshot is one that this congestion control can run.
fn check(snapshot: &Snapshot) -> Result<(), BpfError> {
    let name = snapshot.name().to_owned();
    if snapshot.function() != Function::Pacing {
        return Err(BpfError::NotPacing { name, function: snapshot.function().name() });
    }
    let (inputs, outputs) = (snapshot.inputs(), snapshot.outputs());
    if (inputs, outputs) != (FEATURES * HISTORY, 1) {
        return Err(BpfError::Shape { name, inputs, outputs });
    }
    Ok(())
}

pub(crate) fn load(open: OpenObject) -> Result<Object, BpfError> {
    open.load().map_err(refused("loading the programs"))
}

/// Neither loads these programs nor makes these maps.
fn leave_out(open: &mut OpenObject, programs: &[&str], maps: &[&str]) -> Result<(), BpfError> {
    for mut program in open.progs_mut() {
        if programs.iter().any(|name| program.name() == OsStr::new(name)) {
            program.set_autoload(false);
        }
    }
    for mut map in open.maps_mut() {
        if maps.iter().any(|name| map.name() == OsStr::new(name)) {
            map.set_autocreate(false).map_err(refused("leaving a map out"))?;
        }
    }
    Ok(())
}

/// Room for the self-test alone.
fn few_rows(open: &mut OpenObject) -> Result<(), BpfError> {
    match open.maps_mut().find(|map| map.name() == OsStr::new("rows")) {
        Some(mut rows) => rows.set_max_entries(object::self_test_rows()).map_err(refused("sizing a map")),
        None => Ok(()),
    }
}
