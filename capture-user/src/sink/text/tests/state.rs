//! What outlives a packet: connections and the clock.

use std::net::{IpAddr, Ipv4Addr};

use jiff::tz::TimeZone;

use crate::sink::text::clock::Clock;
use crate::sink::text::connections::{Connections, End, MAX_CONNECTIONS};

const SERVER: End = (IpAddr::V4(Ipv4Addr::new(10, 0, 0, 9)), 443);

fn client(number: u32) -> End {
    (IpAddr::V4(Ipv4Addr::from(number)), 1_000)
}

#[test]
fn numbers_count_from_the_first_packet_in_both_directions() {
    let mut connections = Connections::default();
    let client = client(1);
    let first = connections.numbers(client, SERVER, false, 100, 200);
    assert_eq!((first.sequence, first.acknowledgement), (100, 200));
    let next = connections.numbers(client, SERVER, false, 110, 205);
    assert_eq!((next.sequence, next.acknowledgement), (10, 6));
    let back = connections.numbers(SERVER, client, false, 205, 110);
    assert_eq!(
        (back.sequence, back.acknowledgement, back.sack_base),
        (6, 10, 100)
    );
}

#[test]
fn a_connection_with_itself_is_followed_too() {
    let mut connections = Connections::default();
    connections.numbers(SERVER, SERVER, true, 100, 101);
    let next = connections.numbers(SERVER, SERVER, false, 101, 101);
    assert_eq!((next.sequence, next.acknowledgement), (1, 1));
}

#[test]
fn the_table_never_exceeds_its_bound_and_keeps_what_is_in_use() {
    let mut connections = Connections::default();
    let used = client(0);
    connections.numbers(used, SERVER, true, 100, 200);
    for number in 1..200_000 {
        connections.numbers(client(number), SERVER, true, 1, 1);
        if number % 1_000 == 0 {
            let still = connections.numbers(used, SERVER, false, 101, 200);
            assert_eq!(
                (still.sequence, still.acknowledgement),
                (1, 1),
                "after {number}"
            );
        }
        assert!(connections.len() <= MAX_CONNECTIONS);
    }
    // One that wasn't seen for long starts anew.
    let forgotten = connections.numbers(client(1), SERVER, false, 500, 600);
    assert_eq!((forgotten.sequence, forgotten.acknowledgement), (500, 600));
}

#[test]
fn a_day_begins_at_midnight_of_the_zone() {
    let time = |clock: &mut Clock, time| {
        let mut out = Vec::new();
        clock.append(time, &mut out);
        String::from_utf8(out).unwrap()
    };
    let mut west = Clock::new(TimeZone::fixed(jiff::tz::offset(-5)));
    assert_eq!(time(&mut west, 0), "19:00:00.000000 ");
    assert_eq!(time(&mut west, 999_999_999), "19:00:00.999999 ");
    assert_eq!(time(&mut west, 18_000_000_000_000), "00:00:00.000000 ");
    // The end of what 64 bits can say.
    assert_eq!(time(&mut west, u64::MAX), "18:34:33.709551 ");
}
