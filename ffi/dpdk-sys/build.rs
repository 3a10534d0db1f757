//! Binds the libdpdk that pkg-config finds: links it, compiles the C shim with its flags, and lets bindgen
//! read its headers with the same flags.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const PACKAGES: &str = "apt-get install -y libdpdk-dev libclang-14-dev pkg-config gcc";

/// Where Debian 12 keeps the libclang whose headers match; a newer one without its resource headers fails
/// inside `emmintrin.h`.
const LIBCLANG: &str = "/usr/lib/llvm-14/lib";

/// Everything that `weir-dpdk` uses, and nothing else.
const FUNCTIONS: [&str; 35] = [
    "rte_dev_probe",
    "rte_dev_remove",
    "rte_eal_get_lcore_state",
    "rte_eal_init",
    "rte_eal_remote_launch",
    "rte_eal_wait_lcore",
    "rte_eth_dev_adjust_nb_rx_tx_desc",
    "rte_eth_dev_callback_register",
    "rte_eth_dev_callback_unregister",
    "rte_eth_dev_close",
    "rte_eth_dev_configure",
    "rte_eth_dev_get_mtu",
    "rte_eth_dev_get_port_by_name",
    "rte_eth_dev_info_get",
    "rte_eth_dev_set_mtu",
    "rte_eth_dev_socket_id",
    "rte_eth_dev_start",
    "rte_eth_dev_stop",
    "rte_eth_link_get_nowait",
    "rte_eth_macaddr_get",
    "rte_eth_allmulticast_enable",
    "rte_eth_allmulticast_get",
    "rte_eth_promiscuous_enable",
    "rte_eth_promiscuous_get",
    "rte_eth_rx_queue_setup",
    "rte_eth_stats_get",
    "rte_eth_tx_queue_setup",
    "rte_eth_xstats_get",
    "rte_eth_xstats_get_names",
    "rte_mempool_avail_count",
    "rte_mempool_in_use_count",
    "rte_pktmbuf_pool_create",
    "rte_strerror",
    "rte_version",
    "weir_.*",
];

const VARS: [&str; 9] = [
    "rte_eth_fp_ops",
    "weir_layouts",
    "WEIR_.*",
    "RTE_ETHER_CRC_LEN",
    "RTE_ETHER_HDR_LEN",
    "RTE_MAX_LCORE",
    "RTE_MEMPOOL_CACHE_MAX_SIZE",
    "RTE_PKTMBUF_HEADROOM",
    "RTE_LOG_(CRIT|ERR|WARNING|NOTICE|INFO)",
];

/// What the crate `capsule` uses besides.
const CAPSULE_FUNCTIONS: [&str; 11] = [
    "rte_eal_cleanup",
    "rte_eth_add_rx_callback",
    "rte_eth_add_tx_callback",
    "rte_eth_allmulticast_disable",
    "rte_eth_promiscuous_disable",
    "rte_mempool_free",
    "rte_pktmbuf_free_bulk",
    "rte_socket_count",
    "rte_socket_id",
    "rte_socket_id_by_idx",
    "rte_thread_set_affinity",
];
const CAPSULE_VARS: [&str; 1] = ["RTE_MBUF_DEFAULT_BUF_SIZE"];
/// The first makes the C library define `cpu_set_t`, the second adds flags to `wrapper.h`.
const CAPSULE_FLAGS: [&str; 2] = ["-D_GNU_SOURCE", "-DWEIR_CAPSULE"];

