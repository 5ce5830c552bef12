//! Which interface of the capture a record's index means.
//!
//! The kernel gives an index again once its interface is gone, at once where somebody asks for it
//! (`ip link add index N`), and records of the one that is gone may still wait then. The moment at
//! which it was heard to be gone tells them apart: no packet of it comes after that, and none of the
//! next one before.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::packet::InterfaceId;

/// Ids by interface index and stamp. Packets of one interface come in a row, nearly always: the
/// last answer is kept.
#[derive(Default)]
pub(super) struct Ids {
    live: HashMap<u32, InterfaceId, RandomState>,
    last: Option<(u32, InterfaceId)>,
    /// Those that had the index before: up to which stamp, ascending.
    gone: HashMap<u32, Vec<(u64, InterfaceId)>, RandomState>,
    /// The highest of these stamps.
    latest_gone: u64,
}

impl Ids {
    /// An interface has joined.
    pub(super) fn insert(&mut self, index: u32, id: InterfaceId) {
        self.last = None;
        self.live.insert(index, id);
    }

    /// The interface with that index was gone by then: which one that is.
    pub(super) fn close(&mut self, index: u32, stamp: u64) -> Option<InterfaceId> {
        self.last = None;
        let id = self.live.remove(&index)?;
        self.gone.entry(index).or_default().push((stamp, id));
        self.latest_gone = self.latest_gone.max(stamp);
        Some(id)
    }

    /// No record of that interface comes any more, which had that index.
    pub(super) fn forget(&mut self, index: u32, id: InterfaceId) {
        if let Some(gone) = self.gone.get_mut(&index) {
            gone.retain(|(_, known)| *known != id);
            if gone.is_empty() {
                self.gone.remove(&index);
            }
        }
    }

    /// Whether it is known whose a record is that was stamped then.
    pub(super) fn is_known(&mut self, index: u32, stamp: u64) -> bool {
        self.exact(index, stamp).is_some()
    }

    /// Whose a record is that was stamped then.
    #[inline]
    pub(super) fn get(&mut self, index: u32, stamp: u64) -> Option<InterfaceId> {
        self.exact(index, stamp).or_else(|| {
            // Better the last one that had the index than none.
            self.gone.get(&index)?.last().map(|(_, id)| *id)
        })
    }

    #[inline]
    fn exact(&mut self, index: u32, stamp: u64) -> Option<InterfaceId> {
        if stamp <= self.latest_gone
            && let Some(gone) = self.gone.get(&index)
            && let Some((_, id)) = gone.get(gone.partition_point(|(until, _)| *until < stamp))
        {
            return Some(*id);
        }
        if let Some((last, id)) = self.last
            && last == index
        {
            return Some(id);
        }
        let id = self.live.get(&index).copied()?;
        self.last = Some((index, id));
        Some(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_that_is_given_again_means_each_interface_in_its_time() {
        let mut ids = Ids::default();
        ids.insert(7, 0);
        ids.insert(8, 1);
        assert_eq!((ids.get(7, 10), ids.get(8, 10)), (Some(0), Some(1)));
        assert_eq!(ids.close(7, 20), Some(0));
        // Until the next one is heard of, a later record is nobody's that is known.
        assert!(ids.is_known(7, 20) && !ids.is_known(7, 21));
        assert_eq!(ids.get(7, 21), Some(0));
        ids.insert(7, 2);
        ids.close(7, 30);
        ids.insert(7, 3);
        let whose: Vec<_> = [10, 20, 21, 30, 31].map(|stamp| ids.get(7, stamp)).into();
        assert_eq!(whose, [0, 0, 2, 2, 3].map(Some));
        assert_eq!(ids.get(8, 10), Some(1));
        assert_eq!((ids.get(9, 10), ids.close(9, 10)), (None, None));
        for id in [0, 2] {
            ids.forget(7, id);
        }
        assert!(ids.gone.is_empty());
        assert_eq!(ids.get(7, 31), Some(3));
    }
}
