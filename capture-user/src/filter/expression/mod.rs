//! Filter expressions in pcap-filter(7)'s language, run in the kernel.
//!
//! libpcap compiles an expression to classic BPF, once for packets with an Ethernet header and once
//! for those without a link header; each is translated to eBPF and put into the kernel side's
//! programs before they are loaded ([`crate::kernel::expression`]).
//!
//! - [`classic`]: what libpcap makes, read and checked
//! - [`mod@translate`]: classic BPF to eBPF, [`super::ebpf`]
//! - [`mod@interpret`]: classic BPF run here, for what no kernel program can be asked
//! - [`reads`]: what a program looks at; `mistake`: where an expression isn't one

pub mod classic;
pub mod interpret;
mod mistake;
pub mod reads;
pub mod translate;

use std::net::IpAddr;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use classic::{Program, Refused};
use interpret::{Metadata, interpret};
use translate::{Hook, TooLong, translate};

use crate::flow::tuple::Tuple;
use crate::kernel::libpcap;
use crate::target::links::Framing;

/// The longest expression, in bytes.
const MAX_TEXT: usize = 1 << 20;
/// How long compiling may take. libpcap's optimiser takes 0.15 s for a hundred addresses, 5 s for
/// three hundred and 20 s for five hundred.
const TIME_LIMIT: Duration = Duration::from_secs(10);
/// The compiler's stack: it calls itself once for each of an expression's parts.
const STACK: usize = 256 << 20;

/// An expression, compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expression {
    text: String,
    ethernet: Program,
    bare: Result<Program, ExpressionError>,
}

/// Why an expression can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expression `{text}`: {why}")]
pub struct ExpressionError {
    text: String,
    why: Why,
}

/// What is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Why {
    #[error("it is longer than {MAX_TEXT} bytes")]
    Long,
    #[error("{0}")]
    Libpcap(String),
    #[error(
        "compiling it takes longer than {} s: give long lists to options such as --host and --port", TIME_LIMIT.as_secs()
    )]
    Slow,
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    TooLong(#[from] TooLong),
    #[error("can't start a thread to compile it: {0}")]
    Thread(String),
}

impl Expression {
    /// Compiles an expression. Names in it are resolved as tcpdump does.
    ///
    /// A compilation that takes too long is given up, but its thread goes on until the process
    /// ends: libpcap can't be stopped.
    ///
    /// # Errors
    ///
    /// What libpcap says is wrong with it, or why it can't run in the kernel.
    pub fn compile(text: &str) -> Result<Self, ExpressionError> {
        let program = |framing| {
            compile(text, framing).map_err(|why| ExpressionError {
                text: shortened(text),
                why,
            })
        };
        Ok(Self {
            text: text.to_owned(),
            ethernet: program(Framing::Ethernet)?,
            bare: program(Framing::Bare),
        })
    }

    /// As it was typed.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The program for packets that start so.
    ///
    /// # Errors
    ///
    /// The expression means nothing there, as `ether host` where there is no Ethernet header.
    pub fn program(&self, framing: Framing) -> Result<&Program, &ExpressionError> {
        match framing {
            Framing::Bare => self.bare.as_ref(),
            _ => Ok(&self.ethernet),
        }
    }

    /// Whether it reads nothing but protocols, addresses and ports, of both ends alike, so that one packet
    /// of a flow speaks for all.
    #[must_use]
    pub fn asks_only_for_the_flow(&self) -> bool {
        !self.tells_the_ends_apart()
            && reads::only_the_flow(&self.ethernet, Framing::Ethernet)
            && self
                .bare
                .as_ref()
                .is_ok_and(|program| reads::only_the_flow(program, Framing::Bare))
    }

    /// Whether it may be about one end of a packet and not the other: by its words, or by bytes.
    fn tells_the_ends_apart(&self) -> bool {
        let mut words = self.text.split(|c: char| !c.is_ascii_alphanumeric());
        self.text.contains('[') || words.any(|word| matches!(word, "src" | "dst"))
    }

    /// Whether packets of this flow match. One that asks for more than that takes no flow.
    #[must_use]
    pub fn takes(&self, tuple: &Tuple) -> bool {
        self.asks_only_for_the_flow()
            && self.bare.as_ref().is_ok_and(|program| {
                interpret(program, &thought_of(tuple), &Metadata::default()) != 0
            })
    }
}

/// Compiles in a thread of its own, so that the time and the stack that it takes can be bounded.
fn compile(text: &str, framing: Framing) -> Result<Program, Why> {
    if text.len() > MAX_TEXT {
        return Err(Why::Long);
    }
    let (tell, told) = channel();
    let owned = text.to_owned();
    thread::Builder::new()
        .name("libpcap".to_owned())
        .stack_size(STACK)
        .spawn(move || {
            // Nobody listens any more once it took too long.
            let compiled = libpcap::compile(&owned, framing);
            let _ = tell.send(compiled.map_err(|said| mistake::located(said, &owned, framing)));
        })
        .map_err(|error| Why::Thread(error.to_string()))?;
    let instructions = match told.recv_timeout(TIME_LIMIT) {
        Ok(result) => result.map_err(Why::Libpcap)?,
        Err(RecvTimeoutError::Timeout) => return Err(Why::Slow),
        Err(RecvTimeoutError::Disconnected) => {
            return Err(Why::Thread("it ended early".to_owned()));
        }
    };
    let program = Program::new(instructions)?;
    // What can't be translated is refused now, not when everything is about to start. TC's code is
    // the longest.
    translate(&program, Hook::Tc)?;
    Ok(program)
}

/// A packet of this flow: what an expression reads that asks only for the flow, and zeros.
fn thought_of(tuple: &Tuple) -> Vec<u8> {
    let (from, to) = (&tuple.source, &tuple.destination);
    let mut packet = vec![0; 64];
    let ports = match (from.address, to.address) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            packet[0] = 0x45;
            packet[9] = tuple.protocol;
            packet[12..16].copy_from_slice(&from.octets());
            packet[16..20].copy_from_slice(&to.octets());
            20
        }
        (from, to) => {
            let v6 = |address| match address {
                IpAddr::V4(address) => address.to_ipv6_mapped(),
                IpAddr::V6(address) => address,
            };
            packet[0] = 0x60;
            packet[6] = tuple.protocol;
            packet[8..24].copy_from_slice(&v6(from).octets());
            packet[24..40].copy_from_slice(&v6(to).octets());
            40
        }
    };
    packet[ports..ports + 2].copy_from_slice(&from.port.to_be_bytes());
    packet[ports + 2..ports + 4].copy_from_slice(&to.port.to_be_bytes());
    packet
}

/// The text, for a line of an error.
fn shortened(text: &str) -> String {
    const MOST: usize = 200;
    match text.char_indices().nth(MOST) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by it")]
mod tests;
