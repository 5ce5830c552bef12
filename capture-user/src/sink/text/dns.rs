//! DNS messages (RFC 1035) in one line, as tcpdump sums them up.
//!
//! A response names the question as well, as tcpdump does with `-vv` only: without it,
//! `NXDomain 0/1/0` says that something doesn't exist and not what.

use super::context::Context;
use super::view::{Truncated, View};

/// Where servers are.
pub(super) const PORT: u16 = 53;
/// Where multicast DNS is (RFC 6762).
pub(super) const MULTICAST_PORT: u16 = 5353;

/// Bytes of the header.
const HEADER: usize = 12;
/// The longest name, in bytes of the message (RFC 1035, 2.3.4).
const MAX_NAME: usize = 255;
/// The most that is shown of a TXT record: one string of the greatest length.
const MAX_TEXT: usize = 256;
/// How many questions and answers are shown; the counts tell of the rest.
const MAX_SHOWN: u16 = 16;

/// A message within a TCP stream, behind its length (RFC 1035, 4.2.2). Nothing is shown for a
/// segment that isn't the start of one.
pub(super) fn over_tcp(cx: &mut Context<'_>, payload: View<'_>) -> Result<(), Truncated> {
    let Ok(len) = payload.be16(0) else {
        return Ok(());
    };
    let segment = payload.skip(2);
    // Text and ciphertext also have two first bytes; few then have one question and an opcode
    // that exists.
    let is_start = usize::from(len) >= HEADER
        && segment.u8(2).is_ok_and(|flags| flags & 0x78 <= 0x30)
        && segment.be16(4).is_ok_and(|questions| questions <= 1);
    if !is_start {
        return Ok(());
    }
    cx.text(" ");
    message(cx, segment.limit(len.into()), false)
}

/// A message.
pub(super) fn message(
    cx: &mut Context<'_>,
    message: View<'_>,
    multicast: bool,
) -> Result<(), Truncated> {
    let message = message.of("domain");
    let flags = message.be16(2)?;
    let [questions, answers, authorities, additionals] = [
        message.be16(4)?,
        message.be16(6)?,
        message.be16(8)?,
        message.be16(10)?,
    ];
    cx.number(message.be16(0)?.into());
    cx.text(opcode(flags));
    let response = flags & 0x8000 != 0;
    if response {
        cx.text(rcode(flags));
        cx.text(if flags & 0x0400 != 0 { "*" } else { "" });
        cx.text(if flags & 0x0080 != 0 { "" } else { "-" });
        cx.text(if flags & 0x0200 != 0 { "|" } else { "" });
        cx.text(if flags & 0x0020 != 0 { "$" } else { "" });
    } else {
        cx.text(if flags & 0x0100 != 0 { "+" } else { "" });
        cx.text(if flags & 0x0010 != 0 { "%" } else { "" });
        unusual(cx, answers, "a");
    }
    if questions != 1 {
        unusual(cx, questions, "q");
        if questions == 0 {
            cx.text(" [0q]");
        }
    }
    if !response {
        unusual(cx, authorities, "n");
        unusual(cx, additionals, "au");
    }
    if response && questions > 0 {
        cx.text(" q:");
    }
    let mut at = HEADER;
    for number in 0..questions.min(MAX_SHOWN) {
        if response && number > 0 {
            cx.text(",");
        }
        at = question(cx, message, at, multicast)?;
    }
    if response {
        cx.put(format_args!(" {answers}/{authorities}/{additionals}"));
        // Where questions were left out, what follows them isn't found.
        if questions <= MAX_SHOWN {
            show_answers(cx, message, at, answers, multicast)?;
        }
    }
    cx.put(format_args!(" ({})", message.len()));
    Ok(())
}

/// A count that should be zero, or for questions one.
fn unusual(cx: &mut Context<'_>, count: u16, what: &'static str) {
    if count != 0 {
        cx.put(format_args!(" [{count}{what}]"));
    }
}

fn opcode(flags: u16) -> &'static str {
    match flags >> 11 & 0xf {
        0 => "",
        1 => " inv_q",
        2 => " stat",
        4 => " notify",
        5 => " update",
        6 => " dso",
        _ => " op?",
    }
}

fn rcode(flags: u16) -> &'static str {
    match flags & 0xf {
        0 => "",
        1 => " FormErr",
        2 => " ServFail",
        3 => " NXDomain",
        4 => " NotImp",
        5 => " Refused",
        6 => " YXDomain",
        7 => " YXRRSet",
        8 => " NXRRSet",
        9 => " NotAuth",
        10 => " NotZone",
        _ => " Resp?",
    }
}

fn question(
    cx: &mut Context<'_>,
    message: View<'_>,
    at: usize,
    multicast: bool,
) -> Result<usize, Truncated> {
    let end = skip_name(message, at)?;
    let (kind, class) = (message.be16(end)?, message.be16(end + 2)?);
    cx.text(" ");
    show_type(cx, kind);
    let class = if multicast {
        // RFC 6762, 5.4: whether the answer may come by unicast.
        cx.text(if class & 0x8000 == 0 {
            " (QM)"
        } else {
            " (QU)"
        });
        class & 0x7fff
    } else {
        class
    };
    show_class(cx, class);
    cx.text("? ");
    show_name(cx, message, at)?;
    Ok(end + 4)
}

