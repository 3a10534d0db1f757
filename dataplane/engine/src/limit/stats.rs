//! What is counted of each limit.

use crate::counters::figures;

figures! {
    /// What one worker has counted of one limit since the limit is there, and what of its frames waits in that worker.
    LimitStats
    Counter frames "limit_frames_total" "Frames that left under a limit."
    Counter bytes "limit_bytes_total" "Their bytes, without paths' headers."
    Counter waits "limit_waits_total" "Times that frames had to wait for a limit."
    Counter wait_ns "limit_wait_nanoseconds_total" "For how long, in all."
    Counter marks "limit_ecn_marks_total" "Frames marked congestion experienced because of a limit."
    Counter dropped "limit_dropped_total" "Frames dropped because of a limit: the verdict limit_full."
    Gauge held_bytes "limit_held_bytes" "Bytes of held frames that are under a limit, whatever they wait for."
}
