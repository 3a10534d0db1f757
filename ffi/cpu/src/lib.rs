//! Safe wrappers for prefetch and the few intrinsics that the engine needs.
