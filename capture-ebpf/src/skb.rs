//! The packet under a TC hook: an skb.

use aya_ebpf::bindings::__sk_buff;
use aya_ebpf::helpers::generated::bpf_skb_load_bytes;

use crate::filter::{nodecap_ordinary, nodecap_ordinary_l3};
use crate::inner;
use crate::packet::Packet;
use crate::parse;

/// The packet under a TC hook.
#[derive(Clone, Copy)]
pub struct Skb(*mut __sk_buff);

impl Skb {
    /// Takes the context that the kernel passed to the program.
    #[inline(always)]
    pub fn new(context: *mut __sk_buff) -> Self {
        Self(context)
    }

    /// The context itself.
    #[inline(always)]
    pub fn context(&self) -> *mut __sk_buff {
        self.0
    }

    #[inline(always)]
    fn field(&self) -> &__sk_buff {
        // SAFETY: the kernel passes a valid context for as long as the program runs; the
        // verifier rewrites each access to a field.
        unsafe { &*self.0 }
    }

    /// Where the skb lies in kernel memory, as a number that the verifier still knows to be a
    /// pointer: it may be stored and compared, which takes `CAP_PERFMON`, not calculated with.
    #[inline(always)]
    pub fn address(&self) -> u64 {
        self.0 as u64
    }
}

impl Packet for Skb {
    #[inline(always)]
    fn start(&self) -> usize {
        self.field().data as usize
    }

    #[inline(always)]
    fn end(&self) -> usize {
        self.field().data_end as usize
    }

    #[inline(always)]
    unsafe fn load(&self, offset: u32, to: *mut u8, len: u32) -> bool {
        // SAFETY: the caller's promise.
        unsafe { bpf_skb_load_bytes(self.0.cast(), offset, to.cast(), len) == 0 }
    }

    #[inline(always)]
    fn len(&self) -> u32 {
        self.field().len
    }

    #[inline(always)]
    fn interface(&self) -> u32 {
        self.field().ifindex
    }

    #[inline(always)]
    fn protocol(&self) -> u16 {
        u16::from_be(self.field().protocol as u16)
    }

    #[inline(always)]
    fn vlan(&self) -> Option<(u16, u16)> {
        let skb = self.field();
        if skb.vlan_present == 0 {
            return None;
        }
        Some((u16::from_be(skb.vlan_proto as u16), skb.vlan_tci as u16))
    }

    #[inline(always)]
    fn gso(&self) -> (u32, u32) {
        (self.field().gso_size, self.field().gso_segs)
    }

    #[inline(always)]
    fn packet_type(&self) -> u32 {
        self.field().pkt_type
    }

    #[inline(always)]
    fn identity(&self) -> u64 {
        self.address()
    }

    #[inline(always)]
    fn as_ordinary<const BARE: bool>(&self) -> u32 {
        if BARE {
            nodecap_ordinary_l3(self.0)
        } else {
            nodecap_ordinary(self.0)
        }
    }

    #[inline(always)]
    fn inner<const BARE: bool>(&self) -> u64 {
        nodecap_inner(self.0, u32::from(BARE))
    }

    #[inline(always)]
    fn behind(&self, extension: u64) -> u64 {
        nodecap_behind(self.0, extension)
    }
}

/// [`parse::step_over`], verified by itself.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn nodecap_behind(context: *mut __sk_buff, extension: u64) -> u64 {
    parse::step_over(&Skb::new(context), extension)
}

/// [`inner::find`], verified by itself.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn nodecap_inner(context: *mut __sk_buff, bare: u32) -> u64 {
    let skb = Skb::new(context);
    if bare == 0 {
        inner::find::<false>(&skb)
    } else {
        inner::find::<true>(&skb)
    }
}
