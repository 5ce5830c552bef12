//! What has changed from one snapshot to the other.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Number, Value, json};

use super::{Namespace, Section, Snapshot};

/// States of a neighbour that come one after the other by themselves while it answers.
const ANSWERING: [&str; 4] = ["reachable", "stale", "delay", "probe"];

/// What has changed.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Difference {
    /// Each change, in the order of namespaces, sections and entries.
    pub changes: Vec<Change>,
    /// What can't be compared, since one of the snapshots doesn't have it.
    pub not_compared: Vec<NotCompared>,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// The namespace's name.
    pub namespace: String,
    /// The part of its state; none where the namespace itself has changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub section: Option<&'static str>,
    /// The entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<String>,
    /// `added`, `removed`, `changed`; `replaced` for a namespace that is another one now.
    pub change: &'static str,
    /// What was removed, or was there before; of an entry with fields [`Change::fields`] tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// What was added, or is there now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
    /// The fields that have changed, by their path: `before` and `after`, and `by` how much where
    /// both are numbers.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, Value>,
}

/// What wasn't compared, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NotCompared {
    /// The namespace's name.
    pub namespace: String,
    /// The part of its state; none for all of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub section: Option<&'static str>,
    /// One line.
    pub why: String,
}

impl Difference {
    /// Compares two snapshots.
    #[must_use]
    pub fn between(before: &Snapshot, after: &Snapshot) -> Self {
        let mut difference = Self::default();
        for was in &before.namespaces {
            let is = after.namespaces.iter().find(|is| is.name == was.name);
            difference.namespace(was, is);
        }
        difference
    }

    fn namespace(&mut self, was: &Namespace, is: Option<&Namespace>) {
        let whole = |change| Change {
            namespace: was.name.clone(),
            section: None,
            entry: None,
            change,
            before: None,
            after: None,
            fields: BTreeMap::new(),
        };
        if let Some(why) = &was.not_available {
            self.not_compared.push(NotCompared {
                namespace: was.name.clone(),
                section: None,
                why: why.clone(),
            });
            return;
        }
        let Some(is) = is else {
            self.changes.push(whole("removed"));
            return;
        };
        match (&is.not_available, was.netns == is.netns) {
            (Some(why), _) if why == "it is gone" => self.changes.push(whole("removed")),
            (Some(why), _) => self.not_compared.push(NotCompared {
                namespace: was.name.clone(),
                section: None,
                why: why.clone(),
            }),
            // A container that was started again: nothing in there is what it was.
            (None, false) => self.changes.push(whole("replaced")),
            (None, true) => {
                for (name, was_section) in &was.sections {
                    if let Some(is_section) = is.sections.get(name) {
                        self.section(&was.name, name, was_section, is_section);
                    }
                }
            }
        }
    }

    fn section(&mut self, namespace: &str, name: &'static str, was: &Section, is: &Section) {
        let truncated = was.left_out.max(is.left_out);
        let why = match (&was.not_available, &is.not_available) {
            // The same before and after: the snapshots say so themselves.
            (Some(was), Some(is)) if was == is => Some(was.clone()),
            (Some(why), _) => Some(format!("before: {why}")),
            (_, Some(why)) => Some(format!("after: {why}")),
            _ if truncated > 0 => Some(format!("{truncated} entries were left out")),
            _ => None,
        };
        if let Some(why) = why {
            self.not_compared.push(NotCompared {
                namespace: namespace.to_owned(),
                section: Some(name),
                why,
            });
            return;
        }
        let keys: BTreeSet<_> = was.entries.keys().chain(is.entries.keys()).collect();
        for key in keys {
            let change = |change| Change {
                namespace: namespace.to_owned(),
                section: Some(name),
                entry: Some(key.clone()),
                change,
                before: None,
                after: None,
                fields: BTreeMap::new(),
            };
            match (was.entries.get(key), is.entries.get(key)) {
                (None, None) => {}
                (None, Some(is)) => self.changes.push(Change {
                    after: Some(is.clone()),
                    ..change("added")
                }),
                (Some(was), None) => self.changes.push(Change {
                    before: Some(was.clone()),
                    ..change("removed")
                }),
                (Some(was), Some(is)) if was == is => {}
                (Some(was), Some(is)) if was.is_object() && is.is_object() => {
                    let mut fields = BTreeMap::new();
                    compare("", was, is, &mut fields);
                    if !fields.is_empty() {
                        self.changes.push(Change {
                            fields,
                            ..change("changed")
                        });
                    }
                }
                (Some(was), Some(is)) => self.changes.push(Change {
                    before: Some(was.clone()),
                    after: Some(is.clone()),
                    ..change("changed")
                }),
            }
        }
    }
}

