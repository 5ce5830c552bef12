#![expect(clippy::unwrap_used, reason = "a test that meets one has failed")]

use proptest::prelude::*;

use super::*;

fn this_kernel() -> Btf {
    Btf::of_this_kernel().unwrap()
}

/// A BTF blob of these types and strings.
fn blob(types: &[u32], strings: &[u8]) -> Vec<u8> {
    let len = |bytes: usize| u32::try_from(bytes).unwrap();
    let mut bytes = 0xeb9f_u16.to_ne_bytes().to_vec();
    bytes.extend([1, 0]);
    let types: Vec<u8> = types.iter().flat_map(|word| word.to_ne_bytes()).collect();
    for word in [
        24,
        0,
        len(types.len()),
        len(types.len()),
        len(strings.len()),
    ] {
        bytes.extend(word.to_ne_bytes());
    }
    bytes.extend(types);
    bytes.extend(strings);
    bytes
}

const INT: u32 = 1 << 24;
const STRUCT: u32 = 4 << 24;
const UNION: u32 = 5 << 24;
const TYPEDEF: u32 = 8 << 24;
const FLAGGED: u32 = 1 << 31;

#[test]
fn this_kernels_structures_have_their_members_in_order() {
    let btf = this_kernel();
    let skb = |member| btf.offset("sk_buff", &[member]).unwrap();
    assert_eq!(skb("next"), 0);
    assert!(skb("len") < skb("data_len"));
    assert!(skb("head") < skb("data"));
    assert!(skb("network_header") > 0 && skb("network_header") < btf.size("sk_buff").unwrap());
    assert!(btf.offset("inet_sock", &["inet_sport"]).unwrap() >= btf.size("sock").unwrap());
}

#[test]
fn a_path_goes_through_named_and_unnamed_members() {
    let btf = this_kernel();
    let address = btf.offset("sock", &["__sk_common", "skc_daddr"]);
    assert_eq!(address, btf.offset("sock_common", &["skc_daddr"]));
    let net = btf.offset("sock", &["__sk_common", "skc_net", "net"]);
    assert!(net.is_some_and(|net| net > 0));
}

#[test]
fn what_does_not_exist_or_has_no_place_of_its_own_has_no_offset() {
    let btf = this_kernel();
    assert_eq!(btf.offset("sk_buff", &["no such member"]), None);
    assert_eq!(btf.offset("no such structure", &["len"]), None);
    // A bit field.
    assert_eq!(btf.offset("sk_buff", &["cloned"]), None);
}

#[test]
fn enumerations_and_tracepoints_of_this_kernel_are_found() {
    let btf = this_kernel();
    let states = btf.enumerators("skb_drop_reason").unwrap();
    assert!(
        states
            .iter()
            .any(|(_, name)| *name == "SKB_DROP_REASON_NO_SOCKET")
    );
    assert_eq!(btf.tracepoint_arguments("tcp_receive_reset"), Some(1));
    assert!(btf.tracepoint_arguments("tcp_send_reset").unwrap() >= 2);
    assert_eq!(btf.tracepoint_arguments("no such tracepoint"), None);
}

#[test]
fn members_without_a_name_are_looked_into() {
    // struct s { int a; union { int b; bits c : 3; } }
    let types = [
        1,
        INT,
        4,
        32,
        5,
        STRUCT | 2,
        8,
        7,
        1,
        0,
        0,
        3,
        32,
        0,
        UNION | FLAGGED | 2,
        4,
        9,
        1,
        0,
        11,
        1,
        3 << 24,
    ];
    let btf = Btf::parse(blob(&types, b"\0int\0s\0a\0b\0c\0")).unwrap();
    assert_eq!(btf.offset("s", &["a"]), Some(0));
    assert_eq!(btf.offset("s", &["b"]), Some(4));
    assert_eq!(btf.offset("s", &["c"]), None);
    assert_eq!(btf.size("s"), Some(8));
}

#[test]
fn types_that_refer_to_each_other_for_ever_are_given_up() {
    // typedef t u; typedef u t; struct s { struct s; }
    let types = [
        1,
        TYPEDEF,
        2,
        3,
        TYPEDEF,
        1,
        5,
        STRUCT | 2,
        8,
        0,
        3,
        0,
        0,
        1,
        0,
    ];
    let btf = Btf::parse(blob(&types, b"\0t\0u\0s\0")).unwrap();
    assert_eq!(btf.offset("s", &["x"]), None);
    assert_eq!(btf.tracepoint_arguments("t"), None);
}

#[test]
fn a_file_of_another_kind_or_cut_short_is_refused() {
    assert!(Btf::parse(Vec::new()).is_err());
    assert!(Btf::parse(b"\x7fELF and so on and so forth".to_vec()).is_err());
    let whole = blob(&[1, INT, 4, 32], b"\0int\0");
    for len in 0..whole.len() {
        assert!(Btf::parse(whole[..len].to_vec()).is_err(), "{len}");
    }
    assert!(Btf::parse(blob(&[1, 31 << 24, 4], b"\0x\0")).is_err());
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(
        types in prop::collection::vec(any::<u32>(), 0..64),
        strings in prop::collection::vec(any::<u8>(), 0..32),
        cut in any::<prop::sample::Index>(),
        damage in any::<(prop::sample::Index, u8)>(),
    ) {
        let mut bytes = blob(&types, &strings);
        let at = damage.0.index(bytes.len());
        bytes[at] = damage.1;
        bytes.truncate(cut.index(bytes.len()) + 1);
        if let Ok(btf) = Btf::parse(bytes) {
            btf.offset("s", &["a", "b"]);
            btf.enumerators("s");
            btf.tracepoint_arguments("s");
        }
    }
}
