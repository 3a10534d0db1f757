//! What runs per packet never allocates.
#![allow(unsafe_code, reason = "a global allocator that counts is an unsafe trait")]
#![allow(clippy::expect_used, reason = "a test; the lint knows only functions marked #[test]")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use weir_snapshot::{Executable, Executor, Scratch, Snapshot};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's duties are the same.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's duties are the same.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(of: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.get();
    of();
    ALLOCATIONS.get() - before
}

#[test]
fn nothing_per_packet_allocates() {
    assert_eq!(allocations(|| drop(std::hint::black_box(vec![1]))), 1, "the count counts");
    for name in ["pacing-8bit", "mixed-12bit", "schedule-8bit", "worked"] {
        let path = format!("{}/golden/{name}.snapshot", env!("CARGO_MANIFEST_DIR"));
        let bytes = std::fs::read(path).expect("a golden snapshot");
        for executor in Executor::available() {
            let snapshot = Snapshot::decode(&bytes).expect("decodes");
            let exe = Executable::new(snapshot, executor).expect("available");
            let mut scratch = Scratch::new();
            let features = vec![40_000; exe.row_len()];
            let mut rows = vec![0; 70 * exe.row_len()];
            let mut out = vec![0; 70 * exe.outputs()];
            let count = allocations(|| {
                for row in rows.chunks_exact_mut(exe.row_len()) {
                    exe.quantise_row(&features, row);
                }
                for n in [0, 1, 4, 5, 16, 17, 32, 70] {
                    exe.run(&rows[..n * exe.row_len()], n, &mut out[..n * exe.outputs()], &mut scratch);
                }
                exe.evaluate(&features, &mut out[..exe.outputs()], &mut scratch);
            });
            assert_eq!(count, 0, "{name}, {}", executor.name());
        }
    }
}
