//! The hook on XDP: what comes in, before the stack has made an skb of it. Only Ethernet framing;
//! there is no way out, no identity and nothing to follow.
//!
//! Two entry points: kernels since 5.18 have packets of several buffers and a helper that reads
//! them; before, a packet is one buffer, and there is no helper at all.
//!
//! Every path returns `XDP_PASS`.

use aya_ebpf::bindings::xdp_action::XDP_PASS;
use aya_ebpf::bindings::xdp_md;
use aya_ebpf::helpers::generated::{
    bpf_probe_read_kernel, bpf_xdp_get_buff_len, bpf_xdp_load_bytes,
};
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;
use capture_common::LAYOUT_VERSION;

use crate::expression;
use crate::filter::{self, nodecap_ordinary_xdp};
use crate::globals::LAYOUT_V1;
use crate::inner;
use crate::packet::Packet;
use crate::parse;
use crate::record;

/// The packet under an XDP hook; in several buffers if `FRAGS`.
#[derive(Clone, Copy)]
struct Frame<const FRAGS: bool>(*mut xdp_md);

/// How far `bpf_xdp_load_bytes` reaches (`bpf_xdp_pointer`, net/core/filter.c).
const REACH: u32 = 0xffff;

impl<const FRAGS: bool> Frame<FRAGS> {
    #[inline(always)]
    fn field(&self) -> &xdp_md {
        // SAFETY: the kernel passes a valid context for as long as the program runs; the
        // verifier rewrites each access to a field.
        unsafe { &*self.0 }
    }
}

impl<const FRAGS: bool> Packet for Frame<FRAGS> {
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
        if FRAGS {
            // SAFETY: the caller's promise.
            return unsafe { bpf_xdp_load_bytes(self.0, offset, to.cast(), len) == 0 };
        }
        if u64::from(offset) + u64::from(len) > u64::from(self.len()) {
            return false;
        }
        let from = self.start() as u64 + u64::from(offset);
        // SAFETY: the caller's promise; what is read is taken for any address in the kernel.
        unsafe { bpf_probe_read_kernel(to.cast(), len, from as *const _) == 0 }
    }

    #[inline(always)]
    fn len(&self) -> u32 {
        if FRAGS {
            // SAFETY: the helper only reads the packet's length.
            return unsafe { bpf_xdp_get_buff_len(self.0) } as u32;
        }
        (self.end() - self.start()) as u32
    }

    #[inline(always)]
    fn reach(&self) -> u32 {
        self.len().min(REACH)
    }

    #[inline(always)]
    fn interface(&self) -> u32 {
        self.field().ingress_ifindex
    }

    #[inline(always)]
    fn protocol(&self) -> u16 {
        // Only asked where there is no link header.
        0
    }

    // A tag that the card took out is nowhere to be seen.
    #[inline(always)]
    fn vlan(&self) -> Option<(u16, u16)> {
        None
    }

    #[inline(always)]
    fn gso(&self) -> (u32, u32) {
        (opaque_zero(), opaque_zero())
    }

    #[inline(always)]
    fn packet_type(&self) -> u32 {
        0
    }

    #[inline(always)]
    fn identity(&self) -> u64 {
        0
    }

    #[inline(always)]
    fn as_ordinary<const BARE: bool>(&self) -> u32 {
        nodecap_ordinary_xdp(self.0)
    }

    #[inline(always)]
    fn inner<const BARE: bool>(&self) -> u64 {
        if FRAGS {
            nodecap_inner_xdp_frags(self.0)
        } else {
            nodecap_inner_xdp(self.0)
        }
    }

    #[inline(always)]
    fn behind(&self, extension: u64) -> u64 {
        if FRAGS {
            nodecap_behind_xdp_frags(self.0, extension)
        } else {
            nodecap_behind_xdp(self.0, extension)
        }
    }
}

/// [`parse::step_over`], verified by itself.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn nodecap_behind_xdp(context: *mut xdp_md, extension: u64) -> u64 {
    parse::step_over(&Frame::<false>(context), extension)
}

/// The same where a packet may have several buffers.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn nodecap_behind_xdp_frags(context: *mut xdp_md, extension: u64) -> u64 {
    parse::step_over(&Frame::<true>(context), extension)
}

/// [`inner::find`], verified by itself.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn nodecap_inner_xdp(context: *mut xdp_md) -> u64 {
    inner::find::<false>(&Frame::<false>(context))
}

/// The same where a packet may have several buffers.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn nodecap_inner_xdp_frags(context: *mut xdp_md) -> u64 {
    inner::find::<false>(&Frame::<true>(context))
}

/// A zero that LLVM doesn't know to be one. Of the many in a header it would make a call of memset,
/// whose pointer arithmetic the verifier refuses without `CAP_PERFMON`.
#[inline(always)]
fn opaque_zero() -> u32 {
    #[cfg(target_arch = "bpf")]
    {
        let zero: u64;
        // SAFETY: sets one register.
        unsafe {
            core::arch::asm!(
                "{0} = 0",
                out(reg) zero,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
        zero as u32
    }
    #[cfg(not(target_arch = "bpf"))]
    {
        0
    }
}

#[inline(always)]
fn see<const FRAGS: bool>(context: &XdpContext) -> u32 {
    let frame = Frame::<FRAGS>(context.ctx);
    // Always true; see tc.
    if LAYOUT_V1.load() != LAYOUT_VERSION {
        return XDP_PASS;
    }
    if filter::matches::<false>(&frame) && expression::matches_frame::<FRAGS>(context.ctx) {
        let _ = record::record(&frame, 0);
    }
    XDP_PASS
}

#[xdp]
#[inline(always)]
fn nodecap_xdp(context: XdpContext) -> u32 {
    see::<false>(&context)
}

#[xdp(frags)]
#[inline(always)]
fn nodecap_xdp_frags(context: XdpContext) -> u32 {
    see::<true>(&context)
}
