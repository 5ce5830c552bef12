//! `--snapshot`: the state of the network stack before and after the capture.

use crate::error::Result;
use crate::snapshot::difference::Difference;
use crate::snapshot::file::SnapshotFile;
use crate::snapshot::{Snapshot, Target};
use crate::target::workload::Workload;

/// The state before, and where it goes.
pub(super) struct Snapshots {
    file: SnapshotFile,
    before: Snapshot,
    targets: Vec<(Workload, Target)>,
}

impl Snapshots {
    /// Reads the state before a capture: of the node, and of the workloads that are captured.
    pub(super) async fn before(file: SnapshotFile, workloads: &[Workload]) -> Self {
        let mut targets = Vec::new();
        for workload in workloads {
            // One that can't be found isn't captured either: that has been said.
            if let Some(target) = find(workload).await {
                targets.push((workload.clone(), target));
            }
        }
        let found: Vec<_> = targets.iter().map(|(_, target)| target.clone()).collect();
        Self {
            file,
            before: Snapshot::take(&found),
            targets,
        }
    }

    /// The capture begins: from now on the file holds the state before it.
    pub(super) fn begin(&mut self) -> Result<()> {
        self.file.begin(&self.before)
    }

    /// Reads the state after the capture and completes the file. Returns the number of changes.
    pub(super) async fn finish(self) -> Result<usize> {
        let mut targets = Vec::new();
        for (workload, target) in self.targets {
            // A container may have been started anew, and be another process now.
            let target = match self.before.is_of(&target) {
                true => target,
                false => find(&workload).await.unwrap_or(target),
            };
            targets.push(target);
        }
        let after = Snapshot::take(&targets);
        let changes = Difference::between(&self.before, &after).changes.len();
        self.file.finish(&self.before, &after)?;
        Ok(changes)
    }
}

async fn find(workload: &Workload) -> Option<Target> {
    let place = workload.find().await.ok()?;
    let name = workload.to_string();
    Some(Target {
        name: name.trim_start_matches('-').to_owned(),
        file: place.file,
    })
}
