//! nodecap's kernel side: programs for TC and XDP that match packets and copy them into a ring.
//!
//! A packet runs through the stages top to bottom and leaves untouched, whatever happens:
//!
//! - [`tc`] and [`xdp`]: the hooks
//! - [`packet`]: a packet's bytes and metadata, whatever hook it is under; [`skb`]: one under TC
//! - [`parse`]: link, network and transport headers, only as far as the filter asks
//! - [`inner`]: the packet within a tunnel's, where the options are about that
//! - [`filter`]: the options' tables; [`addresses`]: those of the addresses; [`expression`]: the filter expression's code.
//!   Where their code is made by user space, a [`stand_in`] is in its place
//! - [`follow`]: the same packet, or its flow, beyond a translation; [`identity`] knows a packet
//!   again, [`look`] finds its [`tuple`] and what stays the same of it, [`conntrack`] what
//!   netfilter does to its flow
//! - [`record`]: a packet's record and the counters; [`batch`]: where small ones are gathered; [`rings`]:
//!   which ring it goes into
//! - [`globals`], [`offsets`] and [`maps`]: what user space sets before the load, and what both
//!   sides share
//!
//! What the kernel knows besides, its tracepoints tell: [`resets`] and [`drops`], read from
//! [`kmem`], told as [`events`].
//!
//! Cost is paid only for what was asked: user space sets [`globals`] before the load, they are
//! frozen then, and the verifier drops every branch that they switch off.

#![no_std]
#![no_main]
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]

mod addresses;
mod batch;
mod conntrack;
mod drops;
mod events;
mod expression;
mod filter;
mod follow;
mod globals;
mod identity;
mod inner;
mod kmem;
mod look;
mod maps;
mod offsets;
mod packet;
mod parse;
mod record;
mod resets;
mod rings;
mod skb;
mod stand_in;
mod tc;
mod tuple;
mod xdp;

/// The licence as the kernel wants to read it: some helpers are for GPL-compatible programs only.
// SAFETY: the section holds nothing else, and the kernel's loader reads a NUL-terminated string.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

/// There is no way to panic in an eBPF program: the verifier refuses an object in which this is
/// reachable.
#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
