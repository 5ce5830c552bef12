//! What every decoder works with: the line it adds to, and what outlives the packet.

use std::fmt::{self, Write as _};
use std::net::IpAddr;

use super::connections::Connections;
use super::names::{Names, Service};

/// How many packets inside packets are shown: a tunnel in a tunnel, quoted by an ICMP error, and
/// one more. What lies deeper is only said to be there, which bounds line and stack.
const MAX_DEPTH: u8 = 5;

/// The line in the making and the printer's state.
pub(super) struct Context<'a> {
    pub(super) out: &'a mut Vec<u8>,
    pub(super) names: &'a Names,
    pub(super) connections: &'a mut Connections,
    pub(super) verbosity: u8,
    /// Packets around the one at hand.
    pub(super) depth: u8,
}

impl Context<'_> {
    /// Whether `-v` was given.
    pub(super) fn verbose(&self) -> bool {
        self.verbosity > 0
    }

    /// Appends text of our own.
    pub(super) fn text(&mut self, text: &'static str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    /// Appends formatted text. Nothing that came out of a packet as text may go this way: that is
    /// for [`Context::escaped`].
    pub(super) fn put(&mut self, text: fmt::Arguments<'_>) {
        // Appending to a vector can't fail.
        let _ = Appender(self.out).write_fmt(text);
    }

    /// Appends a number.
    pub(super) fn number(&mut self, number: u32) {
        let mut digits = [0; 10];
        let mut rest = number;
        let mut at = digits.len();
        for digit in digits.iter_mut().rev() {
            // Below ten.
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
            at -= 1;
            if rest == 0 {
                break;
            }
        }
        self.out
            .extend_from_slice(digits.get(at..).unwrap_or_default());
    }

    /// Appends `label`, then `number`.
    pub(super) fn field(&mut self, label: &'static str, number: impl Into<u32>) {
        self.text(label);
        self.number(number.into());
    }

    /// Appends text that somebody else chose: printable ASCII as it is, any other byte and the
    /// backslash as `\DDD`, its decimal value (RFC 4343, 2.1). A line stays one line, and no
    /// terminal obeys a packet.
    pub(super) fn escaped(&mut self, text: &[u8]) {
        for &byte in text {
            if matches!(byte, b' '..=b'~') && byte != b'\\' {
                self.out.push(byte);
            } else {
                self.put(format_args!("\\{byte:03}"));
            }
        }
    }

    /// Appends bytes in hexadecimal.
    pub(super) fn hex(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.put(format_args!("{byte:02x}"));
        }
    }

    /// Appends a link address.
    pub(super) fn mac(&mut self, [a, b, c, d, e, f]: [u8; 6]) {
        self.put(format_args!(
            "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}"
        ));
    }

    /// Appends an address, by name where it has one.
    pub(super) fn address(&mut self, address: IpAddr) {
        match self.names.address(address) {
            Some(name) => self.out.extend_from_slice(name.as_bytes()),
            None => self.put(format_args!("{address}")),
        }
    }

    /// Appends a port, by name where it has one.
    pub(super) fn port(&mut self, service: Service, port: u16) {
        match self.names.port(service, port) {
            Some(name) => self.out.extend_from_slice(name.as_bytes()),
            None => self.number(port.into()),
        }
    }

    /// Runs `inner` for a packet inside this one, unless that is too deep.
    pub(super) fn nested<E>(
        &mut self,
        inner: impl FnOnce(&mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.depth >= MAX_DEPTH {
            self.text("[deeper packets not shown]");
            return Ok(());
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }
}

/// Formats into a vector of bytes.
pub(super) struct Appender<'a>(pub(super) &'a mut Vec<u8>);

impl fmt::Write for Appender<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}