fn show_answers(
    cx: &mut Context<'_>,
    message: View<'_>,
    mut at: usize,
    answers: u16,
    multicast: bool,
) -> Result<(), Truncated> {
    for number in 0..answers {
        if number > 0 {
            cx.text(",");
        }
        if number == MAX_SHOWN {
            cx.text(" ...");
            break;
        }
        at = answer(cx, message, at, multicast)?;
    }
    Ok(())
}

/// Shows a resource record and gives the place of the next.
fn answer(
    cx: &mut Context<'_>,
    message: View<'_>,
    at: usize,
    multicast: bool,
) -> Result<usize, Truncated> {
    cx.text(" ");
    let end = skip_name(message, at)?;
    if cx.verbose() {
        show_name(cx, message, at)?;
        cx.text(" ");
    }
    let (kind, class) = (message.be16(end)?, message.be16(end + 2)?);
    let len = usize::from(message.be16(end + 8)?);
    let data = end + 10;
    if multicast && class & 0x8000 != 0 {
        cx.text("(Cache flush) ");
    }
    show_type(cx, kind);
    if kind != 41 {
        show_class(cx, if multicast { class & 0x7fff } else { class });
    }
    // Names in the data may point back into the message, so it is read from its start.
    let upto = message.limit(data + len);
    match kind {
        1 => cx.put(format_args!(" {}", upto.ipv4(data)?)),
        28 => cx.put(format_args!(" {}", upto.ipv6(data)?)),
        2 | 5 | 12 | 39 => {
            cx.text(" ");
            show_name(cx, upto, data)?;
        }
        15 => {
            cx.text(" ");
            show_name(cx, upto, data + 2)?;
            cx.field(" ", upto.be16(data)?);
        }
        16 => show_texts(cx, upto.skip(data))?,
        33 => {
            let [priority, weight, port] =
                [upto.be16(data)?, upto.be16(data + 2)?, upto.be16(data + 4)?];
            cx.text(" ");
            show_name(cx, upto, data + 6)?;
            cx.put(format_args!(":{port} {priority} {weight}"));
        }
        _ => {}
    }
    Ok(data + len)
}

/// The strings of a TXT record; one byte of length before each.
fn show_texts(cx: &mut Context<'_>, mut texts: View<'_>) -> Result<(), Truncated> {
    let mut shown = 0;
    while !texts.is_empty() {
        let len = usize::from(texts.u8(0)?);
        shown += 1 + len;
        if shown > MAX_TEXT {
            cx.text(" ...");
            return Ok(());
        }
        let text = texts.slice(1, len)?;
        cx.text(" \"");
        cx.escaped(text);
        cx.text("\"");
        texts = texts.skip(1 + len);
    }
    Ok(())
}

/// The place behind the name at `at`. A pointer ends a name where it stands.
fn skip_name(message: View<'_>, mut at: usize) -> Result<usize, Truncated> {
    loop {
        match message.u8(at)? {
            0 => return Ok(at + 1),
            0xc0.. => return Ok(at + 2),
            len => at += 1 + usize::from(len),
        }
    }
}

/// Shows the name at `at`. Pointers (RFC 1035, 4.1.4) may only lead backwards, so this ends.
fn show_name(cx: &mut Context<'_>, message: View<'_>, mut at: usize) -> Result<(), Truncated> {
    let mut lowest = at;
    let mut shown = 0;
    loop {
        let len = message.u8(at)?;
        match len {
            0 => {
                if shown == 0 {
                    cx.text(".");
                }
                return Ok(());
            }
            0xc0.. => {
                let target = usize::from(message.be16(at)? & 0x3fff);
                if target >= lowest {
                    cx.text("<bad pointer>");
                    return Ok(());
                }
                lowest = target;
                at = target;
            }
            0x40.. => {
                cx.text("<bad label>");
                return Ok(());
            }
            _ => {
                let len = usize::from(len);
                shown += 1 + len;
                if shown > MAX_NAME {
                    cx.text("<name too long>");
                    return Ok(());
                }
                show_label(cx, message.slice(at + 1, len)?);
                at += 1 + len;
            }
        }
    }
}

/// A label and its dot. What would be taken for the end of the label or the name is escaped.
fn show_label(cx: &mut Context<'_>, label: &[u8]) {
    for byte in label {
        match byte {
            b'.' => cx.text("\\."),
            b' ' => cx.text("\\032"),
            byte => cx.escaped(&[*byte]),
        }
    }
    cx.text(".");
}

fn show_class(cx: &mut Context<'_>, class: u16) {
    match class {
        1 => {}
        3 => cx.text(" CHAOS"),
        4 => cx.text(" HS"),
        255 => cx.text(" ANY"),
        _ => cx.field(" Class", class),
    }
}

fn show_type(cx: &mut Context<'_>, kind: u16) {
    cx.text(match kind {
        1 => "A",
        2 => "NS",
        5 => "CNAME",
        6 => "SOA",
        12 => "PTR",
        15 => "MX",
        16 => "TXT",
        28 => "AAAA",
        33 => "SRV",
        35 => "NAPTR",
        39 => "DNAME",
        41 => "OPT",
        43 => "DS",
        46 => "RRSIG",
        47 => "NSEC",
        48 => "DNSKEY",
        52 => "TLSA",
        64 => "SVCB",
        65 => "HTTPS",
        251 => "IXFR",
        252 => "AXFR",
        255 => "ANY",
        257 => "CAA",
        _ => return cx.field("Type", kind),
    });
}
