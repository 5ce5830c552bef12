//! `nodecap capture`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use capture_common::record::MAX_SNAPLEN;
use clap::ValueEnum;

use super::matching::Matching;
use super::{user, values};
use crate::error::{Error, Result};
use crate::flow::happening::Kind;
use crate::kernel::attach::Hook;
use crate::packet::Direction;
use crate::recorder::{LEAST_BYTES, Order, Reach};
use crate::session::limits::Limits;
use crate::session::outside::Outside;
use crate::session::plan::{Flush, Plan, Record, Rotate};
use crate::session::{self, Outcome};
use crate::sink::files::exec::Exec;
use crate::target::entering::enter_where_needed;
use crate::target::select::Pattern;
use crate::target::workload::Workload;

/// The ring unless told otherwise: at a million small packets a second it holds a sixth of a
/// second.
const DEFAULT_RING: u64 = 32 << 20;
/// The flight recorder's memory unless told otherwise.
const DEFAULT_RECORDER: u64 = 64 << 20;
/// The smallest ring that takes the largest record.
const SMALLEST_RING: u64 = 512 << 10;
/// The largest that the kernel's ring can be (`RINGBUF_MAX_DATA_SZ` is above it on 64 bits).
const LARGEST_RING: u64 = 1 << 31;

/// What `nodecap capture` was given.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where to capture: a name, #INDEX, a glob (veth*) or `any`. Repeatable, or separated by
    /// commas. Globs and `any` also take interfaces that appear later. Without it, the first
    /// interface that is up and isn't loopback
    #[arg(
        short,
        long,
        value_name = "NAME",
        value_delimiter = ',',
        help_heading = "What to capture"
    )]
    interface: Vec<String>,

    /// Where to attach
    #[arg(long, value_enum, default_value_t, help_heading = "What to capture")]
    hook: At,
    /// A bridge and all its ports, those that join later too. Repeatable
    #[arg(long, value_name = "NAME", help_heading = "What to capture")]
    bridge: Vec<String>,

    /// The interfaces that lead to this container, also after it was restarted: by its name in
    /// Docker or podman, its id, or the beginning of that. Repeatable
    #[arg(long, value_name = "ID-OR-NAME", help_heading = "What to capture")]
    container: Vec<String>,

    /// The interfaces that lead to this pod of Kubernetes, also after it was made anew. Repeatable
    #[arg(long, value_name = "NAMESPACE/NAME", help_heading = "What to capture")]
    pod: Vec<String>,

    /// The interfaces that lead to this process's network namespace. Repeatable
    #[arg(long, value_name = "PID", help_heading = "What to capture")]
    pid: Vec<u32>,

    /// The interfaces that lead to this network namespace, by its name (`ip netns`) or its file. A
    /// namespace that none leads to is entered. Repeatable
    #[arg(long, value_name = "PATH-OR-NAME", help_heading = "What to capture")]
    netns: Vec<String>,

    /// Which way, seen from the node
    #[arg(
        short = 'Q',
        long,
        value_enum,
        default_value_t,
        help_heading = "What to capture"
    )]
    direction: Way,

    #[command(flatten)]
    matching: Matching,

    /// Only what matches by itself: not the same packet or its replies beyond a translation
    #[arg(long, help_heading = "What to capture")]
    no_follow: bool,

    /// Bytes of each packet to keep; 0 means the default
    #[arg(short, long, value_name = "BYTES", default_value_t = u64::from(MAX_SNAPLEN), value_parser = values::size, help_heading = "What to capture")]
    snaplen: u64,

    /// Stop after N packets were written
    #[arg(short, long, value_name = "N", value_parser = values::positive, help_heading = "When to stop")]
    count: Option<u64>,

    /// Stop before the output exceeds BYTES (K, M, G: powers of 1024)
    #[arg(long, value_name = "BYTES", value_parser = values::positive_size, help_heading = "When to stop")]
    size: Option<u64>,

    /// Stop after TIME (90s, 5m, 1h30m; a bare number is seconds)
    #[arg(long, value_name = "TIME", value_parser = values::duration, help_heading = "When to stop")]
    duration: Option<Duration>,

    /// Write a pcapng file; - is standard output. A name that ends in .zst or .gz is compressed;
    /// sizes are those before compression
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    write: Option<PathBuf>,

    /// Begin another file before one exceeds BYTES. Files are numbered: x.pcapng becomes
    /// x.00001.pcapng and so on, behind those that are there; a % in FILE is strftime's
    #[arg(short = 'C', long, value_name = "BYTES", value_parser = values::positive_size, requires = "write", help_heading = "Output")]
    rotate_size: Option<u64>,

    /// Begin another file every TIME, also when no packet comes
    #[arg(short = 'G', long, value_name = "TIME", value_parser = values::duration, requires = "write", help_heading = "Output")]
    rotate_interval: Option<Duration>,

    /// Keep N files: the oldest is removed, also what an earlier capture left of that name
    #[arg(short = 'W', long, value_name = "N", value_parser = values::files, help_heading = "Output")]
    rotate_files: Option<usize>,

    /// Keep at most BYTES of files together, as they are on the disk: before a file begins, the
    /// oldest are removed so that it can become as long as --rotate-size
    #[arg(long, value_name = "BYTES", value_parser = values::positive_size, requires = "rotate_size", help_heading = "Output")]
    rotate_total: Option<u64>,

    /// Run CMD FILE for each finished file, the last one included; CMD may have arguments,
    /// separated by spaces, and is no shell's
    #[arg(short = 'z', long, value_name = "CMD", value_parser = values::command, requires = "write", help_heading = "Output")]
    exec: Option<Exec>,

    /// Stop before the file system has less than BYTES free
    #[arg(long, value_name = "BYTES", value_parser = values::positive_size, requires = "write", help_heading = "When to stop")]
    min_free: Option<u64>,

    /// Write packets to the file as they come, for whoever reads along
    #[arg(short = 'U', long, help_heading = "Output")]
    packet_buffered: bool,

    /// Bring what was captured to the disk every TIME, so that it survives a loss of power
    #[arg(long, value_name = "TIME", value_parser = values::duration, requires = "write", help_heading = "Output")]
    flush_interval: Option<Duration>,

    /// Write flows, resets and translations, one JSON object a line; - is standard output
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with = "no_track",
        help_heading = "Output"
    )]
    flows: Option<PathBuf>,

    /// Write the state of the network stack before and after the capture, and what has changed, as
    /// JSON: links and their counters, addresses, routes, rules, neighbours, forwarding databases,
    /// conntrack, nftables, IPVS and kernel parameters, of the node and of the containers, pods,
    /// processes and namespaces that are captured
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    snapshot: Option<PathBuf>,

    /// Keep recent packets in memory, and write those of a flow only around an event in it
    #[arg(
        long,
        value_name = "EVENT",
        value_delimiter = ',',
        value_enum,
        conflicts_with = "no_track",
        help_heading = "Flight recorder"
    )]
    on: Vec<What>,

    /// How far before the event: a time (30s), or a number of packets
    #[arg(long, value_name = "TIME|PACKETS", default_value = "30s", value_parser = values::reach, requires = "on", help_heading = "Flight recorder")]
    before: Reach,

    /// How far after it
    #[arg(long, value_name = "TIME|PACKETS", default_value = "5s", value_parser = values::reach, requires = "on", help_heading = "Flight recorder")]
    after: Reach,

    /// Memory for the packets that wait. Default 64M
    #[arg(long, value_name = "BYTES", default_value_t = DEFAULT_RECORDER, hide_default_value = true, value_parser = values::size, requires = "on", help_heading = "Flight recorder")]
    recorder_size: u64,

    /// Print packets also when writing a file
    #[arg(long, help_heading = "Output", conflicts_with = "quiet")]
    print: bool,

    /// Print no packets
    #[arg(short, long, help_heading = "Output")]
    quiet: bool,

    /// More detail: of packets, and the whole ledger at the end; twice: diagnostics
    #[arg(short, long, action = clap::ArgAction::Count, help_heading = "Output")]
    verbose: u8,

    /// Numbers instead of names
    #[arg(short, long, help_heading = "Output")]
    numeric: bool,

    /// Memory for packets on their way from the kernel; rounded up to a power of two. Default 32M
    #[arg(long, value_name = "BYTES", default_value_t = DEFAULT_RING, hide_default_value = true, value_parser = values::size, help_heading = "Resources")]
    ring_size: u64,

    /// Flows remembered at a time; the longest idle ones are forgotten first
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = values::flows, help_heading = "Resources")]
    max_flows: usize,

    /// Packets only: no flows, translations or resets
    #[arg(long, help_heading = "Resources")]
    no_track: bool,

    /// Serve figures for Prometheus at http://ADDR:PORT/metrics; a port alone is one of 127.0.0.1
    #[arg(long, value_name = "ADDR:PORT", value_parser = values::endpoint, help_heading = "Running for long")]
    metrics: Option<SocketAddr>,

    /// Become USER once everything is attached and open, with no more privileges than the capture
    /// goes on to need. Output files are that user's; a name, a number, or UID:GID
    #[arg(
        short = 'Z',
        long,
        value_name = "USER",
        help_heading = "Running for long"
    )]
    relinquish: Option<String>,

    /// Exit with status 3 if any matched packet was lost
    #[arg(long, help_heading = "Resources")]
    fail_on_loss: bool,
}

