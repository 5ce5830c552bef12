//! What the mover shows of itself to whoever reads the board.

use std::time::{Duration, Instant};

use super::Mover;
use crate::session::recording::Recording;
use crate::session::tracking::Tracking;

/// How often the board is written. A figure that is asked for is no older.
const TELL_AFTER: Duration = Duration::from_millis(100);

impl Mover {
    /// Shows that the thread goes round, and every while what it has and has done.
    pub(super) fn tell_in_time(&mut self) {
        self.progress.count_round();
        if self.told.is_some_and(|told| told.elapsed() >= TELL_AFTER) {
            self.tell();
        }
    }

    pub(super) fn tell(&mut self) {
        if self.told.is_none() {
            return;
        }
        let Some(mut board) = self.progress.renew() else {
            // Somebody is reading: in the next round.
            return;
        };
        self.told = Some(Instant::now());
        let there = self.interfaces.iter();
        let there = there.map(|(id, seen)| (id, seen.written));
        let gone = self.gone.last().map(|(id, _, past)| (id, past.written));
        board.interfaces.clear();
        board.interfaces.extend(there.chain(gone));
        board.older = self.gone.older().1.written;
        board.ordering = self.order.len();
        board.held = self.held.len();
        board.ring = self.rings.held();
        board.unwritten = self.outputs.queued();
        board.files = self.outputs.files();
        board.late = self.late;
        board.hurried = self.hurried;
        board.recorded = self.recording.as_ref().map(Recording::recorded);
        board.flows = self.tracking.as_ref().map(Tracking::progress);
    }
}
