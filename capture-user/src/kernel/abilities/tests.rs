use super::privileges::{is_filtered, locked_down, maps_users};
use super::*;

fn refused(errno: i32) -> io::Result<()> {
    Err(io::Error::from_raw_os_error(errno))
}

fn root() -> Privileges {
    Privileges {
        bpf: true,
        net_admin: true,
        perfmon: true,
        ..Privileges::default()
    }
}

/// A kernel with everything, for root.
fn everything() -> Findings {
    Findings {
        privileges: root(),
        array: Ok(()),
        ring_buffer: Ok(()),
        classifier: Ok(()),
        tcx: Some(refused(libc::ENODEV)),
        xdp: Ok(()),
        xdp_frags: Ok(()),
        jited: Some(true),
        clock: Some("tsc".into()),
        evidence: Evidence::all(),
    }
}

fn nothing(privileges: Privileges, errno: i32) -> Findings {
    Findings {
        privileges,
        array: refused(errno),
        ring_buffer: refused(errno),
        classifier: refused(errno),
        tcx: None,
        xdp: refused(errno),
        xdp_frags: refused(errno),
        jited: None,
        clock: None,
        evidence: Evidence::none(errno),
    }
}

fn find(findings: &Findings, name: &str) -> Ability {
    let mut abilities = findings.abilities().into_iter();
    abilities.find(|ability| ability.name == name).expect(name)
}

#[test]
fn with_everything_there_a_capture_is_possible_and_nothing_needs_a_remedy() {
    let abilities = everything().abilities();
    assert!(suffice(&abilities));
    for ability in abilities {
        assert!(ability.available && ability.remedy.is_none(), "{ability:?}");
    }
}

#[test]
fn without_privileges_the_missing_capabilities_are_named() {
    let findings = nothing(Privileges::default(), libc::EPERM);
    assert!(!suffice(&findings.abilities()));
    assert_eq!(find(&findings, "bpf").why, "not permitted: CAP_BPF missing");
    let program = find(&findings, "tc-program");
    assert_eq!(
        program.why,
        "not permitted: CAP_BPF and CAP_NET_ADMIN missing"
    );
    assert!(program.remedy.expect("a remedy").contains("sudo"));
    assert_eq!(find(&findings, "perfmon").why, "CAP_PERFMON missing");
}

#[test]
fn without_net_admin_only_programs_are_refused() {
    let privileges = Privileges {
        net_admin: false,
        ..root()
    };
    let findings = Findings {
        privileges,
        classifier: refused(libc::EPERM),
        tcx: None,
        ..everything()
    };
    assert!(find(&findings, "ring-buffer").available);
    assert_eq!(
        find(&findings, "tc-program").why,
        "not permitted: CAP_NET_ADMIN missing"
    );
    assert_eq!(
        find(&findings, "tcx").remedy.expect("a remedy"),
        "see tc-program"
    );
}

#[test]
fn a_refusal_in_spite_of_the_capabilities_names_what_else_is_in_the_way() {
    let why = |privileges| find(&nothing(privileges, libc::EPERM), "bpf").why;
    assert!(
        why(Privileges {
            seccomp: true,
            ..root()
        })
        .contains("seccomp")
    );
    let lockdown = Some("confidentiality".to_owned());
    assert!(why(Privileges { lockdown, ..root() }).contains("lockdown is confidentiality"));
    let rootless = Privileges {
        in_user_namespace: true,
        seccomp: true,
        ..root()
    };
    assert!(why(rootless.clone()).contains("user namespace"));
    assert!(!find(&nothing(rootless, libc::EPERM), "perfmon").available);
    let other = find(&nothing(root(), libc::EPERM), "bpf");
    assert!(
        other
            .remedy
            .expect("a remedy")
            .contains("ulimit -l unlimited")
    );
}

#[test]
fn a_kernel_without_tcx_is_told_from_one_with_it_by_its_answer() {
    let without = Findings {
        tcx: Some(refused(libc::EINVAL)),
        ..everything()
    };
    let tcx = find(&without, "tcx");
    assert!(!tcx.available);
    assert!(tcx.remedy.expect("a remedy").contains("6.6"));
    assert!(suffice(&without.abilities()));
}

#[test]
fn an_old_kernel_is_told_which_one_has_a_ring_buffer() {
    let old = Findings {
        ring_buffer: refused(libc::EINVAL),
        ..everything()
    };
    let ring = find(&old, "ring-buffer");
    assert_eq!(ring.why, "this kernel doesn't know it");
    assert_eq!(ring.remedy.expect("a remedy"), "use Linux 5.8 or newer");
}

#[test]
fn no_bpf_at_all_is_the_kernel_or_a_seccomp_filter() {
    let why = |privileges| find(&nothing(privileges, libc::ENOSYS), "bpf").why;
    assert_eq!(why(root()), "this kernel has no bpf(2)");
    assert!(
        why(Privileges {
            seccomp: true,
            ..root()
        })
        .contains("seccomp")
    );
}

