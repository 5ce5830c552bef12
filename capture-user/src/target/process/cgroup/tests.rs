use proptest::prelude::*;

use super::*;

const ID: &str = "4f1b5c4c0c5a3c2f7c8cba5f0ab1bb1d2e3f405162738495a6b7c8d9eaf0b1c2";
const INNER: &str = "0d9e8f7a6b5c4d3e2f1a0b9c8d7e6f5a4b3c2d1e0f9a8b7c6d5e4f3a2b1c0d9e";
const UID: &str = "2c48913c-b29f-11e7-9350-020968147796";
const SLICE_UID: &str = "2c48913c_b29f_11e7_9350_020968147796";
/// A pod that kubelet read from a file on the node.
const STATIC_UID: &str = "8cd4b4a2e7a4f1d0b5c9e6f3a1d2c3b4";

/// The one container that a path tells of, and its pod.
#[track_caller]
fn only(path: &str) -> (String, Engine, Option<String>) {
    let owner = owner(&format!("0::{}\n", filled(path)));
    match owner.containers.as_slice() {
        [one] => (one.id.clone(), one.engine, one.pod.clone()),
        other => panic!("{path}: {other:?}"),
    }
}

fn filled(path: &str) -> String {
    path.replace("INNER", INNER)
        .replace("STATIC", STATIC_UID)
        .replace("S_UID", SLICE_UID)
        .replace("UID", UID)
        .replace("ID", ID)
}

#[test]
fn each_engine_with_each_driver_is_read() {
    for (path, engine) in [
        // Docker: cgroupfs, systemd, with --cgroup-parent, rootless, Amazon's agent.
        ("/docker/ID", Engine::Docker),
        ("/system.slice/docker-ID.scope", Engine::Docker),
        ("/my.slice/my-group.slice/docker-ID.scope", Engine::Docker),
        (
            "/user.slice/user-1000.slice/user@1000.service/user.slice/docker-ID.scope",
            Engine::Docker,
        ),
        ("/docker/ID/init.scope", Engine::Docker),
        (
            "/system.slice/docker-ID.scope/system.slice/nginx.service",
            Engine::Docker,
        ),
        ("/ecs/ID", Engine::Docker),
        (
            "/ecs/a1b2c3d4-0001-4bc5-9d2e-0123456789ab/ID",
            Engine::Unknown,
        ),
        // containerd by itself: ctr and nerdctl.
        ("/default/ID", Engine::Containerd),
        ("/k8s.io/ID", Engine::Containerd),
        ("/system.slice/nerdctl-ID.scope", Engine::Containerd),
        // podman: root, rootless, split groups, conmon's slice.
        ("/machine.slice/libpod-ID.scope", Engine::Podman),
        ("/machine.slice/libpod-ID.scope/container", Engine::Podman),
        ("/libpod_parent/libpod-ID", Engine::Podman),
        ("/libpod_parent/ID", Engine::Podman),
        (
            "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope/container",
            Engine::Podman,
        ),
        (
            "/system.slice/web.service/libpod-payload-ID",
            Engine::Podman,
        ),
        // As one sees it whose own group is below the root.
        ("/../../docker-ID.scope", Engine::Docker),
        ("/../ID", Engine::Unknown),
    ] {
        assert_eq!(only(path), (ID.into(), engine, None), "{path}");
    }
}

#[test]
fn a_containers_pod_is_read_beside_it() {
    for (path, engine, uid) in [
        // cgroupfs: burstable and best effort have a group of their own, guaranteed doesn't.
        ("/kubepods/burstable/podUID/ID", Engine::Unknown, UID),
        ("/kubepods/besteffort/podUID/ID", Engine::Unknown, UID),
        ("/kubepods/podUID/ID", Engine::Unknown, UID),
        ("/kubepods/burstable/podUID/crio-ID", Engine::CriO, UID),
        (
            "/kubepods/burstable/podSTATIC/ID",
            Engine::Unknown,
            STATIC_UID,
        ),
        // systemd.
        (
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podS_UID.slice/cri-containerd-ID.scope",
            Engine::Containerd,
            UID,
        ),
        (
            "/kubepods.slice/kubepods-podS_UID.slice/cri-containerd-ID.scope",
            Engine::Containerd,
            UID,
        ),
        (
            "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podS_UID.slice/crio-ID.scope",
            Engine::CriO,
            UID,
        ),
        (
            "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podS_UID.slice/crio-ID.scope/container",
            Engine::CriO,
            UID,
        ),
        (
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podS_UID.slice/docker-ID.scope",
            Engine::Docker,
            UID,
        ),
        (
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podSTATIC.slice/cri-containerd-ID.scope",
            Engine::Containerd,
            STATIC_UID,
        ),
        // kubelet's driver is systemd and containerd's isn't.
        (
            "/system.slice/containerd.service/kubepods-burstable-podS_UID.slice:cri-containerd:ID",
            Engine::Containerd,
            UID,
        ),
        (
            "/kubepods-besteffort-podS_UID.slice:cri-containerd:ID",
            Engine::Containerd,
            UID,
        ),
        // With kubelet's --cgroup-root.
        (
            "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-podS_UID.slice/cri-containerd-ID.scope",
            Engine::Containerd,
            UID,
        ),
    ] {
        assert_eq!(only(path), (ID.into(), engine, Some(uid.into())), "{path}");
    }
}

