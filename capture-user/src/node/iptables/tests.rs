//! Tables as the kernel lays them out.

use proptest::prelude::*;

use super::*;

/// A row of entries that grows, and what the kernel says of it.
#[derive(Default)]
struct Made {
    entries: Vec<u8>,
    starts: [u32; 5],
    policies: [u32; 5],
    hooks: u32,
}

impl Made {
    fn at(&self) -> u32 {
        u32::try_from(self.entries.len()).expect("a short table")
    }

    /// Adds an entry of IPv4, counted `packets` times.
    fn entry(&mut self, head: &[(usize, &[u8])], matches: &[Vec<u8>], target: &[u8], packets: u64) {
        let mut entry = vec![0; V4.len];
        for (at, bytes) in head {
            entry[*at..*at + bytes.len()].copy_from_slice(bytes);
        }
        entry.extend(matches.concat());
        let target_at = u16::try_from(entry.len()).expect("a short entry");
        entry.extend(target);
        let next = u16::try_from(entry.len()).expect("a short entry");
        entry[V4.target_offset..][..2].copy_from_slice(&target_at.to_ne_bytes());
        entry[V4.next_offset..][..2].copy_from_slice(&next.to_ne_bytes());
        entry[V4.counters..][..8].copy_from_slice(&packets.to_ne_bytes());
        entry[V4.counters + 8..][..8].copy_from_slice(&(100 * packets).to_ne_bytes());
        self.entries.extend(entry);
    }

    fn start(&mut self, hook: usize) {
        self.hooks |= 1 << hook;
        self.starts[hook] = self.at();
    }

    fn policy(&mut self, hook: usize, verdict: i32, packets: u64) {
        self.policies[hook] = self.at();
        self.entry(&[], &[], &standard(verdict), packets);
    }

    fn read(self) -> Ruleset {
        let mut info = [0; crate::kernel::xtables::INFO_LEN];
        info[VALID_HOOKS..][..4].copy_from_slice(&self.hooks.to_ne_bytes());
        for (list, offsets) in [(HOOK_ENTRY, self.starts), (UNDERFLOW, self.policies)] {
            for (hook, at) in offsets.into_iter().enumerate() {
                info[list + 4 * hook..][..4].copy_from_slice(&at.to_ne_bytes());
            }
        }
        let mut all = Ruleset::default();
        let raw = Table {
            info,
            entries: self.entries,
        };
        add(&mut all, Family::V4, "filter", &raw);
        all
    }
}

/// A match or a target.
fn named(name: &[u8], data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(PART_LEN + data.len()).expect("a short part");
    let mut part = length.to_ne_bytes().to_vec();
    part.extend(name);
    part.resize(PART_LEN, 0);
    part.extend(data);
    part
}

fn standard(verdict: i32) -> Vec<u8> {
    named(b"", &[verdict.to_ne_bytes(), [0; 4]].concat())
}

fn error(name: &[u8]) -> Vec<u8> {
    let mut data = name.to_vec();
    data.resize(32, 0);
    named(b"ERROR", &data)
}

fn count(packets: u64) -> Count {
    Count {
        packets,
        bytes: 100 * packets,
    }
}

