//! What each way of typing it comes to.

use clap::Parser as _;

use super::*;
use crate::kernel::attach::Hook;
use crate::packet::Direction;
use crate::recorder::Order;
use crate::session::limits::Limits;
use crate::session::plan::Plan;
use crate::target::select::Pattern;
use crate::target::workload::Workload;

#[derive(clap::Parser)]
struct Typed {
    #[command(flatten)]
    args: Args,
}

fn resolve(words: &str) -> Result<Plan> {
    let words = std::iter::once("capture").chain(words.split_whitespace());
    Typed::try_parse_from(words)
        .map_err(|error| Error::usage(error.to_string()))?
        .args
        .resolve()
}

fn refusal(words: &str) -> String {
    match resolve(words) {
        Err(error @ Error::Usage(_)) => error.to_string(),
        other => panic!("`{words}` gave {other:?}"),
    }
}

#[test]
fn nothing_typed_is_everything_both_ways_printed() {
    let plan = resolve("").unwrap();
    assert_eq!(plan.directions, [Direction::In, Direction::Out]);
    assert!(plan.filter.is_empty() && plan.print && plan.names);
    assert_eq!(
        (plan.snaplen, plan.limits),
        (MAX_SNAPLEN, Limits::default())
    );
    assert_eq!(u64::from(plan.ring_bytes), DEFAULT_RING);
}

#[test]
fn a_file_silences_the_lines_unless_they_are_asked_for() {
    assert!(!resolve("-w x").unwrap().print);
    assert!(resolve("-w x --print").unwrap().print);
    assert!(!resolve("-q").unwrap().print);
}

#[test]
fn outputs_that_have_places_of_their_own_are_taken() {
    for words in [
        "-w x --flows y --snapshot z",
        "-w /dev/null --flows /dev/null",
        "-w - --flows x",
        "-w x.pcapng -C 1M --flows x.pcapng",
        "-w x.pcapng -C 1M --flows y/x.00001.pcapng",
        "-w x.pcapng --flows x.00001.pcapng",
        "--size 1M",
        "--size 1M --flows x --print",
        "--size 1M -w x -q",
    ] {
        assert!(resolve(words).is_ok(), "{words}");
    }
}

#[test]
fn each_option_lands_in_the_plan() {
    let plan = resolve("-i eth0,#3 -i veth* -Q in --src 192.0.2.0/24 --dport 80,443 --proto tcp,arp -s 96 -c 10 --size 1M --duration 90s -n -vv --ring-size 1000000 --fail-on-loss").unwrap();
    assert_eq!(plan.interfaces.len(), 3);
    assert_eq!(plan.directions, [Direction::In]);
    assert_eq!(
        plan.filter.describe(),
        "--src 192.0.2.0/24 --dport 80,443 --proto tcp,arp"
    );
    assert_eq!(plan.snaplen, 96);
    let limits = Limits {
        count: Some(10),
        size: Some(1 << 20),
        duration: Some(Duration::from_secs(90)),
    };
    assert_eq!(plan.limits, limits);
    assert_eq!(
        (plan.names, plan.verbosity, plan.ring_bytes),
        (false, 2, 1 << 20)
    );
    assert!(plan.fail_on_loss);
}

#[test]
fn an_expression_may_stand_anywhere_and_goes_with_the_options() {
    for words in [
        "-i eth0 --proto tcp port 80 or port 443",
        "port 80 or port 443 -i eth0 --proto tcp",
        "port 80 -i eth0 or port --proto tcp 443",
    ] {
        let plan = resolve(words).unwrap();
        assert_eq!(
            plan.filter.describe(),
            "--proto tcp port 80 or port 443",
            "{words}"
        );
        assert!(!plan.filter.is_empty());
    }
}

