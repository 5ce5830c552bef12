//! A ring's user side: records are read where the kernel put them, and given back in batches.
//!
//! aya's own reader gives each record back before the next, which costs a full barrier a packet
//! and leaves no way to hold records in place while they are put in order. This one speaks the
//! kernel's `BPF_MAP_TYPE_RINGBUF` protocol (Documentation/bpf/ringbuf.rst): a page with the
//! consumer's position, a page with the producer's, then the data, and once more as much of its
//! beginning as a record can be long, so that every record is contiguous. (The kernel would map all of
//! it twice; what is mapped counts as the process's memory, each time.) A record is an eight-byte header (length, with a busy and a
//! discard bit) and the bytes, rounded up to eight.
#![expect(
    unsafe_code,
    reason = "shared memory with the kernel; see each SAFETY line"
)]

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use capture_common::record::{MAX_RINGS, MAX_SNAPLEN, RecordFlags, RecordHeader};
use rustix::mm::ProtFlags;

use super::identity::IdentityKey;
use super::mapping::Mapping;

/// `BPF_RINGBUF_BUSY_BIT`: reserved, not yet submitted.
const BUSY: u32 = 1 << 31;
/// `BPF_RINGBUF_DISCARD_BIT`: given up by the kernel side.
const DISCARD: u32 = 1 << 30;
/// `BPF_RINGBUF_HDR_SZ`.
const HEADER_LEN: u64 = 8;

/// How many bytes ahead of the record that is stepped to are brought over from the CPU that wrote
/// them: some records, since where the next one is, each record tells only once it is here.
const AHEAD: u64 = 2_048;
/// Bytes that a processor brings over at once.
#[cfg(target_arch = "x86_64")]
const CACHE_LINE: u64 = 64;

/// The ring as its one reader sees it. Positions count bytes since the ring was made.
pub struct Ring {
    map: OwnedFd,
    /// Which of the rings it is.
    number: u32,
    /// One page: the consumer's position.
    consumer: Mapping,
    /// One page with the producer's position, then the data, then so much of it again as the
    /// longest record needs that begins at its end.
    producer: Mapping,
    page: usize,
    /// Bytes of that record, without its header.
    longest: usize,
    mask: u64,
    key: IdentityKey,
    /// Up to where the kernel side had come when we last looked. It writes its position with each
    /// record, so looking costs a cache line brought over from another CPU.
    known: u64,
    /// Up to where records were looked at.
    read: u64,
    /// Where the record of the ring ends in whose packets' records `read` is, if it is beyond that.
    inside: u64,
    /// Up to where they were given back.
    released: u64,
}

/// Where a record lies: in which ring, and at what position there.
///
/// Sorted by ring position: of two in one ring, the one reserved earlier is the lower.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place(u64);

/// Bits of a [`Place`] that tell the ring.
const RING_BITS: u32 = MAX_RINGS.trailing_zeros();

impl Place {
    /// The place at a position, a multiple of eight, of one of [`MAX_RINGS`] rings.
    #[must_use]
    pub const fn new(ring: u32, position: u64) -> Self {
        // A position's lowest three bits are zero, and 2^61 bytes never go through a ring.
        Self(position << (RING_BITS - 3) | (ring & (MAX_RINGS - 1)) as u64)
    }

    /// The ring's number.
    #[must_use]
    pub const fn ring(self) -> usize {
        (self.0 & (MAX_RINGS - 1) as u64) as usize
    }

    /// Bytes that had been put into the ring before it.
    #[must_use]
    pub const fn position(self) -> u64 {
        self.0 >> RING_BITS << 3
    }
}

/// What puts a packet's record in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heading {
    /// [`RecordHeader::ktime`].
    pub stamp: u64,
    /// [`RecordHeader::interface`].
    pub interface: u32,
    /// [`RecordHeader::cpu`].
    pub cpu: u32,
}

/// What stands next in a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// A record, readable through [`Ring::record`] until it is released.
    Record(Place),
    /// A record that the kernel side is still writing; what is behind it must wait.
    Busy,
    /// Nothing of what was there at the last [`Ring::look`].
    Empty,
}

