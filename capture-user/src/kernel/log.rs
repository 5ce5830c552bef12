//! The kernel side's own diagnostics. aya-log hands them to the `log` crate, from where the
//! subscriber that `main` sets up takes them on into `tracing`.
//!
//! They are compiled in but off, and then cost nothing: the level is a frozen global, so the
//! verifier drops every statement that it switches off.

use std::os::fd::{AsFd, BorrowedFd};

use aya::Ebpf;
use aya_log::EbpfLogger;

use super::error::KernelError;

/// How much the kernel side says: the values of `aya_log::Level`, and 0 for nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogLevel {
    /// Nothing, at no cost.
    #[default]
    Off,
    /// Each packet that could not be recorded.
    Debug,
}

impl LogLevel {
    /// What the kernel side's global is set to.
    pub(super) fn as_global(self) -> u8 {
        match self {
            Self::Off => 0,
            Self::Debug => aya_log::Level::Debug as u8,
        }
    }
}

/// The ring that the kernel side's messages wait in.
pub struct KernelLog(EbpfLogger<&'static dyn log::Log>);

impl KernelLog {
    /// Takes the message ring from the loaded object.
    pub(super) fn new(ebpf: &mut Ebpf) -> Result<Self, KernelError> {
        EbpfLogger::init(ebpf)
            .map(Self)
            .map_err(|error| KernelError::Map {
                map: "AYA_LOGS",
                source: Box::new(error),
            })
    }

    /// Hands on what has come since the last time.
    pub fn flush(&mut self) {
        self.0.flush();
    }
}

impl AsFd for KernelLog {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
