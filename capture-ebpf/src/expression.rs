//! The filter expression: a place for code that user space generates.
//!
//! Before the load user space puts the expression's code in the place of the functions here
//! (`kernel/expression.rs` there).

use aya_ebpf::bindings::{__sk_buff, xdp_md};

use capture_common::filter::EXPRESSION as GIVEN;

use crate::globals::EXPRESSION;
use crate::skb::Skb;
use crate::stand_in::stand_in;

stand_in! {
    /// Whether the packet matches the expression: 0 if not. `egress` is 1 where it leaves.
    fn nodecap_expression(context: *mut __sk_buff, egress: u32) -> u32 in ".text.expression" is "1"
}
stand_in! {
    /// The same without a link header.
    fn nodecap_expression_l3(context: *mut __sk_buff, egress: u32) -> u32
        in ".text.expression_l3" is "2"
}
stand_in! {
    /// The same under XDP.
    fn nodecap_expression_xdp(context: *mut xdp_md, egress: u32) -> u32
        in ".text.expression_xdp" is "3"
}
stand_in! {
    /// The same where a packet may have several buffers.
    fn nodecap_expression_xdp_frags(context: *mut xdp_md, egress: u32) -> u32
        in ".text.expression_xdp_frags" is "4"
}

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
