//! What two sightings of one packet share whatever was translated in between: never addresses,
//! ports, checksums, TTL, DSCP or ECN.
//!
//! It is compared, never shown. Retransmissions and duplicate acknowledgements can share one, so
//! it merges nothing by itself: see [`super::live`].

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::RandomState;

/// How many payload bytes go in.
const SAMPLE: usize = 16;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fingerprint {
    /// A hash of the headers' part.
    pub(super) core: u64,
    /// A hash of the first payload bytes; 0 where they weren't all captured. Frames with and
    /// without a link header are cut at different places of the packet, so one may have it and
    /// the other not.
    pub(super) sample: u32,
    /// Whether it tells packets of different flows apart: TCP's numbers, an IPv4 identification
    /// or a flow label are in it. Many UDP packets have none of these.
    pub(super) telling: bool,
}

impl Fingerprint {
    /// Whether both may be of one packet.
    pub(super) const fn agrees(self, other: Self) -> bool {
        self.core == other.core
            && (self.sample == other.sample || self.sample == 0 || other.sample == 0)
    }
}

/// What goes into the hash.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ingredients {
    /// Protocol, fragment offset, length.
    pub(super) kind: u64,
    /// IPv4's identification or IPv6's flow label.
    pub(super) label: u32,
    /// TCP's sequence and acknowledgement numbers, SCTP's verification tag.
    pub(super) numbers: u64,
    /// TCP's flags, window and header length; ICMP's type, code and sequence number.
    pub(super) shape: u64,
    /// TCP's timestamps.
    pub(super) stamps: u64,
}

impl Ingredients {
    /// Puts them together with `payload`, of which `len` bytes were on the wire.
    #[inline(always)]
    pub(super) fn fingerprint(
        self,
        payload: &[u8],
        len: u32,
        telling: bool,
        hash: &RandomState,
    ) -> Fingerprint {
        let mut hasher = hash.build_hasher();
        hasher.write_u64(self.kind);
        hasher.write_u64(self.numbers);
        hasher.write_u64(self.shape ^ u64::from(self.label) << 40);
        hasher.write_u64(self.stamps);
        let core = hasher.finish();
        let wanted = usize::try_from(len).map_or(SAMPLE, |len| len.min(SAMPLE));
        let sample = match payload.first_chunk() {
            Some(whole) if wanted == SAMPLE => Some(*whole),
            _ => payload.get(..wanted).map(|bytes| {
                let mut padded = [0; SAMPLE];
                padded[..wanted].copy_from_slice(bytes);
                padded
            }),
        };
        let sample = sample.map_or(0, |bytes| {
            let mut hasher = hash.build_hasher();
            hasher.write_u128(u128::from_ne_bytes(bytes));
            // Truncation on purpose; never the value that means "not known".
            (hasher.finish() as u32) | 1
        });
        Fingerprint {
            core,
            sample,
            telling,
        }
    }
}
