//! An expression's code as a program of its own: what it returns is the verdict of
//! `BPF_PROG_TEST_RUN`.

use aya::programs::{ProgramType, SchedClassifier, TestRun as _, TestRunOptions, Xdp};
use aya::sys::{BpfHelper, is_helper_supported};
use aya::{Ebpf, EbpfLoader};
use capture_user::filter::ebpf::{Instruction, Math, R2, Value};
use capture_user::filter::expression::classic::Program;
use capture_user::filter::expression::translate::{Hook, translate, translate_indirectly};
use lab::elf;

/// The ways to run a program in the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// At TC, as it is shipped.
    Tc,
    /// At TC, as for a packet without a linear part.
    TcIndirectly,
    /// At XDP.
    Xdp,
    /// At XDP, as for a packet without a linear part.
    XdpIndirectly,
    /// At XDP of a kernel before 5.18.
    OldXdp,
}

impl Way {
    const ALL: [Self; 5] = [
        Self::Tc,
        Self::TcIndirectly,
        Self::Xdp,
        Self::XdpIndirectly,
        Self::OldXdp,
    ];

    /// Those that this kernel can run.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let helpers = is_helper_supported(ProgramType::Xdp, BpfHelper::BPF_FUNC_xdp_load_bytes);
        let fragments = helpers.unwrap();
        Self::ALL
            .into_iter()
            .filter(move |way| fragments || !matches!(way, Self::Xdp | Self::XdpIndirectly))
    }

    /// The kind of program, as a section's name says it.
    pub(crate) const fn section(self) -> &'static str {
        match self {
            Self::Tc | Self::TcIndirectly => "classifier",
            Self::Xdp | Self::XdpIndirectly | Self::OldXdp => "xdp",
        }
    }

    /// The program for a packet that comes in, as the kernel reads it.
    pub(crate) fn whole(self, program: &Program) -> Vec<elf::Instruction> {
        // The second argument: it comes in.
        let incoming = Instruction::math32(Math::Move, R2, Value::Number(0));
        let mut code = vec![incoming.encode()];
        code.extend(self.code(program).iter().map(Instruction::encode));
        code
    }

    fn code(self, program: &Program) -> Vec<Instruction> {
        let fragments = Hook::Xdp { fragments: true };
        match self {
            Self::Tc => translate(program, Hook::Tc),
            Self::TcIndirectly => translate_indirectly(program, Hook::Tc),
            Self::Xdp => translate(program, fragments),
            Self::XdpIndirectly => translate_indirectly(program, fragments),
            Self::OldXdp => translate(program, Hook::Xdp { fragments: false }),
        }
        .unwrap()
    }
}

pub(crate) struct Alone {
    ebpf: Ebpf,
    at_tc: bool,
}

impl Alone {
    /// Loads the code.
    ///
    /// # Panics
    ///
    /// When the kernel refuses it, with what it says.
    #[track_caller]
    pub(crate) fn load(what: &str, program: &Program, way: Way) -> Self {
        let at_tc = matches!(way, Way::Tc | Way::TcIndirectly);
        let code = way.whole(program);
        // Nothing here refers to the kernel's types, and reading them takes longest.
        let mut ebpf = EbpfLoader::new()
            .btf(None)
            .load(&elf::object(way.section(), "alone", &code))
            .unwrap();
        let alone = ebpf.program_mut("alone").unwrap();
        let loaded = if at_tc {
            <&mut SchedClassifier>::try_from(alone).unwrap().load()
        } else {
            <&mut Xdp>::try_from(alone).unwrap().load()
        };
        if let Err(error) = loaded {
            let text: Vec<_> = way.code(program).iter().map(ToString::to_string).collect();
            panic!("`{what}` {way:?}: {error:?}\n{}", text.join("\n"));
        }
        Self { ebpf, at_tc }
    }

    /// What it returns for the packet.
    pub(crate) fn run(&mut self, packet: &[u8]) -> Result<u32, String> {
        let options = TestRunOptions {
            data_in: Some(packet),
            repeat: 1,
            ..TestRunOptions::new()
        };
        let alone = self.ebpf.program_mut("alone").unwrap();
        let result = if self.at_tc {
            <&mut SchedClassifier>::try_from(alone)
                .unwrap()
                .test_run(options)
        } else {
            <&mut Xdp>::try_from(alone).unwrap().test_run(options)
        };
        match result {
            Ok(run) => Ok(run.return_value),
            Err(error) => Err(format!("{error:?}")),
        }
    }
}
