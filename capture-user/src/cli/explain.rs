//! `nodecap explain`.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::destination::{are_one, is_standard_output};
use super::stdout::print;
use crate::error::{Error, Result};
use crate::explain::report::{self, Style};
use crate::explain::{Bounds, analyse};
use crate::sink::output::{Descriptor, Opened, Output, OutputError};
use crate::source::file::{Ending, Reader};

/// Flows in the table, and resets and translations each, unless more are asked for.
const SHOWN: usize = 20;
/// The most of each that `-v` shows: what a person may still look through, and memory holds.
const SHOWN_MAX: usize = 100_000;

/// What `nodecap explain` was given.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// A pcapng or pcap file, of nodecap or any other program
    file: PathBuf,

    /// Write one JSON object a line for each flow, reset and translation; - is standard output,
    /// in place of the report
    #[arg(long, value_name = "FILE")]
    flows: Option<PathBuf>,

    /// Flows are those of the packets within VXLAN, GENEVE, GRE and IP-in-IP tunnels
    #[arg(long)]
    inner: bool,

    /// The closing counts only
    #[arg(short, long, conflicts_with = "verbose")]
    quiet: bool,

    /// All flows, resets and translations, not the first few of each
    #[arg(short, long)]
    verbose: bool,

    /// Numbers instead of the names that the file has for addresses
    #[arg(short, long)]
    numeric: bool,

    /// Flows remembered at a time
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = flows_at_a_time)]
    max_flows: usize,
}

fn flows_at_a_time(text: &str) -> std::result::Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("without a flow nothing can be explained: 1 or more".to_owned()),
        Ok(flows) => Ok(flows),
        Err(_) => Err(format!("`{text}` is not a number of flows")),
    }
}

/// Runs `nodecap explain`.
///
/// # Errors
///
/// [`Error::Failure`] if the file can't be read or isn't a capture, also when that shows half-way:
/// then after all that was found before. And when an output can't be written.
pub fn run(args: &Args) -> Result<()> {
    let mut reader = Reader::open(&args.file)?;
    if let Some(flows) = &args.flows
        && are_one(&args.file, flows)
    {
        return Err(Error::usage(format!(
            "--flows {} would overwrite the capture: name another file",
            flows.display()
        )));
    }
    let shown = args.file.display().to_string();
    let mut lines = args.flows.as_deref().map(Lines::open).transpose()?;
    let instead_of_report = args
        .flows
        .as_ref()
        .is_some_and(|path| is_standard_output(path));
    let most = if args.verbose { SHOWN_MAX } else { SHOWN };
    let bounds = Bounds {
        inner: args.inner,
        max_flows: args.max_flows,
        flows: most,
        events: most,
        names: !args.numeric,
    };
    let wanted = lines.is_some();
    let findings = analyse(&mut reader, bounds, wanted, |line| match &mut lines {
        Some(lines) => lines.append(line),
        None => Ok(()),
    });
    let findings = match findings {
        Ok(findings) => findings,
        // Whoever read the lines has read enough.
        Err(error) if error.is_closed() => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    if let Some(lines) = lines {
        match lines.finish() {
            Err(error) if !error.is_closed() => return Err(error.into()),
            _ => {}
        }
    }
    let complaints = report::complaints(&shown, &reader);
    if !instead_of_report {
        print(|out| {
            report::file(out, &shown, &reader, &findings)?;
            let style = Style {
                details: !args.quiet,
            };
            report::findings(out, &findings, style)
        })?;
    }
    let (last, others) = match (reader.ending(), complaints.split_last()) {
        (Some(Ending::Damaged { .. } | Ending::Unreadable { .. }), Some((last, others))) => {
            (Some(last), others)
        }
        _ => (None, &complaints[..]),
    };
    for complaint in others {
        // Nobody is left to tell where standard error is closed.
        let _ = writeln!(std::io::stderr(), "nodecap: {complaint}");
    }
    match last {
        Some(failure) => Err(Error::failure(failure.clone())),
        None => Ok(()),
    }
}

/// The flows file.
struct Lines(Output<Descriptor>);

impl Lines {
    fn open(path: &Path) -> Result<Self, OutputError> {
        let (descriptor, started) = Opened::open(path)?.start()?;
        let output = Output::new(started.name(), descriptor, whole_lines);
        started.keep();
        Ok(Self(output))
    }

    fn append(&mut self, line: &str) -> Result<(), OutputError> {
        self.0.append(|out| {
            out.extend_from_slice(line.as_bytes());
            out.push(b'\n');
        })
    }

    fn finish(mut self) -> Result<(), OutputError> {
        self.0.flush()
    }
}

/// Up to the last newline.
fn whole_lines(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |last| last + 1)
}
