//! IGMP (RFC 1112, RFC 2236, RFC 3376).

use super::context::Context;
use super::view::{Truncated, View};

/// A message.
pub(super) fn message(cx: &mut Context<'_>, message: View<'_>) -> Result<(), Truncated> {
    let message = message.of("igmp");
    match message.u8(0)? {
        0x11 => query(cx, message),
        0x12 => group(cx, "igmp v1 report ", message),
        0x16 => group(cx, "igmp v2 report ", message),
        0x17 => group(cx, "igmp leave ", message),
        0x22 => {
            cx.put(format_args!(
                "igmp v3 report, {} group record(s)",
                message.be16(6)?
            ));
            Ok(())
        }
        kind => {
            cx.put(format_args!("igmp type-#{kind}, length {}", message.len()));
            Ok(())
        }
    }
}

fn query(cx: &mut Context<'_>, message: View<'_>) -> Result<(), Truncated> {
    let max_response_time = message.u8(1)?;
    let group = message.ipv4(4)?;
    cx.text(match (message.len(), max_response_time) {
        (12.., _) => "igmp query v3",
        (_, 0) => "igmp query v1",
        _ => "igmp query v2",
    });
    if max_response_time != 0 && max_response_time != 100 {
        cx.put(format_args!(" [max resp time {max_response_time}]"));
    }
    if !group.is_unspecified() {
        cx.text(" [gaddr ");
        cx.address(group);
        cx.text("]");
    }
    Ok(())
}

fn group(cx: &mut Context<'_>, name: &'static str, message: View<'_>) -> Result<(), Truncated> {
    let group = message.ipv4(4)?;
    cx.text(name);
    cx.address(group);
    Ok(())
}
