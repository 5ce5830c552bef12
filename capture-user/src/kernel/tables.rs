//! The filter's tables, as the kernel side looks things up in them.
//!
//! The addresses are written beside those that are in use, where lists are read again, and then
//! the one number changes that says where they begin: each packet is matched by the old lists or
//! by the new ones.

use aya::maps::{Array, Map};
use aya::{Ebpf, Pod};
use capture_common::filter::{BASE, Front, LEAF, Slot};
use capture_common::names;

use super::error::KernelError;
use super::program::{Kernel, map_error};
use super::stand_in::Object;
use super::sys;
use crate::filter::ebpf::Instruction;
use crate::filter::expression::translate::Hook;
use crate::filter::tree::Tree;
use crate::filter::{Tables, few, ordinary};
use crate::target::links::Framing;

/// Slots that there is room for at the least where lists are read again: 4 MiB, enough for some
/// 60,000 networks of all kinds, however few there were before.
const SPARE: u32 = 1 << 16;

/// Of IP: a set has a front for each.
const VERSIONS: u32 = 2;

/// Where the addresses are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places {
    /// The slots that one set of IPv4 and one of IPv6 addresses may take.
    room: [u32; 2],
    /// Whether there are any to be looked up.
    used: bool,
    /// How many sets there is room for.
    sets: u32,
    /// Which of them is in use.
    current: u32,
}

/// Both versions' addresses as code, where they are few and stay the same.
pub(super) struct Few([Vec<Instruction>; 2]);

impl Few {
    pub(super) fn new(tables: &Tables) -> Option<Self> {
        if tables.address_options == 0 || tables.reread {
            return None;
        }
        let v4 = few::v4(&tables.addresses_v4)?;
        Some(Self([v4, few::v6(&tables.addresses_v6)?]))
    }

    /// Puts them into the object.
    ///
    /// # Errors
    ///
    /// [`KernelError::Missing`], if it isn't the object that this was made for.
    pub(super) fn put_into(&self, object: &mut Object<'_>) -> Result<(), KernelError> {
        let [v4, v6] = &self.0;
        object.replace(names::FEW_V4, v4)?;
        object.replace(names::FEW_V6, v6)
    }
}

/// The functions that stand in for the options' code for ordinary packets, and where each is.
const ORDINARY: [(&str, Framing, Hook); 3] = [
    (names::ORDINARY_ETHERNET, Framing::Ethernet, Hook::Tc),
    (names::ORDINARY_BARE, Framing::Bare, Hook::Tc),
    (
        names::ORDINARY_XDP,
        Framing::Ethernet,
        Hook::Xdp { fragments: false },
    ),
];

/// Puts the options' code for ordinary packets into the object; whether there is such code.
///
/// # Errors
///
/// [`KernelError::Missing`], if it isn't the object that this was made for.
pub(super) fn put_ordinary(object: &mut Object<'_>, tables: &Tables) -> Result<bool, KernelError> {
    for (function, framing, hook) in ORDINARY {
        let Some(code) = ordinary::code(tables, framing, hook) else {
            return Ok(false);
        };
        object.replace(function, &code)?;
    }
    Ok(true)
}

impl Places {
    /// `code`: they are in the programs.
    pub(super) fn new(tables: &Tables, code: bool) -> Self {
        let used = tables.address_options != 0 && !code;
        let room = |tree: &Tree| {
            if !used {
                return 0;
            }
            if tables.reread {
                slots(tree).saturating_mul(2).max(SPARE)
            } else {
                slots(tree)
            }
        };
        Self {
            room: [room(&tables.addresses_v4), room(&tables.addresses_v6)],
            used,
            sets: if tables.reread { 2 } else { 1 },
            current: 0,
        }
    }

    /// Entries of both maps of slots. A map of none can't be created.
    pub(super) fn entries(self) -> [u32; 2] {
        self.room.map(|room| room.saturating_mul(self.sets).max(1))
    }

    /// Entries of the map of fronts.
    pub(super) fn fronts(self) -> u32 {
        if self.used { self.sets * VERSIONS } else { 1 }
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

/// Writes an entry of an array.
fn put<V: Pod>(
    ebpf: &mut Ebpf,
    name: &'static str,
    index: u32,
    value: &V,
) -> Result<(), KernelError> {
    let map = ebpf.map_mut(name).ok_or(KernelError::Missing(name))?;
    Array::<_, V>::try_from(map)
        .and_then(|mut array| array.set(index, value, 0))
        .map_err(map_error(name))
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
    let fronts = set * VERSIONS..;
    for (((map, tree), base), number) in trees.into_iter().zip(places.base(set)).zip(fronts) {
        write(ebpf, map, base, tree.slots())?;
        // Without a network of this version all that it says is that no address is on a list.
        let mut front: Vec<u32> = tree.front().to_vec();
        front.resize(BASE, LEAF);
        front.push(base);
        let front: &Front = front.as_slice().try_into().map_err(map_error(map))?;
        put(ebpf, names::ADDRESS_FRONTS, number, front)?;
    }
    put(ebpf, names::ADDRESS_SET, 0, &set)
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
    if places.used {
        addresses(ebpf, places, places.current, tables)?;
    }
    put(ebpf, names::PORTS, 0, tables.ports.as_bytes())?;
    put(ebpf, names::PROTOCOLS, 0, tables.protocols.as_bytes())
}
