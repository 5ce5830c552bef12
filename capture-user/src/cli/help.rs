//! What clap makes of the command line's definition: completions and the manual page.

use clap::CommandFactory as _;

use super::Cli;
use super::stdout::print;
use crate::error::Result;

/// Prints a completion script.
///
/// # Errors
///
/// When standard output can't be written.
pub fn completions(shell: clap_complete::Shell) -> Result<()> {
    // Made in memory: clap_complete panics when it can't write.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "nodecap", &mut script);
    print(|out| out.write_all(&script))
}

/// Prints the manual page, with a section for each command.
///
/// # Errors
///
/// When standard output can't be written.
pub fn manual() -> Result<()> {
    let command = Cli::command();
    print(|out| {
        clap_mangen::Man::new(command.clone()).render(out)?;
        for subcommand in command.get_subcommands().filter(|it| !it.is_hide_set()) {
            clap_mangen::Man::new(subcommand.clone()).render(out)?;
        }
        Ok(())
    })
}
