//! Address lists as prefixes.
//!
//! Each prefix carries the bits of every list that it or any prefix around it is on: so the
//! longest one that covers an address answers for all lists at once.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv4Subnets, Ipv6Net, Ipv6Subnets};

/// Reads an address or a CIDR: `192.0.2.1`, `192.0.2.0/24`, `2001:db8::/32`. Host bits behind
/// the prefix are cut off, an IPv4 address written in IPv6 (`::ffff:192.0.2.1`) is IPv4.
///
/// # Errors
///
/// A text that says what is wrong, for the end of a line that names the option.
pub fn parse(text: &str) -> Result<IpNet, String> {
    let malformed = || {
        format!(
            "`{text}` is neither an address nor a CIDR (such as 192.0.2.1, 192.0.2.0/24 or 2001:db8::/32)"
        )
    };
    if !text.contains('/') {
        let address: IpAddr = text.parse().map_err(|_| malformed())?;
        return Ok(IpNet::from(address.to_canonical()));
    }
    let net: IpNet = text.parse().map_err(|_| match text.split_once('/') {
        Some((address, length)) if address.parse::<IpAddr>().is_ok() => format!(
            "`{text}`: `{length}` is not a prefix length of 0 to {}",
            if address.contains(':') { 128 } else { 32 }
        ),
        _ => malformed(),
    })?;
    Ok(net.trunc())
}

/// An entry of an address list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The addresses, as few prefixes as there can be.
    pub nets: Vec<IpNet>,
    /// Whether they are barred: `!192.0.2.0/24`.
    pub barred: bool,
}

/// Reads an entry of a list: an address, a CIDR or a range (`192.0.2.1-192.0.2.9`), behind a `!` if
/// it is barred.
///
/// # Errors
///
/// As [`parse`].
pub fn entry(text: &str) -> Result<Entry, String> {
    let (barred, addresses) = match text.strip_prefix('!') {
        Some(addresses) => (true, addresses.trim_start()),
        None => (false, text),
    };
    let nets = match addresses.split_once('-') {
        None => vec![parse(addresses)?],
        Some((first, last)) => range(first.trim(), last.trim())?,
    };
    Ok(Entry { nets, barred })
}

fn range(first: &str, last: &str) -> Result<Vec<IpNet>, String> {
    let address = |text: &str| {
        text.parse::<IpAddr>()
            .map(|address| address.to_canonical())
            .map_err(|_| format!("`{text}` is not an address"))
    };
    let (from, to) = (address(first)?, address(last)?);
    if from > to && from.is_ipv4() == to.is_ipv4() {
        return Err(format!(
            "the range `{first}-{last}` runs backwards: write {last}-{first}"
        ));
    }
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            Ok(Ipv4Subnets::new(from, to, 0).map(IpNet::from).collect())
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            Ok(Ipv6Subnets::new(from, to, 0).map(IpNet::from).collect())
        }
        _ => Err(format!(
            "`{first}-{last}` goes from one IP version to the other"
        )),
    }
}

/// Prefixes of one family, each with the bits of the lists that it is on.
pub type Prefixes<P> = Vec<(P, u8)>;

/// Merges the lists, each with its bit, into prefixes by family. Sorted, without duplicates.
#[must_use]
pub fn merge(lists: &[(u8, &Vec<IpNet>)]) -> (Prefixes<Ipv4Net>, Prefixes<Ipv6Net>) {
    let mut v4 = Vec::new();
    let mut v6 = Vec::new();
    for &(bit, list) in lists {
        for net in list {
            match net.trunc() {
                IpNet::V4(net) => v4.push((net, bit)),
                IpNet::V6(net) => v6.push((net, bit)),
            }
        }
    }
    (inherit(v4), inherit(v6))
}

/// A prefix of either family, as far as merging needs to know.
trait Prefix: Copy + Ord {
    /// Whether `other` lies within.
    fn covers(&self, other: &Self) -> bool;
    /// What to sort by so that a prefix comes right before all that it covers.
    fn key(&self) -> (u128, u8);
}

impl Prefix for Ipv4Net {
    fn covers(&self, other: &Self) -> bool {
        self.contains(other)
    }
    fn key(&self) -> (u128, u8) {
        (
            u128::from(Ipv4Addr::to_bits(self.network())),
            self.prefix_len(),
        )
    }
}

impl Prefix for Ipv6Net {
    fn covers(&self, other: &Self) -> bool {
        self.contains(other)
    }
    fn key(&self) -> (u128, u8) {
        (Ipv6Addr::to_bits(self.network()), self.prefix_len())
    }
}

/// Gives each prefix the bits of those around it.
fn inherit<P: Prefix>(mut prefixes: Prefixes<P>) -> Prefixes<P> {
    prefixes.sort_by_key(|(prefix, _)| prefix.key());
    prefixes.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        if same {
            kept.1 |= next.1;
        }
        same
    });
    // The prefixes around the current one, outermost first.
    let mut around: Prefixes<P> = Vec::new();
    for entry in &mut prefixes {
        while around.last().is_some_and(|outer| !outer.0.covers(&entry.0)) {
            around.pop();
        }
        if let Some(outer) = around.last() {
            entry.1 |= outer.1;
        }
        around.push(*entry);
    }
    prefixes
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by it")]
mod tests {
    use std::net::IpAddr;

