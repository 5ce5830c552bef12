//! `nodecap repair`.

use std::path::PathBuf;

use super::stdout::print;
use crate::error::Result;
use crate::repair::repair;

/// What `nodecap repair` was given.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Files that a kill or a loss of power cut off
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

/// Runs `nodecap repair`.
///
/// # Errors
///
/// That of the first file that can't be repaired; those before it are.
pub fn run(args: &Args) -> Result<()> {
    for path in &args.files {
        let repaired = repair(path)?;
        let shown = path.display();
        let packets = repaired.packets;
        let plural = if packets == 1 { "" } else { "s" };
        print(|out| {
            if repaired.changed() {
                writeln!(
                    out,
                    "{shown}: {packets} packet{plural}; {} bytes cut off, {} bytes of statistics added",
                    repaired.cut, repaired.added
                )
            } else {
                writeln!(
                    out,
                    "{shown}: {packets} packet{plural}; whole, nothing to do"
                )
            }
        })?;
    }
    Ok(())
}
