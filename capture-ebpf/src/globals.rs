//! What user space decides before the load. Scalars, one a global: a struct's fields would not be
//! known to the verifier one by one. Names and meanings: `capture_common::names`.

use aya_ebpf::Global;
use capture_common::record::MAX_SNAPLEN;

#[unsafe(no_mangle)]
pub static LAYOUT_V1: Global<u32> = Global::new(capture_common::LAYOUT_VERSION);
#[unsafe(no_mangle)]
pub static ADDRESS_OPTIONS: Global<u8> = Global::new(0);
#[unsafe(no_mangle)]
pub static ADDRESS_CODE: Global<u8> = Global::new(0);
#[unsafe(no_mangle)]
pub static ORDINARY: Global<u8> = Global::new(0);
#[unsafe(no_mangle)]
pub static PORT_OPTIONS: Global<u8> = Global::new(0);
#[unsafe(no_mangle)]
pub static PROTOCOL_OPTIONS: Global<u8> = Global::new(0);
#[unsafe(no_mangle)]
pub static INNER: Global<u8> = Global::new(0);
#[unsafe(no_mangle)]
pub static EXPRESSION: Global<u8> = Global::new(0);
#[unsafe(no_mangle)]
pub static SNAPLEN: Global<u32> = Global::new(MAX_SNAPLEN);
#[unsafe(no_mangle)]
pub static RING_MASK: Global<u32> = Global::new(0);
#[unsafe(no_mangle)]
pub static WAKE_AT: Global<u64> = Global::new(0);
#[unsafe(no_mangle)]
pub static BATCHED: Global<u8> = Global::new(0);
#[unsafe(no_mangle)]
pub static IDENTITY: Global<u8> = Global::new(0);
#[unsafe(no_mangle)]
pub static REMEMBER: Global<u8> = Global::new(0);
#[unsafe(no_mangle)]
pub static FOLLOW: Global<u8> = Global::new(0);
#[unsafe(no_mangle)]
pub static CONNTRACK: Global<u8> = Global::new(0);