#[test]
fn what_is_around_a_container_is_not_in_it() {
    for path in [
        "/",
        "/init.scope",
        "/system.slice/docker.service",
        "/system.slice/containerd.service",
        "/machine.slice/libpod-conmon-ID.scope",
        "/libpod_parent/libpod-conmon-ID",
        "/kubepods.slice/kubepods-podS_UID.slice/crio-conmon-ID.scope",
        "/kubepods.slice/kubepods-burstable.slice",
        "/kubepods/burstable/podUID",
        "/lxc.payload.web",
        "/docker",
        "/docker/tooshort",
        "/docker/4F1B5C4C0C5A3C2F7C8CBA5F0AB1BB1D2E3F405162738495A6B7C8D9EAF0B1C2",
        "",
    ] {
        let owner = owner(&format!("0::{}\n", filled(path)));
        assert_eq!(owner.containers, [], "{path}");
    }
}

#[test]
fn a_container_in_a_container_comes_after_it_with_its_own_pod() {
    // A Kubernetes node that is a Docker container, and Docker in a pod.
    let text = filled("0::/docker/ID/kubelet/kubepods/besteffort/podUID/INNER\n");
    let nested: Vec<_> = owner(&text)
        .containers
        .into_iter()
        .map(|it| (it.id, it.engine, it.pod))
        .collect();
    assert_eq!(
        nested,
        [
            (ID.to_owned(), Engine::Docker, None),
            (INNER.to_owned(), Engine::Unknown, Some(UID.to_owned()))
        ]
    );
    let text = filled("0::/kubepods/podUID/ID/docker/INNER\n");
    let nested: Vec<_> = owner(&text)
        .containers
        .into_iter()
        .map(|it| (it.engine, it.pod.is_some()))
        .collect();
    assert_eq!(nested, [(Engine::Unknown, true), (Engine::Docker, false)]);
}

#[test]
fn the_hierarchy_that_knows_counts_in_cgroup_v1_and_in_a_mixture() {
    let text = filled(
        "12:pids:/docker/ID\n\
         11:cpu,cpuacct:/docker/ID\n\
         4:memory:/\n\
         1:name=systemd:/docker/ID\n\
         0::/system.slice/containerd.service\n",
    );
    let owner = owner(&text);
    assert_eq!(owner.containers.len(), 1);
    assert_eq!(owner.containers[0].id, ID);
    assert_eq!(owner.unit, None);
    let text = filled("5:memory:/\n2:cpuset:/\n0::/system.slice/docker-ID.scope\n");
    assert_eq!(super::owner(&text).containers[0].engine, Engine::Docker);
}

#[test]
fn a_unit_is_told_where_there_is_no_container() {
    for (path, unit) in [
        ("/system.slice/ssh.service", Some("ssh.service")),
        (
            "/user.slice/user-0.slice/session-2.scope",
            Some("session-2.scope"),
        ),
        (
            "/user.slice/user-1000.slice/user@1000.service/app.slice/app-x.scope",
            Some("app-x.scope"),
        ),
        (
            "/system.slice/system-getty.slice/getty@tty1.service",
            Some("getty@tty1.service"),
        ),
        (
            "/machine.slice/machine-deb.scope/payload",
            Some("machine-deb.scope"),
        ),
        ("/system.slice", None),
        ("/", None),
    ] {
        let owner = owner(&format!("1:name=systemd:{path}\n0::/\n"));
        assert_eq!(owner.unit.as_deref(), unit, "{path}");
    }
}

#[test]
fn a_group_that_was_deleted_still_tells() {
    let path = format!("/docker/{ID} (deleted)");
    assert_eq!(only(&path).0, ID);
}

#[test]
fn an_id_is_shown_by_its_beginning() {
    assert_eq!(short(ID), "4f1b5c4c0c5a");
    assert_eq!(short("abc"), "abc");
}

proptest! {
    #[test]
    fn any_text_is_read_without_a_panic(text: String) {
        let _ = owner(&text);
    }

    #[test]
    fn whatever_is_around_an_id_it_is_found_whole_or_not_at_all(
        before in "[a-z:/.-]{0,20}", after in "[a-z:/.-]{0,20}"
    ) {
        let owner = owner(&format!("0::/{before}{ID}{after}\n"));
        for container in owner.containers {
            prop_assert_eq!(container.id, ID);
        }
    }
}
