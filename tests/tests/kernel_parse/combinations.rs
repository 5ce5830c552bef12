//! Each set of address options with each set of port options, the protocol option in turn not
//! given, given for IP, for ARP and for both.
//!
//! What an option is given for is frozen into the program before the verifier sees it, so each
//! combination is a program of its own.

use lab::frames::corpus;

use crate::bench::{Bench, test_run_takes};

const ADDRESSES: [&str; 3] = [
    "--host 192.0.2.1,2001:db8:1::/64",
    "--src 192.0.2.0/24,2001:db8::/32",
    "--dst 192.0.2.200,198.51.100.0/24,2001:db8:1::2,2001:db8:2::/48",
];
const PORTS: [&str; 3] = [
    "--port 80,440-450,53",
    "--sport 1024-65535",
    "--dport 0-1023",
];
const PROTOCOLS: [&str; 4] = ["", "--proto tcp,132", "--proto arp", "--proto arp,udp"];

/// The options whose bit is set.
fn chosen(options: [&str; 3], set: usize) -> String {
    let chosen = (0..3).filter(|bit| set >> bit & 1 == 1);
    chosen.map(|bit| options[bit]).collect::<Vec<_>>().join(" ")
}

/// All frames of the lab under these sets of address options, each with every set of port options.
#[track_caller]
fn assert_all_frames_match_as_documented(address_sets: [usize; 4]) {
    let mut frames = corpus::everything();
    frames.retain(|frame| test_run_takes(frame));
    for address_set in address_sets {
        for port_set in 0..8usize {
            let protocols = PROTOCOLS[(address_set + port_set) % PROTOCOLS.len()];
            let addresses = chosen(ADDRESSES, address_set);
            let options = format!("{addresses} {} {protocols}", chosen(PORTS, port_set));
            let mut bench = Bench::load(&options);
            for frame in &frames {
                if let Err(error) = bench.try_show(frame) {
                    panic!("`{options}`: {error}");
                }
            }
        }
    }
}

#[test]
fn barred_addresses_match_as_documented_beside_wanted_ones() {
    let mut frames = corpus::everything();
    frames.retain(|frame| test_run_takes(frame));
    for options in [
        "--host !192.0.2.1,!2001:db8:1::/64",
        "--host 192.0.2.0/24,!192.0.2.200,2001:db8::/32,!2001:db8:2::/48",
        "--src !192.0.2.0/24,!2001:db8::/33",
        "--dst 192.0.0.0/8,!192.0.2.200 --src !198.51.100.0/24 --port 80,443",
        "--host 192.0.2.1 --dst !192.0.2.1,!::/0 --proto tcp,arp",
    ] {
        let mut bench = Bench::load(options);
        for frame in &frames {
            if let Err(error) = bench.try_show(frame) {
                panic!("`{options}`: {error}");
            }
        }
    }
}

#[test]
fn port_and_protocol_options_without_dst_match_as_documented() {
    assert_all_frames_match_as_documented([0b000, 0b001, 0b010, 0b011]);
}

#[test]
fn port_and_protocol_options_with_dst_match_as_documented() {
    assert_all_frames_match_as_documented([0b100, 0b101, 0b110, 0b111]);
}
