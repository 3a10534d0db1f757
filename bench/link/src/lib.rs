//! A seeded user-space link between two tap devices: rate, delay, queue, loss, ECN.
