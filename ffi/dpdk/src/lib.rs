//! Safe, owning wrappers over libdpdk: EAL, mempool, mbufs, ports, queues, lcores.