    use capture_common::filter::{DST, EITHER, SRC};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_bare_address_is_a_prefix_of_full_length() {
        assert_eq!(parse("192.0.2.1"), Ok("192.0.2.1/32".parse().unwrap()));
        assert_eq!(parse("2001:db8::1"), Ok("2001:db8::1/128".parse().unwrap()));
        assert_eq!(
            parse("::ffff:192.0.2.1"),
            Ok("192.0.2.1/32".parse().unwrap())
        );
    }

    #[test]
    fn host_bits_are_cut_off() {
        assert_eq!(parse("192.0.2.77/24"), Ok("192.0.2.0/24".parse().unwrap()));
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert!(
            parse("192.0.2.0/33")
                .unwrap_err()
                .contains("`33` is not a prefix length of 0 to 32")
        );
        assert!(parse("2001:db8::/129").unwrap_err().contains("0 to 128"));
        for bad in [
            "",
            "/",
            "/24",
            "192.0.2",
            "192.0.2.256",
            "host",
            "1.2.3.4/",
            "::/x",
            "1.2.3.4/-1",
        ] {
            assert!(parse(bad).unwrap_err().contains('`'), "{bad}");
        }
    }

    #[test]
    fn an_entry_may_be_a_range_or_barred() {
        let nets = |text: &str| {
            let entry = entry(text).unwrap();
            let nets: Vec<_> = entry.nets.iter().map(IpNet::to_string).collect();
            (entry.barred, nets.join(" "))
        };
        assert_eq!(nets("192.0.2.1"), (false, "192.0.2.1/32".into()));
        assert_eq!(nets("!2001:db8::/32"), (true, "2001:db8::/32".into()));
        assert_eq!(
            nets("192.0.2.1-192.0.2.8"),
            (
                false,
                "192.0.2.1/32 192.0.2.2/31 192.0.2.4/30 192.0.2.8/32".into()
            )
        );
        assert_eq!(
            nets("! 2001:db8:: - 2001:db8::ff"),
            (true, "2001:db8::/120".into())
        );
        assert_eq!(nets("0.0.0.0-255.255.255.255").1, "0.0.0.0/0");
        assert_eq!(nets("192.0.2.1-192.0.2.1").1, "192.0.2.1/32");
        for (bad, said) in [
            ("192.0.2.9-192.0.2.1", "runs backwards"),
            ("192.0.2.9-2001:db8::1", "one IP version to the other"),
            ("192.0.2.9-", "is not an address"),
            ("192.0.2.0/24-192.0.3.0", "`192.0.2.0/24` is not an address"),
            ("!", "neither an address nor a CIDR"),
            ("!!192.0.2.1", "neither an address nor a CIDR"),
        ] {
            assert!(entry(bad).unwrap_err().contains(said), "{bad}");
        }
    }

    /// The value of the longest prefix that covers the address.
    fn lookup(v4: &[(Ipv4Net, u8)], v6: &[(Ipv6Net, u8)], address: IpAddr) -> u8 {
        match address {
            IpAddr::V4(a) => v4
                .iter()
                .filter(|(net, _)| net.contains(&a))
                .max_by_key(|(net, _)| net.prefix_len())
                .map_or(0, |(_, bits)| *bits),
            IpAddr::V6(a) => v6
                .iter()
                .filter(|(net, _)| net.contains(&a))
                .max_by_key(|(net, _)| net.prefix_len())
                .map_or(0, |(_, bits)| *bits),
        }
    }

    /// Few bits, so that prefixes overlap and addresses hit.
    fn net() -> impl Strategy<Value = IpNet> {
        prop_oneof![
            (any::<u8>(), 24..=32u8).prop_map(|(low, len)| {
                IpNet::new(IpAddr::from([192, 0, 2, low]), len).unwrap()
            }),
            (any::<u8>(), 120..=128u8).prop_map(|(low, len)| {
                let mut octets = [0; 16];
                octets[15] = low;
                IpNet::new(IpAddr::from(octets), len).unwrap()
            }),
        ]
    }

    proptest! {
        #[test]
        fn one_longest_prefix_lookup_answers_for_every_list(
            hosts in prop::collection::vec(net(), 0..12),
            sources in prop::collection::vec(net(), 0..12),
            destinations in prop::collection::vec(net(), 0..12),
        ) {
            let lists = [(EITHER, &hosts), (SRC, &sources), (DST, &destinations)];
            let (v4, v6) = merge(&lists);
            for low in 0..=255u8 {
                let mut octets = [0; 16];
                octets[15] = low;
                for address in [IpAddr::from([192, 0, 2, low]), IpAddr::from(octets)] {
                    let expected = lists
                        .iter()
                        .filter(|(_, list)| list.iter().any(|net| net.contains(&address)))
                        .fold(0, |bits, (bit, _)| bits | bit);
                    prop_assert_eq!(lookup(&v4, &v6, address), expected, "{}", address);
                }
            }
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC*") {
            let _ = parse(&text);
        }
    }
}