/// `--on`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    /// A connection was reset
    Reset,
    /// A translation of an address or port was recognised
    Nat,
    /// A TCP segment was sent again
    Retransmit,
    /// The kernel dropped a TCP segment that had been captured
    Drop,
    /// An ICMP error quotes one of the flow's packets
    IcmpError,
    /// A side closed its TCP window
    ZeroWindow,
}

impl From<What> for Kind {
    fn from(what: What) -> Self {
        match what {
            What::Reset => Self::Reset,
            What::Nat => Self::Nat,
            What::Retransmit => Self::Retransmit,
            What::Drop => Self::Drop,
            What::IcmpError => Self::IcmpError,
            What::ZeroWindow => Self::ZeroWindow,
        }
    }
}

/// `--hook`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum At {
    /// TC: by TCX, or by a clsact filter where the kernel has no TCX
    #[default]
    Tc,
    /// TC by a clsact filter, as where the kernel has no TCX
    Clsact,
    /// XDP, in the driver where it can: only what comes in, without a VLAN tag that the card took
    /// out, and nothing is followed
    Xdp,
}

/// `-Q`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Way {
    /// Packets that come into the node through the interface
    In,
    /// Packets that leave it
    Out,
    /// Both
    #[default]
    Inout,
}

impl Args {
    /// How often `-v` was given.
    #[must_use]
    pub fn verbosity(&self) -> u8 {
        self.verbose
    }

