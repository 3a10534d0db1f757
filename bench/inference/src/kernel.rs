//! The network as Weir's own C for the kernel, compiled with a kernel's flags and loaded into this process.
#![allow(unsafe_code, reason = "compiled C is loaded and called: each place states why it cannot harm")]

use anyhow::{Context, Result, bail};
use libloading::Library;
use std::path::Path;
use std::process::Command;
use std::rc::Rc;
use weir_kernel_emit::{HEADERS, source};
use weir_snapshot::Snapshot;

/// What a kernel module gets: no SIMD, no floating point.
pub(crate) const FLAGS: &str = "-O2 -mgeneral-regs-only";

/// Stands for the per-CPU scratch of the kernel module.
const ENTRIES: &str = "
static struct weir_scratch scratch;

void from_row(const s16 *row, s32 *out)
{
	__builtin_memcpy(scratch.row, row, sizeof(s16) * code.inputs);
	infer(&scratch, out);
}

void from_features(const s32 *features, s32 *out)
{
	quantise(features, &scratch);
	infer(&scratch, out);
}
";

/// A snapshot, compiled.
#[derive(Clone)]
pub(crate) struct Compiled {
    from_row: unsafe extern "C" fn(*const i16, *mut i32),
    from_features: unsafe extern "C" fn(*const i32, *mut i32),
    inputs: usize,
    outputs: usize,
    _library: Rc<Library>,
}

impl Compiled {
    /// Emits `snapshot`, compiles it with `compiler` in `folder`, and loads it.
    ///
    /// # Errors
    /// The compiler refuses the source, or the result does not load.
    pub(crate) fn new(snapshot: &Snapshot, compiler: &str, folder: &Path) -> Result<Compiled> {
        for (name, text) in HEADERS {
            std::fs::write(folder.join(name), text)?;
        }
        let stem = format!("kernel-{compiler}-{}", snapshot.precision().name());
        let (file, object) = (folder.join(format!("{stem}.c")), folder.join(format!("{stem}.so")));
        std::fs::write(&file, source(snapshot, None)? + ENTRIES)?;
        let output = Command::new(compiler)
            .args(FLAGS.split(' '))
            .args(["-shared", "-fPIC", "-o"])
            .args([&object, &file])
            .output()
            .with_context(|| format!("cannot run {compiler}"))?;
        if !output.status.success() {
            bail!("{compiler} {FLAGS}: {}", String::from_utf8_lossy(&output.stderr));
        }
        // SAFETY: the library has no initialisers; it is what the compiler made of our own source a moment ago.
        let library = Rc::new(unsafe { Library::new(&object) }?);
        Ok(Compiled {
            // SAFETY: ENTRIES above defines both with these signatures.
            from_row: *unsafe { library.get(b"from_row") }?,
            // SAFETY: as above.
            from_features: *unsafe { library.get(b"from_features") }?,
            inputs: snapshot.inputs(),
            outputs: snapshot.outputs(),
            _library: library,
        })
    }

    /// Infers one quantised row.
    ///
    /// # Panics
    /// When a slice has another length than the network's.
    pub(crate) fn infer_row(&self, row: &[i16], out: &mut [i32]) {
        assert_eq!((row.len(), out.len()), (self.inputs, self.outputs), "items of a row");
        // SAFETY: it reads `inputs` items and writes `outputs`, and keeps neither pointer. Its scratch is static, and an
        // `Rc` inside keeps this on one thread.
        unsafe { (self.from_row)(row.as_ptr(), out.as_mut_ptr()) }
    }

    /// Quantises one row of features and infers it.
    ///
    /// # Panics
    /// As [`Compiled::infer_row`].
    pub(crate) fn infer_features(&self, features: &[i32], out: &mut [i32]) {
        assert_eq!((features.len(), out.len()), (self.inputs, self.outputs), "items of a row");
        // SAFETY: as in `infer_row`.
        unsafe { (self.from_features)(features.as_ptr(), out.as_mut_ptr()) }
    }
}
