//! The containers of a pod, as kubelet has Docker make them.

use lab::docker::Docker;
use lab::nodecap::Nodecap;
use lab::tool;

use super::groups::Groups;
use super::{capture, entry, listening_on, refused};

#[test]
fn a_pod_is_found_by_what_its_engine_or_kubelet_says_of_it() {
    const UID: &str = "2c48913c-b29f-11e7-9350-020968147796";
    let group = Groups::new("kubepods-docker");
    // Dropped first, and with it the containers in the group.
    let docker = Docker::start();
    // A control group and labels as kubelet has Docker give to a pod's containers, and a container
    // of the pod beside the one that holds its network.
    let parent = group.of_pod(UID);
    docker.run(
        "k8s_POD_web_default",
        &format!(
            "--cgroup-parent {parent} \
             --label io.kubernetes.pod.namespace=default --label io.kubernetes.pod.name=web"
        ),
    );
    docker.run(
        "k8s_nginx_web_default",
        &format!("--cgroup-parent {parent} --network container:k8s_POD_web_default"),
    );
    docker.run("other", "");
    let veth = docker.veth("k8s_POD_web_default", "eth0");
    let by_label = capture(&docker, &["-q", "--pod", "default/web"]).start();
    assert_eq!(listening_on(&by_label), veth);
    by_label.stop();
    assert_eq!(entry(&docker, &veth)["behind"]["label"], "pod default/web");
    refused(
        &capture(&docker, &["--pod", "default/wbe"]).run(),
        2,
        &["default/wbe", "default/web"],
    );
    refused(
        &capture(&docker, &["--pod", "web"]).run(),
        2,
        &["default/web"],
    );

    // Without an engine, by the folder that kubelet keeps its logs in.
    let alone = |arguments: &[&str]| {
        Nodecap::new(docker.node(), arguments).env("DOCKER_HOST", "unix:///nowhere/docker.sock")
    };
    let nameless = alone(&["capture", "--pod", "shop/web"]).run();
    refused(&nameless, 2, &["shop/web", "no container engine answers"]);
    let node = docker.node();
    tool::run(
        node.command("mount")
            .args(["-t", "tmpfs", "tmpfs", "/var/log"]),
    );
    tool::run(
        node.command("mkdir")
            .args(["-p", &format!("/var/log/pods/shop_web_{UID}")]),
    );
    let by_folder = alone(&["capture", "-q", "--pod", "shop/web"]).start();
    assert_eq!(listening_on(&by_folder), veth);
    by_folder.stop();
}
