//! A frame as a line of text.

use std::cell::RefCell;

use capture_user::packet::{Direction, Packet};
use capture_user::sink::text::{LinkType, Options, Printer};
use lab::frames::corpus;

use super::{about, number};
use crate::engine::Target;

pub(super) struct Line;

/// More than any packet's line takes: DNS makes the longest.
const MAX_LINE: usize = 65_536;

thread_local! {
    /// By verbosity and link. Kept: they remember connections.
    static PRINTERS: RefCell<Vec<Printer>> = RefCell::new(
        [(0, LinkType::Ethernet), (1, LinkType::BareIp), (2, LinkType::Ethernet)]
            .map(|(verbosity, link)| {
                Printer::new(Options {
                    names: false,
                    verbosity,
                    link,
                    ..Options::default()
                })
            })
            .into(),
    );
}

impl Target for Line {
    fn name(&self) -> &'static str {
        "line"
    }

    fn seeds(&self) -> Vec<Vec<u8>> {
        corpus::everything()
    }

    fn run(&self, input: &[u8]) -> Result<u64, String> {
        let mut shapes = Vec::new();
        PRINTERS.with_borrow_mut(|printers| {
            for printer in printers {
                let packet = Packet {
                    time: 1_700_000_000_000_000_000,
                    interface: 0,
                    direction: Direction::In,
                    reception: None,
                    original_len: input.len() as u32 + u32::from(!input.is_empty()),
                    frame: input,
                    lost_before: 0,
                    gso: None,
                };
                let mut out = Vec::new();
                printer.line(&packet, "eth0", &mut out);
                let text = out
                    .strip_suffix(b"\n")
                    .ok_or_else(|| "the line has no end".to_owned())?;
                if !text.iter().all(|byte| matches!(byte, b' '..=b'~')) {
                    return Err(format!("{:?}", String::from_utf8_lossy(text)));
                }
                if text.len() > MAX_LINE {
                    return Err(format!("a line of {} bytes", text.len()));
                }
                // Its words, numbers left out: what kind of line it is.
                let kind: Vec<u8> = text
                    .iter()
                    .copied()
                    .filter(u8::is_ascii_alphabetic)
                    .take(16)
                    .collect();
                shapes.push((about(text.len() as u64), kind));
            }
            Ok(())
        })?;
        Ok(number(shapes))
    }
}
