//! How values are written: sizes, times, lists. Each says what is wrong with a bad one.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::error::Error;
use crate::filter::expression::Expression;
use crate::recorder::Reach;
use crate::sink::files::exec::Exec;

/// Reads a size in bytes: `1500`, `64K`, `10M`, `2G`. The letters are powers of 1,024, as with
/// dumpcap's and tcpdump's relatives; `KiB` and `KB` mean the same.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let malformed = || format!("`{text}` is not a size (such as 1500, 64K, 10M or 2G)");
    if number.is_empty() {
        return Err(malformed());
    }
    let too_large = || format!("`{text}` is more than can be counted");
    let number: u64 = number.parse().map_err(|_| too_large())?;
    let shift = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return Err(malformed()),
    };
    number.checked_mul(1 << shift).ok_or_else(too_large)
}

/// A [`size`] of at least one byte.
pub(super) fn positive_size(text: &str) -> Result<u64, String> {
    match size(text)? {
        0 => {
            Err("0 bytes leave no room for anything: leave the option out for no limit".to_owned())
        }
        bytes => Ok(bytes),
    }
}

/// Reads a count of at least one.
pub(super) fn positive(text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(0) => Err("0 packets is no capture: leave the option out for no limit".to_owned()),
        Ok(count) => Ok(count),
        Err(_) => Err(format!("`{text}` is not a number of packets")),
    }
}

/// Reads how many files to keep.
pub(super) fn files(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("0 files leave none to write to: leave the option out to keep all".to_owned()),
        Ok(files) => Ok(files),
        Err(_) => Err(format!("`{text}` is not a number of files")),
    }
}

/// Reads where figures are served: `ADDRESS:PORT`, or a port, with or without its colon, of the
/// loopback address.
pub(super) fn endpoint(text: &str) -> Result<SocketAddr, String> {
    let port = text.strip_prefix(':').unwrap_or(text);
    if let Ok(port) = port.parse() {
        return Ok((Ipv4Addr::LOCALHOST, port).into());
    }
    if let Some(port) = text.strip_prefix("localhost:")
        && let Ok(port) = port.parse()
    {
        return Ok((Ipv4Addr::LOCALHOST, port).into());
    }
    text.parse().map_err(|_| {
        format!(
            "`{text}` is not an address and a port (such as 9100, 127.0.0.1:9100, 0.0.0.0:9100 or [::1]:9100)"
        )
    })
}

/// Reads a command for finished files.
pub(super) fn command(text: &str) -> Result<Exec, String> {
    Exec::parse(text).map_err(|error| error.to_string())
}

/// Reads how many flows to remember.
pub(super) fn flows(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(flows @ 1..=100_000_000) => Ok(flows),
        _ => Err(format!(
            "`{text}` is not a number of flows from 1 to 100000000"
        )),
    }
}

/// Reads how far something reaches from an event: a bare number is packets, a time has a unit.
pub(super) fn reach(text: &str) -> Result<Reach, String> {
    if let Ok(packets) = text.parse() {
        return Ok(Reach::Packets(packets));
    }
    humantime::parse_duration(text)
        .map(Reach::Time)
        .map_err(|_| {
            format!("`{text}` is neither a time (such as 30s or 5m) nor a number of packets")
        })
}

/// Reads a length of time: `90s`, `5m`, `1h30m`; a bare number is seconds, also `0.5`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let malformed =
        || format!("`{text}` is not a time (such as 90s, 5m, 1h30m, or 90 for seconds)");
    let bare = !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.');
    let duration = if bare {
        let seconds: f64 = text.parse().map_err(|_| malformed())?;
        Duration::try_from_secs_f64(seconds).map_err(|_| malformed())?
    } else {
        humantime::parse_duration(text).map_err(|_| malformed())?
    };
    if duration.is_zero() {
        return Err("no time at all is no capture: leave the option out for no limit".to_owned());
    }
    Ok(duration)
}

/// Compiles an expression, which may come as one word or several. None, if it is empty: so it is
/// with tcpdump.
pub(super) fn expression(words: &[String]) -> Result<Option<Expression>, Error> {
    let text = words.join(" ");
    if text.trim().is_empty() {
        return Ok(None);
    }
    Expression::compile(&text)
        .map(Some)
        .map_err(|error| Error::usage(error.to_string()))
}

/// Splits a list at its commas and reads each part.
pub(super) fn list<T>(
    option: &str,
    typed: &[String],
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    typed
        .iter()
        .flat_map(|list| list.split(','))
        .map(|part| read(part.trim()).map_err(|error| format!("{option}: {error}")))
        .collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by it")]
mod tests {
    use super::*;

    #[test]
    fn sizes_go_by_powers_of_1024() {
        assert_eq!(size("0"), Ok(0));
        assert_eq!(size("1500"), Ok(1_500));
        assert_eq!(size("64K"), Ok(65_536));
        assert_eq!(size("64kib"), Ok(65_536));
        assert_eq!(size("10M"), Ok(10 << 20));
        assert_eq!(size("2G"), Ok(2 << 30));
        assert!(
            size("99999999999G")
                .unwrap_err()
                .contains("more than can be counted")
        );
        for bad in ["", "K", "-1", "1.5M", "10X", "10 M", "M10"] {
            assert!(size(bad).unwrap_err().contains("is not a size"), "{bad}");
        }
        assert!(positive_size("0").is_err());
    }

    #[test]
    fn times_are_bare_seconds_or_have_units() {
        assert_eq!(duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("0.5"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("1h30m"), Ok(Duration::from_secs(5_400)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        for bad in ["", "s", "-5", "5x", "1e3", ".", "1..2", "∞"] {
            assert!(
                duration(bad).unwrap_err().contains("is not a time"),
                "{bad}"
            );
        }
        assert!(duration("0").is_err() && duration("0s").is_err());
    }

    #[test]
    fn a_reach_is_packets_or_a_time_with_its_unit() {
        assert_eq!(reach("30"), Ok(Reach::Packets(30)));
        assert_eq!(reach("0"), Ok(Reach::Packets(0)));
        assert_eq!(reach("30s"), Ok(Reach::Time(Duration::from_secs(30))));
        assert_eq!(reach("0s"), Ok(Reach::Time(Duration::ZERO)));
        for bad in ["", "-1", "0.5", "5x", "s"] {
            assert!(reach(bad).unwrap_err().contains("neither a time"), "{bad}");
        }
    }
}
