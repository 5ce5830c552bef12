//! The kernel side of a session: what is attached where, and what was counted there.

use std::collections::BTreeSet;

use capture_common::counters::Counters;

use super::clock;
use crate::filter::Tables;
use crate::flow::evidence::Mapping;
use crate::kernel::Kernel;
use crate::kernel::attach::Attachment;
use crate::kernel::error::KernelError;
use crate::packet::Direction;
use crate::target::links::Link;

/// The attached programs, and each interface's counters in the order of the interfaces' ids.
pub(super) struct Attached {
    kernel: Kernel,
    interfaces: Vec<Place>,
}

struct Place {
    index: u32,
    name: String,
    /// The last counters of an interface that is gone.
    closed: Option<Counters>,
}

impl Attached {
    pub(super) fn new(kernel: Kernel) -> Self {
        Self {
            kernel,
            interfaces: Vec::new(),
        }
    }

    /// Attaches to an interface, and tells how. Its place in the order is taken even if that fails.
    pub(super) fn join(
        &mut self,
        link: &Link,
        directions: &[Direction],
    ) -> Result<Vec<Attachment>, KernelError> {
        self.interfaces.push(Place {
            index: link.index,
            name: link.name.clone(),
            closed: None,
        });
        let result = directions
            .iter()
            .map(|direction| {
                self.kernel
                    .attach(link.index, &link.name, link.framing, *direction)
            })
            .collect();
        if Result::is_err(&result) {
            self.close(link.index);
        }
        result
    }

    /// Whether the interface is captured on.
    pub(super) fn is_on(&self, index: u32) -> bool {
        self.interfaces
            .iter()
            .any(|place| place.index == index && place.closed.is_none())
    }

    /// The indices of the interfaces that are captured on.
    pub(super) fn indices(&self) -> BTreeSet<u32> {
        self.interfaces
            .iter()
            .filter(|place| place.closed.is_none())
            .map(|place| place.index)
            .collect()
    }

    /// How many interfaces are captured on.
    pub(super) fn live(&self) -> usize {
        self.interfaces
            .iter()
            .filter(|place| place.closed.is_none())
            .count()
    }

    /// Takes in that an interface is gone. False if it wasn't captured on.
    pub(super) fn forget(&mut self, index: u32) -> bool {
        let known = self.is_on(index);
        if known {
            self.close(index);
        }
        known
    }

    fn close(&mut self, index: u32) {
        self.kernel.detach(index);
        let counters = self.read(index);
        // No program counts there any more, and there is room for so many indices only.
        self.kernel.forget_counters(index);
        for place in &mut self.interfaces {
            if place.index == index && place.closed.is_none() {
                place.closed = Some(counters);
            }
        }
    }

    /// See [`Kernel::replace_addresses`].
    pub(super) fn replace_addresses(&mut self, tables: &Tables) -> Result<(), KernelError> {
        self.kernel.replace_addresses(tables)
    }

    /// See [`Kernel::detach_all`].
    pub(super) fn detach_all(&mut self) {
        self.kernel.detach_all();
    }

    /// Each interface's counters, in the order of their ids.
    pub(super) fn counters(&self) -> Vec<Counters> {
        self.interfaces
            .iter()
            .map(|place| match place.closed {
                Some(counters) => counters,
                None => self.read(place.index),
            })
            .collect()
    }

    /// Each interface's name, and whether it is captured on, in the order of their ids.
    pub(super) fn names(
        &self,
    ) -> impl DoubleEndedIterator<Item = (&str, bool)> + ExactSizeIterator {
        let places = self.interfaces.iter();
        places.map(|place| (place.name.as_str(), place.closed.is_none()))
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
        self.counters()
            .iter()
            .fold(self.stray(), |sum, counters| sum.plus(counters))
    }

    fn read(&self, index: u32) -> Counters {
        self.kernel.counters(index).unwrap_or_else(|error| {
            tracing::warn!("{error}");
            Counters::default()
        })
    }
}
