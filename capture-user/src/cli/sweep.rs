//! `nodecap sweep`: removes what killed captures left behind.

use std::io::{self, Write};

use super::stdout::print;
use crate::error::Result;
use crate::kernel::attach::sweep::{Swept, sweep};
use crate::target::name::printable;

/// The options of `nodecap sweep`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {}

/// Runs `nodecap sweep`.
///
/// # Errors
///
/// When something can't be removed, or standard output can't be written.
pub fn run(_args: &Args) -> Result<()> {
    let swept = sweep()?;
    print(|out| write_lines(out, &swept))
}

fn write_lines(out: &mut dyn Write, swept: &Swept) -> io::Result<()> {
    for found in &swept.removed {
        writeln!(out, "removed {}", printable(&found.to_string()))?;
    }
    for found in &swept.running {
        writeln!(
            out,
            "left {}, which is running",
            printable(&found.to_string())
        )?;
    }
    if swept.removed.is_empty() {
        writeln!(out, "nothing to remove")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::attach::sweep::Found;
    use crate::packet::Direction;

    #[test]
    fn each_thing_is_one_line_and_nothing_is_said_too() {
        let filter = Found::Filter {
            interface: "eth0".to_owned(),
            direction: Direction::Out,
            process: 4_711,
        };
        let qdisc = Found::Qdisc {
            interface: "eth0".to_owned(),
        };
        let said = |swept: &Swept| {
            let mut out = Vec::new();
            write_lines(&mut out, swept).expect("a Vec takes all");
            String::from_utf8(out).expect("text")
        };
        assert_eq!(
            said(&Swept {
                removed: vec![filter.clone(), qdisc],
                running: Vec::new()
            }),
            "removed eth0: egress filter of process 4711\nremoved eth0: clsact qdisc\n"
        );
        assert_eq!(
            said(&Swept {
                removed: Vec::new(),
                running: vec![filter]
            }),
            "left eth0: egress filter of process 4711, which is running\nnothing to remove\n"
        );
    }
}
