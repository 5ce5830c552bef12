//! A filter tried out on saved packets, by the programs that a capture would run.

use std::borrow::Cow;

use super::Filter;
use super::expression::Expression;
use super::expression::interpret::{Metadata, interpret};
use crate::kernel::error::KernelError;
use crate::kernel::log::LogLevel;
use crate::kernel::{Kernel, Setup};
use crate::packet::Direction;
use crate::session::frame::Link;
use crate::target::links::Framing;

/// The interface that `BPF_PROG_TEST_RUN` says its packets come from: loopback.
const TEST_RUN_INTERFACE: u32 = 1;

/// How a packet fared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Whether it matches, by the kernel.
    Kernel(bool),
    /// Whether it matches, where the expression was asked outside the kernel: the kernel takes a
    /// tag out of a frame before any filter sees it, and no test run can say that it did.
    Tagged(bool),
    /// The kernel takes no such packet for a test run: it is longer than a page, or shorter than
    /// its headers.
    Refused,
}

/// The programs, loaded.
pub struct Trial {
    whole: Loaded,
    /// The options alone, for frames with a tag.
    options: Option<Loaded>,
    expression: Option<Expression>,
}

struct Loaded {
    kernel: Kernel,
    matched: u64,
}

impl Trial {
    /// Loads the programs.
    ///
    /// # Errors
    ///
    /// [`KernelError`], when a privilege or an ability is missing.
    pub fn load(filter: &Filter) -> Result<Self, KernelError> {
        let options = match &filter.expression {
            Some(_) => Some(Loaded::new(&Filter {
                expression: None,
                ..filter.clone()
            })?),
            None => None,
        };
        Ok(Self {
            whole: Loaded::new(filter)?,
            options,
            expression: filter.expression.clone(),
        })
    }

    /// The program for packets that come in: what became of it in the kernel.
    ///
    /// # Errors
    ///
    /// [`KernelError`], when it can't be loaded or the kernel doesn't tell.
    pub fn size(&mut self) -> Result<crate::kernel::test_run::Size, KernelError> {
        self.whole
            .kernel
            .program_size(Direction::In, Framing::Ethernet)
    }

    /// Tries a packet, as it would come in unless it is known to leave.
    ///
    /// # Errors
    ///
    /// [`KernelError`], when the programs can't be loaded.
    pub fn ask(
        &mut self,
        link: Link,
        direction: Direction,
        packet: &[u8],
    ) -> Result<Answer, KernelError> {
        // A test run wants an Ethernet header.
        let frame: Cow<'_, [u8]> = match link {
            Link::Ethernet => Cow::Borrowed(packet),
            Link::Bare => {
                let ethertype: u16 = match packet.first().map(|byte| byte >> 4) {
                    Some(6) => 0x86dd,
                    _ => 0x0800,
                };
                let mut frame = vec![0; 12];
                frame.extend(ethertype.to_be_bytes());
                frame.extend_from_slice(packet);
                Cow::Owned(frame)
            }
        };
        if let (Some(expression), Some(options)) = (&self.expression, &mut self.options)
            && let Some((untagged, metadata)) = without_tag(&frame, direction)
        {
            let matches = expression
                .program(Framing::Ethernet)
                .is_ok_and(|program| interpret(program, &untagged, &metadata) != 0);
            return Ok(match options.run(direction, &frame)? {
                Some(options) => Answer::Tagged(matches && options),
                None => Answer::Refused,
            });
        }
        Ok(match self.whole.run(direction, &frame)? {
            Some(matches) => Answer::Kernel(matches),
            None => Answer::Refused,
        })
    }
}

impl Loaded {
    fn new(filter: &Filter) -> Result<Self, KernelError> {
        let mut kernel = Kernel::load(&Setup {
            tables: filter.tables(),
            snaplen: 1,
            // What matches is recorded, and it doesn't matter when that finds no room.
            ring_bytes: 1 << 16,
            log: LogLevel::Off,
            identity: false,
            follow: false,
            events: false,
        })?;
        kernel.count_from_zero(TEST_RUN_INTERFACE)?;
        Ok(Self { kernel, matched: 0 })
    }

    /// Whether the packet matched; nothing, if the kernel doesn't take it for a test run.
    fn run(&mut self, direction: Direction, frame: &[u8]) -> Result<Option<bool>, KernelError> {
        // So that what fails below is the packet's own fault.
        self.kernel.program_id(direction, Framing::Ethernet)?;
        let run = self.kernel.test_run(direction, Framing::Ethernet, frame, 1);
        if run.is_err() {
            return Ok(None);
        }
        let matched = self.kernel.counters(TEST_RUN_INTERFACE)?.matched;
        let before = std::mem::replace(&mut self.matched, matched);
        Ok(Some(matched != before))
    }
}

/// The frame as the kernel shows it to filters, if it takes a tag out of it first
/// (`skb_vlan_untag`).
fn without_tag(frame: &[u8], direction: Direction) -> Option<(Vec<u8>, Metadata)> {
    let protocol = u16::from_be_bytes([*frame.get(12)?, *frame.get(13)?]);
    // One that leaves was sent with its tag in the frame, as far as a file tells.
    if !matches!(protocol, 0x8100 | 0x88a8) || direction == Direction::Out {
        return None;
    }
    let tci = u16::from_be_bytes([*frame.get(14)?, *frame.get(15)?]);
    let within = u16::from_be_bytes([*frame.get(16)?, *frame.get(17)?]);
    let mut untagged = frame[..12].to_vec();
    untagged.extend_from_slice(&frame[16..]);
    let metadata = Metadata {
        protocol: within,
        interface: TEST_RUN_INTERFACE,
        tag: Some((protocol, tci)),
        ..Metadata::default()
    };
    Some((untagged, metadata))
}