/// INPUT with two rules and a policy, FORWARD without any, and a chain `web` of one rule.
fn example() -> Made {
    let mut made = Made::default();
    made.start(1);
    let tcp = [&[0, 0, 255, 255, 80, 0, 90, 0][..], &[0, 0, 0, 0]].concat();
    let jump_at = made.at();
    made.entry(
        &[
            (0, &[10, 0, 0, 0]),
            (8, &[255, 0, 0, 0]),
            (16, b"eth"),
            (48, &[255; 3]),
            (V4.protocol, &6_u16.to_ne_bytes()),
        ],
        &[named(b"tcp", &tcp), named(b"comment", b"for all\0")],
        &standard(0),
        7,
    );
    made.entry(
        &[
            (4, &[192, 0, 2, 1]),
            (12, &[255; 4]),
            (V4.inverted, &[0x10]),
        ],
        &[named(b"conntrack", &[0; 16])],
        &named(b"REJECT", &[0; 8]),
        2,
    );
    made.policy(1, -2, 40);
    made.start(2);
    made.policy(2, -1, 0);
    made.entry(&[], &[], &error(b"web"), 0);
    let web = i32::try_from(made.at()).expect("a short table");
    made.entry(&[], &[], &standard(-5), 6);
    // The return that nobody wrote, and the end.
    made.entry(&[], &[], &standard(-5), 1);
    made.entry(&[], &[], &error(b"ERROR"), 0);
    // Where the first rule jumps to is known by now.
    let first = usize::try_from(jump_at).expect("a short table");
    let target = usize::from(u16::from_ne_bytes([
        made.entries[first + V4.target_offset],
        made.entries[first + V4.target_offset + 1],
    ]));
    made.entries[first + target + PART_LEN..][..4].copy_from_slice(&web.to_ne_bytes());
    made
}

#[test]
fn chains_have_their_policies_and_what_came_to_them() {
    let told = example().read();
    let chains: Vec<_> = told
        .chains
        .iter()
        .map(|chain| (chain.chain.as_str(), chain.policy, chain.count))
        .collect();
    assert_eq!(
        chains,
        [
            ("INPUT", Some("ACCEPT"), Some(count(40))),
            ("FORWARD", Some("DROP"), Some(count(0))),
            ("web", None, None),
        ]
    );
}

#[test]
fn rules_are_told_in_the_words_of_iptables_with_what_they_counted() {
    let told = example().read();
    let rules: Vec<_> = told
        .rules
        .iter()
        .map(|rule| (rule.chain.as_str(), rule.rule.as_str(), rule.count.packets))
        .collect();
    assert_eq!(
        rules,
        [
            (
                "INPUT",
                "-s 10.0.0.0/8 -i eth+ -p tcp -m tcp --dport 80:90 -j web",
                7
            ),
            ("INPUT", "! -d 192.0.2.1/32 -m conntrack -j REJECT", 2),
            ("web", "-j RETURN", 6),
        ]
    );
    assert_eq!(told.rules[0].comment.as_deref(), Some("for all"));
    assert_eq!(told.rules[0].count.bytes, 700);
}

#[test]
fn a_rule_without_a_target_says_none_and_one_of_icmp_its_type() {
    let mut made = Made::default();
    made.start(1);
    let part = named(b"icmp", &[8, 0, 255, 0, 0, 0, 0, 0]);
    let behind = V4.len + part.len() + standard(0).len();
    let falls = standard(i32::try_from(behind).expect("short"));
    made.entry(&[(16, b"lo"), (48, &[255; 3])], &[part], &falls, 1);
    made.policy(1, -2, 0);
    made.entry(&[], &[], &error(b"ERROR"), 0);
    let told = made.read();
    assert_eq!(told.rules[0].rule, "-i lo -m icmp --icmp-type 8");
}

#[test]
fn what_is_cut_off_is_read_as_far_as_it_goes() {
    let whole = example().entries;
    for length in 0..whole.len() {
        let entries = entries(V4, &whole[..length]);
        assert!(entries.len() < 8);
        assert!(entries.iter().all(|entry| entry.next <= length));
    }
    assert_eq!(entries(V4, &whole).len(), 8);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>, at in 0_usize..400, v6: bool) {
        let mut raw = Table {
            info: [0xff; crate::kernel::xtables::INFO_LEN],
            entries: example().entries,
        };
        let end = raw.entries.len().min(at + bytes.len());
        let start = at.min(end);
        raw.entries[start..end].copy_from_slice(&bytes[..end - start]);
        let family = if v6 { Family::V6 } else { Family::V4 };
        let mut all = Ruleset::default();
        add(&mut all, family, "nat", &raw);
        prop_assert!(all.rules.len() <= raw.entries.len() / V4.len);
    }
}
