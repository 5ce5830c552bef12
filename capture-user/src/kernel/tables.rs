//! The filter's tables, as the kernel side looks things up in them.
//!
//! The addresses are written beside those that are in use, where lists are read again, and then
//! the one number changes that says where they begin: each packet is matched by the old lists or
//! by the new ones.

use aya::Ebpf;
use aya::maps::{Array, Map, MapData};
use capture_common::filter::{PORT_TABLE_LEN, PROTOCOL_TABLE_LEN, ROOT_SLOTS, Slot};
use capture_common::names;

use super::error::KernelError;
use super::program::{Kernel, map_error};
use super::sys;
use crate::filter::Tables;
use crate::filter::tree::Tree;

/// Slots that there is room for at the least where lists are read again, besides the root's: 8
/// MiB, enough for some 60,000 networks of all kinds, however few there were before.
const SPARE: u32 = 1 << 17;

/// Where the addresses are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places {
    /// The slots that one set of IPv4 and one of IPv6 addresses may take.
    room: [u32; 2],
    /// How many sets there is room for.
    sets: u32,
    /// Which of them is in use.
    current: u32,
}

impl Places {
    pub(super) fn new(tables: &Tables) -> Self {
        let room = |tree: &Tree| {
            if tables.address_options == 0 {
                return 0;
            }
            // Also without an address of this version a packet's is looked up.
            let needed = slots(tree).max(ROOT_SLOTS);
            if tables.reread {
                needed.saturating_mul(2).max(ROOT_SLOTS + SPARE)
            } else {
                needed
            }
        };
        Self {
            room: [room(&tables.addresses_v4), room(&tables.addresses_v6)],
            sets: if tables.reread { 2 } else { 1 },
            current: 0,
        }
    }

    /// Entries of both maps. A map of none can't be created.
    pub(super) fn entries(self) -> [u32; 2] {
        self.room.map(|room| room.saturating_mul(self.sets).max(1))
    }

    /// Where a set begins in each map.
    fn base(self, set: u32) -> [u32; 2] {
        self.room.map(|room| room.saturating_mul(set))
    }
}

/// How many slots a tree has: a few millions, see [`crate::filter::tree::MAX_NETWORKS`].
fn slots(tree: &Tree) -> u32 {
    u32::try_from(tree.slots().len()).unwrap_or(u32::MAX)
}

/// Writes slots into a map, from `base` on.
fn write(ebpf: &mut Ebpf, map: &'static str, base: u32, slots: &[Slot]) -> Result<(), KernelError> {
    let Some(Map::Array(data)) = ebpf.map_mut(map) else {
        return Err(KernelError::Missing(map));
    };
    let keys: Vec<u32> = (base..).take(slots.len()).collect();
    sys::update_batch(data.fd(), &keys, slots).map_err(map_error(map))
}

/// Writes both trees, the second set's where the first one is in use, and has them used.
fn addresses(
    ebpf: &mut Ebpf,
    places: Places,
    set: u32,
    tables: &Tables,
) -> Result<(), KernelError> {
    let trees = [
        (names::ADDRESSES_V4, &tables.addresses_v4),
        (names::ADDRESSES_V6, &tables.addresses_v6),
    ];
    let base = places.base(set);
    for (((map, tree), base), room) in trees.into_iter().zip(base).zip(places.room) {
        if room == 0 {
            continue;
        }
        // What was there before says of some addresses that they are on a list.
        let none = vec![Slot::default(); ROOT_SLOTS as usize];
        let slots = match tree.slots() {
            [] => &none,
            slots => slots,
        };
        write(ebpf, map, base, slots)?;
    }
    let mut roots: Array<&mut MapData, [u32; 2]> = ebpf
        .map_mut(names::ADDRESS_ROOTS)
        .ok_or(KernelError::Missing(names::ADDRESS_ROOTS))?
        .try_into()
        .map_err(map_error(names::ADDRESS_ROOTS))?;
    roots
        .set(0, base, 0)
        .map_err(map_error(names::ADDRESS_ROOTS))
}

impl Kernel {
    /// Goes over to a filter's other addresses while the programs run. A packet that both the old
    /// and the new ones match is matched at every moment.
    ///
    /// # Errors
    ///
    /// [`KernelError::Room`], if they are more than there is room for, or [`KernelError::Map`]. The
    /// old ones stay in use then.
    pub fn replace_addresses(&mut self, tables: &Tables) -> Result<(), KernelError> {
        let trees = [&tables.addresses_v4, &tables.addresses_v6];
        for (tree, room) in trees.into_iter().zip(self.places.room) {
            if slots(tree) > room {
                return Err(KernelError::Room {
                    needed: size_of_val(tree.slots()),
                    room: room as usize * size_of::<Slot>(),
                });
            }
        }
        // A program that still reads the set which was in use before the last one has been at it
        // since then: it runs for a microsecond, and this is done by hand.
        let set = (self.places.current + 1) % self.places.sets;
        addresses(&mut self.ebpf, self.places, set, tables)?;
        self.places.current = set;
        Ok(())
    }
}

/// Fills the filter's tables.
pub(super) fn fill(ebpf: &mut Ebpf, places: Places, tables: &Tables) -> Result<(), KernelError> {
    if tables.address_options != 0 {
        addresses(ebpf, places, places.current, tables)?;
    }
    let map = ebpf
        .map_mut(names::PORTS)
        .ok_or(KernelError::Missing(names::PORTS))?;
    Array::<_, [u8; PORT_TABLE_LEN]>::try_from(map)
        .and_then(|mut array| array.set(0, tables.ports.as_bytes(), 0))
        .map_err(map_error(names::PORTS))?;
    let map = ebpf
        .map_mut(names::PROTOCOLS)
        .ok_or(KernelError::Missing(names::PROTOCOLS))?;
    Array::<_, [u8; PROTOCOL_TABLE_LEN]>::try_from(map)
        .and_then(|mut array| array.set(0, tables.protocols.as_bytes(), 0))
        .map_err(map_error(names::PROTOCOLS))
}
