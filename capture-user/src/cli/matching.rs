//! What packets to match: the options and the expression that several commands take.

use super::values;
use crate::error::{Error, Result};
use crate::filter::Filter;
use crate::filter::lists::Lists;

/// The options and the expression as they were typed.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Matching {
    /// Packets from or to these addresses: CIDRs or ranges (A-B) separated by commas, or @FILE with
    /// one a line. !CIDR bars addresses, whatever else is on the list
    #[arg(long, value_name = "[!]CIDR[,…]", help_heading = "What to capture")]
    host: Vec<String>,

    /// Packets from these addresses
    #[arg(long, value_name = "[!]CIDR[,…]", help_heading = "What to capture")]
    src: Vec<String>,

    /// Packets to these addresses
    #[arg(long, value_name = "[!]CIDR[,…]", help_heading = "What to capture")]
    dst: Vec<String>,

    /// Packets from or to these TCP, UDP or SCTP ports
    #[arg(long, value_name = "PORT|A-B[,…]", help_heading = "What to capture")]
    port: Vec<String>,

    /// Packets from these ports
    #[arg(long, value_name = "PORT|A-B[,…]", help_heading = "What to capture")]
    sport: Vec<String>,

    /// Packets to these ports
    #[arg(long, value_name = "PORT|A-B[,…]", help_heading = "What to capture")]
    dport: Vec<String>,

    /// Packets of these protocols: tcp, udp, icmp, icmp6, sctp, arp or an IP protocol number
    #[arg(long, value_name = "NAME|NUMBER[,…]", help_heading = "What to capture")]
    proto: Vec<String>,

    /// The options above are about the packet within a VXLAN, GENEVE, GRE or IP-in-IP one, and so
    /// are flows, comments and verdicts
    #[arg(long, help_heading = "What to capture")]
    inner: bool,

    /// What packets to capture, as tcpdump takes it (pcap-filter(7)): `tcp port 443 and host
    /// 192.0.2.1`. Besides it, every option above must hold too
    #[arg(value_name = "EXPRESSION", help_heading = "What to capture")]
    expression: Vec<String>,
}

impl Matching {
    /// The address lists.
    pub(super) fn lists(&self) -> Lists {
        Lists {
            hosts: self.host.clone(),
            sources: self.src.clone(),
            destinations: self.dst.clone(),
        }
    }

    /// Resolves what was typed.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`], naming the option and what is wrong with it, or what is wrong with the
    /// expression.
    pub(super) fn resolve(&self) -> Result<Filter> {
        let held = self.lists().read().map_err(Error::Usage)?;
        Ok(Filter {
            hosts: held.hosts,
            sources: held.sources,
            destinations: held.destinations,
            barred: held.barred,
            reread: self.lists().has_files(),
            ports: values::list("--port", &self.port, str::parse).map_err(Error::Usage)?,
            source_ports: values::list("--sport", &self.sport, str::parse).map_err(Error::Usage)?,
            destination_ports: values::list("--dport", &self.dport, str::parse)
                .map_err(Error::Usage)?,
            protocols: values::list("--proto", &self.proto, str::parse).map_err(Error::Usage)?,
            inner: self.inner,
            expression: values::expression(&self.expression)?,
        })
    }
}
