//! Any packet under any filter: the kernel and the reference agree.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::bench::Bench;
use crate::outlet::Outlet;
use crate::packets::{bare_packets, frames};
use crate::reference::Start;

/// What these ask for is what the random packets are about.
const OF_ONE_KIND: [&str; 6] = [
    "--host 192.0.2.0/24,2001:db8:1::/48",
    "--dst 0.0.0.0/0,2001:db8:2::/64",
    "--port 80,440-450",
    "--port 53,443 --sport 0-32767 --dport 53-65535",
    "--proto udp,sctp,51,60",
    "--proto arp",
];
const OF_SEVERAL_KINDS: [&str; 6] = [
    "--src 192.0.2.0/25,198.51.100.7,2001:db8:1::1 --proto tcp,udp,arp",
    "--host 192.0.2.1,2001:db8::/32 --src 192.0.0.0/16,2000::/3 --dst 192.0.0.0/4,::/0 --sport 80,443",
    "--sport 0-1023 --proto 17",
    "--dport 443,50000-65535 --proto tcp",
    "--host 192.0.2.1,2001:db8:1::/64 --port 80,443,53 --proto tcp,udp,sctp",
    "--host 192.0.2.0/24,2001:db8::/32 --src 0.0.0.0/0,::/0 --dst 0.0.0.0/1,192.0.0.0/8,2000::/3 \
     --port 0-443,8080 --sport 0-50000 --dport 53-65535 --proto arp,tcp,udp,43,51",
];

/// How often the packets of one test matched, and how often not.
#[derive(Default)]
struct Tally {
    matched: Cell<u32>,
    others: Cell<u32>,
}

impl Tally {
    fn count(&self, matched: bool) {
        let counter = if matched { &self.matched } else { &self.others };
        counter.set(counter.get() + 1);
    }

    /// A filter that let everything or nothing through would have proved nothing.
    #[track_caller]
    fn assert_of_both(&self, filter: &str) {
        let (matched, others) = (self.matched.get(), self.others.get());
        println!("{matched} of {} matched `{filter}`", matched + others);
        assert!(matched > 20 && others > 20);
    }
}

/// Shows `cases` packets of the strategy to a bench for each of the filters.
#[track_caller]
fn agree<S: Strategy>(
    filters: &[&str],
    cases: u32,
    outlet: &Rc<Outlet>,
    packets: &S,
    show: impl Fn(&mut Bench, &S::Value) -> Result<bool, String>,
) {
    for filter in filters {
        let mut bench = Bench::load_whole(filter);
        bench.leave_by(outlet);
        let bench = RefCell::new(bench);
        let tally = Tally::default();
        let mut runner = TestRunner::new(Config {
            cases,
            failure_persistence: None,
            ..Config::default()
        });
        let result = runner.run(packets, |packet| {
            let matched = show(&mut bench.borrow_mut(), &packet);
            tally.count(matched.map_err(TestCaseError::fail)?);
            Ok(())
        });
        if let Err(error) = result {
            panic!("`{filter}`: {error}");
        }
        tally.assert_of_both(filter);
    }
}

#[test]
fn any_frame_matches_options_of_one_kind_as_documented() {
    let outlet = Outlet::tun_of_ethernet();
    agree(&OF_ONE_KIND, 3_000, &outlet, &frames(), |bench, frame| {
        Ok(bench.try_show(frame)?.is_some())
    });
}

#[test]
fn any_frame_matches_options_of_several_kinds_as_documented() {
    let outlet = Outlet::tun_of_ethernet();
    agree(
        &OF_SEVERAL_KINDS,
        3_000,
        &outlet,
        &frames(),
        |bench, frame| Ok(bench.try_show(frame)?.is_some()),
    );
}

/// The same filter with so many addresses more, of nobody here, that they are searched in tables.
fn with_many_addresses(filter: &str) -> String {
    let many: Vec<String> = (0..40).map(|n| format!("203.0.113.{}", 2 * n)).collect();
    let mut longer = filter.to_owned();
    for option in ["--host ", "--src ", "--dst "] {
        longer = longer.replace(option, &format!("{option}{},", many.join(",")));
    }
    longer
}

#[test]
fn any_frame_matches_long_lists_as_documented() {
    let filters = [OF_ONE_KIND[0], OF_ONE_KIND[1]];
    let filters = filters.iter().chain(&OF_SEVERAL_KINDS);
    let filters: Vec<String> = filters.map(|it| with_many_addresses(it)).collect();
    let filters: Vec<&str> = filters.iter().map(String::as_str).collect();
    let outlet = Outlet::tun_of_ethernet();
    agree(&filters, 3_000, &outlet, &frames(), |bench, frame| {
        Ok(bench.try_show(frame)?.is_some())
    });
}

#[test]
fn any_packet_without_a_link_header_matches_as_documented() {
    let filters = [
        OF_ONE_KIND[3],
        OF_ONE_KIND[4],
        OF_SEVERAL_KINDS[0],
        OF_SEVERAL_KINDS[5],
        &with_many_addresses(OF_SEVERAL_KINDS[5]),
    ];
    agree(
        &filters,
        3_000,
        &Outlet::tun(),
        &bare_packets(),
        |bench, (ethertype, packet)| {
            // What isn't IP is announced as something that isn't.
            let known = [0x0800, 0x86dd].contains(ethertype);
            let start = Start::Network(if known { *ethertype } else { 0 });
            Ok(bench.try_send(start, packet)?.is_some())
        },
    );
}

#[test]
fn any_frame_whose_headers_are_not_in_one_piece_matches_as_documented() {
    let filters = [OF_ONE_KIND[4], OF_SEVERAL_KINDS[0], OF_SEVERAL_KINDS[5]];
    let large = (frames(), 4_200..9_000usize).prop_map(|(mut frame, len)| {
        frame.resize(len, 0x5a);
        frame
    });
    agree(&filters, 1_000, &Outlet::veth(), &large, |bench, frame| {
        Ok(bench.try_send(Start::Ethernet, frame)?.is_some())
    });
}
