//! TCP options, as the IANA registry numbers them.

use super::context::Context;
use super::view::{Truncated, View};

/// The subtypes of Multipath TCP's option (RFC 8684, 8.2).
const MPTCP: [&str; 9] = [
    "capable",
    "join",
    "dss",
    "add-addr",
    "rem-addr",
    "prio",
    "fail",
    "fast-close",
    "tcprst",
];

/// Shows the options between the brackets. The edges of SACK blocks are shown relative to
/// `sack_base`.
pub(super) fn show(
    cx: &mut Context<'_>,
    mut options: View<'_>,
    sack_base: u32,
) -> Result<(), Truncated> {
    let mut separator = "";
    while !options.is_empty() {
        cx.text(separator);
        separator = ",";
        let kind = options.u8(0)?;
        match kind {
            0 => {
                cx.text("eol");
                return Ok(());
            }
            1 => {
                cx.text("nop");
                options = options.skip(1);
                continue;
            }
            _ => {}
        }
        let len = usize::from(options.u8(1)?);
        if len < 2 || len > options.len() {
            cx.text("[bad opt]");
            return Ok(());
        }
        show_one(cx, kind, options.limit(len), sack_base)?;
        options = options.skip(len);
    }
    Ok(())
}

/// Shows one option with a length byte. `option` is all of it.
fn show_one(
    cx: &mut Context<'_>,
    kind: u8,
    option: View<'_>,
    sack_base: u32,
) -> Result<(), Truncated> {
    let len = option.len();
    match (kind, len) {
        (2, 4) => cx.field("mss ", option.be16(2)?),
        (3, 3) => cx.field("wscale ", option.u8(2)?),
        (4, 2) => cx.text("sackOK"),
        (5, _) if len % 8 == 2 => {
            cx.put(format_args!("sack {} ", len / 8));
            for block in (2..len).step_by(8) {
                let left = option.be32(block)?.wrapping_sub(sack_base);
                let right = option.be32(block + 4)?.wrapping_sub(sack_base);
                cx.put(format_args!("{{{left}:{right}}}"));
            }
        }
        (8, 10) => {
            cx.field("TS val ", option.be32(2)?);
            cx.field(" ecr ", option.be32(6)?);
        }
        (30, 3..) => {
            let subtype = usize::from(option.u8(2)? >> 4);
            cx.put(format_args!("mptcp {len} "));
            cx.text(MPTCP.get(subtype).copied().unwrap_or("unknown"));
        }
        (34, 2) => cx.text("tfo cookiereq"),
        (34, _) => {
            cx.text("tfo cookie ");
            cx.hex(option.slice(2, len - 2)?);
        }
        _ => {
            name(cx, kind);
            if len > 2 {
                cx.text(" 0x");
                cx.hex(option.slice(2, len - 2)?);
            }
        }
    }
    Ok(())
}

/// The name of an option that is shown in hexadecimal: because nothing more is known of it, or
/// because its length isn't the one that its kind has.
fn name(cx: &mut Context<'_>, kind: u8) {
    cx.text(match kind {
        2 => "mss",
        3 => "wscale",
        4 => "sackOK",
        5 => "sack",
        8 => "TS",
        19 => "md5",
        28 => "uto",
        29 => "tcp-ao",
        30 => "mptcp",
        _ => return cx.field("unknown-", kind),
    });
}