/// Adds the fields in which two values differ.
fn compare(path: &str, was: &Value, is: &Value, fields: &mut BTreeMap<String, Value>) {
    if was == is {
        return;
    }
    if let (Value::Object(was), Value::Object(is)) = (was, is) {
        let keys: BTreeSet<_> = was.keys().chain(is.keys()).collect();
        for key in keys {
            let below = match path {
                "" => key.clone(),
                _ => format!("{path}.{key}"),
            };
            let of = |object: &serde_json::Map<String, Value>| object.get(key).cloned();
            let (was, is) = (of(was).unwrap_or_default(), of(is).unwrap_or_default());
            compare(&below, &was, &is, fields);
        }
        return;
    }
    let answers = |value: &Value| value.as_str().is_some_and(|it| ANSWERING.contains(&it));
    if path == "state" && answers(was) && answers(is) {
        return;
    }
    let mut field = json!({"before": was, "after": is});
    if let (Value::Number(was), Value::Number(is)) = (was, is)
        && let Some(by) = difference(was, is)
    {
        field["by"] = json!(by);
    }
    fields.insert(path.to_owned(), field);
}

fn difference(was: &Number, is: &Number) -> Option<i64> {
    let (was, is) = (i128::from(was.as_u64()?), i128::from(is.as_u64()?));
    i64::try_from(is - was).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(netns: u64, section: Section) -> Snapshot {
        Snapshot {
            time: String::new(),
            namespaces: vec![Namespace {
                name: "node".to_owned(),
                netns: Some(netns),
                not_available: None,
                sections: [("links", section)].into(),
            }],
        }
    }

    fn section(entries: &[(&str, Value)]) -> Section {
        let mut section = Section::default();
        for (key, value) in entries {
            section.add((*key).to_owned(), value);
        }
        section
    }

    fn between(was: &[(&str, Value)], is: &[(&str, Value)]) -> Value {
        let difference = Difference::between(&snapshot(1, section(was)), &snapshot(1, section(is)));
        assert!(difference.not_compared.is_empty());
        serde_json::to_value(difference.changes).expect("JSON")
    }

    #[test]
    fn what_came_went_and_changed_is_told_and_nothing_else() {
        let counted = |number: u64| json!({"mtu": 1500, "statistics": {"rx": number, "tx": 7}});
        let was = [
            ("eth0", counted(5)),
            ("gone", counted(1)),
            ("lo", counted(2)),
        ];
        let is = [
            ("eth0", counted(9)),
            ("lo", counted(2)),
            ("new", counted(0)),
        ];
        let told = between(&was, &is);
        assert_eq!(told.as_array().map(Vec::len), Some(3));
        assert_eq!(
            told[0],
            json!({"namespace": "node", "section": "links", "entry": "eth0", "change": "changed",
                "fields": {"statistics.rx": {"before": 5, "after": 9, "by": 4}}})
        );
        assert_eq!(
            (&told[1]["entry"], &told[1]["change"]),
            (&json!("gone"), &json!("removed"))
        );
        assert_eq!(
            (&told[2]["entry"], &told[2]["change"]),
            (&json!("new"), &json!("added"))
        );
        assert_eq!(told[2]["after"]["mtu"], 1500);
        assert_eq!(between(&was, &was), json!([]));
    }

    #[test]
    fn values_without_fields_are_told_whole_and_a_counter_may_go_back() {
        let told = between(
            &[("net.ipv4.ip_forward", json!("0"))],
            &[("net.ipv4.ip_forward", json!("1"))],
        );
        assert_eq!(
            (&told[0]["before"], &told[0]["after"]),
            (&json!("0"), &json!("1"))
        );
        let told = between(&[("x", json!({"count": 9}))], &[("x", json!({"count": 4}))]);
        assert_eq!(told[0]["fields"]["count"]["by"], -5);
    }

    #[test]
    fn a_neighbour_that_goes_on_answering_has_not_changed() {
        let neighbour = |state: &str| [("eth0 192.0.2.9", json!({"state": state, "mac": "x"}))];
        assert_eq!(
            between(&neighbour("reachable"), &neighbour("stale")),
            json!([])
        );
        let told = between(&neighbour("stale"), &neighbour("failed"));
        assert_eq!(told[0]["fields"]["state"]["after"], "failed");
    }

    #[test]
    fn what_one_of_them_does_not_know_is_not_compared() {
        let known = snapshot(1, section(&[("eth0", json!(1))]));
        let unknown = snapshot(1, Section::missing("it takes CAP_NET_ADMIN"));
        for (was, is) in [(&known, &unknown), (&unknown, &known), (&unknown, &unknown)] {
            let difference = Difference::between(was, is);
            assert!(difference.changes.is_empty());
            assert!(difference.not_compared[0].why.contains("CAP_NET_ADMIN"));
        }
        let mut cut = known.clone();
        if let Some(section) = cut.namespaces[0].sections.get_mut("links") {
            section.left_out = 3;
        }
        let difference = Difference::between(&known, &cut);
        assert!(difference.not_compared[0].why.contains("left out"));
    }

    #[test]
    fn a_namespace_that_is_another_one_now_is_replaced() {
        let was = snapshot(1, section(&[("eth0", json!(1))]));
        let is = snapshot(2, section(&[("eth0", json!(2))]));
        let told = Difference::between(&was, &is).changes;
        assert_eq!((told.len(), told[0].change), (1, "replaced"));
        let mut gone = is.clone();
        gone.namespaces.clear();
        let told = Difference::between(&was, &gone).changes;
        assert_eq!((told.len(), told[0].change), (1, "removed"));
    }
}
