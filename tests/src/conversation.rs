//! TCP connections made by hand, as many as wanted: each with a number, told apart by its client's port.

use crate::frames::transport::{ACK, PSH, RST, SYN, TCP, segment};
use crate::frames::{Flow, Frame};

/// The client's and the server's side of connection `number`.
#[must_use]
pub fn sides(number: u16) -> [Flow; 2] {
    let flow = Flow::new(&format!("192.0.2.1:{}", 20_000 + number), "192.0.2.2:443");
    [flow, flow.back()]
}

/// The beginning of a connection, and so many questions of ten bytes with their answers.
#[must_use]
pub fn conversation(number: u16, exchanges: u32) -> Vec<Frame> {
    let [client, server] = sides(number);
    let frame = |flow: Flow, flags, sequence, acknowledgement, payload: &[u8]| {
        flow.around(
            TCP,
            &segment(flow, flags, sequence, acknowledgement, payload),
        )
    };
    let mut frames = vec![
        frame(client, SYN, 1_000, 0, b""),
        frame(server, SYN | ACK, 5_000, 1_001, b""),
    ];
    for at in (0..exchanges).map(|exchange| exchange * 10) {
        frames.push(frame(
            client,
            ACK | PSH,
            1_001 + at,
            5_001 + at,
            b"0123456789",
        ));
        frames.push(frame(
            server,
            ACK | PSH,
            5_001 + at,
            1_011 + at,
            b"0123456789",
        ));
    }
    frames
}

/// The reset that ends a conversation of so many exchanges.
#[must_use]
pub fn reset(number: u16, exchanges: u32) -> Frame {
    let [client, _] = sides(number);
    let numbers = (1_001 + exchanges * 10, 5_001 + exchanges * 10);
    client.around(TCP, &segment(client, RST | ACK, numbers.0, numbers.1, b""))
}

/// Frames of several lists in turn: one of each, as long as there are any.
#[must_use]
pub fn interleaved(lists: &[Vec<Frame>]) -> Vec<Frame> {
    let longest = lists.iter().map(Vec::len).max().unwrap_or(0);
    let turns = (0..longest).flat_map(|at| lists.iter().filter_map(move |list| list.get(at)));
    turns.cloned().collect()
}
