//! qemu: how a guest is started, and whether the processor's own virtualisation can be had.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::kernels::Kernel;
use crate::command::{self, say};

/// The processors of each guest: more than one, as on every node.
pub(super) const PROCESSORS: usize = 2;

/// Who executes the guest's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Accelerator {
    /// The processor itself.
    Kvm,
    /// qemu's translator: ten to thirty times slower, and everywhere.
    Tcg,
}

/// How long a guest on KVM may take to its first sign of life, which takes it half a second.
const PROBE: Duration = Duration::from_secs(5);

/// What the translator emulates: all it can, without what costs it much and what nothing here
/// depends on. With `erms` and `fsrm` the kernel copies and clears byte by byte (`rep movsb` is a
/// loop to the translator); `smap` parts a block of code at each access to user memory; `la57` makes
/// each walk through the page tables one step longer; `pku` adds to each way into the kernel.
/// Together they took a quarter of a guest's time.
const EMULATED_CPU: &str = "max,-erms,-fsrm,-smap,-la57,-pku";

impl Accelerator {
    /// KVM if a guest really runs on it: where the machine is itself a guest, the device may open
    /// and nothing come of it.
    pub(super) fn probe(kernel: &Kernel, folder: &Path) -> Self {
        if !Path::new("/dev/kvm").exists() {
            say("no /dev/kvm: guests are emulated, which is slow");
            return Self::Tcg;
        }
        match boots_on_kvm(kernel, folder) {
            Ok(true) => Self::Kvm,
            Ok(false) => {
                say(format!(
                    "/dev/kvm is here, and a guest on it shows no sign of life within {PROBE:?}: \
                     guests are emulated, which is slow"
                ));
                Self::Tcg
            }
            Err(error) => {
                say(format!("KVM can't be used: {error:#}: guests are emulated"));
                Self::Tcg
            }
        }
    }

    fn options(self) -> [&'static str; 4] {
        match self {
            Self::Kvm => ["-accel", "kvm", "-cpu", "host"],
            Self::Tcg => ["-accel", "tcg,thread=single", "-cpu", EMULATED_CPU],
        }
    }
}

/// A kernel without a root says on its console that it finds none.
fn boots_on_kvm(kernel: &Kernel, folder: &Path) -> Result<bool> {
    let console = folder.join("kvm-probe.log");
    let mut probe = Machine {
        accelerator: Accelerator::Kvm,
        kernel,
        initramfs: None,
    }
    .command(&[&format!("file:{}", console.display())])?;
    let mut guest = Guest(probe.spawn().context("can't start qemu")?);
    let deadline = Instant::now() + PROBE;
    while Instant::now() < deadline {
        let said = std::fs::read(&console).unwrap_or_default();
        if String::from_utf8_lossy(&said).contains("Linux version") {
            return Ok(true);
        }
        if guest.0.try_wait()?.is_some() {
            return Ok(false);
        }
        sleep(Duration::from_millis(50));
    }
    Ok(false)
}

/// A guest that is to be started.
#[derive(Debug)]
pub(super) struct Machine<'a> {
    pub(super) accelerator: Accelerator,
    pub(super) kernel: &'a Kernel,
    pub(super) initramfs: Option<&'a Path>,
}

impl Machine<'_> {
    /// The command that runs it, with its serial lines led to these places.
    pub(super) fn command(&self, serial: &[&str]) -> Result<Command> {
        // Whatever becomes of us, the guest doesn't outlive us.
        let mut command = Command::new(command::find("setpriv").context("there is no setpriv")?);
        command.args(["--pdeathsig", "KILL", "qemu-system-x86_64"]);
        command.args(self.accelerator.options());
        command.args(["-smp", &PROCESSORS.to_string(), "-m", "1536M"]);
        command.args(["-nodefaults", "-display", "none", "-no-reboot"]);
        for place in serial {
            command.args(["-serial", place]);
        }
        command.arg("-kernel").arg(self.kernel.image());
        if let Some(file) = self.initramfs {
            command.arg("-initrd").arg(file);
        }
        command.args(["-append", &parameters(self.initramfs.is_some())]);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        Ok(command)
    }
}

/// The kernel's parameters.
fn parameters(has_root: bool) -> String {
    let mut parameters = vec![
        "console=ttyS0",
        // A panic ends the guest, by -no-reboot.
        "panic=-1",
        // What costs an emulated machine much and tells us nothing. (Mitigations stay on as such:
        // with `mitigations=off` the verifier takes more than it does on a node. It doesn't look at
        // this one, which makes each indirect call a detour.)
        "audit=0",
        "init_on_alloc=0",
        "spectre_v2=off",
        // An emulated processor may wait for a real one longer than the kernel thinks sane.
        "rcupdate.rcu_cpu_stall_timeout=60",
        "watchdog_thresh=60",
        // Else the time is read from an emulated device, for each packet: a hundred times as long.
        "tsc=reliable",
    ];
    // Warnings and worse; the probe waits for the very first message.
    parameters.push(if has_root { "loglevel=5" } else { "loglevel=7" });
    parameters.join(" ")
}

/// A running guest, which ends with the value.
#[derive(Debug)]
pub(super) struct Guest(pub(super) Child);

impl Guest {
    /// The processor time that the emulator has used so far: on a busy machine that tells more of
    /// what a guest costs than the time that went by. None once it has ended.
    pub(super) fn processor_time(&self) -> Option<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id())).ok()?;
        processor_time(&stat)
    }
}

/// Of a process's stat file (proc(5)): `utime` and `stime`, the 12th and 13th number behind the
/// command's name, which ends with the last parenthesis.
fn processor_time(stat: &str) -> Option<Duration> {
    // USER_HZ, which is 100 on every architecture that guests are made for.
    const TICK: Duration = Duration::from_millis(10);
    let (_, behind) = stat.rsplit_once(')')?;
    let mut times = behind.split_ascii_whitespace().skip(11);
    let mut ticks = || times.next()?.parse::<u32>().ok();
    Some(TICK * ticks()?.saturating_add(ticks()?))
}

impl Drop for Guest {
    fn drop(&mut self) {
        // Both fail if it has ended, which is what they are for.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_read_behind_whatever_the_command_is_called() {
        let stat = "7 (a) b (c) R 1 2 3 4 5 6 7 8 9 10 1000 234 0 0 20 0\n";
        assert_eq!(processor_time(stat), Some(Duration::from_millis(12_340)));
        assert_eq!(processor_time("7 (qemu) R 1"), None);
    }
}
