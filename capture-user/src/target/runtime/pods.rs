//! Pods by their uid, from the folders that kubelet keeps their logs in.
//!
//! kubelet makes `/var/log/pods/NAMESPACE_NAME_UID` for every pod before its first container runs
//! and removes it after its last (`BuildPodLogsDirectory` in pkg/kubelet/kuberuntime). So their
//! names can be read without asking anybody. None of the three parts may hold an underscore.

use std::collections::BTreeMap;
use std::fs;

use super::Pod;

const FOLDER: &str = "/var/log/pods";

/// The pods of this node by their uid, as control groups tell it: with dashes, or 32 digits for a
/// pod that kubelet read from a file. Empty where there is no kubelet, or its folder can't be read.
#[must_use]
pub fn pods() -> BTreeMap<String, Pod> {
    fs::read_dir(FOLDER)
        .into_iter()
        .flatten()
        .filter_map(|entry| pod(entry.ok()?.file_name().to_str()?))
        .collect()
}

fn pod(folder: &str) -> Option<(String, Pod)> {
    let mut parts = folder.split('_');
    let (namespace, name, uid) = (parts.next()?, parts.next()?, parts.next()?);
    let whole = [namespace, name, uid].iter().all(|part| !part.is_empty());
    (whole && parts.next().is_none()).then(|| {
        let pod = Pod {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        };
        (uid.to_owned(), pod)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_names_a_pod_and_its_uid() {
        let (uid, found) =
            pod("kube-system_coredns-5d78c9869d-abcde_2c48913c-b29f-11e7-9350-020968147796")
                .expect("a pod");
        assert_eq!(uid, "2c48913c-b29f-11e7-9350-020968147796");
        assert_eq!(
            (found.namespace.as_str(), found.name.as_str()),
            ("kube-system", "coredns-5d78c9869d-abcde")
        );
    }

    #[test]
    fn what_else_lies_there_is_no_pod() {
        for folder in ["", "a", "a_b", "a_b_c_d", "_b_c", "a__c", "a_b_"] {
            assert_eq!(pod(folder), None, "{folder}");
        }
    }
}
