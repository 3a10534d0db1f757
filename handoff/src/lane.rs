//! Samples from one worker to the trainer, in batches that go round.
//!
//! Two bounded channels between the same two threads: full batches one way, empty ones back. All batches are
//! allocated when the lane is made, and there is room for every one of them in either channel, so neither side
//! can find a channel full. The sender owns the batch that it fills; per sample it writes one element, and only
//! every `batch_len` samples does it touch memory that the other core also touches.
//!
//! The receiver only polls. A channel's sender looks for a sleeping receiver and would wake it with a system call;
//! with nobody ever asleep, that look is one load.

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

/// The worker's end.
pub struct LaneSender<T> {
    full: Sender<Vec<T>>,
    empty: Receiver<Vec<T>>,
    /// Empty batches that have come back, the latest last. It is used first, so that only as many batches as are under way
    /// at a time take memory and cache.
    spare: Vec<Vec<T>>,
    filling: Option<Vec<T>>,
    batch_len: usize,
    dropped: u64,
}

/// The trainer's end.
pub struct LaneReceiver<T> {
    full: Receiver<Vec<T>>,
    empty: Sender<Vec<T>>,
    /// The batch being read, and how many of its elements have been.
    reading: Option<(Vec<T>, usize)>,
}

/// Makes a lane of this many batches of this many elements; at least one of each. Both ends together hold
/// `batches x batch_len` elements, including those in the batch being filled and in the one being read.
pub fn lane<T>(batches: usize, batch_len: usize) -> (LaneSender<T>, LaneReceiver<T>) {
    let (batches, batch_len) = (batches.max(1), batch_len.max(1));
    let (full_tx, full_rx) = bounded(batches);
    let (empty_tx, empty_rx) = bounded(batches);
    for _ in 0..batches {
        // Cannot fail: there is room for exactly this many, and both ends are alive.
        let _ = empty_tx.try_send(Vec::with_capacity(batch_len));
    }
    (
        LaneSender {
            full: full_tx,
            empty: empty_rx,
            spare: Vec::with_capacity(batches),
            filling: None,
            batch_len,
            dropped: 0,
        },
        LaneReceiver { full: full_rx, empty: empty_tx, reading: None },
    )
}

impl<T> LaneSender<T> {
    /// Adds one element, and passes the batch on when it is full. Never blocks, allocates or wakes anybody.
    ///
    /// # Errors
    /// Hands the element back when every batch is with the receiver; it counts as [`dropped`](Self::dropped).
    pub fn push(&mut self, element: T) -> Result<(), T> {
        let Some(mut batch) = self.filling.take().or_else(|| self.next_batch()) else {
            self.dropped += 1;
            return Err(element);
        };
        // Within the capacity that the batch was made with: never allocates.
        batch.push(element);
        let full = batch.len() >= self.batch_len;
        self.filling = Some(batch);
        if full {
            self.flush();
        }
        Ok(())
    }

    fn next_batch(&mut self) -> Option<Vec<T>> {
        while let Ok(batch) = self.empty.try_recv() {
            self.spare.push(batch);
        }
        self.spare.pop()
    }

    /// Passes the batch on as it is, so that a slow flow's samples do not wait for company. Nothing if there is
    /// none.
    pub fn flush(&mut self) {
        let Some(batch) = self.filling.take() else { return };
        if batch.is_empty() {
            self.filling = Some(batch);
            return;
        }
        if let Err(TrySendError::Full(mut batch) | TrySendError::Disconnected(mut batch)) =
            self.full.try_send(batch)
        {
            // Never full (see the head of this file), so the receiver is gone: its samples are lost, the batch is
            // ours to use again.
            self.dropped += batch.len() as u64;
            batch.clear();
            self.filling = Some(batch);
        }
    }

    /// Elements that did not get through since the lane was made: no batch was free, or the receiver was gone.
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }
}

impl<T> Drop for LaneSender<T> {
    /// What has been pushed arrives, also when the worker stops with a batch half full.
    fn drop(&mut self) {
        self.flush();
    }
}

impl<T> LaneReceiver<T> {
    /// Shows up to `limit` elements to `each`, in the order in which they were pushed, and returns how many.
    /// Returns at once when there are none. A batch goes back to the sender when its last element has been shown;
    /// the elements are dropped here.
    pub fn drain(&mut self, limit: usize, mut each: impl FnMut(&T)) -> usize {
        let mut shown = 0;
        while shown < limit {
            let Some((batch, read)) = self.reading.take().or_else(|| Some((self.full.try_recv().ok()?, 0)))
            else {
                break;
            };
            let unread = batch.get(read..).unwrap_or_default();
            let take = unread.len().min(limit - shown);
            unread.iter().take(take).for_each(&mut each);
            shown += take;
            self.put_back(batch, read + take);
        }
        shown
    }

    fn put_back(&mut self, mut batch: Vec<T>, read: usize) {
        if read < batch.len() {
            self.reading = Some((batch, read));
            return;
        }
        batch.clear();
        // Never full; if the sender is gone, so is the need for the batch.
        let _ = self.empty.try_send(batch);
    }
}
