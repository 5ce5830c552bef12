//! Pods of CRI-O, by the control groups that it makes and the names that it tells over CRI.
//!
//! Debian has no CRI-O. So its part is played: a server that speaks its protocol, and control
//! groups with its names (cgroup drivers `systemd` and `cgroupfs`), with processes in them that are
//! as real as the interfaces.

mod server;

use lab::Signal;
use lab::cgroup::Groups;
use lab::namespace::Namespace;
use lab::nodecap::Nodecap;
use lab::process::{Process, Stdout};
use lab::read::CaptureFile;
use lab::read::pcapng::NAME_RESOLUTION;
use lab::scratch::Scratch;
use lab::tool;
use lab::wait::wait_until;
use prost::Message as _;
use serde_json::Value;
use server::{
    Answer, Container, ContainerMetadata, Containers, Image, Sandbox, SandboxMetadata, Sandboxes,
    Server,
};

const UID: &str = "7d3c2a10-0b5e-4e0f-9a51-1f2e3d4c5b6a";
/// The node's address, and the pod's.
const NODE: &str = "192.0.2.1";
const POD: &str = "192.0.2.7";

/// An id of 64 digits.
fn id(digit: char) -> String {
    digit.to_string().repeat(64)
}

/// A node with one pod: `default/web`, with a container `nginx` beside the one that holds the
/// network. The values go in this order: what is in a group before the group.
struct Node {
    /// Ids of the container that holds the network and of nginx. No other test's: processes are
    /// the whole machine's.
    ids: [String; 2],
    socket: String,
    _monitor: Process,
    _nginx: Process,
    _groups: Groups,
    pod: Namespace,
    scratch: Scratch,
    node: Namespace,
}

impl Node {
    /// With groups as one of CRI-O's cgroup drivers makes them, and ids of these digits.
    #[track_caller]
    fn new(driver: &str, digits: [char; 2]) -> Self {
        let (node, pod) = (Namespace::silent(), Namespace::silent());
        node.ip(&format!(
            "link add to-pod type veth peer name eth0 netns {}",
            pod.pid()
        ));
        for (host, link, address) in [(&node, "to-pod", NODE), (&pod, "eth0", POD)] {
            host.ip(&format!("addr add {address}/24 dev {link}"));
            host.ip(&format!("link set {link} up"));
        }
        let groups = Groups::new(&node, &format!("lab-crio-{}", digits[0]));
        let sleep =
            |host: &Namespace| Process::start(host.command("sleep").arg("3600"), Stdout::Unread);
        let (nginx, monitor) = (sleep(&pod), sleep(&node));
        let ids = digits.map(id);
        let [sandbox, container] = &ids;
        let escaped = UID.replace('-', "_");
        let (folder, end) = match driver {
            "systemd" => (
                format!(
                    "kubepods.slice/kubepods-burstable.slice/\
                     kubepods-burstable-pod{escaped}.slice"
                ),
                ".scope",
            ),
            _ => (format!("kubepods/burstable/pod{UID}"), ""),
        };
        groups.put(pod.pid(), &format!("{folder}/crio-{sandbox}{end}"));
        // crun has a group of its own in there.
        groups.put(
            nginx.pid(),
            &format!("{folder}/crio-{container}{end}/container"),
        );
        // What watches over the container is on the node's network, and isn't the container.
        groups.put(
            monitor.pid(),
            &format!("{folder}/crio-conmon-{container}{end}"),
        );
        let scratch = Scratch::new();
        Self {
            ids,
            socket: scratch.path("crio.sock").display().to_string(),
            _monitor: monitor,
            _nginx: nginx,
            _groups: groups,
            pod,
            scratch,
            node,
        }
    }

    /// CRI-O, answering for these.
    #[track_caller]
    fn crio(&self) -> Server {
        let [sandbox, container] = self.ids.clone();
        Server::start(self.socket.as_ref(), move |method| {
            let labels = |name: &str, value: &str| [(name.to_owned(), value.to_owned())].into();
            let message = match method {
                "/runtime.v1.RuntimeService/ListPodSandbox" => Sandboxes {
                    items: vec![Sandbox {
                        id: sandbox.clone(),
                        metadata: Some(SandboxMetadata {
                            name: "web".into(),
                            uid: UID.into(),
                            namespace: "default".into(),
                            attempt: 1,
                        }),
                        state: 0,
                        created_at: 1_764_000_000_000_000_000,
                        labels: labels("io.kubernetes.pod.name", "web"),
                        annotations: labels("kubernetes.io/config.source", "api"),
                        runtime_handler: "crun".into(),
                    }],
                }
                .encode_to_vec(),
                "/runtime.v1.RuntimeService/ListContainers" => Containers {
                    containers: vec![Container {
                        id: container.clone(),
                        pod_sandbox_id: sandbox.clone(),
                        metadata: Some(ContainerMetadata {
                            name: "nginx".into(),
                            attempt: 2,
                        }),
                        image: Some(Image {
                            image: "localhost/nginx:1".into(),
                        }),
                        image_ref: "localhost/nginx@sha256:0".into(),
                        state: 1,
                        created_at: 1_764_000_000_000_000_000,
                        labels: labels("io.kubernetes.container.name", "nginx"),
                    }],
                }
                .encode_to_vec(),
                _ => return Answer::Refusal(12, "unknown method"),
            };
            Answer::Message(message)
        })
    }

