//! The kernel side of a session: what is attached where, and what was counted there.

use std::collections::{BTreeMap, BTreeSet};

use capture_common::counters::Counters;

use super::clock;
use super::roster::{Gone, Together as _};
use crate::filter::Tables;
use crate::flow::evidence::Mapping;
use crate::kernel::Kernel;
use crate::kernel::attach::Attachment;
use crate::kernel::error::KernelError;
use crate::packet::{Direction, InterfaceId};
use crate::target::links::Link;

/// The attached programs, and what they counted.
pub(super) struct Attached {
    kernel: Kernel,
    /// The interfaces that are captured on, by their indices.
    live: BTreeMap<u32, Place>,
    /// How many there ever were: the next one's id.
    joined: InterfaceId,
    gone: Gone<Counters>,
    /// What was counted on all that are gone.
    gone_total: Counters,
}

struct Place {
    id: InterfaceId,
    name: String,
}

impl Attached {
    pub(super) fn new(kernel: Kernel) -> Self {
        Self {
            kernel,
            live: BTreeMap::new(),
            joined: 0,
            gone: Gone::default(),
            gone_total: Counters::default(),
        }
    }

    /// Attaches to an interface, and tells how. An id is taken even if that fails: then what may have
    /// been counted until it did is there for [`Attached::forget`].
    pub(super) fn join(
        &mut self,
        link: &Link,
        directions: &[Direction],
    ) -> Result<Vec<Attachment>, KernelError> {
        let place = Place {
            id: self.joined,
            name: link.name.clone(),
        };
        self.joined = self.joined.saturating_add(1);
        self.live.insert(link.index, place);
        directions
            .iter()
            .map(|direction| {
                self.kernel
                    .attach(link.index, &link.name, link.framing, *direction)
            })
            .collect()
    }

    /// An interface isn't attached to after all. Its id is taken all the same.
    pub(super) fn pass_over(&mut self, link: &Link) {
        let name = link.name.clone();
        self.gone.push(self.joined, name, Counters::default());
        self.joined = self.joined.saturating_add(1);
    }

    /// The id of the next one that joins.
    pub(super) fn next_id(&self) -> InterfaceId {
        self.joined
    }

    /// Whether the interface is captured on.
    pub(super) fn is_on(&self, index: u32) -> bool {
        self.live.contains_key(&index)
    }

    /// The indices of the interfaces that are captured on.
    pub(super) fn indices(&self) -> BTreeSet<u32> {
        self.live.keys().copied().collect()
    }

    /// How many interfaces are captured on.
    pub(super) fn live(&self) -> usize {
        self.live.len()
    }

    /// Takes in that an interface is gone, or can't be captured on: what was counted there; `None` if it
    /// wasn't captured on.
    pub(super) fn forget(&mut self, index: u32) -> Option<Counters> {
        let place = self.live.remove(&index)?;
        self.kernel.detach(index);
        let counters = self.read(index);
        // No program counts there any more, and there is room for so many indices only.
        self.kernel.forget_counters(index);
        self.gone.push(place.id, place.name, counters);
        self.gone_total.add(&counters);
        Some(counters)
    }

    /// See [`Kernel::replace_addresses`].
    pub(super) fn replace_addresses(&mut self, tables: &Tables) -> Result<(), KernelError> {
        self.kernel.replace_addresses(tables)
    }

    /// See [`Kernel::detach_all`].
    pub(super) fn detach_all(&mut self) {
        self.kernel.detach_all();
    }

    /// Id, name and counters of each interface that is captured on.
    pub(super) fn counters(&self) -> impl Iterator<Item = (InterfaceId, &str, Counters)> {
        let live = self.live.iter();
        live.map(|(index, place)| (place.id, place.name.as_str(), self.read(*index)))
    }

    /// The same of the last ones that are gone.
    pub(super) fn gone(&self) -> impl Iterator<Item = (InterfaceId, &str, &Counters)> {
        self.gone.last()
    }

    /// What was counted on all that are gone.
    pub(super) fn gone_total(&self) -> Counters {
        self.gone_total
    }

    /// How much the kernel side had to tell that found no room.
    pub(super) fn events_lost(&self) -> u64 {
        self.kernel.events_lost().unwrap_or_default()
    }

    /// Follows a translated connection by both of its tuples.
    pub(super) fn follow(&mut self, mapping: &Mapping) {
        let now = clock::monotonic();
        for tuple in [&mapping.original, &mapping.reply] {
            if let Err(error) = self.kernel.follow(tuple, now) {
                tracing::warn!("{error}");
            }
        }
    }

    /// What was counted for no interface that is known.
    pub(super) fn stray(&self) -> Counters {
        self.read(0)
    }

    /// The sum of all.
    pub(super) fn total(&self) -> Counters {
        self.counters().fold(
            self.gone_total.plus(&self.stray()),
            |sum, (_, _, counters)| sum.plus(&counters),
        )
    }

    fn read(&self, index: u32) -> Counters {
        self.kernel.counters(index).unwrap_or_else(|error| {
            tracing::warn!("{error}");
            Counters::default()
        })
    }
}
