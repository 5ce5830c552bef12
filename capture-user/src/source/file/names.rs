//! The names that a file has for addresses: name resolution blocks (draft, section 4.5).

use std::net::IpAddr;

use super::order::Order;

const END: u16 = 0;
const IPV4: u16 = 1;
const IPV6: u16 = 2;
/// The most names that are kept.
const NAMES_MAX: usize = 1 << 16;
/// How far back in a block an address' first name is looked for: they stand together.
const SEARCHED: usize = 16;
/// The longest name that is kept, in bytes.
const NAME_MAX: usize = 255;

/// Addresses with their names, in the order of the file. The last one holds: what a file says
/// later is about the packets that come later. Of several names in one block it is the first.
pub(super) type Names = Vec<(IpAddr, String)>;

/// Reads a block's records: type, length, an address, names that each end with a zero; padded to
/// 32 bits. What is malformed ends it.
pub(super) fn read(mut records: &[u8], order: Order, names: &mut Names) {
    let before = names.len();
    while let (Some(kind), Some(len)) = (order.u16(records, 0), order.u16(records, 2)) {
        let len = usize::from(len);
        if kind == END {
            return;
        }
        let Some(value) = records.get(4..4 + len) else {
            return;
        };
        if let Some((address, text)) = split(kind, value)
            && names.len() < NAMES_MAX
        {
            let name = text.split(|byte| *byte == 0).next().unwrap_or_default();
            let name = String::from_utf8_lossy(&name[..name.len().min(NAME_MAX)]);
            let known = names.iter().skip(before).rev().take(SEARCHED);
            if !name.is_empty() && known.into_iter().all(|(other, _)| *other != address) {
                names.push((address, name.into_owned()));
            }
        }
        records = records
            .get(4 + len.next_multiple_of(4)..)
            .unwrap_or_default();
    }
}

fn split(kind: u16, value: &[u8]) -> Option<(IpAddr, &[u8])> {
    match kind {
        IPV4 => {
            let (address, text) = value.split_first_chunk::<4>()?;
            Some((IpAddr::from(*address), text))
        }
        IPV6 => {
            let (address, text) = value.split_first_chunk::<16>()?;
            Some((IpAddr::from(*address).to_canonical(), text))
        }
        _ => None,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that meets one has failed")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_name_of_an_address_is_kept() {
        let records = b"\x01\0\x0a\0\xc0\0\x02\x09web\0b\0\0\0\
                        \x01\0\x08\0\xc0\0\x02\x09old\0\
                        \x63\0\x01\0x\0\0\0\
                        \x02\0\x13\0\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01v6\0\0\
                        \0\0\0\0\x01\0\x08\0\xc0\0\x02\x0aend\0";
        let mut names = Names::default();
        read(records, Order::Little, &mut names);
        let name = |address: &str| {
            let address: IpAddr = address.parse().unwrap();
            let named = names.iter().find(|(known, _)| *known == address);
            named.map(|(_, name)| name.as_str())
        };
        assert_eq!(name("192.0.2.9"), Some("web"));
        assert_eq!(name("2001:db8::1"), Some("v6"));
        assert_eq!(name("192.0.2.10"), None);
        assert_eq!(names.len(), 2);
    }

    proptest! {
        #[test]
        fn no_records_make_it_panic(records: Vec<u8>) {
            let mut names = Names::default();
            read(&records, Order::Big, &mut names);
            prop_assert!(names.len() <= records.len());
        }
    }
}