impl Ring {
    /// Maps ring `number`, of `bytes` bytes, whose identities are to be read under `key`.
    pub(super) fn new(map: OwnedFd, number: u32, bytes: u32, key: IdentityKey) -> io::Result<Self> {
        let page = rustix::param::page_size();
        let size = bytes as usize;
        let fd = map.as_fd();
        let consumer = Mapping::new(fd, page, ProtFlags::READ | ProtFlags::WRITE, 0)?;
        let longest = MAX_SNAPLEN as usize + size_of::<RecordHeader>();
        let again = (longest + HEADER_LEN as usize).next_multiple_of(page);
        let producer = page + size + again.min(size);
        let producer = Mapping::new(fd, producer, ProtFlags::READ, page as u64)?;
        let mut ring = Self {
            number,
            consumer,
            producer,
            page,
            longest,
            mask: u64::from(bytes) - 1,
            key,
            known: 0,
            read: 0,
            inside: 0,
            released: 0,
            map,
        };
        ring.read = ring.consumer_position().load(Ordering::Acquire);
        ring.released = ring.read;
        ring.known = ring.read;
        Ok(ring)
    }

    fn consumer_position(&self) -> &AtomicU64 {
        // SAFETY: the page starts with the position, eight bytes aligned to a page; both sides
        // access it atomically only.
        unsafe { &*self.consumer.start.as_ptr().cast::<AtomicU64>() }
    }

    fn producer_position(&self) -> &AtomicU64 {
        // SAFETY: as for the consumer's; never written through this reference (the page is
        // mapped read-only).
        unsafe { &*self.producer.start.as_ptr().cast::<AtomicU64>() }
    }

    /// The address of the byte at a position.
    #[inline]
    fn at(&self, position: u64) -> *const u8 {
        let offset = self.page + (position & self.mask) as usize;
        // SAFETY: offset < page + size, within the mapping.
        unsafe { self.producer.start.as_ptr().add(offset) }
    }

    #[inline]
    fn length_word(&self, position: u64) -> u32 {
        // SAFETY: a record header lies at the position, aligned to eight; the kernel writes this
        // word with release order when it submits.
        unsafe { (*self.at(position).cast::<AtomicU32>()).load(Ordering::Acquire) }
    }