    /// Resolves what was typed.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`], naming the option and what is wrong with it.
    pub fn resolve(self) -> Result<Plan> {
        let to_stdout = self
            .write
            .as_ref()
            .is_some_and(|path| path.as_os_str() == "-");
        if self.print && to_stdout {
            return Err(Error::usage(
                "--print and `-w -` both want standard output: write to a file, or leave --print out",
            ));
        }
        let flows_to_stdout = self
            .flows
            .as_ref()
            .is_some_and(|path| path.as_os_str() == "-");
        if flows_to_stdout && (to_stdout || self.print) {
            return Err(Error::usage(
                "--flows - wants standard output for itself: leave --print out, and write packets to a file",
            ));
        }
        if self.snapshot.is_some() && [&self.write, &self.flows].contains(&&self.snapshot) {
            return Err(Error::usage(
                "--snapshot wants a file of its own: -w or --flows names the same",
            ));
        }
        if self.exec.is_some() && to_stdout {
            return Err(Error::usage(
                "--exec wants a file to be run on, which standard output isn't: name one with -w",
            ));
        }
        if self.min_free.is_some() && to_stdout {
            return Err(Error::usage(
                "--min-free is about the file system of a file, which standard output isn't on: name one with -w",
            ));
        }
        let rotate = self.rotate()?;
        let record = self.record()?;
        let filter = self.matching.resolve()?;
        let lists = self.matching.lists();
        Ok(Plan {
            lists: lists.has_files().then_some(lists),
            interfaces: self
                .interface
                .iter()
                .map(|name| Pattern::parse(name))
                .chain(
                    self.bridge
                        .into_iter()
                        .map(|name| Ok(Pattern::Bridge(name))),
                )
                .collect::<Result<_>>()?,
            hook: match self.hook {
                At::Tc => Hook::Tc,
                At::Clsact => Hook::Clsact,
                At::Xdp => Hook::Xdp,
            },
            workloads: (self.container.into_iter().map(Workload::Container).map(Ok))
                .chain(self.pod.iter().map(|pod| Workload::pod(pod)))
                .chain(self.pid.into_iter().map(Workload::Pid).map(Ok))
                .chain(self.netns.into_iter().map(Workload::Netns).map(Ok))
                .collect::<Result<_>>()?,
            notes: Vec::new(),
            directions: match self.direction {
                Way::Out if self.hook == At::Xdp => {
                    return Err(Error::usage(
                        "--hook xdp sees only what comes in: leave -Q out, or use --hook tc",
                    ));
                }
                _ if self.hook == At::Xdp => vec![Direction::In],
                Way::In => vec![Direction::In],
                Way::Out => vec![Direction::Out],
                Way::Inout => vec![Direction::In, Direction::Out],
            },
            filter,
            snaplen: snaplen(self.snaplen)?,
            limits: Limits {
                count: self.count,
                size: self.size,
                duration: self.duration,
            },
            print: self.print || (self.write.is_none() && self.flows.is_none() && !self.quiet),
            write: self.write,
            rotate,
            exec: self.exec,
            min_free: self.min_free,
            flush: Flush {
                at_once: self.packet_buffered,
                interval: self.flush_interval,
            },
            flows: self.flows,
            snapshot: self.snapshot,
            track: !self.no_track,
            follow: !self.no_follow && !self.no_track,
            max_flows: self.max_flows,
            record,
            names: !self.numeric,
            verbosity: self.verbose,
            ring_bytes: ring_bytes(self.ring_size)?,
            fail_on_loss: self.fail_on_loss,
            metrics: self.metrics,
            relinquish: (self.relinquish.as_deref())
                .map(user::resolve)
                .transpose()?,
        })
    }
}