#[test]
fn a_slow_clock_an_interpreter_and_no_perfmon_cost_something_and_prevent_nothing() {
    let slow = Findings {
        privileges: Privileges {
            perfmon: false,
            ..root()
        },
        jited: Some(false),
        clock: Some("hpet".into()),
        ..everything()
    };
    for name in ["jit", "perfmon", "clock"] {
        let ability = find(&slow, name);
        assert!(
            !ability.available && ability.remedy.is_some(),
            "{ability:?}"
        );
    }
    assert!(suffice(&slow.abilities()));
}

#[test]
fn what_the_kernel_shows_of_itself_is_read() {
    assert!(!maps_users("         0          0 4294967295\n"));
    assert!(!maps_users(""));
    assert!(maps_users("         0       1000          1\n"));
    assert!(is_filtered("Name:\tx\nSeccomp:\t2\nSeccomp_filters:\t1\n"));
    assert!(!is_filtered("Seccomp:\t0\nSeccomp_filters:\t2\n"));
    assert_eq!(
        locked_down("none [integrity] confidentiality\n"),
        Some("integrity".into())
    );
    assert_eq!(locked_down("[none] integrity confidentiality\n"), None);
    assert_eq!(locked_down(""), None);
}

#[test]
fn trying_it_out_gives_each_ability_once_and_a_remedy_for_what_is_missing() {
    let abilities = probe();
    for name in ["bpf", "ring-buffer", "tc-program", "tcx", "perfmon"] {
        assert_eq!(
            abilities
                .iter()
                .filter(|ability| ability.name == name)
                .count(),
            1
        );
    }
    for ability in abilities {
        assert_eq!(ability.available, ability.remedy.is_none(), "{ability:?}");
    }
}

#[test]
fn a_kernel_before_the_reset_reasons_still_tells_of_resets() {
    let evidence = Evidence {
        reasons: refused(libc::EINVAL),
        ..Evidence::all()
    };
    let findings = Findings {
        evidence,
        ..everything()
    };
    assert!(find(&findings, "reset-events").available);
    let reasons = find(&findings, "reset-reasons");
    assert!(!reasons.available && !reasons.required);
    assert!(reasons.remedy.expect("a remedy").contains("6.10"));
    assert!(suffice(&findings.abilities()));
}

#[test]
fn without_perfmon_the_evidence_is_missing_for_that_reason() {
    let privileges = Privileges {
        perfmon: false,
        ..root()
    };
    let findings = Findings {
        privileges,
        evidence: Evidence::none(libc::EPERM),
        ..everything()
    };
    for name in [
        "packet-identity",
        "reset-events",
        "reset-reasons",
        "drop-reasons",
        "conntrack-entries",
    ] {
        let ability = find(&findings, name);
        assert_eq!(ability.why, "not permitted: CAP_PERFMON missing", "{name}");
    }
}

#[test]
fn a_kernel_without_type_information_is_told_apart_from_one_that_refuses() {
    let evidence = Evidence {
        resets: Err("no type information of this kernel".into()),
        ..Evidence::all()
    };
    let findings = Findings {
        evidence,
        ..everything()
    };
    let resets = find(&findings, "reset-events");
    assert_eq!(resets.why, "no type information of this kernel");
    assert!(resets.remedy.expect("a remedy").contains("BTF"));
    assert!(find(&findings, "packet-identity").available);
}

#[test]
fn under_lockdown_that_keeps_memory_closed_the_kernels_evidence_is_missing_for_that_reason() {
    let evidence = Evidence {
        memory: refused(libc::EINVAL),
        ..Evidence::all()
    };
    let lockdown = Some("confidentiality".to_owned());
    let findings = Findings {
        privileges: Privileges { lockdown, ..root() },
        evidence,
        ..everything()
    };
    assert!(find(&findings, "packet-identity").available);
    for name in [RESET_EVENTS, RESET_REASONS, DROP_REASONS, CONNTRACK_ENTRIES] {
        let ability = find(&findings, name);
        assert_eq!(
            ability.why, "kernel memory can't be read: lockdown is confidentiality",
            "{name}"
        );
        assert!(ability.remedy.expect("a remedy").contains("integrity"));
    }
    assert!(suffice(&findings.abilities()));
}

#[test]
fn a_kernel_without_multi_buffer_xdp_still_has_xdp() {
    let findings = Findings {
        xdp_frags: refused(libc::EINVAL),
        ..everything()
    };
    assert!(find(&findings, "xdp").available);
    let frags = find(&findings, "xdp-frags");
    assert!(frags.remedy.expect("a remedy").contains("5.18"));
    assert!(!effect("xdp-frags").is_empty() && effect("no such thing").is_empty());
}
