//! A program by itself: run on a packet without any interface, and known by its number.

use std::io;
use std::sync::Barrier;

use aya::programs::{TestRun as _, TestRunOptions};
use rustix::thread::{CpuSet, sched_setaffinity};

use super::attach::Hook;
use super::error::KernelError;
use super::program::Kernel;
use crate::packet::Direction;
use crate::target::links::Framing;

/// What one run of a program by `BPF_PROG_TEST_RUN` gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TestRun {
    /// What the program returned.
    pub verdict: i32,
    /// Nanoseconds a run, the mean over the repetitions.
    pub nanoseconds: u64,
}

/// How large a program is in the kernel. What an old kernel doesn't tell is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Instructions that the verifier went through, on all ways.
    pub verified: u32,
    /// Bytes of eBPF that it left.
    pub translated: u32,
    /// Bytes of machine code.
    pub machine_code: u32,
}

impl Kernel {
    /// Runs a program on a packet without any interface, `repeat` times. What matches is counted
    /// and recorded as if it had been seen on the interface with index 1 (loopback).
    ///
    /// # Errors
    ///
    /// [`KernelError`], when the kernel refuses the packet (less than an Ethernet header).
    pub fn test_run(
        &mut self,
        direction: Direction,
        framing: Framing,
        packet: &[u8],
        repeat: u32,
    ) -> Result<TestRun, KernelError> {
        let options = TestRunOptions {
            data_in: Some(packet),
            repeat,
            ..TestRunOptions::new()
        };
        let run = match self.links.hook() {
            Hook::Tc | Hook::Clsact => self.program(direction, framing)?.test_run(options),
            Hook::Xdp => self.xdp_program()?.test_run(options),
        };
        let run = run.map_err(|error| KernelError::Load(Box::new(error)))?;
        Ok(TestRun {
            verdict: run.return_value.cast_signed(),
            nanoseconds: run.duration.as_nanos().try_into().unwrap_or(u64::MAX),
        })
    }

    /// Runs the program for Ethernet frames that come in on several CPUs at once, `repeat` times on
    /// each. What each CPU took, in their order.
    ///
    /// # Errors
    ///
    /// As [`Kernel::test_run`]; and when a CPU isn't this process's to run on.
    pub fn test_run_on(
        &mut self,
        cpus: &[usize],
        packet: &[u8],
        repeat: u32,
    ) -> Result<Vec<TestRun>, KernelError> {
        let program = &*self.program(Direction::In, Framing::Ethernet)?;
        let start = Barrier::new(cpus.len());
        let run = |cpu| {
            let mut set = CpuSet::new();
            set.set(cpu);
            let pinned = sched_setaffinity(None, &set).map_err(io::Error::from);
            start.wait();
            pinned.map_err(|error| KernelError::Load(Box::new(error)))?;
            let run = program.test_run(TestRunOptions {
                data_in: Some(packet),
                repeat,
                ..TestRunOptions::new()
            });
            let run = run.map_err(|error| KernelError::Load(Box::new(error)))?;
            Ok(TestRun {
                verdict: run.return_value.cast_signed(),
                nanoseconds: run.duration.as_nanos().try_into().unwrap_or(u64::MAX),
            })
        };
        let run = &run;
        std::thread::scope(|scope| {
            let threads: Vec<_> = cpus
                .iter()
                .map(|cpu| scope.spawn(move || run(*cpu)))
                .collect();
            let abandoned = |_| Err(KernelError::Load(Box::new(io::Error::other("a panic"))));
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(abandoned))
                .collect()
        })
    }

    /// What became of the program for a direction and a framing.
    ///
    /// # Errors
    ///
    /// [`KernelError`], when it can't be loaded or the kernel doesn't tell.
    pub fn program_size(
        &mut self,
        direction: Direction,
        framing: Framing,
    ) -> Result<Size, KernelError> {
        let program = self.program(direction, framing)?;
        let info = program
            .info()
            .map_err(|error| KernelError::Load(Box::new(error)))?;
        Ok(Size {
            verified: info.verified_instruction_count().unwrap_or(0),
            translated: info.size_translated().unwrap_or(0),
            machine_code: info.size_jitted(),
        })
    }

    /// The number by which bpftool(8) knows the program for a direction and a framing.
    ///
    /// # Errors
    ///
    /// [`KernelError`], when it can't be loaded or the kernel doesn't tell.
    pub fn program_id(
        &mut self,
        direction: Direction,
        framing: Framing,
    ) -> Result<u32, KernelError> {
        let program = self.program(direction, framing)?;
        let info = program
            .info()
            .map_err(|error| KernelError::Load(Box::new(error)))?;
        Ok(info.id())
    }
}
