//! The folder that Kbuild makes into modules.

use crate::source::{module_name, source};
use weir_features::PacingSpec;
use weir_snapshot::{Snapshot, Unavailable};

/// The core, its users and what they include: `kernel/module`.
pub const MODULES: [(&str, &str); 31] = [
    ("Kbuild", include_str!("../../module/Kbuild")),
    ("Makefile", include_str!("../../module/Makefile")),
    ("weir_arith.h", include_str!("../../module/weir_arith.h")),
    ("weir_aurora.h", include_str!("../../module/weir_aurora.h")),
    ("weir_aurora_decide.c", include_str!("../../module/weir_aurora_decide.c")),
    ("weir_aurora_main.c", include_str!("../../module/weir_aurora_main.c")),
    ("weir_brake.h", include_str!("../../module/weir_brake.h")),
    ("weir_core.h", include_str!("../../module/weir_core.h")),
    ("weir_curves.h", include_str!("../../module/weir_curves.h")),
    ("weir_explore.h", include_str!("../../module/weir_explore.h")),
    ("weir_features.h", include_str!("../../module/weir_features.h")),
    ("weir_internal.h", include_str!("../../module/weir_internal.h")),
    ("weir_longer.h", include_str!("../../module/weir_longer.h")),
    ("weir_main.c", include_str!("../../module/weir_main.c")),
    ("weir_netlink.c", include_str!("../../module/weir_netlink.c")),
    ("weir_paths.h", include_str!("../../module/weir_paths.h")),
    ("weir_registry.c", include_str!("../../module/weir_registry.c")),
    ("weir_samples.c", include_str!("../../module/weir_samples.c")),
    ("weir_schema.c", include_str!("../../module/weir_schema.c")),
    ("weir_select.h", include_str!("../../module/weir_select.h")),
    ("weir_select_flows.c", include_str!("../../module/weir_select_flows.c")),
    ("weir_select_main.c", include_str!("../../module/weir_select_main.c")),
    ("weir_select_packet.c", include_str!("../../module/weir_select_packet.c")),
    ("weir_select_paths.c", include_str!("../../module/weir_select_paths.c")),
    ("weir_sizes.h", include_str!("../../module/weir_sizes.h")),
    ("weir_snapshot.h", include_str!("../../module/weir_snapshot.h")),
    ("weir_table.c", include_str!("../../module/weir_table.c")),
    ("weir_table.h", include_str!("../../module/weir_table.h")),
    ("weir_types.h", include_str!("../../module/weir_types.h")),
    ("weir_uapi.h", include_str!("../../module/weir_uapi.h")),
    ("weir_yield.c", include_str!("../../module/weir_yield.c")),
];

/// The files of the folder: name and text. `spec` is the feature definition that a pacing
/// snapshot's schema hash names; for other functions it has no meaning.
///
/// # Errors
/// As [`source`].
pub fn folder(snapshot: &Snapshot, spec: &PacingSpec) -> Result<Vec<(String, String)>, Unavailable> {
    let mut files: Vec<(String, String)> =
        MODULES.iter().map(|&(name, text)| (name.to_owned(), text.to_owned())).collect();
    let module = module_name(snapshot);
    files.push((format!("{module}.c"), source(snapshot, Some(spec))?));
    let readme = include_str!("readme.txt").replace("{module}", &module).replace("{name}", snapshot.name());
    files.push(("README.md".to_owned(), readme));
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_file_of_the_modules_is_left_out() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../module");
        let entries = std::fs::read_dir(folder).map(|entries| entries.flatten().collect::<Vec<_>>());
        let mut found: Vec<String> = entries
            .unwrap_or_default()
            .iter()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        found.sort();
        assert_eq!(found, MODULES.map(|(name, _)| name));
    }
}
