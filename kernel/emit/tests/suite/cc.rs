//! The C compiler, and programs that read standard input and write standard output.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use weir_kernel_emit::HEADERS;

/// A folder with the headers, in which programs are compiled.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Folder {
        let folder = tempfile::tempdir().expect("a folder");
        let others = [
            ("weir_trace.h", include_str!("../../../test/module/weir_trace.h")),
            ("weir_table.h", include_str!("../../../module/weir_table.h")),
            ("weir_brake.h", include_str!("../../../module/weir_brake.h")),
            ("weir_longer.h", include_str!("../../../module/weir_longer.h")),
            ("weir_paths.h", include_str!("../../../module/weir_paths.h")),
            ("weir_sizes.h", include_str!("../../../module/weir_sizes.h")),
        ];
        for (name, text) in HEADERS.into_iter().chain(others) {
            std::fs::write(folder.path().join(name), text).expect("written");
        }
        Folder(folder)
    }
    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
    /// Compiles the program `name` of tests/c with `sources`, as a kernel would: general registers, every warning an error.
    pub(crate) fn compile(&self, name: &str, sources: &[(&str, &str)]) -> PathBuf {
        self.compile_with("-O2 -mgeneral-regs-only -Wframe-larger-than=1024", name, sources)
    }
    /// The same under the compiler's own checks of memory and of undefined behaviour.
    pub(crate) fn compile_checked(&self, name: &str, sources: &[(&str, &str)]) -> PathBuf {
        self.compile_with("-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all", name, sources)
    }
    fn compile_with(&self, flags: &str, name: &str, sources: &[(&str, &str)]) -> PathBuf {
        let program = self.path().join(name);
        let mut command = Command::new("gcc");
        command.args("-std=gnu11 -Wall -Wextra -Werror".split(' ')).args(flags.split(' '));
        command.arg("-I").arg(self.path()).arg("-o").arg(&program);
        command.arg(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/c").join(format!("{name}.c")));
        for (file, text) in sources {
            let path = self.path().join(file);
            std::fs::write(&path, text).expect("written");
            command.arg(path);
        }
        let output = command.output().expect("gcc: apt-get install gcc");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        program
    }
}

/// Runs `program` on `input`.
pub(crate) fn run(program: &Path, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the compiled program starts");
    let mut stdin = child.stdin.take().expect("piped");
    let output = std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input).expect("it reads all"));
        child.wait_with_output().expect("it ends")
    });
    assert!(output.status.success(), "{}: {}", program.display(), output.status);
    output.stdout
}
