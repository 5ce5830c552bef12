//! containerd on a node of its own, spoken to over CRI as kubelet does: pods with their network
//! made by CNI plug-ins, in a network namespace, seen by nobody else.
//!
//! As with [`crate::docker`], the daemon has namespaces of its own for mounts and processes. A pod
//! here is nothing but the container that holds its network: its image is a static busybox that
//! sleeps.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::namespace::Namespace;
use crate::process::{Process, Stdout};
use crate::scratch::Scratch;
use crate::tool;
use crate::wait::wait_until;

/// What the daemon runs in: see [`crate::docker`].
const START: &str = "umount /sys && mount -t tmpfs tmpfs /run && exec \"$@\"";
const IMAGE: &str = "localhost/pause:1";
/// Where Debian has the CNI plug-ins.
const PLUGINS: &str = "/usr/lib/cni";

/// A running containerd. It ends with the value, its pods first.
#[derive(Debug)]
pub struct Containerd {
    _daemon: Process,
    scratch: Scratch,
    node: Namespace,
    pods: Vec<String>,
}

impl Containerd {
    /// The bridge that pods are on.
    pub const BRIDGE: &str = "cni0";
    /// The node's address on it: the first of the pods' network.
    pub const GATEWAY: &str = "10.90.0.1";

    /// Starts it, and waits until it answers and has its image.
    ///
    /// # Panics
    ///
    /// When it can't be started, with what it said.
    #[must_use]
    #[track_caller]
    pub fn start() -> Self {
        assert!(
            Path::new(PLUGINS).join("bridge").exists(),
            "CNI plug-ins are missing: apt-get install containernetworking-plugins"
        );
        let (scratch, node) = (Scratch::new(), Namespace::new());
        let at = scratch.folder().display().to_string();
        let config = format!(
            "version = 2\nroot = \"{at}/data\"\nstate = \"{at}/state\"\n\
             [grpc]\naddress = \"{at}/containerd.sock\"\n\
             [plugins.\"io.containerd.grpc.v1.cri\"]\n\
             sandbox_image = \"{IMAGE}\"\n\
             # Its usual score is a privilege that a container may lack.\n\
             restrict_oom_score_adj = true\n\
             [plugins.\"io.containerd.grpc.v1.cri\".containerd]\nsnapshotter = \"native\"\n\
             [plugins.\"io.containerd.grpc.v1.cri\".cni]\n\
             bin_dir = \"{PLUGINS}\"\nconf_dir = \"{at}/cni\"\n"
        );
        let network = format!(
            r#"{{"cniVersion":"0.4.0","name":"lab","type":"bridge","bridge":"{}","isGateway":true,
                "ipam":{{"type":"host-local","dataDir":"{at}/leases","subnet":"10.90.0.0/24"}}}}"#,
            Self::BRIDGE
        );
        write(&scratch.path("config.toml"), config.as_bytes());
        write(&scratch.path("cni/10-lab.conf"), network.as_bytes());
        let mut command = node.command("unshare");
        command.args(["--mount", "--propagation", "private"]);
        command.args(["--pid", "--fork", "--kill-child", "--mount-proc"]);
        command.arg(tool::path("sh")).args(["-c", START, "sh"]);
        command.arg(tool::path("containerd"));
        command.arg("--config").arg(scratch.path("config.toml"));
        let containerd = Self {
            _daemon: Process::start(&mut command, Stdout::Unread),
            scratch,
            node,
            pods: Vec::new(),
        };
        wait_until("an answer of containerd", || {
            let answer = containerd.ctr(&["version"]).output();
            answer.is_ok_and(|answer| answer.status.success())
        });
        containerd.import_image();
        containerd
    }

    /// An image as `docker save` writes it.
    #[track_caller]
    fn import_image(&self) {
        let busybox = fs::read(tool::path("busybox")).unwrap_or_else(|error| panic!("{error}"));
        let program = self.scratch.path("root/bin/busybox");
        write(&program, &busybox);
        tool::run(Command::new(tool::path("chmod")).arg("755").arg(&program));
        let layer = self.scratch.path("image/layer.tar");
        write(&layer, b"");
        self.tar(&layer, "root", &["."]);
        let digest = tool::run(Command::new(tool::path("sha256sum")).arg(&layer)).stdout;
        let digest = String::from_utf8_lossy(&digest[..64]).into_owned();
        let config = format!(
            r#"{{"architecture":"amd64","os":"linux",
                "config":{{"Entrypoint":["/bin/busybox","sleep","3600"]}},
                "rootfs":{{"type":"layers","diff_ids":["sha256:{digest}"]}}}}"#
        );
        let manifest = format!(
            r#"[{{"Config":"config.json","RepoTags":["{IMAGE}"],"Layers":["layer.tar"]}}]"#
        );
        write(&self.scratch.path("image/config.json"), config.as_bytes());
        write(
            &self.scratch.path("image/manifest.json"),
            manifest.as_bytes(),
        );
        let image = self.scratch.path("image.tar");
        self.tar(
            &image,
            "image",
            &["manifest.json", "config.json", "layer.tar"],
        );
        tool::run(
            self.ctr(&["--namespace", "k8s.io", "images", "import"])
                .arg(&image),
        );
    }

    #[track_caller]
    fn tar(&self, archive: &Path, folder: &str, members: &[&str]) {
        let mut command = Command::new(tool::path("tar"));
        command.arg("-C").arg(self.scratch.path(folder));
        tool::run(command.arg("-cf").arg(archive).args(members));
    }

    fn ctr(&self, arguments: &[&str]) -> Command {
        let mut command = self.node.command("ctr");
        command.arg("--address").arg(self.socket()).args(arguments);
        command
    }

    /// The node that it runs on.
    #[must_use]
    pub fn node(&self) -> &Namespace {
        &self.node
    }

    /// The socket that it answers at.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.scratch.path("containerd.sock")
    }

    /// Starts a pod and returns the id of the container that holds its network. `parent` is the
    /// control group that it goes into.
    ///
    /// # Panics
    ///
    /// When containerd refuses, with its reason.
    #[track_caller]
    pub fn run_pod(&mut self, namespace: &str, name: &str, uid: &str, parent: &str) -> String {
        // RunPodSandboxRequest { config: PodSandboxConfig { metadata, hostname, log_directory,
        // linux { cgroup_parent } } }, by the numbers of k8s.io/cri-api's api.proto.
        let metadata = [field(1, name), field(2, uid), field(3, namespace)].concat();
        let logs = self.scratch.folder().display().to_string();
        let linux = field(1, parent);
        let config = [
            field(1, metadata),
            field(2, name),
            field(3, logs),
            field(8, linux),
        ];
        let answer = self.call("RunPodSandbox", &field(1, config.concat()));
        // RunPodSandboxResponse { pod_sandbox_id }: five bytes of frame, tag and length before it.
        let id = String::from_utf8_lossy(answer.get(7..).unwrap_or_default()).into_owned();
        assert_eq!(id.len(), 64, "containerd answered {answer:?}");
        self.pods.push(id.clone());
        id
    }

    /// Runs a program of busybox in a pod's container, and waits for its end, well or not.
    #[track_caller]
    pub fn exec(&self, id: &str, words: &str) {
        let mut command = self.ctr(&["--namespace", "k8s.io", "tasks", "exec"]);
        command.args(["--exec-id", "lab", id, "/bin/busybox"]);
        if let Err(error) = command.args(words.split_whitespace()).output() {
            panic!("{command:?} can't be started: {error}");
        }
    }

    /// Calls a method of CRI over HTTP/2 as gRPC does.
    #[track_caller]
    fn call(&self, method: &str, message: &[u8]) -> Vec<u8> {
        let request = self.scratch.path("request");
        let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
        write(
            &request,
            &[&[0][..], &length.to_be_bytes(), message].concat(),
        );
        let headers = self.scratch.path("headers");
        let mut command = Command::new(tool::path("curl"));
        command.args(["--silent", "--http2-prior-knowledge", "--unix-socket"]);
        command.arg(self.socket());
        command.args(["-H", "content-type: application/grpc", "-H", "te: trailers"]);
        command
            .arg("--data-binary")
            .arg(format!("@{}", request.display()));
        command.arg("--dump-header").arg(&headers);
        command.arg(format!(
            "http://localhost/runtime.v1.RuntimeService/{method}"
        ));
        let answer = tool::run(&mut command).stdout;
        let said = fs::read_to_string(&headers).unwrap_or_default();
        assert!(said.contains("grpc-status: 0"), "{method}: {said}");
        answer
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        for id in std::mem::take(&mut self.pods) {
            for method in ["StopPodSandbox", "RemovePodSandbox"] {
                // While a panic unwinds, another one would end everything at once.
                let call = std::panic::AssertUnwindSafe(|| self.call(method, &field(1, &*id)));
                drop(std::panic::catch_unwind(call));
            }
        }
    }
}

/// A field of Protocol Buffers with text, bytes or a message in it, shorter than 16 KiB.
fn field(number: u8, value: impl AsRef<[u8]>) -> Vec<u8> {
    let value = value.as_ref();
    let (low, high) = (value.len() % 128, value.len() / 128);
    let mut bytes = vec![number << 3 | 2];
    match high {
        0 => bytes.push(low as u8),
        _ => bytes.extend([low as u8 | 0x80, high as u8]),
    }
    bytes.extend(value);
    bytes
}

#[track_caller]
fn write(path: &Path, bytes: &[u8]) {
    let folder = path.parent().unwrap_or(path);
    if let Err(error) = fs::create_dir_all(folder).and_then(|()| fs::write(path, bytes)) {
        panic!("{}: {error}", path.display());
    }
}
