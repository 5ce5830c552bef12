//! What lines look like, against tcpdump and against any input.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod against_tcpdump;
mod any_input;
mod corpus;
mod frames;
mod lines;
mod state;

use jiff::tz::TimeZone;

use super::names::Names;
use super::{LinkType, Options, Printer};
use crate::packet::{Direction, Packet};

/// The interface that everything comes from here.
const INTERFACE: &str = "veth0";

/// A whole frame that came in on the first second of 1970.
fn whole(frame: &[u8]) -> Packet<'_> {
    Packet {
        time: 0,
        interface: 0,
        direction: Direction::In,
        reception: None,
        original_len: u32::try_from(frame.len()).unwrap(),
        frame,
        lost_before: 0,
        gso: None,
    }
}

fn options(verbosity: u8) -> Options {
    Options {
        names: false,
        verbosity,
        link: LinkType::Ethernet,
        zone: TimeZone::UTC,
    }
}

/// A printer with `-n` and as many `-v` as that.
fn printer(verbosity: u8) -> Printer {
    Printer::with_names(options(verbosity), Names::none())
}

/// What the printer says of the packet.
fn show(printer: &mut Printer, packet: &Packet<'_>) -> String {
    let mut out = Vec::new();
    printer.line(packet, INTERFACE, &mut out);
    String::from_utf8(out).unwrap()
}

/// What a printer that knows nothing yet says of a whole frame, without time, interface,
/// direction and newline.
fn brief(frame: &[u8], verbosity: u8) -> String {
    show(&mut printer(verbosity), &whole(frame))
        .strip_prefix("00:00:00.000000 veth0 In  ")
        .and_then(|line| line.strip_suffix('\n'))
        .unwrap()
        .to_owned()
}
