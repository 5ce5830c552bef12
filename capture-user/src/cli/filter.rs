//! `nodecap filter`: what a filter becomes, and which packets of a file it matches.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::matching::Matching;
use super::stdout::print;
use crate::error::{Error, Result};
use crate::filter::Filter;
use crate::filter::ebpf::INSTRUCTION_LEN;
use crate::filter::expression::translate::{Hook, translate};
use crate::filter::trial::{Answer, Trial};
use crate::kernel::libpcap;
use crate::packet::Direction;
use crate::source::file::{Ending, Reader};
use crate::target::links::Framing;

/// The options of `nodecap filter`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    matching: Matching,

    /// Say which packets of a pcapng or pcap file match, by the kernel's own programs. Takes the
    /// privileges of a capture
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    test: Option<PathBuf>,

    /// For packets without a link header, as of tun and WireGuard devices
    #[arg(long, help_heading = "Output")]
    bare: bool,
}

/// Runs `nodecap filter`.
///
/// # Errors
///
/// When the filter can't be used, the file can't be read, or the kernel refuses the programs.
pub fn run(args: &Args) -> Result<()> {
    let filter = args.matching.resolve()?;
    match &args.test {
        None => show(&filter, args.bare),
        Some(file) => test(&filter, file),
    }
}

fn show(filter: &Filter, bare: bool) -> Result<()> {
    if filter.is_empty() {
        return Err(Error::usage(
            "no option and no expression: every packet matches; name some, such as `tcp port 443`",
        ));
    }
    let (framing, start) = if bare {
        (Framing::Bare, "an IP header")
    } else {
        (Framing::Ethernet, "an Ethernet header")
    };
    let Some(expression) = &filter.expression else {
        let text = filter.describe();
        return print(|out| {
            writeln!(out, "{text}")?;
            writeln!(
                out,
                "The options are looked up in tables: there is no code."
            )
        });
    };
    let program = expression
        .program(framing)
        .map_err(|error| Error::usage(error.to_string()))?;
    let code = translate(program, Hook::Tc).map_err(|error| Error::usage(error.to_string()))?;
    let text = filter.describe();
    let (classic, flow) = (
        program.instructions(),
        if expression.asks_only_for_the_flow() {
            "the connections of packets that match are followed beyond a translation"
        } else {
            "only packets that match are followed beyond a translation, not their connections"
        },
    );
    print(|out| {
        writeln!(out, "{text}")?;
        writeln!(out, "{flow}")?;
        writeln!(
            out,
            "\nclassic BPF for packets that start with {start}, by {}: {} instructions",
            libpcap::version(),
            classic.len()
        )?;
        for (number, instruction) in classic.iter().enumerate() {
            writeln!(out, "{}", libpcap::image(instruction, number))?;
        }
        writeln!(
            out,
            "\neBPF for TC: {} instructions, {} bytes",
            code.len(),
            code.len() * INSTRUCTION_LEN
        )?;
        for (number, instruction) in code.iter().enumerate() {
            writeln!(out, "{number:4}: {instruction}")?;
        }
        Ok(())
    })
}

/// What came of a file's packets.
#[derive(Default)]
struct Tally {
    packets: u64,
    matching: Vec<u64>,
    tagged: u64,
    refused: Vec<u64>,
    /// Those whose way the file doesn't say, and which match one way only.
    undirected: Vec<u64>,
    cut: u64,
}

fn test(filter: &Filter, file: &Path) -> Result<()> {
    let mut reader = Reader::open(file)?;
    let mut trial = Trial::load(filter)?;
    let size = trial.size()?;
    let mut tally = Tally::default();
    // Only then the way matters, and twice as many questions are asked of a file that doesn't say it.
    let ways = (filter.expression.as_ref()).is_some_and(|it| {
        ["inbound", "outbound"]
            .iter()
            .any(|way| it.text().contains(way))
    });
    while let Some(packet) = reader.next() {
        tally.packets += 1;
        if packet.original_len as usize > packet.frame.len() {
            tally.cut += 1;
        }
        let mut ask = |direction| trial.ask(packet.link, direction, packet.frame);
        let answer = ask(packet.direction.unwrap_or(Direction::In))?;
        if packet.direction.is_none() && ways && ask(Direction::Out)? != answer {
            tally.undirected.push(tally.packets);
            continue;
        }
        if matches!(answer, Answer::Tagged(_)) {
            tally.tagged += 1;
        }
        match answer {
            Answer::Kernel(true) | Answer::Tagged(true) => tally.matching.push(tally.packets),
            Answer::Refused => tally.refused.push(tally.packets),
            _ => {}
        }
    }
    let ending = reader.ending().cloned();
    print(|out| {
        writeln!(out, "{}", filter.describe())?;
        writeln!(
            out,
            "the program with it: {} instructions verified, {} bytes, {} bytes of machine code",
            size.verified, size.translated, size.machine_code
        )?;
        tally.write(out)
    })?;
    match ending {
        None | Some(Ending::Whole) => Ok(()),
        Some(Ending::Cut { at }) => Err(Error::failure(format!(
            "{} is cut off at byte {at}: the packets before it were tried",
            file.display()
        ))),
        Some(Ending::Damaged { at, why }) => Err(Error::failure(format!(
            "{} is damaged at byte {at} ({why}): the packets before it were tried",
            file.display()
        ))),
        Some(Ending::Unreadable { at, why }) => Err(Error::failure(format!(
            "can't read {} beyond byte {at}: {why}",
            file.display()
        ))),
    }
}

impl Tally {
    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(
            out,
            "{} of {} packets match{}{}",
            self.matching.len(),
            self.packets,
            if self.matching.is_empty() { "" } else { ": " },
            ranges(&self.matching)
        )?;
        if self.tagged > 0 {
            writeln!(
                out,
                "of {} with a VLAN tag the expression was asked outside the kernel, as it is of a \
                 tag that the kernel took out of the frame: a test run has no such",
                self.tagged
            )?;
        }
        if !self.undirected.is_empty() {
            writeln!(
                out,
                "{} not decided, since the file doesn't say which way they went: {}",
                self.undirected.len(),
                ranges(&self.undirected)
            )?;
        }
        if !self.refused.is_empty() {
            writeln!(
                out,
                "{} not tried, since the kernel takes no packet of their length for a test run: {}",
                self.refused.len(),
                ranges(&self.refused)
            )?;
        }
        if self.cut > 0 {
            writeln!(
                out,
                "{} were cut when they were captured: what was cut off isn't there, and their \
                 length is what is left",
                self.cut
            )?;
        }
        Ok(())
    }
}

/// Ascending numbers, with those that follow each other written as one.
fn ranges(numbers: &[u64]) -> String {
    let mut text = String::new();
    let mut numbers = numbers.iter().copied().peekable();
    while let Some(first) = numbers.next() {
        let mut last = first;
        while let Some(next) = numbers.next_if_eq(&(last + 1)) {
            last = next;
        }
        if !text.is_empty() {
            text.push_str(", ");
        }
        text.push_str(&first.to_string());
        if last > first {
            text.push(if last == first + 1 { ',' } else { '-' });
            if last == first + 1 {
                text.push(' ');
            }
            text.push_str(&last.to_string());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_a_row_are_written_as_a_range() {
        assert_eq!(ranges(&[]), "");
        assert_eq!(ranges(&[3]), "3");
        assert_eq!(ranges(&[1, 2, 4, 5, 6, 9]), "1, 2, 4-6, 9");
    }
}
