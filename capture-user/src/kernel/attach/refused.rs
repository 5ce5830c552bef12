//! What the kernel says when it refuses something by netlink.

use std::error::Error as StdError;
use std::{fmt, io};

use crate::netlink::{attributes, errno};

/// Offsets in `struct nlmsgerr` and its attribute for the kernel's own words
/// (`NLMSGERR_ATTR_MSG`): behind the error and the header of what was refused.
const ERROR_ATTRIBUTES: usize = 4 + 16;
const NLMSGERR_ATTR_MSG: u16 = 1;

/// The kernel's refusal, with what it says about it where it says anything.
#[derive(Debug)]
pub(crate) struct Refused {
    error: io::Error,
    said: Option<String>,
}

impl Refused {
    /// The error number; 0 if it was no refusal by the kernel.
    pub(super) fn errno(&self) -> i32 {
        self.error.raw_os_error().unwrap_or(0)
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.said {
            Some(said) => write!(f, "{} ({})", said.trim_end_matches('.'), self.error),
            None => write!(f, "{}", self.error),
        }
    }
}

impl StdError for Refused {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.error)
    }
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        Self { error, said: None }
    }
}

/// What an `NLMSG_ERROR` or `NLMSG_DONE` says.
pub(super) fn outcome(payload: &[u8]) -> Result<(), Refused> {
    let errno = errno(payload);
    if errno == 0 {
        return Ok(());
    }
    let said = attributes(payload.get(ERROR_ATTRIBUTES..).unwrap_or_default())
        .find(|attribute| attribute.kind() == NLMSGERR_ATTR_MSG)
        .map(|attribute| text(attribute.value()));
    Err(Refused {
        error: io::Error::from_raw_os_error(errno),
        said,
    })
}

/// A text that a NUL may end.
pub(super) fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0);
    String::from_utf8_lossy(&bytes[..end.unwrap_or(bytes.len())]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::tests::attribute;

    #[test]
    fn a_refusal_has_the_number_and_the_kernels_own_words() {
        let mut payload = (-libc::EINVAL).to_ne_bytes().to_vec();
        payload.resize(ERROR_ATTRIBUTES, 0);
        payload.extend(attribute(NLMSGERR_ATTR_MSG, b"No such thing.\0"));
        let refused = outcome(&payload).expect_err("an error");
        assert_eq!(refused.errno(), libc::EINVAL);
        assert_eq!(
            refused.to_string(),
            "No such thing (Invalid argument (os error 22))"
        );
        assert!(outcome(&0_i32.to_ne_bytes()).is_ok());
    }
}
