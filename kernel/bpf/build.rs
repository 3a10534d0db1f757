//! Compiles the BPF programs with clang, wherever this crate is built: docs/decisions says why they are not shipped compiled.

use std::path::{Path, PathBuf};
use std::process::Command;

const PROGRAMS: [&str; 2] = ["yield", "aurora"];

fn main() -> Result<(), String> {
    let variable = |name: &str| std::env::var(name).map_err(|_| format!("cargo sets no {name}"));
    let root = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(variable("OUT_DIR")?);
    let clang = std::env::var("CLANG").unwrap_or_else(|_| "clang".to_owned());
    println!("cargo::rerun-if-env-changed=CLANG");
    for folder in ["c", "../module"] {
        println!("cargo::rerun-if-changed={}", root.join(folder).display());
    }
    for program in PROGRAMS {
        compile(&clang, &root, program, &out.join(format!("{program}.bpf.o")))?;
    }
    Ok(())
}

/// Version 3 of the instruction set, in every kernel since 5.1, has 32-bit arithmetic; debug information becomes BTF, by
/// which libbpf relocates fields.
fn compile(clang: &str, root: &Path, program: &str, object: &Path) -> Result<(), String> {
    let multiarch = format!("-I/usr/include/{}-linux-gnu", std::env::consts::ARCH);
    let target = format!("-D__TARGET_ARCH_{}", if cfg!(target_arch = "x86_64") { "x86" } else { "arm64" });
    let mut command = Command::new(clang);
    command
        .args(["-O2", "-g", "-target", "bpf", "-mcpu=v3", "-Wall", "-Werror", "-Wno-unused-function"])
        .args([&target, &multiarch])
        .arg("-I")
        .arg(root.join("../module"))
        .arg("-c")
        .arg(root.join("c").join(format!("{program}.bpf.c")))
        .arg("-o")
        .arg(object);
    let done = command.status().map_err(|error| {
        format!("{clang} cannot be run ({error}): scripts/need.sh clang libbpf-dev libelf-dev zlib1g-dev, or set CLANG")
    })?;
    if done.success() { Ok(()) } else { Err(format!("{clang} refuses {program}.bpf.c: its words are above")) }
}
