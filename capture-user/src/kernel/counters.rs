//! The counters of each interface, in whichever map they are.

use aya::Ebpf;
use aya::maps::{Map, MapData, MapError, PerCpuArray, PerCpuHashMap, PerCpuValues};
use capture_common::counters::{Counters, DIRECT_LEN, DirectCounters};
use capture_common::names;
use zerocopy::FromBytes as _;

use super::error::KernelError;
use super::program::{Kernel, map_error};

/// A [`Counters`] as its map holds it.
type CounterBytes = [u8; size_of::<Counters>()];
/// [`DirectCounters`] as their map holds them.
type DirectBytes = [u8; size_of::<DirectCounters>()];

/// The maps that count, and who has which entry of the array.
pub(super) struct CounterMaps {
    direct: PerCpuArray<MapData, DirectBytes>,
    others: PerCpuHashMap<MapData, u32, CounterBytes>,
    /// By entry: the interface's index, or 0.
    owners: Vec<u32>,
    cpus: usize,
}

impl CounterMaps {
    /// Takes the maps.
    pub(super) fn new(ebpf: &mut Ebpf) -> Result<Self, KernelError> {
        let cpus = aya::util::nr_cpus().map_err(|(_, error)| map_error(names::COUNTERS)(error))?;
        let mut take = |name| ebpf.take_map(name).ok_or(KernelError::Missing(name));
        let (direct, others): (Map, Map) = (take(names::DIRECT_COUNTERS)?, take(names::COUNTERS)?);
        Ok(Self {
            direct: direct
                .try_into()
                .map_err(map_error(names::DIRECT_COUNTERS))?,
            others: others.try_into().map_err(map_error(names::COUNTERS))?,
            owners: vec![0; DIRECT_LEN as usize],
            cpus,
        })
    }

    /// An interface's entry, if it has one.
    fn entry(&self, index: u32) -> Option<u32> {
        let entry = index % DIRECT_LEN;
        let owner = self.owners.get(entry as usize)?;
        (index != 0 && *owner == index).then_some(entry)
    }

    fn put(&mut self, entry: u32, owner: u32) -> Result<(), KernelError> {
        let fresh = DirectCounters {
            interface: owner,
            ..DirectCounters::default()
        };
        let bytes: DirectBytes = zerocopy::transmute!(fresh);
        let on_each = self.on_each(bytes, names::DIRECT_COUNTERS)?;
        self.direct
            .set(entry, on_each, 0)
            .map_err(map_error(names::DIRECT_COUNTERS))?;
        if let Some(entry) = self.owners.get_mut(entry as usize) {
            *entry = owner;
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
        Ok(match self.counter_maps.entry(index) {
            Some(entry) => {
                let by_cpu = self.counter_maps.direct.get(&entry, 0);
                let by_cpu = by_cpu.map_err(map_error(names::DIRECT_COUNTERS))?;
                by_cpu
                    .iter()
                    .map(|bytes| {
                        DirectCounters::read_from_bytes(bytes)
                            .unwrap_or_default()
                            .counters
                    })
                    .fold(Counters::default(), sum)
            }
            None => {
                let by_cpu = self.counter_maps.others.get(&index, 0);
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
        let counter_maps = &mut self.counter_maps;
        let entry = index % DIRECT_LEN;
        let owner = counter_maps.owners.get(entry as usize).copied();
        if index != 0 && (owner == Some(0) || owner == Some(index)) {
            return counter_maps.put(entry, index);
        }
        let bytes: CounterBytes = zerocopy::transmute!(Counters::default());
        let zeros = counter_maps.on_each(bytes, names::COUNTERS)?;
        counter_maps
            .others
            .insert(index, zeros, 0)
            .map_err(map_error(names::COUNTERS))
    }

    /// Gives an interface's counters up, once nothing is attached there any more.
    pub fn forget_counters(&mut self, index: u32) {
        let counter_maps = &mut self.counter_maps;
        let forgotten = match counter_maps.entry(index) {
            Some(entry) => counter_maps.put(entry, 0),
            None => counter_maps
                .others
                .remove(&index)
                .map_err(map_error::<MapError>(names::COUNTERS)),
        };
        if let Err(error) = forgotten {
            tracing::debug!("the counters of index {index} stay: {error}");
        }
    }
}
