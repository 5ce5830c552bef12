//! The object that the programs come from: its names, and the diagnostics in it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use capture_user::kernel::log::LogLevel;
use capture_user::kernel::program::object;
use capture_user::packet::Direction;
use capture_user::target::links::Framing;
use lab::tool;
use log::{Level, LevelFilter, Log, Metadata, Record};
use object::{Object as _, ObjectSection as _, ObjectSymbol as _, SectionKind};

use crate::bench::{Bench, Make};

/// The names as they are written down, each under what it is the name of.
const NAMES: &str = include_str!("../../../capture-common/src/names.rs");

/// What kind of thing each name is said to be the name of: its documentation's first word.
fn names() -> Vec<(&'static str, &'static str)> {
    let mut kind = "";
    let mut before_is_documentation = false;
    let mut names = Vec::new();
    for line in NAMES.lines() {
        let documentation = line.strip_prefix("/// ");
        if let (Some(text), false) = (documentation, before_is_documentation) {
            kind = text.split([' ', ':', ',']).next().unwrap();
        }
        before_is_documentation = documentation.is_some();
        if line.starts_with("pub const ") {
            names.push((kind, line.split('"').nth(1).unwrap()));
        }
    }
    names
}

#[test]
fn every_name_that_both_sides_share_is_in_the_object_for_what_it_names() {
    let object = object::File::parse(object()).unwrap();
    let section_of = |name: &str| {
        let symbol = object.symbols().find(|symbol| symbol.name() == Ok(name));
        let symbol = symbol.unwrap_or_else(|| panic!("no {name} in the object"));
        let index = symbol.section_index().unwrap();
        object.section_by_index(index).unwrap()
    };
    let names = names();
    for (kind, name) in &names {
        let section = section_of(name);
        let place = section.name().unwrap();
        let right = match *kind {
            // Those with another map in them are described by type information.
            "Map" => matches!(place, "maps" | ".maps"),
            "Global" => place == ".rodata",
            // Code in a section that says what kind of program it is; the rest is in `.text`.
            "Function" => place.starts_with(".text."),
            "Program" => section.kind() == SectionKind::Text && place != ".text",
            kind => panic!("{name} is a {kind}"),
        };
        assert!(right, "{kind} {name} is in {place}");
    }
    let count = |wanted| names.iter().filter(|(kind, _)| *kind == wanted).count();
    assert!(count("Map") >= 6 && count("Program") >= 4 && count("Global") >= 6);
}

/// What a loaded program consists of.
struct Loaded {
    bytes: u64,
    /// Its instructions as the verifier left them.
    instructions: String,
    /// The number of the map that messages go through.
    messages: u64,
}

fn loaded(log: LogLevel) -> Loaded {
    let make = Make {
        log,
        // One ring: a function finds another one's room where there are several.
        ring_bytes: 512 << 10,
        ..Make::default()
    };
    // Without options, which have functions too.
    let mut bench = Bench::make("", &make);
    let id = bench
        .kernel
        .program_id(Direction::In, Framing::Ethernet)
        .unwrap();
    let bpftool = |words: &str| {
        let words = words.split_whitespace();
        tool::run(std::process::Command::new(tool::path("bpftool")).args(words)).stdout
    };
    let show = |kind: &str, id: u64| -> serde_json::Value {
        serde_json::from_slice(&bpftool(&format!("-j {kind} show id {id}"))).unwrap()
    };
    let program = show("prog", id.into());
    let maps = program["map_ids"].as_array().unwrap();
    let messages = maps
        .iter()
        .filter_map(serde_json::Value::as_u64)
        .find(|id| show("map", *id)["name"] == "AYA_LOGS");
    Loaded {
        bytes: program["bytes_xlated"].as_u64().unwrap(),
        instructions: String::from_utf8(bpftool(&format!("prog dump xlated id {id}"))).unwrap(),
        messages: messages.unwrap(),
    }
}

#[test]
fn diagnostics_that_are_off_leave_no_instruction_in_the_program() {
    let (off, on) = (loaded(LogLevel::Off), loaded(LogLevel::Debug));
    let speaks = |program: &Loaded| {
        let map = format!("map[id:{}]", program.messages);
        program.instructions.contains(&map)
    };
    assert!(speaks(&on), "{}", on.instructions);
    assert!(!speaks(&off), "{}", off.instructions);
    assert!(off.bytes < on.bytes, "{} and {}", off.bytes, on.bytes);
    // Messages are put together in functions of their own; without them there is no call.
    assert!(
        !off.instructions.contains("call pc"),
        "{}",
        off.instructions
    );
}

/// Keeps the kernel side's messages for the one test that is about them.
struct Messages(Mutex<Vec<(Level, String)>>);

static MESSAGES: Messages = Messages(Mutex::new(Vec::new()));

impl Messages {
    fn all(&self) -> MutexGuard<'_, Vec<(Level, String)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log for Messages {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().contains("capture_ebpf")
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            self.all().push((record.level(), record.args().to_string()));
        }
    }

    fn flush(&self) {}
}

#[test]
fn a_packet_that_found_the_ring_full_is_a_message_if_messages_were_asked_for() {
    log::set_logger(&MESSAGES).unwrap();
    log::set_max_level(LevelFilter::Debug);
    let put_and_listen = |log, frames| {
        let make = Make {
            log,
            ring_bytes: 4_096,
            ..Make::default()
        };
        let mut bench = Bench::make("", &make);
        let mut messages = bench.kernel.log().unwrap();
        for _ in 0..frames {
            let frame = [0; 1_500];
            bench
                .kernel
                .test_run(Direction::In, Framing::Ethernet, &frame, 1)
                .unwrap();
        }
        messages.flush();
        std::mem::take(&mut *MESSAGES.all())
    };
    // Two fit.
    let full = (Level::Debug, "ring full on interface 1".to_owned());
    assert_eq!(put_and_listen(LogLevel::Debug, 2), []);
    assert_eq!(
        put_and_listen(LogLevel::Debug, 5),
        [full.clone(), full.clone(), full]
    );
    assert_eq!(put_and_listen(LogLevel::Off, 5), []);
}
