//! The section header block (draft, section 4.1): what captured, where, and with what.

use pcap_file::{
    Endianness,
    pcapng::blocks::{
        opt_common::CommonOption,
        section_header::{SectionHeaderBlock, SectionHeaderOption},
    },
};

use super::option::fitting;

/// This program with its version, as `shb_userappl` names it.
pub const APPLICATION: &str = concat!("nodecap ", env!("CARGO_PKG_VERSION"));

/// What the section header says of the capture. A text longer than an option can hold, 65,535
/// bytes, is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Section<'a> {
    /// `shb_hardware`: the machine.
    pub hardware: Option<&'a str>,
    /// `shb_os`: the kernel's name and release.
    pub os: Option<&'a str>,
    /// `shb_userappl`: the program with its version.
    pub application: &'a str,
    /// `opt_comment`: the capture's id, the host's name, the clock's error.
    pub comment: Option<&'a str>,
}

impl Default for Section<'_> {
    fn default() -> Self {
        Self {
            hardware: None,
            os: None,
            application: APPLICATION,
            comment: None,
        }
    }
}

impl<'a> Section<'a> {
    /// The block as `pcap-file` knows it.
    pub(super) fn block(&self) -> SectionHeaderBlock<'a> {
        let text = |text: &'a str| fitting(text, 0).into();
        let options = [
            self.comment
                .map(|it| SectionHeaderOption::Common(CommonOption::Comment(text(it)))),
            self.hardware
                .map(|it| SectionHeaderOption::Hardware(text(it))),
            self.os.map(|it| SectionHeaderOption::OS(text(it))),
            Some(SectionHeaderOption::UserApplication(text(self.application))),
        ];
        SectionHeaderBlock {
            endianness: Endianness::Little,
            major_version: 1,
            minor_version: 0,
            // Unspecified: it isn't known yet, and a pipe can't be gone back in.
            section_length: -1,
            options: options.into_iter().flatten().collect(),
        }
    }
}
