//! The programs and their maps, loaded with one filter.

use std::os::fd::{AsFd as _, OwnedFd};

use aya::programs::raw_trace_point::RawTracePointLink;
use aya::programs::{ProgramError, RawTracePoint, SchedClassifier, Xdp};
use aya::{Ebpf, EbpfLoader};
use capture_common::{LAYOUT_VERSION, names};
use rustix::io::Errno;

use super::abilities;
use super::attach::Links;
use super::batches::{self, Batches};
use super::counters::CounterMaps;
use super::error::{KernelError, errno};
use super::expression;
use super::identity::IdentityKey;
use super::layout::Layout;
use super::limits;
use super::log::{KernelLog, LogLevel};
use super::probe;
use super::rings::{self, Rings, Share};
use super::stand_in::Object;
use super::sys;
use super::tables::{Few, Places, fill, put_ordinary};
use super::types::Types;
use crate::filter::Tables;
use crate::packet::Direction;
use crate::target::links::Framing;

/// The kernel side, as `cargo xtask build` made it.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/nodecap.o"));

/// The embedded kernel object: an ELF file that any eBPF loader reads.
#[must_use]
pub fn object() -> &'static [u8] {
    OBJECT
}

/// What the programs are loaded with. It can't change afterwards.
#[derive(Clone, Debug)]
pub struct Setup {
    /// What to match.
    pub tables: Tables,
    /// Bytes of each frame to keep, 1 to `MAX_SNAPLEN`.
    pub snaplen: u32,
    /// The size of all rings together, in bytes: a power of two, at least a page.
    pub ring_bytes: u32,
    /// How much the kernel side says.
    pub log: LogLevel,
    /// Whether records carry the packet's identity. Takes `CAP_PERFMON`, as do the next two; see
    /// [`super::abilities::reads_kernel_memory`].
    pub identity: bool,
    /// Whether a packet that matched is followed beyond a translation. Without a filter every
    /// packet matches by itself, so then it makes no difference.
    pub follow: bool,
    /// Whether the kernel side tells what else it knows; read by [`Kernel::events`].
    pub events: bool,
}

impl Setup {
    /// Whether there is anything to follow.
    fn follows(&self) -> bool {
        self.follow && !self.tables.is_empty()
    }
}

/// The loaded programs, with what they are attached to. Dropping it detaches them all.
pub struct Kernel {
    pub(super) ebpf: Ebpf,
    /// Whether there is anything to follow.
    pub(super) follows: bool,
    pub(super) layout: Layout,
    pub(super) tracepoints: Vec<RawTracePointLink>,
    /// What packets' identities are read under.
    pub(super) identity: IdentityKey,
    /// Where the addresses are.
    pub(super) places: Places,
    /// The rings, and how large each is, until their reader is asked for.
    rings: Option<Vec<OwnedFd>>,
    ring_bytes: u32,
    /// How many batches there are; none where records go into the rings one by one.
    batches: Option<u32>,
    pub(super) counter_maps: CounterMaps,
    pub(super) links: Links,
}

impl Kernel {
    /// Creates the maps and fills the tables. Programs are loaded when first attached.
    ///
    /// # Errors
    ///
    /// [`KernelError`], when a privilege or an ability is missing.
    pub fn load(setup: &Setup) -> Result<Self, KernelError> {
        Self::load_with(setup, Share::of(setup.ring_bytes))
    }

    /// The same with one ring for all CPUs, to see what that costs.
    ///
    /// # Errors
    ///
    /// As [`Kernel::load`].
    pub fn load_with_one_ring(setup: &Setup) -> Result<Self, KernelError> {
        Self::load_with(setup, Share::one(setup.ring_bytes))
    }

