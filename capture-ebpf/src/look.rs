//! One look at a packet for all that following asks: its tuple and its fingerprint.
//!
//! A function that the kernel verifies by itself, once. In line it would be verified anew for
//! every way that leads to it, and extension headers make those so many that the verifier gives
//! up. Such a function takes and returns numbers only, so what it finds is left in a place of
//! this CPU's.

use aya_ebpf::bindings::__sk_buff;

use crate::conntrack;
use crate::globals::{CONNTRACK, INNER, REMEMBER};
use crate::inner;
use crate::maps::LOOK;
use crate::parse;
use crate::skb::{Skb, nodecap_inner};
use crate::tuple::{FlowKey, Headers};

/// What was found in a packet.
#[repr(C)]
pub struct Look {
    /// Who talks to whom, if [`KEY`].
    pub key: FlowKey,
    /// The same the other way.
    pub reversed: FlowKey,
    /// What NAT leaves alone, if [`FINGERPRINT`].
    pub fingerprint: u64,
    /// Where its conntrack entry lies, if [`ENTRY`].
    pub entry: u64,
}

/// Asked for, or found: the tuple.
pub const KEY: u32 = 1;
/// Asked for, or found: the fingerprint.
pub const FINGERPRINT: u32 = 2;
/// Asked: the device has no link header.
pub const BARE: u32 = 4;
/// Found: a TCP segment that opens a connection.
pub const OPENS: u32 = 8;
/// Asked for, or found: a conntrack entry, and with it the tuple. Nothing has one where it comes in,
/// unless it came in somewhere before; then there is nothing to look for.
pub const ENTRY: u32 = 16;

/// Looks for what is `wanted`, and says what it found and left in [`LOOK`].
///
/// Called by name only from this program; the verifier wants it to be visible.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn nodecap_look(context: *mut __sk_buff, wanted: u32) -> u32 {
    // Asked again, since kernels before 6.8 verify it even where nobody calls it.
    if REMEMBER.load() == 0 {
        return 0;
    }
    let skb = Skb::new(context);
    // Of an ordinary packet, as nearly all are, the headers are where they always are.
    if wanted & BARE == 0
        && INNER.load() == 0
        && let Some(headers) = Headers::plain(&skb)
    {
        return find(&skb, &headers, wanted);
    }
    match Headers::unpack(nodecap_headers(context, wanted & BARE)) {
        Some(headers) => find(&skb, &headers, wanted),
        None => 0,
    }
}

#[inline(always)]
fn find(skb: &Skb, headers: &Headers, wanted: u32) -> u32 {
    let Some(look) = look() else { return 0 };
    let (mut wanted, mut found) = (wanted, 0);
    if CONNTRACK.load() != 0 && wanted & ENTRY != 0 {
        look.entry = conntrack::entry(skb);
        if look.entry != 0 {
            found |= ENTRY;
            wanted |= KEY;
        }
    }
    if wanted & FINGERPRINT != 0
        && let Some(fingerprint) = headers.fingerprint(skb)
    {
        look.fingerprint = fingerprint;
        found |= FINGERPRINT;
    }
    if wanted & KEY != 0
        && let Some(key) = headers.key(skb)
    {
        look.key = key;
        found |= KEY;
        if headers.opens(skb) {
            found |= OPENS;
        }
    }
    found
}

/// Finds the headers: [`Headers::pack`], or 0. A function of its own for the same reason: the
/// verifier forgets by which of the many ways they were found.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn nodecap_headers(context: *mut __sk_buff, bare: u32) -> u64 {
    if REMEMBER.load() == 0 {
        return 0;
    }
    let skb = Skb::new(context);
    // Of a tunnel's packet the one within, where the options are about that.
    let within = if INNER.load() != 0 {
        inner::unpack(nodecap_inner(context, bare))
    } else {
        None
    };
    let network = match within {
        Some(network) => Some(network),
        None if bare == 0 => parse::network::<false>(&skb),
        None => parse::network::<true>(&skb),
    };
    let Some(network) = network else { return 0 };
    match Headers::find(&skb, network.ethertype, network.offset) {
        Some(headers) => headers.pack(),
        None => 0,
    }
}

/// Where the last look on this CPU left what it found.
#[inline(always)]
pub fn look() -> Option<&'static mut Look> {
    let look = LOOK.get_ptr_mut(0)?;
    // SAFETY: a per-CPU value that only TC programs use, and one isn't interrupted by another on
    // its CPU (see record::counters); nobody keeps a reference over a call that makes another.
    Some(unsafe { &mut *look })
}