    /// Has the processor bring these bytes over, which another CPU wrote, while it goes on.
    #[inline]
    fn fetch(&self, position: u64, len: u64) {
        #[cfg(target_arch = "x86_64")]
        if position < self.known {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            let mut line = position;
            while line < position + len {
                // SAFETY: a hint, which reads nothing; the address is in the mapping.
                unsafe { _mm_prefetch::<_MM_HINT_T0>(self.at(line).cast()) };
                line += CACHE_LINE;
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = (position, len);
    }

    /// Looks how far the kernel side has come, if all is read that was there at the last look; says
    /// whether so. What isn't there at a look is reserved after it.
    pub fn look(&mut self) -> bool {
        let all_read = self.read >= self.known;
        if all_read {
            self.known = self.producer_position().load(Ordering::Acquire);
        }
        all_read
    }

    /// Steps to the next packet's record of those that were there at the last look.
    #[inline]
    pub fn advance_packet(&mut self) -> Next {
        loop {
            if self.read < self.inside {
                if let Some(place) = self.advance_inside() {
                    return Next::Record(place);
                }
                continue;
            }
            let place = match self.advance() {
                Next::Record(place) => place,
                next => return next,
            };
            self.inside = self.read;
            self.read = place.position() + HEADER_LEN;
        }
    }

    /// What puts the packet's record at a place in order that [`Ring::advance_packet`] just gave.
    #[inline]
    pub(super) fn heading(&self, place: Place) -> Heading {
        let header = self.header(place.position());
        Heading {
            stamp: header.ktime,
            interface: header.interface,
            cpu: header.cpu,
        }
    }

    /// Steps over the next packet's record of the ring's record that this is in. `None` at its end.
    #[inline]
    fn advance_inside(&mut self) -> Option<Place> {
        let place = Place::new(self.number, self.read);
        let header = self.header(self.read);
        let len = size_of::<RecordHeader>() as u64 + u64::from(header.captured_len);
        if self.read + len > self.inside {
            // Not one of ours, or what is left behind the last one of them.
            self.read = self.inside;
            return None;
        }
        self.read = if header.flags & RecordFlags::ALONE == 0 {
            self.read + len.next_multiple_of(8)
        } else {
            self.inside
        };
        self.fetch(self.read + AHEAD, len);
        Some(place)
    }

    /// The header at a position in a submitted record, or whatever lies there.
    #[inline]
    fn header(&self, position: u64) -> &RecordHeader {
        // SAFETY: aligned to eight bytes, as all positions are, and contiguous: behind the data its
        // beginning is mapped again. Any bytes make a header (`FromBytes`), and the kernel doesn't
        // touch them until they are released.
        unsafe { &*self.at(position).cast() }
    }

    /// Steps to the next record of those that were there at the last look, past those that the
    /// kernel side discarded.
    #[inline]
    pub fn advance(&mut self) -> Next {
        loop {
            if self.read >= self.known {
                return Next::Empty;
            }
            let word = self.length_word(self.read);
            if word & BUSY != 0 {
                return Next::Busy;
            }
            let place = Place::new(self.number, self.read);
            let len = u64::from(word & !(BUSY | DISCARD));
            let room = (len + HEADER_LEN).next_multiple_of(8);
            self.fetch(self.read + AHEAD, room.min(AHEAD));
            self.read += room;
            if word & DISCARD == 0 {
                return Next::Record(place);
            }
        }
    }

    /// The record at a place that [`Ring::advance_packet`] gave and that wasn't released since: its
    /// header, the identity keyed, and the frame's bytes. `None` if it is no record of ours, which
    /// the kernel side never writes.
    #[must_use]
    #[inline]
    pub fn record(&self, place: Place) -> Option<(RecordHeader, &[u8])> {
        let (header, frame) = self.peek(place)?;
        let identity = self.key.apply(header.identity);
        Some((
            RecordHeader {
                identity,
                ..*header
            },
            frame,
        ))
    }

    /// The same without the identity, for whoever doesn't ask for it.
    #[must_use]
    #[inline]
    pub fn unidentified(&self, place: Place) -> Option<(RecordHeader, &[u8])> {
        let (header, frame) = self.peek(place)?;
        let identity = 0;
        Some((
            RecordHeader {
                identity,
                ..*header
            },
            frame,
        ))
    }

    #[inline]
    fn peek(&self, place: Place) -> Option<(&RecordHeader, &[u8])> {
        let position = place.position();
        if position < self.released || position >= self.read {
            return None;
        }
        let header = self.header(position);
        let len = header.captured_len as usize;
        let frame = position + size_of::<RecordHeader>() as u64;
        let end = (position & self.mask) as usize + size_of::<RecordHeader>() + len;
        if self.page + end > self.producer.len() {
            return None;
        }
        // SAFETY: within the mapping, as just checked; and submitted and not yet released, so the
        // kernel doesn't touch these bytes.
        Some((header, unsafe {
            std::slice::from_raw_parts(self.at(frame), len)
        }))
    }

    /// The bytes of the record at a place that [`Ring::advance`] gave and that wasn't released
    /// since, whatever is in them.
    #[inline]
    pub(super) fn bytes(&self, place: Place) -> Option<&[u8]> {
        let position = place.position();
        if position < self.released || position >= self.read {
            return None;
        }
        let len = (self.length_word(position) & !(BUSY | DISCARD)) as usize;
        if len > self.longest {
            return None;
        }
        // SAFETY: submitted and not yet released, so the kernel doesn't touch these `len` bytes.
        // They are contiguous: behind the data its beginning is mapped again, all of it or as much as
        // `longest` and a header, and no record is larger than the data.
        Some(unsafe { std::slice::from_raw_parts(self.at(position + HEADER_LEN), len) })
    }

    /// Up to where [`Ring::advance`] has come.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.read
    }

    /// Gives back all before a position, so that the kernel can write there again.
    pub fn release(&mut self, position: u64) {
        let position = position.min(self.read);
        if position > self.released {
            self.released = position;
            self.consumer_position().store(position, Ordering::Release);
        }
    }

    /// Bytes that [`Ring::advance`] hasn't come to.
    #[must_use]
    pub fn unread(&self) -> u64 {
        self.producer_position()
            .load(Ordering::Relaxed)
            .saturating_sub(self.read)
    }

    /// Bytes that lie in the ring, read or not, and weren't given back.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.producer_position()
            .load(Ordering::Relaxed)
            .saturating_sub(self.released)
    }

    /// Bytes that the ring has room for.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.mask + 1
    }

    /// Whether there may have been no room for a record since [`Ring::release`] last gave some
    /// back.
    #[must_use]
    pub fn may_have_been_full(&self) -> bool {
        let largest = self.longest as u64 + HEADER_LEN;
        self.held() + largest > self.mask
    }
}

impl AsFd for Ring {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.map.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_tells_ring_and_position_and_sorts_by_position() {
        for ring in [0, 1, MAX_RINGS - 1] {
            for position in [0, 8, 4_096, (1 << 61) - 8] {
                let place = Place::new(ring, position);
                assert_eq!(place.ring(), ring as usize);
                assert_eq!(place.position(), position);
            }
            assert!(Place::new(ring, 8) < Place::new(ring, 16));
        }
    }
}
