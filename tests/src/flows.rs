//! What is in a flows file, one JSON object a line.
//!
//! The fields are the contract with those who read such files: each must be there, with its type,
//! or the file is refused. Further ones may be added at any time.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

/// A flows file, by kind of line, each in the order of the file.
#[derive(Clone, Debug, Default)]
pub struct FlowsFile {
    /// The flows.
    pub flows: Vec<FlowLine>,
    /// The translations.
    pub nats: Vec<NatLine>,
    /// The resets.
    pub resets: Vec<ResetLine>,
}

/// A line of type `flow`.
#[derive(Clone, Debug, Deserialize)]
pub struct FlowLine {
    /// Its number, which the other lines refer to.
    pub id: u64,
    /// The protocol's name.
    pub proto: String,
    /// Who began.
    pub client: String,
    /// Whom it was addressed to.
    pub server: String,
    /// When it began.
    pub first: String,
    /// When it was last heard of.
    pub last: String,
    /// How far it has come.
    pub state: String,
    /// Packets, each counted once however often it was seen.
    pub packets: Ways,
    /// Bytes, likewise.
    pub bytes: Ways,
    /// How long the handshake took, in microseconds.
    pub handshake_us: Option<u64>,
    /// Retransmissions, of TCP.
    pub retransmits: Option<Ways>,
    /// ICMP errors about it.
    pub icmp_errors: Option<u64>,
    /// The tunnel that it runs in, from client to server.
    pub tunnel: Option<Tunnel>,
    /// Where its packets were seen.
    pub path: Vec<Stop>,
    /// Its translations.
    pub nat: Vec<Value>,
    /// Its resets.
    pub resets: Vec<Value>,
}

/// A number for each direction.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub struct Ways {
    /// From the client.
    pub to_server: u64,
    /// From the server.
    pub to_client: u64,
}

/// A place that a flow's packets pass.
#[derive(Clone, Debug, Deserialize)]
pub struct Stop {
    /// The interface.
    pub interface: String,
    /// `in` or `out`; empty where the file that was explained doesn't say.
    #[serde(default)]
    pub direction: String,
    /// How many were seen there.
    pub packets: u64,
    /// The addresses they had there.
    pub tuple: Ends,
    /// The tunnel that they were in there.
    pub tunnel: Option<Tunnel>,
}

/// A tunnel.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Tunnel {
    /// `vxlan`, `geneve`, `gre` or `ipip`.
    pub kind: String,
    /// The network's identifier, or GRE's key.
    pub id: Option<u32>,
    /// The outer source.
    pub src: String,
    /// The outer destination.
    pub dst: String,
}

/// A source and a destination, each an address with a port.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Ends {
    /// The source.
    pub src: String,
    /// The destination.
    pub dst: String,
}

/// A line of type `nat`.
#[derive(Clone, Debug, Deserialize)]
pub struct NatLine {
    /// When.
    pub time: String,
    /// Whose.
    pub flow: u64,
    /// `snat`, `dnat` or `both`.
    pub kind: String,
    /// The protocol's name.
    pub proto: String,
    /// What the flow was before.
    pub before: Ends,
    /// What it became.
    pub after: Ends,
    /// Where it was seen.
    pub seen: Vec<At>,
    /// What tells of it.
    pub evidence: Vec<String>,
}

/// A hook of an interface.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct At {
    /// The interface.
    pub interface: String,
    /// `in` or `out`; empty where the file that was explained doesn't say.
    #[serde(default)]
    pub direction: String,
}

/// A line of type `reset`.
#[derive(Clone, Debug, Deserialize)]
pub struct ResetLine {
    /// When.
    pub time: String,
    /// Whose.
    pub flow: u64,
    /// The end that it comes from, or pretends to.
    pub from: String,
    /// The end that it is meant for.
    pub to: String,
    /// Who made it.
    pub origin: Origin,
    /// Why.
    pub cause: String,
    /// How sure that is.
    pub confidence: String,
    /// What it rests on.
    pub evidence: Vec<String>,
    /// How far the connection had come.
    pub phase: String,
    /// How long it had been silent, in seconds.
    pub idle_seconds: f64,
}

/// Where a reset comes from.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Origin {
    /// `uplink`, `pod`, `local` or `unknown`.
    pub side: String,
    /// The interface that saw it first.
    pub interface: Option<String>,
}

impl FlowsFile {
    /// Reads a file.
    ///
    /// # Panics
    ///
    /// When a line of it isn't what the contract says.
    #[must_use]
    #[track_caller]
    pub fn read(path: &Path) -> Self {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&text),
            Err(error) => panic!("{}: {error}", path.display()),
        }
    }

    /// Reads the lines of a file.
    ///
    /// # Panics
    ///
    /// When one isn't what the contract says.
    #[must_use]
    #[track_caller]
    pub fn parse(text: &str) -> Self {
        assert!(
            text.is_empty() || text.ends_with('\n'),
            "the last line has no end: {text}"
        );
        let mut file = Self::default();
        for line in text.lines() {
            if let Err(error) = file.add(line) {
                panic!("{error}: {line}");
            }
        }
        file
    }

    fn add(&mut self, line: &str) -> serde_json::Result<()> {
        let value: Value = serde_json::from_str(line)?;
        assert_eq!(value["schema"], 1, "{line}");
        match value["type"].as_str() {
            Some("flow") => self.flows.push(serde_json::from_value(value)?),
            Some("nat") => self.nats.push(serde_json::from_value(value)?),
            Some("reset") => self.resets.push(serde_json::from_value(value)?),
            _ => panic!("a line of no known type: {line}"),
        }
        Ok(())
    }

    /// The flow with this number.
    ///
    /// # Panics
    ///
    /// When there isn't exactly one line about it.
    #[must_use]
    #[track_caller]
    pub fn flow(&self, id: u64) -> &FlowLine {
        let mut lines = self.flows.iter().filter(|flow| flow.id == id);
        match (lines.next(), lines.next()) {
            (Some(flow), None) => flow,
            other => panic!("not exactly one line of flow {id}: {other:#?}"),
        }
    }
}