    fn nodecap(&self, arguments: &[&str]) -> Nodecap<'_> {
        let endpoint = format!("unix://{}", self.socket);
        // Nobody else is asked.
        Nodecap::new(&self.node, arguments)
            .env("CONTAINER_RUNTIME_ENDPOINT", endpoint)
            .env("DOCKER_HOST", "unix:///nowhere/docker.sock")
            .env("CONTAINER_HOST", "unix:///nowhere/podman.sock")
    }

    /// What is behind the one interface.
    #[track_caller]
    fn behind(&self) -> Value {
        let shown = self.nodecap(&["interfaces", "--json"]).run();
        let shown: Value = serde_json::from_slice(&shown.stdout).expect("JSON");
        let mut rows = shown.as_array().expect("a list").iter();
        let row = rows.find(|row| row["name"] == "to-pod");
        row.unwrap_or_else(|| panic!("no to-pod in {shown:#}"))["behind"].clone()
    }

    #[track_caller]
    fn refused(&self, arguments: &[&str], words: &[&str]) {
        let refused = self.nodecap(&[&["capture"], arguments].concat()).run();
        assert_eq!(refused.code(), Some(2), "{}", refused.stderr);
        for word in words {
            assert!(
                refused.stderr.contains(word),
                "no `{word}` in {}",
                refused.stderr
            );
        }
    }
}

#[test]
fn a_pod_is_found_and_called_by_its_name_whatever_the_cgroup_driver() {
    for driver in ["systemd", "cgroupfs"] {
        let lab = Node::new(driver, ['a', 'b']);
        let _crio = lab.crio();
        let behind = lab.behind();
        assert_eq!(behind["label"], "pod default/web", "{driver}: {behind:#}");
        let containers = behind["containers"].as_array().expect("a list");
        let told: Vec<_> = containers
            .iter()
            .map(|it| {
                (
                    it["id"].as_str(),
                    it["name"].as_str(),
                    it["engine"].as_str(),
                )
            })
            .collect();
        let [holder, nginx] = lab.ids.clone();
        let expected = [(holder.as_str(), "POD"), (nginx.as_str(), "nginx")]
            .map(|(id, name)| (Some(id), Some(name), Some("cri-o")));
        assert_eq!(told, expected, "{driver}");
        assert_eq!(containers[0]["pod_uid"], UID, "{driver}");

        for which in [
            ["--pod", "default/web"],
            ["--container", "nginx"],
            ["--container", &nginx[..12]],
        ] {
            let file = lab.scratch.path("pod.pcapng");
            let arguments = [&["capture", "--proto", "icmp", "--print"], &which[..]].concat();
            let capture = lab.nodecap(&arguments).write(&file).start();
            assert!(capture.wait_for_line("listening on ").contains(" to-pod, "));
            tool::run(lab.pod.command("ping").args(["-c1", NODE]));
            capture.wait_until_captured(2);
            let text = capture.stop().stdout_text();
            let said = format!("IP default/web > {NODE}: ICMP echo request");
            assert!(text.contains(&said), "no `{said}` in\n{text}");
            let interface = &CaptureFile::read(&file).interfaces[0];
            let said = interface.description.clone().unwrap_or_default();
            assert!(said.ends_with("pod default/web (eth0)"), "{said}");
        }
        lab.refused(
            &["--pod", "default/wbe"],
            &["default/wbe", "running here: default/web"],
        );
    }
}

#[test]
fn each_file_of_a_rotation_has_the_names() {
    let lab = Node::new("systemd", ['0', '1']);
    let _crio = lab.crio();
    let capture = lab
        .nodecap(&["capture", "-i", "to-pod", "--proto", "icmp", "-C", "10M"])
        .write(&lab.scratch.path("pod.pcapng"))
        .start();
    let files = ["pod.00001.pcapng", "pod.00002.pcapng"].map(|name| lab.scratch.path(name));
    tool::run(lab.pod.command("ping").args(["-c1", NODE]));
    capture.wait_until_captured(2);
    capture.signal(Signal::SIGHUP);
    wait_until("there is another file", || files[1].exists());
    tool::run(lab.pod.command("ping").args(["-c1", NODE]));
    capture.wait_until_captured(4);
    capture.stop();
    for file in files {
        let written = CaptureFile::read(&file);
        assert_eq!(written.packets.len(), 2, "{}", file.display());
        assert!(written.blocks.contains(&NAME_RESOLUTION), "{written:#?}");
        let said = written.interfaces[0]
            .description
            .clone()
            .unwrap_or_default();
        assert!(said.ends_with("pod default/web (eth0)"), "{said}");
    }
}

#[test]
fn one_that_hangs_is_given_up_and_the_ids_still_work() {
    let lab = Node::new("systemd", ['c', 'd']);
    let _hangs = Server::start(lab.socket.as_ref(), |_| Answer::Silence);
    lab.refused(
        &["--container", "nginx"],
        &["no answer within 2 s", "crio.sock", &lab.ids[1][..12]],
    );
    lab.refused(&["--pod", "default/web"], &["no answer within 2 s"]);
    let capture = lab
        .nodecap(&["capture", "--container", &lab.ids[1][..12]])
        .start();
    assert!(capture.wait_for_line("listening on ").contains(" to-pod, "));
    capture.stop();
    assert_eq!(lab.behind()["label"], format!("pod with uid {UID}"));
}

#[test]
fn one_that_refuses_is_quoted() {
    let lab = Node::new("cgroupfs", ['e', 'f']);
    let _refuses = Server::start(lab.socket.as_ref(), |_| Answer::Refusal(7, "not for you"));
    lab.refused(
        &["--pod", "default/web"],
        &["refuses with gRPC status 7: not for you"],
    );
}
