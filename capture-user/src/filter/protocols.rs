//! Protocols: names and numbers, and a table for the IP ones.

use std::fmt;
use std::str::FromStr;

use capture_common::filter::PROTOCOL_TABLE_LEN;

/// What `--proto` can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// An IP protocol number, as IANA assigns them. Over IPv6, any header of the chain counts.
    Ip(u8),
    /// ARP, which is beside IP.
    Arp,
}

/// The names that `--proto` takes, with their IP protocol numbers.
const NAMES: [(&str, u8); 13] = [
    ("icmp", 1),
    ("igmp", 2),
    ("ipip", 4),
    ("tcp", 6),
    ("udp", 17),
    ("ipv6", 41),
    ("gre", 47),
    ("esp", 50),
    ("ah", 51),
    ("icmp6", 58),
    ("ospf", 89),
    ("pim", 103),
    ("sctp", 132),
];

impl FromStr for Protocol {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let name = text.to_ascii_lowercase();
        if name == "arp" {
            return Ok(Self::Arp);
        }
        // As tcpdump and ip(8) also write it.
        let name = if matches!(name.as_str(), "icmpv6" | "ipv6-icmp") {
            "icmp6"
        } else {
            &name
        };
        if let Some((_, number)) = NAMES.iter().find(|(known, _)| *known == name) {
            return Ok(Self::Ip(*number));
        }
        if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit()) {
            return name
                .parse()
                .map(Self::Ip)
                .map_err(|_| format!("`{text}` is not a protocol number: they go from 0 to 255"));
        }
        Err(format!(
            "`{text}` is not a protocol that nodecap knows: tcp, udp, icmp, icmp6, sctp, arp, {} or a number of 0 to 255",
            "igmp, gre, esp, ah, ipip, ipv6, ospf, pim"
        ))
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Arp => f.write_str("arp"),
            Self::Ip(number) => match NAMES.iter().find(|(_, known)| known == number) {
                Some((name, _)) => f.write_str(name),
                None => write!(f, "{number}"),
            },
        }
    }
}

/// Which IP protocols are listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProtocolTable([u8; PROTOCOL_TABLE_LEN]);

impl ProtocolTable {
    /// Whether the IP protocol is listed.
    #[must_use]
    pub fn contains(&self, protocol: u8) -> bool {
        self.0[usize::from(protocol)] != 0
    }

    /// The table as the kernel's map holds it.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; PROTOCOL_TABLE_LEN] {
        &self.0
    }
}

/// Builds the table.
#[must_use]
pub fn table(protocols: &[Protocol]) -> ProtocolTable {
    let mut table = [0; PROTOCOL_TABLE_LEN];
    for protocol in protocols {
        if let Protocol::Ip(number) = protocol {
            table[usize::from(*number)] = 1;
        }
    }
    ProtocolTable(table)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by it")]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_mean_the_same() {
        for (name, number) in NAMES {
            assert_eq!(name.parse(), Ok(Protocol::Ip(number)));
            assert_eq!(number.to_string().parse(), Ok(Protocol::Ip(number)));
            assert_eq!(Protocol::Ip(number).to_string(), name);
        }
        assert_eq!("ARP".parse(), Ok(Protocol::Arp));
        assert_eq!("ICMPv6".parse(), Ok(Protocol::Ip(58)));
        assert_eq!("255".parse(), Ok(Protocol::Ip(255)));
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert!("256".parse::<Protocol>().unwrap_err().contains("0 to 255"));
        for bad in ["", "http", "-1", "+6", "6 "] {
            assert!(
                bad.parse::<Protocol>()
                    .unwrap_err()
                    .contains("not a protocol"),
                "{bad}"
            );
        }
    }
}
