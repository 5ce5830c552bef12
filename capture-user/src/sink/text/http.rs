//! The first line of an HTTP/1 message.

use super::context::Context;
use super::view::View;

/// The ports on which it is looked for, those of tcpdump.
pub(super) const PORTS: [u16; 3] = [80, 8080, 3128];

/// The most that is shown of it.
const MAX_LINE: usize = 200;

const STARTS: [&[u8]; 10] = [
    b"GET ",
    b"HEAD ",
    b"POST ",
    b"PUT ",
    b"PATCH ",
    b"DELETE ",
    b"OPTIONS ",
    b"CONNECT ",
    b"TRACE ",
    b"HTTP/",
];

/// Appends `: HTTP: GET / HTTP/1.1`, or `: HTTP` for what continues a message.
pub(super) fn first_line(cx: &mut Context<'_>, payload: View<'_>) {
    cx.text(": HTTP");
    let bytes = payload.bytes();
    if !STARTS.iter().any(|start| bytes.starts_with(start)) {
        return;
    }
    let end = bytes
        .iter()
        .take(MAX_LINE)
        .position(|byte| matches!(byte, b'\r' | b'\n'))
        .unwrap_or_else(|| bytes.len().min(MAX_LINE));
    cx.text(": ");
    cx.escaped(bytes.get(..end).unwrap_or_default());
}
