//! The address options' lists, from what was typed and from the files that it names.

use std::path::Path;

use ipnet::IpNet;

use super::Barred;
use super::addresses::{self, Entry};
use super::tree::MAX_NETWORKS;

/// The lists as they were typed, so that their files can be read again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lists {
    /// `--host`
    pub hosts: Vec<String>,
    /// `--src`
    pub sources: Vec<String>,
    /// `--dst`
    pub destinations: Vec<String>,
}

/// What they hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Wanted by `--host`.
    pub hosts: Vec<IpNet>,
    /// Wanted by `--src`.
    pub sources: Vec<IpNet>,
    /// Wanted by `--dst`.
    pub destinations: Vec<IpNet>,
    /// What is barred.
    pub barred: Barred,
}

impl Lists {
    /// Whether any of it is in a file.
    #[must_use]
    pub fn has_files(&self) -> bool {
        self.files().next().is_some()
    }

    /// The files that they name.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        let lists = [&self.hosts, &self.sources, &self.destinations];
        lists
            .into_iter()
            .flatten()
            .flat_map(|list| list.split(','))
            .filter_map(|part| part.trim().strip_prefix('@'))
    }

    /// Reads the lists, and the files that they name.
    ///
    /// # Errors
    ///
    /// What is wrong, by option, file and line.
    pub fn read(&self) -> Result<Held, String> {
        let hosts = addresses("--host", &self.hosts)?;
        let sources = addresses("--src", &self.sources)?;
        let destinations = addresses("--dst", &self.destinations)?;
        let count = hosts.len() + sources.len() + destinations.len();
        if count > MAX_NETWORKS {
            return Err(format!(
                "the address lists hold {count} networks, and {MAX_NETWORKS} are the most: write \
                 neighbours as one CIDR or range"
            ));
        }
        Ok(Held {
            hosts: hosts.wanted,
            sources: sources.wanted,
            destinations: destinations.wanted,
            barred: Barred {
                hosts: hosts.barred,
                sources: sources.barred,
                destinations: destinations.barred,
            },
        })
    }
}

/// An address option's list.
#[derive(Debug, Default, PartialEq, Eq)]
struct Addresses {
    /// What is wanted.
    wanted: Vec<IpNet>,
    /// What is barred.
    barred: Vec<IpNet>,
}

impl Addresses {
    fn add(&mut self, entry: &str) -> Result<(), String> {
        let Entry { nets, barred } = addresses::entry(entry)?;
        let list = if barred {
            &mut self.barred
        } else {
            &mut self.wanted
        };
        list.extend(nets);
        Ok(())
    }

    fn len(&self) -> usize {
        self.wanted.len() + self.barred.len()
    }
}

/// Reads address lists: CIDRs and ranges, separated by commas, and `@FILE`s with one a line.
fn addresses(option: &str, typed: &[String]) -> Result<Addresses, String> {
    let mut list = Addresses::default();
    for part in typed.iter().flat_map(|list| list.split(',')) {
        match part.trim().strip_prefix('@') {
            Some(file) => addresses_in(option, Path::new(file), &mut list)?,
            None => list
                .add(part.trim())
                .map_err(|error| format!("{option}: {error}"))?,
        }
    }
    Ok(list)
}

/// Reads a file of CIDRs and ranges, one a line; empty lines and what follows a `#` don't count.
fn addresses_in(option: &str, file: &Path, list: &mut Addresses) -> Result<(), String> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| format!("{option}: can't read {}: {error}", file.display()))?;
    let before = list.len();
    for (number, line) in (1..).zip(text.lines()) {
        let entry = line.split('#').next().unwrap_or_default().trim();
        if !entry.is_empty() {
            list.add(entry)
                .map_err(|error| format!("{option}: {}, line {number}: {error}", file.display()))?;
        }
    }
    if list.len() == before {
        // Taken as no filter at all it would capture everything.
        return Err(format!("{option}: {} holds no address", file.display()));
    }
    Ok(())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by it")]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn address_lists_mix_cidrs_and_files() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "# ours\n198.51.100.0/24  # lab\n\n2001:db8::/32").unwrap();
        let list = format!("192.0.2.1,@{}", file.path().display());
        let expected: Vec<IpNet> = ["192.0.2.1/32", "198.51.100.0/24", "2001:db8::/32"]
            .map(|net| net.parse().unwrap())
            .into();
        let list = addresses("--host", &[list]).unwrap();
        assert_eq!((list.wanted, list.barred), (expected, Vec::new()));
    }

    #[test]
    fn a_list_may_hold_ranges_and_what_is_barred_and_the_same_twice() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(
            file,
            "!198.51.100.7\n192.0.2.0-192.0.2.3\r\n192.0.2.0/30 # again"
        )
        .unwrap();
        let list = format!("@{},!2001:db8::/32", file.path().display());
        let list = addresses("--dst", &[list]).unwrap();
        let nets = |nets: &[IpNet]| nets.iter().map(IpNet::to_string).collect::<Vec<_>>();
        assert_eq!(nets(&list.wanted), ["192.0.2.0/30", "192.0.2.0/30"]);
        assert_eq!(nets(&list.barred), ["198.51.100.7/32", "2001:db8::/32"]);
    }

    #[test]
    fn a_bad_line_is_named_by_file_and_number() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "192.0.2.1\n192.0.2.300").unwrap();
        let error = addresses("--src", &[format!("@{}", file.path().display())]).unwrap_err();
        assert!(
            error.contains("--src") && error.contains("line 2") && error.contains("192.0.2.300")
        );
    }

    #[test]
    fn an_empty_list_is_refused_rather_than_taken_as_everything() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = addresses("--dst", &[format!("@{}", file.path().display())]).unwrap_err();
        assert!(error.contains("holds no address"));
        assert!(addresses("--dst", &[String::new()]).is_err());
    }
}
