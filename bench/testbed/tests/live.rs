//! Live tests: real TCP through Weir in namespaces.