    fn load_with(setup: &Setup, share: Share) -> Result<Self, KernelError> {
        limits::raise_memory();
        limits::raise_descriptors();
        let tables = &setup.tables;
        let log_level = setup.log.as_global();
        let wake_at = rings::wake_at(share.bytes);
        // What isn't asked for isn't looked up.
        let mut layout = if setup.follow || setup.events {
            Types::of_this_kernel().layout.clone()
        } else {
            Layout::nothing()
        };
        let follow = setup.follows();
        let remember = follow || setup.events;
        if remember && probe::Classifier::load_reading_memory().is_err() {
            layout.lacks_memory(&abilities::memory_refusal());
        }
        let conntrack = remember && layout.conntrack.is_ok();
        let mut object = Object::new(OBJECT);
        expression::put_into(&mut object, tables.expression.as_ref())?;
        let few = Few::new(tables);
        if let Some(few) = &few {
            few.put_into(&mut object)?;
        }
        let ordinary = put_ordinary(&mut object, tables)?;
        let expression = expression::kind(tables);
        let mut loader = EbpfLoader::new();
        for (name, value) in &layout.globals {
            loader.override_global(name, value, true);
        }
        // Their full sizes are the kernel side's own; unused, they shall take no memory.
        for (name, used) in [
            (names::PACKETS, remember),
            (names::FLOWS, follow),
            (names::LEARNED, follow),
            (names::TOLD, conntrack),
        ] {
            if !used {
                loader.map_max_entries(name, 1);
            }
        }
        let batches = (share.suits_batches() && batches::can_be_had()).then_some(share.cpus);
        let places = Places::new(tables, few.is_some());
        let [entries_v4, entries_v6] = places.entries();
        let mut ebpf = loader
            .override_global(names::LAYOUT, &LAYOUT_VERSION, true)
            .override_global(names::ADDRESS_OPTIONS, &tables.address_options, true)
            .override_global(names::ADDRESS_CODE, &u8::from(few.is_some()), true)
            .override_global(names::ORDINARY, &u8::from(ordinary), true)
            .override_global(names::PORT_OPTIONS, &tables.port_options, true)
            .override_global(names::PROTOCOL_OPTIONS, &tables.protocol_options, true)
            .override_global(names::INNER, &u8::from(tables.inner), true)
            .override_global(names::EXPRESSION, &expression, true)
            .override_global(names::SNAPLEN, &setup.snaplen, true)
            .override_global(names::RING_MASK, &(share.rings - 1), true)
            .override_global(names::WAKE_AT, &wake_at, true)
            .override_global(names::BATCHED, &u8::from(batches.is_some()), true)
            .override_global(names::IDENTITY, &u8::from(setup.identity), true)
            .override_global(names::REMEMBER, &u8::from(remember), true)
            .override_global(names::FOLLOW, &u8::from(follow), true)
            .override_global(names::CONNTRACK, &u8::from(conntrack), true)
            .override_global(aya_log::LEVEL, &log_level, false)
            .map_max_entries(names::RINGS, share.rings)
            .map_max_entries(names::BATCHES, batches.unwrap_or(1))
            .map_max_entries(names::ADDRESSES_V4, entries_v4)
            .map_max_entries(names::ADDRESSES_V6, entries_v6)
            .map_max_entries(names::ADDRESS_FRONTS, places.fronts())
            .map_max_entries(names::EVENTS, EVENTS_BYTES)
            .load(object.bytes())
            .map_err(|error| KernelError::Load(Box::new(error)))?;
        fill(&mut ebpf, places, tables)?;
        let rings = make_rings(&mut ebpf, share)?;
        let counter_maps = CounterMaps::new(&mut ebpf)?;
        let mut kernel = Self {
            ebpf,
            follows: follow,
            layout,
            tracepoints: Vec::new(),
            identity: IdentityKey::draw(),
            places,
            rings: Some(rings),
            ring_bytes: share.bytes,
            batches,
            counter_maps,
            links: Links::default(),
        };
        // Takes what is counted for an interface that has no entry.
        kernel.count_from_zero(0)?;
        Ok(kernel)
    }

    /// The rings' user side. There can be one.
    ///
    /// # Errors
    ///
    /// [`KernelError`], when it was taken before or can't be mapped.
    pub fn rings(&mut self) -> Result<Rings, KernelError> {
        let rings = self
            .rings
            .take()
            .ok_or(KernelError::Missing(names::RINGS))?;
        let batches = self.batches()?;
        Rings::new(rings, self.ring_bytes, self.identity, batches).map_err(KernelError::Ring)
    }

