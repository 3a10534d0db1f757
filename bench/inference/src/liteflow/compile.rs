//! Compilers, their flags, and what they made, loaded into this process.
#![allow(unsafe_code, reason = "compiled C is loaded and called: each place states why it cannot harm")]

use super::emit::{FROM_FEATURES, FROM_ROW};
use anyhow::{Context, Result, bail};
use libloading::Library;
use std::path::Path;
use std::process::Command;
use std::rc::Rc;

/// Sets of flags, from what a kernel module gets to all that the compiler can do for this very machine.
const FLAGS: [&str; 9] = [
    "-O2",
    "-O3",
    "-O2 -mgeneral-regs-only",
    "-O3 -mgeneral-regs-only",
    "-O2 -march=native -mgeneral-regs-only",
    "-Os",
    "-O2 -march=native",
    "-O3 -march=native",
    "-O3 -march=native -mprefer-vector-width=512",
];

/// A compiler that was found.
#[derive(Clone, Debug)]
pub(crate) struct Compiler {
    /// Its name.
    pub command: String,
    /// Its first line about itself.
    pub version: String,
}

/// `gcc` and `clang`, where they are; for the others why not, and what to do.
pub(crate) fn compilers() -> (Vec<Compiler>, Vec<String>) {
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for command in ["gcc", "clang"] {
        match Command::new(command).arg("--version").output() {
            Ok(output) if output.status.success() => {
                let text = String::from_utf8_lossy(&output.stdout);
                let version = text.lines().next().unwrap_or(command).to_string();
                found.push(Compiler { command: command.to_string(), version });
            }
            _ => missing.push(format!("{command} (to compile the generated C): apt-get install {command}")),
        }
    }
    (found, missing)
}

type Function = unsafe extern "C" fn(*const i64, *mut i64);

/// One function of the compiled C. Keeps the library loaded.
#[derive(Clone)]
pub(crate) struct Entry {
    function: Function,
    inputs: usize,
    outputs: usize,
    _library: Rc<Library>,
}

impl Entry {
    /// Runs one row.
    ///
    /// # Panics
    /// When a slice has another length than the network's.
    pub(crate) fn call(&self, input: &[i64], output: &mut [i64]) {
        assert_eq!((input.len(), output.len()), (self.inputs, self.outputs), "items of a row");
        // SAFETY: the generated function reads `inputs` items and writes `outputs`, and keeps neither pointer. Its
        // buffers are static, and an `Rc` inside keeps an `Entry` on one thread.
        unsafe { (self.function)(input.as_ptr(), output.as_mut_ptr()) }
    }
}

/// The generated C, compiled with one set of flags.
pub(crate) struct Compiled {
    /// Compiler and flags.
    pub name: String,
    /// Starts at features in Q16.
    pub from_features: Entry,
    /// Starts at quantised values.
    pub from_row: Entry,
}

impl Compiler {
    /// Compiles `source` with every set of flags; objects go to `folder`.
    ///
    /// # Errors
    /// The compiler refuses the source or the flags, or the result does not load.
    pub(crate) fn compile(
        &self,
        source: &Path,
        folder: &Path,
        inputs: usize,
        outputs: usize,
    ) -> Result<Vec<Compiled>> {
        let sets = FLAGS.iter().enumerate();
        sets.map(|(at, flags)| {
            let object = folder.join(format!("{}-{at}.so", self.command));
            let output = Command::new(&self.command)
                .args(flags.split(' '))
                .args(["-shared", "-fPIC", "-o"])
                .arg(&object)
                .arg(source)
                .output()
                .with_context(|| format!("cannot run {}", self.command))?;
            if !output.status.success() {
                bail!("{} {flags}: {}", self.command, String::from_utf8_lossy(&output.stderr));
            }
            // SAFETY: the library has no initialisers; it is what the compiler made of our own source a moment ago.
            let library = Rc::new(unsafe { Library::new(&object) }?);
            let entry = |name: &str| -> Result<Entry> {
                // SAFETY: the generator writes both functions with this signature.
                let function = *unsafe { library.get::<Function>(name.as_bytes()) }?;
                Ok(Entry { function, inputs, outputs, _library: Rc::clone(&library) })
            };
            Ok(Compiled {
                name: format!("{} {flags}", self.command),
                from_features: entry(FROM_FEATURES)?,
                from_row: entry(FROM_ROW)?,
            })
        })
        .collect()
    }
}
