//! The name resolution block (draft, section 4.5): what addresses are called.
//!
//! Written here and not by `pcap-file`: a record is an option in form, and the block nothing but
//! those.

use std::net::IpAddr;

use super::option::{END, HEADER_LEN, fitting, option_len, put};

/// The block's type code.
pub(super) const NAME_RESOLUTION: u32 = 4;
/// `nrb_record_ipv4`.
const IPV4: u16 = 1;
/// `nrb_record_ipv6`.
const IPV6: u16 = 2;
/// An IPv6 address, and the NUL at the end of a name.
const MOST_BESIDES: usize = 16 + 1;

/// An address and what it is called. Of a name what comes after a NUL is left out, and what a
/// record can't hold; an empty one is none.
pub type Name = (IpAddr, String);

/// Appends the block with these names; nothing for none.
pub(super) fn put_block(names: &[Name], out: &mut Vec<u8>) {
    let length = block_len(names);
    if length == 0 {
        return;
    }
    let length = (length as u32).to_le_bytes();
    out.extend(NAME_RESOLUTION.to_le_bytes());
    out.extend(length);
    for (address, name) in records(names) {
        let record = |address: &[u8]| [address, name.as_bytes(), &[0]].concat();
        match address {
            IpAddr::V4(address) => put(out, IPV4, &record(&address.octets())),
            IpAddr::V6(address) => put(out, IPV6, &record(&address.octets())),
        }
    }
    // `nrb_record_end`; there are no options after it.
    put(out, END, &[]);
    out.extend(length);
}

/// The bytes that [`put_block`] appends.
pub(super) fn block_len(names: &[Name]) -> usize {
    let records: usize = records(names)
        .map(|(address, name)| {
            let address = match address {
                IpAddr::V4(_) => 4,
                IpAddr::V6(_) => 16,
            };
            option_len(address + name.len() + 1)
        })
        .sum();
    match records {
        0 => 0,
        // Type and length; the end of the records; the length again.
        _ => 4 + 4 + records + HEADER_LEN + 4,
    }
}

/// The names as records hold them.
fn records(names: &[Name]) -> impl Iterator<Item = (IpAddr, &str)> {
    names.iter().filter_map(|(address, name)| {
        let name = name.split('\0').next().unwrap_or_default();
        (!name.is_empty()).then(|| (*address, fitting(name, MOST_BESIDES)))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(names: &[(&str, &str)]) -> Vec<Name> {
        names
            .iter()
            .map(|(address, name)| (address.parse().expect("an address"), (*name).to_owned()))
            .collect()
    }

    #[test]
    fn each_address_has_its_name_with_a_nul_at_its_end() {
        let names = names(&[("172.17.0.2", "web"), ("2001:db8::2", "default/web\0rest")]);
        let mut block = Vec::new();
        put_block(&names, &mut block);
        let mut expected = vec![4, 0, 0, 0, 60, 0, 0, 0];
        expected.extend([1, 0, 8, 0, 172, 17, 0, 2, b'w', b'e', b'b', 0]);
        expected.extend([2, 0, 28, 0, 0x20, 0x01, 0x0d, 0xb8]);
        expected.extend([0; 11]);
        expected.push(2);
        expected.extend(b"default/web\0");
        expected.extend([0, 0, 0, 0, 60, 0, 0, 0]);
        assert_eq!(block, expected);
        assert_eq!(block.len(), block_len(&names));
    }

    #[test]
    fn without_names_there_is_no_block() {
        let mut block = Vec::new();
        for none in [vec![], names(&[("192.0.2.1", ""), ("192.0.2.2", "\0x")])] {
            put_block(&none, &mut block);
            assert!(block.is_empty());
            assert_eq!(block_len(&none), 0);
        }
    }

    proptest! {
        #[test]
        fn the_length_is_known_before_whatever_the_names(
            texts in prop::collection::vec((any::<u128>(), any::<String>(), any::<bool>()), 0..5),
            long in 0_usize..70_000,
        ) {
            let mut names: Vec<Name> = texts
                .into_iter()
                .map(|(bits, name, v4)| match v4 {
                    true => (IpAddr::V4((bits as u32).into()), name),
                    false => (IpAddr::V6(bits.into()), name),
                })
                .collect();
            names.push((IpAddr::V6(1.into()), "é".repeat(long)));
            let mut block = Vec::new();
            put_block(&names, &mut block);
            prop_assert_eq!(block.len(), block_len(&names));
            prop_assert_eq!(block.len() % 4, 0);
        }
    }
}
