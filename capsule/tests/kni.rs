//! A port with KNI is refused with an error that says what to do, where capsule asks for it.

use capsule::Runtime;
use capsule::config::RuntimeConfig;

#[test]
fn a_port_with_kni_is_refused_and_the_error_says_why() {
    let core = weir_cpu::allowed_cpus().unwrap()[0];
    let config: RuntimeConfig = toml::from_str(&format!(
        r#"
        app_name = "kni"
        master_core = {core}
        dpdk_args = "--no-huge -m 64 --no-shconf --no-pci --no-telemetry --iova-mode=va"
        [mempool]
        capacity = 255
        [[ports]]
        name = "null"
        device = "net_null0"
        cores = [{core}]
        kni = true
        "#
    ))
    .unwrap();
    let error = Runtime::build(config).err().unwrap().to_string();
    assert!(error.starts_with("KNI is not in this DPDK") && error.contains("net_tap"), "{error}");
}