    /// The batches, with the program that puts them into the rings.
    fn batches(&mut self) -> Result<Option<Batches>, KernelError> {
        let Some(count) = self.batches else {
            return Ok(None);
        };
        let program: &mut RawTracePoint = self
            .ebpf
            .program_mut(names::FLUSH)
            .ok_or(KernelError::Missing(names::FLUSH))?
            .try_into()
            .map_err(|_| KernelError::Missing(names::FLUSH))?;
        load(|| program.load())?;
        let flush = program
            .fd()
            .map_err(|error| KernelError::Load(Box::new(error)))?
            .as_fd()
            .try_clone_to_owned()
            .map_err(KernelError::Ring)?;
        let Some(aya::maps::Map::Array(map)) = self.ebpf.map(names::BATCHES) else {
            return Err(KernelError::Missing(names::BATCHES));
        };
        Batches::new(map.fd(), count, flush)
            .map(Some)
            .map_err(KernelError::Ring)
    }

    /// The kernel side's messages. There can be one reader.
    ///
    /// # Errors
    ///
    /// [`KernelError`], when it was taken before.
    pub fn log(&mut self) -> Result<KernelLog, KernelError> {
        KernelLog::new(&mut self.ebpf)
    }

    /// The program for a direction and a framing, loaded when first asked for.
    pub(super) fn program(
        &mut self,
        direction: Direction,
        framing: Framing,
    ) -> Result<&mut SchedClassifier, KernelError> {
        let name = match (direction, framing == Framing::Bare) {
            (Direction::In, false) => names::INGRESS,
            (Direction::Out, false) => names::EGRESS,
            (Direction::In, true) => names::INGRESS_BARE,
            (Direction::Out, true) => names::EGRESS_BARE,
        };
        let program: &mut SchedClassifier = self
            .ebpf
            .program_mut(name)
            .ok_or(KernelError::Missing(name))?
            .try_into()
            .map_err(|_| KernelError::Missing(name))?;
        if program.fd().is_err() {
            load(|| program.load())?;
        }
        Ok(program)
    }

    /// The XDP program that this kernel can have, loaded when first asked for.
    pub(super) fn xdp_program(&mut self) -> Result<&mut Xdp, KernelError> {
        let name = match probe::xdp(true) {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => names::XDP,
            // If it fails for another reason, loading will say so.
            _ => names::XDP_FRAGS,
        };
        let program: &mut Xdp = self
            .ebpf
            .program_mut(name)
            .ok_or(KernelError::Missing(name))?
            .try_into()
            .map_err(|_| KernelError::Missing(name))?;
        if program.fd().is_err() {
            load(|| program.load())?;
        }
        Ok(program)
    }
}

/// Makes the rings and puts them where the programs look for them.
fn make_rings(ebpf: &mut Ebpf, share: Share) -> Result<Vec<OwnedFd>, KernelError> {
    let Some(aya::maps::Map::ArrayOfMaps(array)) = ebpf.map(names::RINGS) else {
        return Err(KernelError::Missing(names::RINGS));
    };
    let rings = share.make().map_err(KernelError::Ring)?;
    for (index, ring) in (0..).zip(&rings) {
        sys::put_into_array(array.fd(), index, ring).map_err(KernelError::Ring)?;
    }
    Ok(rings)
}

/// The events' ring: some thousand of them.
pub(super) const EVENTS_BYTES: u32 = 1 << 20;

/// How often a load that a signal cuts short is tried: libbpf's `PROG_LOAD_ATTEMPTS`.
const LOAD_ATTEMPTS: u32 = 5;

/// Loads a program. The verifier gives up when a signal is waiting for its thread (`do_check`,
/// kernel/bpf/verifier.c), one that the process has no use for among them.
fn load(mut program: impl FnMut() -> Result<(), ProgramError>) -> Result<(), KernelError> {
    let mut attempt = 1;
    loop {
        match program() {
            Err(error) if attempt < LOAD_ATTEMPTS && errno(&error) == Some(Errno::AGAIN) => {
                attempt += 1;
            }
            result => return result.map_err(|error| KernelError::Load(Box::new(error))),
        }
    }
}

pub(super) fn map_error<E>(map: &'static str) -> impl Fn(E) -> KernelError
where
    E: std::error::Error + Send + Sync + 'static,
{
    move |error| KernelError::Map {
        map,
        source: Box::new(error),
    }
}
