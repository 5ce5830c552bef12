//! A TCP segment (RFC 9293, 3.1).

use super::ip::{Ip, within};
use super::{be16, be32};
use crate::flow::reset::Segment;

/// What is of use in a segment's options.
#[derive(Clone, Copy, Default)]
pub(super) struct Options {
    pub(super) stamps: u64,
    has_stamps: bool,
    pub(super) scale: Option<u8>,
}

#[inline(always)]
pub(super) fn tcp(ip: &Ip<'_>) -> Option<(Segment, Options)> {
    let header: &[u8; 20] = ip.rest.first_chunk()?;
    let header_len = (header[12] >> 4) * 4;
    if header_len < 20 {
        return None;
    }
    let options = options(within(ip.rest, 20, u32::from(header_len)));
    Some((
        Segment {
            time: 0,
            sequence: be32(header, 4)?,
            acknowledgement: be32(header, 8)?,
            flags: header[13],
            window: be16(header, 14)?,
            payload: ip.rest_len.saturating_sub(u32::from(header_len)),
            header_len,
            timestamps: options.has_stamps,
            ttl: ip.ttl,
            ip_id: ip.id,
            dont_fragment: ip.dont_fragment,
        },
        options,
    ))
}

#[inline]
fn options(mut bytes: &[u8]) -> Options {
    let mut found = Options::default();
    // As nearly all segments have them (RFC 7323, appendix A), and nothing else.
    if let [1, 1, 8, 10, stamps @ ..] = bytes
        && let Ok(stamps) = stamps.try_into()
    {
        found.stamps = u64::from_be_bytes(stamps);
        found.has_stamps = true;
        return found;
    }
    loop {
        match bytes {
            [1, rest @ ..] => bytes = rest,
            [kind, len, ..] if *kind != 0 && *len >= 2 => {
                let Some((option, rest)) = bytes.split_at_checked(usize::from(*len)) else {
                    return found;
                };
                match option {
                    [8, 10, a, b, c, d, e, f, g, h] => {
                        found.stamps = u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]);
                        found.has_stamps = true;
                    }
                    // RFC 7323, 2.3: a larger count is taken as 14.
                    [3, 3, shift] => found.scale = Some((*shift).min(14)),
                    _ => {}
                }
                bytes = rest;
            }
            _ => return found,
        }
    }
}
