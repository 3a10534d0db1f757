//! A configuration that changes under a running Weir.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A deployment's folder of its own, whose file can be rewritten.
pub(crate) struct Deployment {
    folder: TempDir,
    good: String,
}

impl Deployment {
    pub(crate) fn new(conf: &Path) -> Deployment {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("models")).unwrap();
        let model = "models/aurora.onnx";
        std::fs::copy(conf.with_file_name(model), folder.path().join(model)).unwrap();
        let deployment = Deployment { folder, good: std::fs::read_to_string(conf).unwrap() };
        deployment.rewrite("", "");
        deployment
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("weir.toml")
    }

    /// The good text with one passage replaced, in place at once, as an editor or a deployment tool does it.
    pub(crate) fn rewrite(&self, from: &str, to: &str) {
        assert!(self.good.contains(from), "{from:?}");
        let draft = self.folder.path().join("draft");
        std::fs::write(&draft, self.good.replacen(from, to, 1)).unwrap();
        std::fs::rename(draft, self.file()).unwrap();
    }
}
