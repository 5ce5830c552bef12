//! What the corpus of ordinary packets doesn't have: tunnels, labels, and frames of odd kinds.

use super::{Flow, Frame, ethernet, tagged, transport};

/// Tunnels and labels with a packet inside, odd protocols, frames with an LLC header.
#[must_use]
pub fn frames() -> Vec<Frame> {
    let flow = Flow::new("192.0.2.1:40000", "192.0.2.200:443");
    let inner = flow.tcp(transport::SYN, b"inside");
    let mut geneve = vec![0, 0, 0x65, 0x58, 0, 0, 5, 0];
    geneve.extend(&inner);
    let mut with_option = vec![1, 0, 0x65, 0x58, 0, 0, 5, 0, 0, 0, 0, 0];
    with_option.extend(tagged(0x8100, 5, &inner));
    let label = |label: u32, last: bool| (label << 12 | u32::from(last) << 8 | 64).to_be_bytes();
    let one = [&label(100, true)[..], &inner[14..]].concat();
    let two = [&label(100, false)[..], &label(200, true), &inner[14..]].concat();
    let session = [&[0x11, 0, 0, 7, 0, 50, 0, 0x21][..], &inner[14..]].concat();
    let tunnel = |payload: &[u8]| Flow::new("192.0.2.1:40000", "192.0.2.200:6081").udp(payload);
    let tunnel6 =
        |payload: &[u8]| Flow::new("[2001:db8::1]:40000", "[2001:db8::2]:6081").udp(payload);
    let mut multicast = Flow::new("192.0.2.1:5353", "224.0.0.251:5353").udp(b"who");
    multicast[14 + 8] = 1;
    let mut frames: Vec<_> = [2, 50, 103, 112, 9]
        .map(|protocol| flow.around(protocol, &[0x21; 30]))
        .into();
    frames.extend(
        [0x8035, 0x80f3, 0x6004, 0x6001, 0x6002, 0xfefe].map(|kind| ethernet(kind, &[0x83; 46])),
    );
    frames.extend([
        multicast,
        Flow::new("[2001:db8::1]:5353", "[ff02::fb]:5353").udp(b"who"),
        Flow::new("192.0.2.1:5300", "192.0.2.1:5301").udp(&[]),
        ethernet(0x0010, &[0xf0, 0xf0, 3, 0, 0, 0, 0, 0]),
        ethernet(0x0010, &[0xfe, 0xfe, 3, 0x82, 0, 0, 0, 0]),
        ethernet(0x0010, &[0x42, 0x42, 1, 0, 0, 0, 0, 0]),
        tunnel(&geneve),
        tunnel(&with_option),
        tunnel6(&geneve),
        ethernet(0x8847, &one),
        ethernet(0x8847, &two),
        ethernet(0x8863, &[0x11, 9, 0, 0, 0, 0, 0, 0]),
        ethernet(0x8864, &session),
        ethernet(0x0026, &[0x42, 0x42, 3, 0, 0, 0, 0, 0]),
        ethernet(0x0026, &[0xfe, 0xfe, 3, 0x81, 0, 0, 0, 0]),
        ethernet(0x0026, &[0xaa, 0xaa, 3, 0, 0, 0, 8, 0]),
        ethernet(0x0026, &[0xe0, 0xe0, 0x10, 0x20, 0, 0, 8, 0]),
        ethernet(0x6003, &[0; 60]),
        ethernet(0x809b, &[0; 60]),
        ethernet(0x88cc, &[2; 60]),
        flow.tcp(transport::RST | transport::ACK, &[1; 1_400]),
        flow.udp(&[1; 900]),
        flow.tcp(transport::PSH | transport::ACK, b"GET / HTTP/1.1\r\n\r\n"),
    ]);
    frames
}
