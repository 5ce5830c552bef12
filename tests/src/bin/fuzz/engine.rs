//! Inputs made of other inputs, and a look at what each does.
//!
//! No coverage is measured: that takes an instrumented build, and the compiler's support for it
//! isn't in the stable toolchain's. In its place a target says what came of an input, as a number;
//! an input with a result that was never seen is kept and mutated further. That finds less than
//! coverage would, and repeats exactly from its seed.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Inputs that are kept at a time. One more takes a random one's place.
const CORPUS_MAX: usize = 4_096;
/// No input is made longer, in bytes.
const INPUT_MAX: usize = 1 << 16;
/// Values at which lengths, counts and numbers turn.
const TURNS: [u32; 12] = [
    0,
    1,
    0x7f,
    0x80,
    0xff,
    0x100,
    0x7fff,
    0x8000,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
];

/// What is fed, and what must hold of it.
pub(crate) trait Target {
    /// What it is called.
    fn name(&self) -> &'static str;

    /// Good inputs to begin with.
    fn seeds(&self) -> Vec<Vec<u8>>;

    /// Takes an input. What came of it as a number, the same for inputs that did alike; or what
    /// must never be.
    fn run(&self, input: &[u8]) -> Result<u64, String>;
}

/// An input that did what must never be.
#[derive(Debug)]
pub(crate) struct Find {
    pub(crate) input: Vec<u8>,
    pub(crate) why: String,
}

/// Numbers that look random and depend on the seed alone (SplitMix64).
#[derive(Clone, Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below `end`; 0 if there is nothing below.
    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

/// One target with its inputs.
pub(crate) struct Engine<'a> {
    target: &'a dyn Target,
    random: Random,
    corpus: Vec<Vec<u8>>,
    seen: HashSet<u64>,
    pub(crate) runs: u64,
}

impl<'a> Engine<'a> {
    /// Begins with the target's seeds.
    pub(crate) fn new(target: &'a dyn Target, seed: u64) -> Result<Self, Find> {
        let mut engine = Self {
            target,
            random: Random(seed),
            corpus: Vec::new(),
            seen: HashSet::new(),
            runs: 0,
        };
        for input in target.seeds() {
            engine.take(&input)?;
            engine.corpus.push(input);
        }
        if engine.corpus.is_empty() {
            engine.corpus.push(Vec::new());
        }
        Ok(engine)
    }

    /// Makes an input and runs it.
    pub(crate) fn step(&mut self) -> Result<(), Find> {
        let chosen = self.random.below(self.corpus.len());
        let mut input = self.corpus[chosen].clone();
        for _ in 0..=self.random.below(8) {
            self.mutate(&mut input);
        }
        input.truncate(INPUT_MAX);
        if self.take(&input)? {
            if self.corpus.len() < CORPUS_MAX {
                self.corpus.push(input);
            } else {
                let place = self.random.below(CORPUS_MAX);
                self.corpus[place] = input;
            }
        }
        Ok(())
    }

    /// Inputs with different results so far.
    pub(crate) fn results(&self) -> usize {
        self.seen.len()
    }

    /// Runs an input; whether its result is new.
    fn take(&mut self, input: &[u8]) -> Result<bool, Find> {
        self.runs += 1;
        let find = |why| Find {
            input: input.to_vec(),
            why,
        };
        match catch_unwind(AssertUnwindSafe(|| self.target.run(input))) {
            Ok(Ok(result)) => Ok(self.seen.insert(result)),
            Ok(Err(why)) => Err(find(why)),
            Err(panic) => {
                let why = panic
                    .downcast_ref::<String>()
                    .map(String::as_str)
                    .or_else(|| panic.downcast_ref::<&str>().copied())
                    .unwrap_or("no message");
                Err(find(format!("panic: {why}")))
            }
        }
    }

    fn mutate(&mut self, input: &mut Vec<u8>) {
        let len = input.len();
        let at = self.random.below(len + 1);
        let some = self.random.below(64.min(len - at.min(len)) + 1);
        match self.random.below(9) {
            // One bit.
            0 if len > 0 => input[at.min(len - 1)] ^= 1 << self.random.below(8),
            // Some byte.
            1 if len > 0 => input[at.min(len - 1)] = self.random.next() as u8,
            // A number at which things turn, in either byte order.
            2 => {
                let value = TURNS[self.random.below(TURNS.len())];
                let width = 1 << self.random.below(3);
                let bytes = if self.random.below(2) == 0 {
                    value.to_le_bytes()[..width].to_vec()
                } else {
                    value.to_be_bytes()[4 - width..].to_vec()
                };
                for (to, from) in input.iter_mut().skip(at).zip(bytes) {
                    *to = from;
                }
            }
            // One more or one less.
            3 if len > 0 => {
                let step = if self.random.below(2) == 0 { 1 } else { 255 };
                let byte = &mut input[at.min(len - 1)];
                *byte = byte.wrapping_add(step);
            }
            // Less.
            4 => drop(input.drain(at..at + some)),
            // The same twice.
            5 => {
                let again = input[at..at + some].to_vec();
                input.splice(at..at, again);
            }
            // The end is missing.
            6 => input.truncate(at),
            // A part of another one, in place of or beside what is there.
            7 => {
                let other = self.random.below(self.corpus.len());
                let other = &self.corpus[other];
                let from = self.random.below(other.len() + 1);
                let len = self.random.below(256.min(other.len() - from) + 1);
                let part = other[from..from + len].to_vec();
                let end = if self.random.below(2) == 0 {
                    at
                } else {
                    input.len().min(at + len)
                };
                input.splice(at..end, part);
            }
            // Something new.
            _ => {
                let new: Vec<u8> = (0..some).map(|_| self.random.next() as u8).collect();
                input.splice(at..at, new);
            }
        }
    }
}
