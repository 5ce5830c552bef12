//! The hooks on TC, ingress and egress, for devices with and without a link header: four entry
//! points, so that neither question is asked again for each packet. What the macro makes of each is two
//! functions, and LLVM leaves the inner one by itself when it is large: a call for each packet.
//!
//! Every path returns `TC_ACT_UNSPEC`: the packet goes on to the next program and filter as if
//! nothing had been there.

use aya_ebpf::bindings::TC_ACT_UNSPEC;
use aya_ebpf::macros::classifier;
use aya_ebpf::programs::TcContext;
use capture_common::LAYOUT_VERSION;
use capture_common::record::RecordFlags;

use crate::expression;
use crate::filter;
use crate::follow;
use crate::globals::{FOLLOW, LAYOUT_V1, REMEMBER};
use crate::record;
use crate::skb::Skb;

#[inline(always)]
fn see<const BARE: bool>(context: &TcContext, flags: u16) -> i32 {
    let skb = Skb::new(context.skb.skb);
    // Always true. It keeps the global, and with it the layout's version, in the object.
    if LAYOUT_V1.load() != LAYOUT_VERSION {
        return TC_ACT_UNSPEC;
    }
    let egress = flags & RecordFlags::EGRESS != 0;
    let flags = if filter::matches::<BARE>(&skb) && expression::matches::<BARE>(&skb, egress) {
        flags
    } else if FOLLOW.load() != 0 && follow::is_followed::<BARE>(&skb, flags) {
        flags | RecordFlags::FOLLOWED
    } else {
        return TC_ACT_UNSPEC;
    };
    let time = record::record(&skb, flags);
    if REMEMBER.load() != 0 {
        follow::remember::<BARE>(&skb, flags, time);
    }
    TC_ACT_UNSPEC
}

#[classifier]
#[inline(always)]
fn nodecap_in(context: TcContext) -> i32 {
    see::<false>(&context, 0)
}

#[classifier]
#[inline(always)]
fn nodecap_out(context: TcContext) -> i32 {
    see::<false>(&context, RecordFlags::EGRESS)
}

#[classifier]
#[inline(always)]
fn nodecap_in_l3(context: TcContext) -> i32 {
    see::<true>(&context, RecordFlags::NO_LINK_HEADER)
}

#[classifier]
#[inline(always)]
fn nodecap_out_l3(context: TcContext) -> i32 {
    see::<true>(&context, RecordFlags::EGRESS | RecordFlags::NO_LINK_HEADER)
}
