//! Namespaces, traffic and measurements for live tests and the demo.
