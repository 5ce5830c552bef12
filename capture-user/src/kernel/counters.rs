//! The counters of each interface, wherever they are.

use aya::Ebpf;
use aya::maps::{Map, MapData, MapError, PerCpuArray, PerCpuHashMap, PerCpuValues};
use capture_common::counters::{Counters, PLACES, Place};
use capture_common::names;
use zerocopy::FromBytes as _;

use super::error::KernelError;
use super::program::{Kernel, map_error};

/// A [`Counters`] as its map holds it.
type CounterBytes = [u8; size_of::<Counters>()];
/// A [`Place`] as its map holds it.
type PlaceBytes = [u8; size_of::<Place>()];

/// The maps that count, and who has which place.
pub(super) struct Tallies {
    places: PerCpuArray<MapData, PlaceBytes>,
    others: PerCpuHashMap<MapData, u32, CounterBytes>,
    /// By place: the interface's index, or 0.
    owners: Vec<u32>,
    cpus: usize,
}

impl Tallies {
    /// Takes the maps.
    pub(super) fn new(ebpf: &mut Ebpf) -> Result<Self, KernelError> {
        let cpus = aya::util::nr_cpus().map_err(|(_, error)| map_error(names::COUNTERS)(error))?;
        let mut take = |name| ebpf.take_map(name).ok_or(KernelError::Missing(name));
        let (places, others): (Map, Map) = (take(names::PLACES)?, take(names::COUNTERS)?);
        Ok(Self {
            places: places.try_into().map_err(map_error(names::PLACES))?,
            others: others.try_into().map_err(map_error(names::COUNTERS))?,
            owners: vec![0; PLACES as usize],
            cpus,
        })
    }

    /// An interface's place, if it has one.
    fn place(&self, index: u32) -> Option<u32> {
        let place = index % PLACES;
        let owner = self.owners.get(place as usize)?;
        (index != 0 && *owner == index).then_some(place)
    }

    fn put(&mut self, place: u32, owner: u32) -> Result<(), KernelError> {
        let fresh = Place {
            interface: owner,
            ..Place::default()
        };
        let bytes: PlaceBytes = zerocopy::transmute!(fresh);
        let on_each = self.on_each(bytes, names::PLACES)?;
        self.places
            .set(place, on_each, 0)
            .map_err(map_error(names::PLACES))?;
        if let Some(place) = self.owners.get_mut(place as usize) {
            *place = owner;
        }
        Ok(())
    }

    /// The same on each CPU.
    fn on_each<T: aya::Pod>(
        &self,
        value: T,
        map: &'static str,
    ) -> Result<PerCpuValues<T>, KernelError> {
        PerCpuValues::try_from(vec![value; self.cpus]).map_err(map_error(map))
    }
}

impl Kernel {
    /// An interface's counters, summed over the CPUs.
    ///
    /// # Errors
    ///
    /// [`KernelError::Map`].
    pub fn counters(&self, index: u32) -> Result<Counters, KernelError> {
        let sum = |sum: Counters, one: Counters| sum.plus(&one);
        // The arrays have exactly the structs' sizes.
        Ok(match self.tallies.place(index) {
            Some(place) => {
                let by_cpu = self.tallies.places.get(&place, 0);
                let by_cpu = by_cpu.map_err(map_error(names::PLACES))?;
                by_cpu
                    .iter()
                    .map(|bytes| Place::read_from_bytes(bytes).unwrap_or_default().counters)
                    .fold(Counters::default(), sum)
            }
            None => {
                let by_cpu = self.tallies.others.get(&index, 0);
                let by_cpu = by_cpu.map_err(map_error(names::COUNTERS))?;
                by_cpu
                    .iter()
                    .map(|bytes| Counters::read_from_bytes(bytes).unwrap_or_default())
                    .fold(Counters::default(), sum)
            }
        })
    }

    /// Starts an interface's counters: before it is attached to.
    ///
    /// # Errors
    ///
    /// [`KernelError::Map`].
    pub fn count_from_zero(&mut self, index: u32) -> Result<(), KernelError> {
        let tallies = &mut self.tallies;
        let place = index % PLACES;
        let owner = tallies.owners.get(place as usize).copied();
        if index != 0 && (owner == Some(0) || owner == Some(index)) {
            return tallies.put(place, index);
        }
        let bytes: CounterBytes = zerocopy::transmute!(Counters::default());
        let zeros = tallies.on_each(bytes, names::COUNTERS)?;
        tallies
            .others
            .insert(index, zeros, 0)
            .map_err(map_error(names::COUNTERS))
    }

    /// Gives an interface's counters up, once nothing is attached there any more.
    pub fn forget_counters(&mut self, index: u32) {
        let tallies = &mut self.tallies;
        let forgotten = match tallies.place(index) {
            Some(place) => tallies.put(place, 0),
            None => tallies
                .others
                .remove(&index)
                .map_err(map_error::<MapError>(names::COUNTERS)),
        };
        if let Err(error) = forgotten {
            tracing::debug!("the counters of index {index} stay: {error}");
        }
    }
}