/// With a flexible array, a packed-and-aligned layout or a bit field that bindgen cannot express, and never
/// looked into from Rust.
const OPAQUE: [&str; 3] = ["rte_device", "rte_l2tpv2_combined_msg_hdr", "rte_gtp_psc_generic_hdr"];
/// Looked into by `capsule` alone.
const OPAQUE_UNLESS_CAPSULE: &str = "rte_mempool";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            for line in error.to_string().lines() {
                println!("cargo::error={line}");
            }
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    for file in ["wrapper.h", "shim.h", "shim.c"] {
        println!("cargo::rerun-if-changed={file}");
    }
    let library = pkg_config::Config::new()
        .atleast_version("22.11")
        .probe("libdpdk")
        .map_err(|error| format!("libdpdk 22.11 or newer was not found; on Debian: {PACKAGES}\n{error}"))?;
    println!("cargo::rustc-env=WEIR_DPDK_VERSION={}", library.version);
    println!("cargo::metadata=version={}", library.version);

    let flags = compiler_flags()?;
    compile_shim(&flags)?;
    let out: PathBuf = std::env::var("OUT_DIR")?.into();
    bind(&flags, &out.join("bindings.rs"))
}

/// All of pkg-config's flags, not only include paths: the headers want `-include rte_config.h`, and the inline
/// functions must be compiled for the same machine as the library (`-march`).
fn compiler_flags() -> Result<Vec<String>, Box<dyn Error>> {
    let program = std::env::var_os("PKG_CONFIG").unwrap_or_else(|| "pkg-config".into());
    let output = Command::new(program).args(["--cflags", "libdpdk"]).output()?;
    if !output.status.success() {
        return Err(
            format!("pkg-config --cflags libdpdk: {}", String::from_utf8_lossy(&output.stderr)).into()
        );
    }
    Ok(String::from_utf8(output.stdout)?.split_whitespace().map(str::to_owned).collect())
}

fn compile_shim(flags: &[String]) -> Result<(), Box<dyn Error>> {
    let mut build = cc::Build::new();
    build.file("shim.c").opt_level(2).warnings(true).extra_warnings(true).std("gnu11");
    for flag in flags {
        // System headers: their warnings are not ours.
        match flag.strip_prefix("-I") {
            Some(path) => build.flag("-isystem").flag(path),
            None => build.flag(flag),
        };
    }
    Ok(build.try_compile("weir_dpdk_shim")?)
}

fn bind(flags: &[String], into: &Path) -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-env-changed=LIBCLANG_PATH");
    if std::env::var_os("LIBCLANG_PATH").is_none() && Path::new(LIBCLANG).is_dir() {
        #[allow(unsafe_code, reason = "a build script has one thread at this point")]
        // SAFETY: nothing else in this process reads or writes the environment concurrently.
        unsafe {
            std::env::set_var("LIBCLANG_PATH", LIBCLANG);
        }
    }
    let mut builder = bindgen::Builder::default()
        .header("wrapper.h")
        .clang_args(flags)
        .use_core()
        .default_enum_style(bindgen::EnumVariation::Consts)
        .prepend_enum_name(false)
        .derive_default(true)
        .derive_debug(false)
        .generate_comments(false)
        .generate_cstr(true)
        .parse_callbacks(Box::new(bindgen::CargoCallbacks::new().rerun_on_header_files(false)));
    for name in FUNCTIONS {
        builder = builder.allowlist_function(name);
    }
    for name in VARS {
        builder = builder.allowlist_var(name);
    }
    for name in OPAQUE {
        builder = builder.opaque_type(name);
    }
    if std::env::var_os("CARGO_FEATURE_CAPSULE").is_some() {
        builder = builder.clang_args(CAPSULE_FLAGS);
        for name in CAPSULE_FUNCTIONS {
            builder = builder.allowlist_function(name);
        }
        for name in CAPSULE_VARS {
            builder = builder.allowlist_var(name);
        }
    } else {
        builder = builder.opaque_type(OPAQUE_UNLESS_CAPSULE);
    }
    // Where no libclang can be loaded, bindgen panics instead of returning an error.
    let generated = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| builder.generate()));
    let bindings = match generated {
        Ok(result) => result.map_err(|error| format!("bindgen could not read DPDK's headers: {error}"))?,
        Err(_) => {
            return Err(format!(
                "bindgen could not use libclang (its own words are above); on Debian: {PACKAGES}\n\
                 then, if several versions are installed, set LIBCLANG_PATH={LIBCLANG}"
            )
            .into());
        }
    };
    Ok(bindings.write_to_file(into)?)
}
