//! What else there is to tell: one event a record, in a ring of its own.

use aya_ebpf::bindings::BPF_RB_NO_WAKEUP;
use capture_common::event::Event;

use crate::maps::{EVENTS, EVENTS_LOST};

/// Puts an event into the ring, or counts it as lost. User space isn't woken: it looks whenever
/// it takes packets.
#[inline(always)]
pub fn tell(event: Event) {
    match EVENTS.reserve::<Event>(0) {
        Some(mut room) => {
            room.write(event);
            room.submit(u64::from(BPF_RB_NO_WAKEUP));
        }
        None => {
            if let Some(lost) = EVENTS_LOST.get_ptr_mut(0) {
                // SAFETY: this CPU's own count. A tracepoint may interrupt a TC program in the
                // middle of it, and then one loss isn't counted.
                unsafe { *lost += 1 };
            }
        }
    }
}
