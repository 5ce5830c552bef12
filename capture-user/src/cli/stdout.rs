//! Standard output of the commands that print once and end.

use std::io::{self, BufWriter, Write};

use crate::error::{Error, Result};

/// Writes to standard output. A reader that has gone away isn't an error: it has read enough.
pub(super) fn print(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    match write(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            // What is left in the buffer would be tried again when it is dropped.
            drop(out.into_parts());
            Ok(())
        }
        Err(error) => Err(Error::failure(format!(
            "can't write to standard output: {error}; send it elsewhere"
        ))),
        Ok(()) => Ok(()),
    }
}

/// Writes a value as JSON that people can read too, and a newline.
pub(super) fn write_json(out: &mut dyn Write, value: &impl serde::Serialize) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    writeln!(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_has_gone_is_no_error_and_a_full_disk_is_one() {
        assert!(print(|_| Err(io::ErrorKind::BrokenPipe.into())).is_ok());
        let full = print(|_| Err(io::ErrorKind::StorageFull.into()));
        assert!(matches!(full, Err(Error::Failure(_))));
    }
}
