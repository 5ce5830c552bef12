//! The filter expression: a place for code that user space generates.
//!
//! Each function here is a stand-in, in a section of its own. Before the load user space puts the
//! expression's code in the section's place (`kernel/expression.rs` there). The code is verified by
//! itself, once, as any function that is visible from outside. Where no expression was given,
//! nothing here is called: the verifier drops the call, and before 6.8 looks at the stand-in.

use aya_ebpf::bindings::{__sk_buff, xdp_md};

use capture_common::filter::EXPRESSION as GIVEN;

use crate::globals::EXPRESSION;
use crate::skb::Skb;

/// A stand-in that matches everything. LLVM must not see what it returns, nor that two of them
/// return the same, or that an argument isn't used: hence assembly, with text of its own.
macro_rules! stand_in {
    ($name:ident, $context:ty, $section:literal, $text:literal) => {
        /// Whether the packet matches the expression: 0 if not. `egress` is 1 where it leaves.
        #[inline(never)]
        #[unsafe(no_mangle)]
        // SAFETY: nothing else is in the section, and it holds code.
        #[unsafe(link_section = $section)]
        pub extern "C" fn $name(context: *mut $context, egress: u32) -> u32 {
            let matches: u64;
            #[cfg(target_arch = "bpf")]
            // SAFETY: sets one register.
            unsafe {
                core::arch::asm!(
                    $text,
                    matches = out(reg) matches,
                    context = in(reg) context,
                    egress = in(reg) u64::from(egress),
                    options(nostack),
                );
            }
            #[cfg(not(target_arch = "bpf"))]
            {
                let _ = (context, egress);
                matches = 1;
            }
            matches as u32
        }
    };
}

stand_in!(
    nodecap_expression,
    __sk_buff,
    ".text.expression",
    "{matches} = {context}\n{matches} = {egress}\n{matches} = 1"
);
stand_in!(
    nodecap_expression_l3,
    __sk_buff,
    ".text.expression_l3",
    "{matches} = {context}\n{matches} = {egress}\n{matches} = 2"
);

stand_in!(
    nodecap_expression_xdp,
    xdp_md,
    ".text.expression_xdp",
    "{matches} = {context}\n{matches} = {egress}\n{matches} = 3"
);
stand_in!(
    nodecap_expression_xdp_frags,
    xdp_md,
    ".text.expression_xdp_frags",
    "{matches} = {context}\n{matches} = {egress}\n{matches} = 4"
);

/// Whether the frame under XDP matches the expression, if there is one. With `FRAGMENTS` the code
/// asks the kernel's helpers for what lies in fragments (5.18).
#[inline(always)]
pub fn matches_frame<const FRAGMENTS: bool>(context: *mut xdp_md) -> bool {
    if EXPRESSION.load() & GIVEN == 0 {
        return true;
    }
    let matched = if FRAGMENTS {
        nodecap_expression_xdp_frags(context, 0)
    } else {
        nodecap_expression_xdp(context, 0)
    };
    matched != 0
}

/// Whether the packet matches the expression, if there is one.
#[inline(always)]
pub fn matches<const BARE: bool>(skb: &Skb, egress: bool) -> bool {
    if EXPRESSION.load() & GIVEN == 0 {
        return true;
    }
    let egress = u32::from(egress);
    let matched = if BARE {
        nodecap_expression_l3(skb.context(), egress)
    } else {
        nodecap_expression(skb.context(), egress)
    };
    matched != 0
}