impl Args {
    /// What the flight recorder writes, if there is one.
    fn record(&self) -> Result<Option<Record>> {
        if self.on.is_empty() {
            return Ok(None);
        }
        if self.recorder_size < LEAST_BYTES {
            return Err(Error::usage(format!(
                "--recorder-size {}: the largest packets don't fit into less than {}K",
                self.recorder_size,
                LEAST_BYTES >> 10
            )));
        }
        // Lines are for somebody who is looking, -U for somebody who reads along. And nobody knows
        // how long a number of packets takes.
        let at_once = self.packet_buffered
            || self.write.is_none()
            || matches!(self.before, Reach::Packets(_));
        Ok(Some(Record {
            on: self.on.iter().copied().map(Kind::from).collect(),
            before: self.before,
            after: self.after,
            order: if at_once {
                Order::AtOnce
            } else {
                Order::ByTime
            },
            bytes: usize::try_from(self.recorder_size)
                .map_err(|_| Error::usage("--recorder-size is more than there can be"))?,
        }))
    }

    /// When another file begins, if ever.
    fn rotate(&self) -> Result<Option<Rotate>> {
        if self.rotate_size.is_none() && self.rotate_interval.is_none() {
            return match self.rotate_files {
                None => Ok(None),
                Some(_) => Err(Error::usage(
                    "--rotate-files says how many files to keep, and there is but one: add --rotate-size or --rotate-interval",
                )),
            };
        }
        let regular = |path: &PathBuf| {
            path != "-" && path.metadata().map_or(true, |it| it.file_type().is_file())
        };
        if !self.write.as_ref().is_some_and(regular) {
            return Err(Error::usage(
                "--rotate-size and --rotate-interval want files: name one with -w, not standard output, a pipe or a device",
            ));
        }
        if let (Some(total), Some(size)) = (self.rotate_total, self.rotate_size)
            && total < size
        {
            return Err(Error::usage(format!(
                "--rotate-total {total}: a single file may already have --rotate-size {size}; allow all together more than that"
            )));
        }
        Ok(Some(Rotate {
            size: self.rotate_size,
            interval: self.rotate_interval,
            files: self.rotate_files,
            total: self.rotate_total,
        }))
    }
}

fn snaplen(typed: u64) -> Result<u32> {
    match u32::try_from(typed) {
        Ok(0) => Ok(MAX_SNAPLEN),
        Ok(bytes) if bytes <= MAX_SNAPLEN => Ok(bytes),
        _ => Err(Error::usage(format!(
            "--snaplen {typed}: at most {MAX_SNAPLEN} bytes of a packet can be kept"
        ))),
    }
}

fn ring_bytes(typed: u64) -> Result<u32> {
    if !(SMALLEST_RING..=LARGEST_RING).contains(&typed) {
        return Err(Error::usage(format!(
            "--ring-size {typed}: a ring has from {}K to {}G",
            SMALLEST_RING >> 10,
            LARGEST_RING >> 30
        )));
    }
    u32::try_from(typed.next_power_of_two())
        .map_err(|_| Error::usage(format!("--ring-size {typed}: too large")))
}

/// Captures, and tells the exit status.
///
/// # Errors
///
/// What keeps the capture from starting, or cuts it short.
pub fn run(args: Args) -> Result<ExitCode> {
    let mut plan = args.resolve()?;
    // Before the namespace is entered: whoever asks, and the service manager, are in this one.
    let outside = Outside::open(&plan)?;
    let entered = enter_where_needed(&mut plan.interfaces, &mut plan.workloads)?;
    plan.notes.extend(entered);
    let fail_on_loss = plan.fail_on_loss;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::failure(format!("can't start: {error}")))?;
    let Outcome { lost, failure } = runtime.block_on(session::run(plan, outside))?;
    match failure {
        Some(error) => Err(error),
        None if fail_on_loss && lost > 0 => Ok(ExitCode::from(3)),
        None => Ok(ExitCode::SUCCESS),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by it")]
mod tests {
    use clap::Parser as _;

    use super::*;

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
}
