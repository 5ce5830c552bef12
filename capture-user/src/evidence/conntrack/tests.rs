//! What needs no kernel; the rest is proved in network namespaces, in the tests' workspace member.
#![expect(clippy::unwrap_used, reason = "a test that meets one has failed")]

use super::decode::tests::{message, of};
use super::*;

const TCP: u8 = 6;
const ENTRY: u16 = 1 << 8;

fn datagram(messages: &[(u16, Vec<u8>)]) -> Vec<u8> {
    messages
        .iter()
        .flat_map(|(kind, payload)| netlink::request(*kind, 0, payload))
        .collect()
}

/// The message about a connection from that port, masqueraded.
fn connection(port: u16) -> (u16, Vec<u8>) {
    let original = of(&format!("10.88.0.2:{port} > 192.0.2.9:443"), TCP);
    let reply = of(&format!("192.0.2.9:443 > 192.0.2.1:{port}"), TCP);
    (ENTRY, message(&original, &reply, u32::from(port)))
}

fn done(errno: i32) -> (u16, Vec<u8>) {
    (NLMSG_DONE, (-errno).to_ne_bytes().to_vec())
}

fn take(
    account: &mut Account,
    messages: &[(u16, Vec<u8>)],
    limit: usize,
) -> (io::Result<Progress>, Vec<u16>) {
    let mut ports = Vec::new();
    let progress = account.take(&datagram(messages), limit, |entry| {
        ports.push(entry.mapping.original.source.port);
    });
    (progress, ports)
}

#[test]
fn a_dump_goes_on_until_the_kernel_says_that_it_is_done() {
    let mut account = Account::default();
    let (progress, ports) = take(&mut account, &[connection(1), connection(2)], 10);
    assert_eq!(
        (progress.unwrap(), ports),
        (Progress::Continues, vec![1, 2])
    );
    let (progress, ports) = take(&mut account, &[connection(3), done(0)], 10);
    assert_eq!((progress.unwrap(), ports), (Progress::Complete, vec![3]));
}

#[test]
fn a_dump_ends_at_its_limit() {
    let mut account = Account::default();
    let (progress, ports) = take(
        &mut account,
        &[connection(1), connection(2), connection(3)],
        2,
    );
    assert_eq!((progress.unwrap(), ports), (Progress::Cut, vec![1, 2]));
}

#[test]
fn a_dump_of_exactly_the_limit_is_complete() {
    let mut account = Account::default();
    let (progress, _) = take(&mut account, &[connection(1), connection(2), done(0)], 2);
    assert_eq!(progress.unwrap(), Progress::Complete);
}

#[test]
fn what_went_while_the_dump_ran_is_not_told_as_being_there() {
    let mut account = Account::default();
    let gone = of("10.88.0.2:1 > 192.0.2.9:443", TCP);
    account.removed.insert((1, gone));
    // The same tuple under another id is another connection, made after that one went.
    account
        .removed
        .insert((99, of("10.88.0.2:2 > 192.0.2.9:443", TCP)));
    let (_, ports) = take(&mut account, &[connection(1), connection(2)], 10);
    assert_eq!(ports, [2]);
}

#[test]
fn the_kernels_refusal_is_an_error() {
    let (progress, _) = take(&mut Account::default(), &[done(libc::ENOMEM)], 10);
    assert_eq!(progress.unwrap_err().raw_os_error(), Some(libc::ENOMEM));
}

#[test]
fn each_refusal_says_what_it_weakens_and_what_helps() {
    let said = |errno| {
        let error = io::Error::from_raw_os_error(errno);
        ConntrackError::at_start(error).to_string()
    };
    for (errno, words) in [
        (libc::EPERM, "CAP_NET_ADMIN"),
        (libc::EPROTONOSUPPORT, "modprobe nf_conntrack_netlink"),
        (libc::EINVAL, "modprobe nf_conntrack_netlink"),
        (libc::ENOMEM, "any longer"),
    ] {
        let said = said(errno);
        assert!(said.contains(words), "{said}");
        assert!(said.contains("translations are known only"), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[test]
fn an_untranslated_entry_is_told_of_only_when_asked_for() {
    let original = of("10.88.0.2:5 > 192.0.2.9:443", TCP);
    let plain = message(&original, &original.reversed(), 5);
    let plain = decode::entry(ENTRY, &plain).unwrap();
    assert_eq!(told(&plain, Options::default(), 1), None);
    let all = Options {
        translated_only: false,
        ..Options::default()
    };
    assert_eq!(told(&plain, all, 1).unwrap().time, 1);
}
