//! A short, repeatable run of what `cargo xtask fuzz` does for as long as wanted.

#[path = "../src/bin/fuzz/engine.rs"]
mod engine;
#[path = "../src/bin/fuzz/targets/mod.rs"]
mod targets;

use engine::{Engine, Target};

/// Inputs for each target: a second or two of them.
const INPUTS: usize = 1_500;

#[test]
fn no_input_breaks_what_must_hold() {
    for target in targets::all() {
        let name = target.name();
        let mut engine = match Engine::new(target, 1) {
            Ok(engine) => engine,
            Err(find) => panic!("{name}, a seed: {}: {:?}", find.why, find.input),
        };
        let seeds = engine.runs;
        for _ in 0..INPUTS {
            if let Err(find) = engine.step() {
                panic!("{name}: {}: {:?}", find.why, find.input);
            }
        }
        assert_eq!(engine.runs, seeds + INPUTS as u64);
        assert!(engine.results() > 1, "{name}: every input does the same");
    }
}

/// Breaks on inputs that hold an `x` and, later, a `y`, of which only the first has a result of its
/// own.
struct Brittle;

impl Target for Brittle {
    fn name(&self) -> &'static str {
        "brittle"
    }

    fn seeds(&self) -> Vec<Vec<u8>> {
        vec![b"nothing".to_vec()]
    }

    fn run(&self, input: &[u8]) -> Result<u64, String> {
        let Some(x) = input.iter().position(|byte| *byte == b'x') else {
            return Ok(0);
        };
        if input[x..].contains(&b'y') {
            return Err("x and y".to_owned());
        }
        Ok(1)
    }
}

#[test]
fn what_must_never_be_is_found_with_its_input() {
    let mut engine = match Engine::new(&Brittle, 1) {
        Ok(engine) => engine,
        Err(find) => panic!("the seed is sound: {}", find.why),
    };
    let find = (0..1_000_000)
        .find_map(|_| engine.step().err())
        .expect("it is a matter of two bytes");
    assert_eq!(find.why, "x and y");
    assert_eq!(Brittle.run(&find.input), Err(find.why));
}
