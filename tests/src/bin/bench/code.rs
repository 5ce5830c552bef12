//! Little programs for TC, given as their instructions, that need nothing around them.

use aya::EbpfLoader;
use aya::programs::{SchedClassifier, TestRun as _, TestRunOptions};
use lab::elf::{Instruction, instruction, object};

use crate::Failure;

/// A loaded one.
pub(crate) struct Code(aya::Ebpf);

impl Code {
    pub(crate) fn load(code: &[Instruction]) -> Result<Self, Failure> {
        // There is nothing in it to relocate by the kernel's types, which take a while to read.
        let object = object("classifier", "code", code);
        let mut loaded = Self(EbpfLoader::new().btf(None).load(&object)?);
        loaded.program()?.load()?;
        Ok(loaded)
    }

    /// One that does nothing but return this verdict.
    pub(crate) fn returning(verdict: i32) -> Result<Self, Failure> {
        // r0 = verdict; exit
        Self::load(&[
            instruction(0xb7, 0, 0, 0, verdict),
            instruction(0x95, 0, 0, 0, 0),
        ])
    }

    pub(crate) fn program(&mut self) -> Result<&mut SchedClassifier, Failure> {
        let program = self.0.program_mut("code").ok_or("no such program")?;
        Ok(program.try_into()?)
    }

    /// What it returns, and how many nanoseconds that takes: the mean of so many runs.
    pub(crate) fn run(&mut self, packet: &[u8], repeat: u32) -> Result<(u32, f64), Failure> {
        let run = self.program()?.test_run(TestRunOptions {
            data_in: Some(packet),
            repeat,
            ..TestRunOptions::new()
        })?;
        Ok((run.return_value, run.duration.as_nanos() as f64))
    }
}
