//! Ports: ranges as they are written, and one table for the three options.

use std::fmt;
use std::str::FromStr;

use capture_common::filter::PORT_TABLE_LEN;

/// One port or an inclusive range of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    first: u16,
    last: u16,
}

impl PortRange {
    /// Whether the port is in it, the ends included.
    #[must_use]
    pub const fn contains(&self, port: u16) -> bool {
        self.first <= port && port <= self.last
    }
}

impl FromStr for PortRange {
    type Err = String;

    /// Reads `443` or `8000-8999`.
    fn from_str(text: &str) -> Result<Self, String> {
        let port = |part: &str| {
            // No sign, no space: just digits.
            if !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()) {
                part.parse::<u16>()
                    .map_err(|_| format!("`{part}` is not a port: ports go from 0 to 65535"))
            } else {
                Err(format!(
                    "`{text}` is neither a port nor a range (such as 443 or 8000-8999)"
                ))
            }
        };
        match text.split_once('-') {
            None => {
                let first = port(text)?;
                Ok(Self { first, last: first })
            }
            Some((first, last)) => {
                let (first, last) = (port(first)?, port(last)?);
                if first > last {
                    return Err(format!(
                        "the range `{text}` runs backwards: write {last}-{first}"
                    ));
                }
                Ok(Self { first, last })
            }
        }
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

/// Option bits by port number.
#[derive(Clone, PartialEq, Eq)]
pub struct PortTable(Box<[u8; PORT_TABLE_LEN]>);

impl PortTable {
    /// The bits of the options whose list the port is on.
    #[must_use]
    pub fn bits(&self, port: u16) -> u8 {
        self.0[usize::from(port)]
    }

    /// The table as the kernel's map holds it.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; PORT_TABLE_LEN] {
        &self.0
    }
}

impl fmt::Debug for PortTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listed = self.0.iter().filter(|bits| **bits != 0).count();
        write!(f, "PortTable({listed} ports)")
    }
}

/// Builds the table from the lists, each with its bit.
#[must_use]
pub fn table(lists: &[(u8, &Vec<PortRange>)]) -> PortTable {
    let mut table = Box::new([0; PORT_TABLE_LEN]);
    for (bit, list) in lists {
        for range in *list {
            for entry in &mut table[usize::from(range.first)..=usize::from(range.last)] {
                *entry |= bit;
            }
        }
    }
    PortTable(table)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by it")]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        text.parse::<PortRange>().unwrap_err()
    }

    #[test]
    fn a_port_and_a_range_are_read_and_written_alike() {
        for text in ["0", "443", "65535", "1-65535", "8000-8999"] {
            assert_eq!(text.parse::<PortRange>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert!(error("70000").contains("ports go from 0 to 65535"));
        assert!(error("9-1").contains("runs backwards: write 1-9"));
        for bad in ["", "-", "80-", "-80", "http", "+80", "1-2-3", " 80", "80 "] {
            assert!(error(bad).contains("neither a port nor a range"), "{bad}");
        }
    }

    #[test]
    fn the_table_holds_each_list_by_its_bit_ends_included() {
        let (either, source) = (
            vec!["10-20".parse().unwrap()],
            vec!["20".parse().unwrap(), "65535".parse().unwrap()],
        );
        let table = table(&[(1, &either), (2, &source)]);
        let bits = [9, 10, 20, 21, 65535].map(|port| table.bits(port));
        assert_eq!(bits, [0, 1, 3, 0, 2]);
    }
}
