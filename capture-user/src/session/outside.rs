//! What a capture shows of itself to others: to whom, and when that is opened.

use std::net::TcpListener;

use super::plan::Plan;
use super::service::Service;
use crate::error::Result;
use crate::metrics::server;

/// What belongs to the network namespace that nodecap was started in, though the capture may go on
/// in another one.
#[derive(Debug, Default)]
pub struct Outside {
    /// Where figures are asked for.
    pub(super) metrics: Option<TcpListener>,
    /// Who started us.
    pub(super) service: Option<Service>,
}

impl Outside {
    /// Opens what the plan and the environment name.
    ///
    /// # Errors
    ///
    /// As [`server::listen`].
    pub fn open(plan: &Plan) -> Result<Self> {
        Ok(Self {
            metrics: plan.metrics.map(server::listen).transpose()?,
            service: Service::of_environment(),
        })
    }
}
