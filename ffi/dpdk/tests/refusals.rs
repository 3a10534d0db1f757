//! What is refused, in words that say what to do next, and without harm to what runs.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

use weir_dpdk::{Eal, EalConfig, EalError, Errno, Pool, PoolError, Port, PortConfig, PortError, testing};

fn pool(name: &str) -> Pool {
    Pool::new(testing::eal(), name, 255, 0, 2048).unwrap()
}

fn configure(device: &str, config: &PortConfig, pool: &Pool) -> Result<Port, PortError> {
    Port::configure(testing::eal(), &device.parse().unwrap(), config, pool)
}

fn small() -> PortConfig {
    PortConfig { rx_descriptors: 64, tx_descriptors: 64, ..PortConfig::default() }
}

#[test]
fn a_second_eal_in_one_process() {
    testing::eal();
    let again = Eal::init(&EalConfig { hugepages: false, ..EalConfig::default() }).unwrap_err();
    assert_eq!(again, EalError::AlreadyTried);
}

#[test]
fn a_driver_that_does_not_exist() {
    let error = configure("net_nul0", &small(), &pool("nodriver")).unwrap_err();
    let PortError::Probe { device, log, .. } = &error else { panic!("{error}") };
    assert_eq!(device.name(), "net_nul0");
    assert!(!log.0.is_empty(), "DPDK's own words are kept");
    let text = error.to_string();
    assert!(text.contains("net_nul0") && text.contains("check the driver's name"), "{text}");
}

#[test]
fn an_interface_that_does_not_exist() {
    let error = configure("net_af_packet0,iface=no-such-if", &small(), &pool("noiface")).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, PortError::Probe { .. }) && text.contains("no-such-if"), "{text}");
}

#[test]
fn a_pci_device_that_does_not_exist() {
    let error = configure("ffff:ff:1f.7", &small(), &pool("nopci")).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, PortError::Probe { .. }) && text.contains("dpdk-devbind.py"), "{text}");
}

#[test]
fn a_device_opened_twice() {
    let pool = pool("twice");
    let first = configure("net_null0", &small(), &pool).unwrap();
    let error = configure("net_null0", &small(), &pool).unwrap_err();
    assert_eq!(error, PortError::InUse { port: "net_null0".to_owned() });
    drop(first);
    assert!(configure("net_null0", &small(), &pool).is_ok());
}

#[test]
fn more_queues_than_the_device_has() {
    let config = PortConfig { workers: 2000, ..small() };
    let error = configure("net_ring0", &config, &pool("queues")).unwrap_err();
    let PortError::TooFewQueues { wanted: 2000, rx_max, tx_max, .. } = error else { panic!("{error}") };
    assert!(rx_max < 1000 && tx_max < 1000);
}

#[test]
fn an_mtu_out_of_range_or_beyond_the_buffers() {
    let pool = pool("mtu");
    let config = PortConfig { mtu: Some(10), ..small() };
    let error = configure("net_null1", &config, &pool).unwrap_err();
    assert!(matches!(error, PortError::Mtu { wanted: 10, .. }), "{error}");
    let config = PortConfig { mtu: Some(9000), ..small() };
    let error = configure("net_null1", &config, &pool).unwrap_err();
    assert_eq!(
        error,
        PortError::BufferTooSmall { port: "net_null1".to_owned(), needed: 9022, room: 2048 },
        "the device was given back after the first refusal"
    );
}

#[test]
fn a_port_started_twice() {
    let mut port = configure("net_null2", &small(), &pool("start")).unwrap();
    let queues = port.start().unwrap();
    assert_eq!(port.start().unwrap_err(), PortError::AlreadyStarted { port: "net_null2".to_owned() });
    drop(queues);
    assert!(port.start().is_err(), "queues exist once, also after they are gone");
}

#[test]
fn pools_of_impossible_shape() {
    let eal = testing::eal();
    let refused = |name: &str, buffers, cache, room| match Pool::new(eal, name, buffers, cache, room) {
        Err(PoolError::Argument { what, .. }) => what,
        other => panic!("{other:?}"),
    };
    assert!(refused("", 255, 0, 2048).contains("name"));
    assert!(refused(&"n".repeat(26), 255, 0, 2048).contains("25 bytes"));
    assert!(refused("nul\0", 255, 0, 2048).contains("NUL"));
    assert!(refused("room", 255, 0, u16::MAX).contains("65407"));
    assert!(refused("cache", 255, 200, 2048).contains("two thirds"));
    assert!(refused("cache", 10_000, 513, 2048).contains("512"));
}

#[test]
fn pools_that_are_taken_or_too_large() {
    pool("taken");
    let again = Pool::new(testing::eal(), "taken", 255, 0, 2048).unwrap_err();
    let exists = Errno(17);
    assert!(matches!(&again, PoolError::Create { errno, .. } if *errno == exists), "{again}");
    let large = Pool::new(testing::eal(), "large", 4_000_000, 0, 2048).unwrap_err();
    assert!(large.to_string().contains("memory_mb"), "{large}");
    assert!(Pool::new(testing::eal(), "n".repeat(25).as_str(), 15, 0, 2048).is_ok(), "the longest name");
}