#[test]
fn the_flight_recorder_writes_by_time_where_it_can() {
    let record = |words: &str| resolve(words).unwrap().record.unwrap();
    let plain = record("-w x --on reset,drop");
    assert_eq!(plain.on, [Kind::Reset, Kind::Drop].into_iter().collect());
    assert_eq!(plain.before, Reach::Time(Duration::from_secs(30)));
    assert_eq!(plain.after, Reach::Time(Duration::from_secs(5)));
    assert_eq!((plain.order, plain.bytes), (Order::ByTime, 64 << 20));
    for words in ["--on nat", "-w x -U --on nat", "-w x --on nat --before 100"] {
        assert_eq!(record(words).order, Order::AtOnce, "{words}");
    }
    assert_eq!(record("-w x --on nat --after 7").after, Reach::Packets(7));
    assert_eq!(resolve("-w x").unwrap().record, None);
}

#[test]
fn xdp_is_for_what_comes_in() {
    for words in ["--hook xdp", "--hook xdp -Q in", "--hook xdp -Q inout"] {
        let plan = resolve(words).unwrap();
        assert_eq!(
            (plan.hook, plan.directions),
            (Hook::Xdp, vec![Direction::In])
        );
    }
    assert_eq!(resolve("--hook clsact").unwrap().directions.len(), 2);
}

#[test]
fn bridges_come_after_interfaces_and_workloads_are_kept_apart() {
    let plan =
        resolve("--bridge br0 -i eth0 --netns blue --pid 17 --netns /proc/9/ns/net").unwrap();
    assert_eq!(plan.interfaces.len(), 2);
    assert_eq!(plan.interfaces[1], Pattern::Bridge("br0".into()));
    assert_eq!(
        plan.workloads,
        [
            Workload::Pid(17),
            Workload::Netns("blue".into()),
            Workload::Netns("/proc/9/ns/net".into())
        ]
    );
}

#[test]
fn a_snapshot_length_of_zero_is_the_default() {
    assert_eq!(resolve("-s 0").unwrap().snaplen, MAX_SNAPLEN);
}

#[test]
fn bad_values_are_refused_by_option_and_reason() {
    for (words, said) in [
        ("-c 0", "0 packets"),
        ("-c -1", "-1"),
        ("--size 0", "0 bytes"),
        ("--duration 0", "no time at all"),
        ("--duration soon", "is not a time"),
        ("-s 300000", "at most 262144"),
        ("--host 192.0.2.300", "--host: `192.0.2.300`"),
        ("--port 70000", "--port: `70000`"),
        ("--dport 9-1", "runs backwards"),
        ("--proto http", "--proto: `http`"),
        ("-Q sideways", "sideways"),
        ("--ring-size 1K", "--ring-size"),
        ("--hook xdp -Q out", "only what comes in"),
        ("--hook kprobe", "kprobe"),
        ("--print -w -", "standard output"),
        ("--print --flows /dev/stdout", "standard output for itself"),
        ("-w - --flows -", "are one place"),
        ("-w - --flows /dev/stdout", "are one place"),
        ("-w x --flows x", "-w x and --flows x are one place"),
        ("-w x --flows ./x", "are one place"),
        ("-w x --snapshot ./x", "--snapshot ./x are one place"),
        ("--flows x --snapshot x", "are one place"),
        (
            "-w x.pcapng -C 1M --flows ./x.00001.pcapng",
            "are one place",
        ),
        ("--size 1M --flows x", "name a file with -w"),
        ("--size 1M -q", "name a file with -w"),
        ("--print -q", "--quiet"),
        ("-i #0", "#0"),
        (
            "tcp prt 80",
            "expression `tcp prt 80`: can't parse filter expression",
        ),
        ("--pod web", "default/web"),
        ("--pid x", "--pid"),
        ("--before 5s", "--on"),
        ("--after 5", "--on"),
        ("--recorder-size 1M", "--on"),
        ("--on reset --no-track", "--no-track"),
        (
            "--on rest",
            "reset, nat, retransmit, drop, icmp-error, zero-window",
        ),
        ("--on reset --before soon", "neither a time"),
        ("--on reset --recorder-size 64K", "1024K"),
    ] {
        let refusal = refusal(words);
        assert!(refusal.contains(said), "`{words}`: {refusal}");
    }
}
