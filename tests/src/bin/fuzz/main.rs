//! `cargo xtask fuzz`: bytes that nobody would send, for as long as wanted.
//!
//! - [`engine`]: makes inputs, and knows which were of use
//! - [`targets`]: what takes them, and what must hold
//!
//! An input that did what must never be is written to a file and named; `--replay` runs it again.

mod engine;
mod targets;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Parser;

use crate::engine::{Engine, Find, Target};

#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask fuzz",
    about = "Feeds the flow core, the file reader, the repair of files, the netlink decoders and the \
             text printer with mutated input"
)]
struct Arguments {
    /// For how long, all targets together
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// The same seed gives the same inputs [default: by the clock]
    #[arg(long)]
    seed: Option<u64>,
    /// Only this target: core, file, repair, netlink or line
    #[arg(long)]
    target: Option<String>,
    /// Where a find is written
    #[arg(long, value_name = "FOLDER", default_value = "target/fuzz")]
    finds: PathBuf,
    /// Runs this input once, by the target that its name begins with
    #[arg(long, value_name = "FILE")]
    replay: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether nothing was found.
fn run(arguments: &Arguments) -> Result<bool, String> {
    if let Some(file) = &arguments.replay {
        return replay(file);
    }
    let targets: Vec<_> = targets::all()
        .into_iter()
        .filter(|target| {
            arguments
                .target
                .as_deref()
                .is_none_or(|wanted| wanted == target.name())
        })
        .collect();
    if targets.is_empty() {
        return Err("there are the targets core, file, repair, netlink and line".to_owned());
    }
    let seed = arguments.seed.unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        now.map_or(0, |now| now.as_secs())
    });
    let each = Duration::from_secs(arguments.seconds) / targets.len() as u32;
    // Reported with the input, not by the default hook in the middle of it all.
    std::panic::set_hook(Box::new(|_| {}));
    for target in targets {
        match fuzz(target, seed, each) {
            Ok(said) => println!("{}: {said}, seed {seed}", target.name()),
            Err(find) => {
                let file = keep(target, &find, &arguments.finds)?;
                println!("{}: {}", target.name(), find.why);
                println!("run it again with --replay {}", file.display());
                return Ok(false);
            }
        }
    }
    Ok(true)
}

fn fuzz(target: &dyn Target, seed: u64, time: Duration) -> Result<String, Find> {
    let end = Instant::now() + time;
    let mut engine = Engine::new(target, seed)?;
    while Instant::now() < end {
        for _ in 0..64 {
            engine.step()?;
        }
    }
    Ok(format!(
        "{} inputs, {} different results",
        engine.runs,
        engine.results()
    ))
}

fn keep(target: &dyn Target, find: &Find, folder: &PathBuf) -> Result<PathBuf, String> {
    let file = folder.join(format!("{}-{}", target.name(), find.input.len()));
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(&file, &find.input))
        .map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(file)
}

fn replay(file: &PathBuf) -> Result<bool, String> {
    let input = fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let target = targets::all()
        .into_iter()
        .find(|target| name.starts_with(target.name()))
        .ok_or("a find's name begins with its target's")?;
    match target.run(&input) {
        Ok(_) => {
            println!("{}: nothing", target.name());
            Ok(true)
        }
        Err(why) => {
            println!("{}: {why}", target.name());
            Ok(false)
        }
    }
}
