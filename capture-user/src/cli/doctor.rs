//! `nodecap doctor`: what this kernel and these privileges allow.

use std::io::{self, Write};

use super::stdout::{print, write_json};
use crate::{
    error::{Error, Result},
    kernel::abilities::{Ability, probe, suffice},
};

/// The options of `nodecap doctor`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Print a JSON array with one object an ability
    ///
    /// Its fields: name, available, required (no capture without it), why (what was found out),
    /// remedy (null if it is available), effect (what is lost without it).
    #[arg(long)]
    pub json: bool,
}

/// Runs `nodecap doctor`.
///
/// # Errors
///
/// After it has told all: [`Error::Failure`] if no capture is possible. Also when standard output
/// can't be written.
pub fn run(args: &Args) -> Result<()> {
    let abilities = probe();
    if args.json {
        print(|out| write_json(out, &abilities))?;
    } else {
        print(|out| write_lines(out, &abilities))?;
    }
    if suffice(&abilities) {
        return Ok(());
    }
    let missing: Vec<_> = abilities
        .iter()
        .filter(|ability| ability.required && !ability.available)
        .map(|ability| ability.name)
        .collect();
    Err(Error::failure(format!(
        "no capture is possible here without {}: the lines above say what helps",
        missing.join(", ")
    )))
}

fn write_lines(out: &mut dyn Write, abilities: &[Ability]) -> io::Result<()> {
    let width = abilities
        .iter()
        .map(|ability| ability.name.len())
        .max()
        .unwrap_or(0);
    for ability in abilities {
        let Ability {
            name, why, effect, ..
        } = ability;
        match &ability.remedy {
            None => writeln!(out, "yes  {name:<width$}  {why}")?,
            Some(remedy) => writeln!(
                out,
                "no   {name:<width$}  {why}; without it: {effect}; remedy: {remedy}"
            )?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_ability_is_one_line_with_the_remedy_for_what_is_missing() {
        let there = Ability {
            name: "bpf",
            available: true,
            required: true,
            why: "a map was created".into(),
            remedy: None,
            effect: "no capture",
        };
        let missing = Ability {
            name: "ring-buffer",
            available: false,
            why: "this kernel doesn't know it".into(),
            remedy: Some("use Linux 5.8 or newer".into()),
            ..there.clone()
        };
        let mut out = Vec::new();
        write_lines(&mut out, &[there, missing]).expect("a Vec takes all");
        assert_eq!(
            String::from_utf8(out).expect("text"),
            "yes  bpf          a map was created\n\
             no   ring-buffer  this kernel doesn't know it; without it: no capture; \
             remedy: use Linux 5.8 or newer\n"
        );
    }
}
