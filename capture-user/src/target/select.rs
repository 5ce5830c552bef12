//! What `-i` and `--bridge` mean: text → [`Pattern`] → the links that it stands for.

use std::collections::BTreeSet;

use crate::{
    error::{Error, Result},
    target::{
        glob::Glob,
        links::{Device, Framing, Link},
        name::printable,
        workload::{Followed, Workload},
    },
};

/// One `-i` or `--bridge` argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// The interface of that name, or of that alternative name.
    Name(String),
    /// `#INDEX`.
    Index(u32),
    /// All interfaces that are up and whose name it matches, also those that appear later.
    Glob(Glob),
    /// `any`: all interfaces that are up, also those that appear later.
    Any,
    /// `--bridge`: the bridge of that name and its ports that are up, also those that join later.
    Bridge(String),
}

impl Pattern {
    /// Reads an `-i` argument.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] for an empty one and for an index that can't be one.
    pub fn parse(text: &str) -> Result<Self> {
        if text.is_empty() {
            return Err(Error::usage(
                "-i '': an interface has a name; `nodecap interfaces` lists them",
            ));
        }
        if text == "any" {
            return Ok(Self::Any);
        }
        if let Some(index) = text.strip_prefix('#') {
            // The kernel's indexes are positive C ints.
            return match index.parse::<u32>() {
                Ok(index) if index != 0 && i32::try_from(index).is_ok() => Ok(Self::Index(index)),
                _ => Err(Error::usage(format!(
                    "-i '{}': after # comes an interface's index, from 1 to {}; \
                     `nodecap interfaces` lists them",
                    printable(text),
                    i32::MAX
                ))),
            };
        }
        Ok(Glob::parse(text).map_or_else(|| Self::Name(text.to_owned()), Self::Glob))
    }

    /// Whether interfaces that appear later belong to it too.
    #[must_use]
    pub fn takes_later(&self) -> bool {
        matches!(self, Self::Glob(_) | Self::Any | Self::Bridge(_))
    }

    /// Whether it stands for this link, up or not. Of a bridge's ports only [`Selection`] knows,
    /// since they go by its index.
    #[must_use]
    pub fn matches(&self, link: &Link) -> bool {
        match self {
            Self::Name(name) => link.is_called(name),
            Self::Index(index) => link.index == *index,
            Self::Glob(glob) => {
                glob.matches(&link.name) || link.altnames.iter().any(|name| glob.matches(name))
            }
            Self::Any => true,
            Self::Bridge(name) => is_bridge(link) && link.is_called(name),
        }
    }
}

/// What belongs to a selection besides the links that it began with.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Later {
    /// What the pattern matches.
    Matching(Pattern),
    /// The bridge that the pattern matches, and the ports of the one that it matched last.
    Ports { bridge: Pattern, index: u32 },
}

impl Later {
    fn takes(&mut self, link: &Link) -> bool {
        match self {
            Self::Matching(pattern) => pattern.matches(link),
            // The same bridge, or one that was made anew under its name.
            Self::Ports { bridge, index } if bridge.matches(link) => {
                *index = link.index;
                true
            }
            Self::Ports { index, .. } => link.master == Some(*index),
        }
    }
}

/// What the patterns stand for at one moment, and later.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// The links to capture on: in the order in which the patterns first mention them, those of
    /// one pattern by index; each of them once, up, and with framing that can be read.
    pub links: Vec<Link>,
    /// What the user should know of what was left out, one line each.
    pub notes: Vec<String>,
    later: Vec<Later>,
    followed: Vec<Followed>,
}

impl Selection {
    /// Adds the interfaces of these workloads, found among all links that there are.
    ///
    /// # Errors
    ///
    /// As [`Workload::find`]; [`Error::Failure`] for a workload without an interface here that is
    /// up.
    pub async fn add(&mut self, workloads: &[Workload], links: &[Link]) -> Result<()> {
        for workload in workloads {
            let place = workload.find().await?;
            let found = place.host_side(links);
            let up = found.iter().filter(|link| link.up && can_be_read(link));
            let before = self.links.len();
            let mut taken = 0;
            for &link in up {
                taken += 1;
                if !self.links[..before].iter().any(|it| it.index == link.index) {
                    self.links.push(link.clone());
                }
            }
            if taken == 0 {
                return Err(match found.first() {
                    Some(link) => Error::failure(format!(
                        "{workload}: its interface here, {name}, is down: bring it up with `ip \
                         link set {name} up`",
                        name = printable(&link.name)
                    )),
                    None => Error::failure(format!(
                        "{workload}: no interface of this namespace leads to {} any more: try again",
                        place.whose
                    )),
                });
            }
            self.followed.push(Followed::new(workload, &place));
        }
        Ok(())
    }

    /// Whether interfaces that appear later can belong to it.
    #[must_use]
    pub fn takes_later(&self) -> bool {
        !self.later.is_empty() || self.followed.iter().any(Followed::takes_later)
    }

    /// Finds out where the workloads are by now, if the link that has appeared or changed could be
    /// one of theirs. To be called before [`Selection::takes`].
    pub async fn look_again(&mut self, link: &Link) {
        if link.up && link.peer.is_some_and(|peer| peer.netns_id.is_some()) {
            for followed in &mut self.followed {
                followed.refresh().await;
            }
        }
    }

    /// Whether a link that it doesn't take now may turn out to belong to it soon.
    #[must_use]
    pub fn may_take_soon(&self, link: &Link) -> bool {
        link.up
            && can_be_read(link)
            && link.peer.is_some_and(|peer| peer.netns_id.is_some())
            && self.followed.iter().any(Followed::is_awaited)
    }

    /// Whether a link that has appeared, or come up, belongs to it.
    #[must_use]
    pub fn takes(&mut self, link: &Link) -> bool {
        link.up
            && can_be_read(link)
            && (self.later.iter_mut().any(|later| later.takes(link))
                || self.followed.iter().any(|followed| followed.takes(link)))
    }
}

/// Finds the links that the patterns stand for.
///
/// # Errors
///
/// [`Error::Failure`] for a named interface that doesn't exist, is down, or has framing that can't
/// be read, and for a pattern that finds nothing to capture on; [`Error::Usage`] for what is no
/// bridge, with those that there are.
pub fn resolve(patterns: &[Pattern], links: &[Link]) -> Result<Selection> {
    let mut selection = Selection::default();
    let mut taken = BTreeSet::new();
    for pattern in patterns {
        let found = match pattern {
            Pattern::Name(name) => vec![named(name, links)?],
            Pattern::Index(index) => vec![indexed(*index, links)?],
            // An interface that is really called so is what was meant.
            Pattern::Glob(glob) => match links.iter().find(|link| link.is_called(glob.text())) {
                Some(link) => vec![capturable(link, &link.name)?],
                None => {
                    selection.later.push(Later::Matching(pattern.clone()));
                    all(pattern, glob.text(), links, &mut selection.notes)?
                }
            },
            Pattern::Any => {
                selection.later.push(Later::Matching(pattern.clone()));
                all(pattern, "any", links, &mut selection.notes)?
            }
            Pattern::Bridge(name) => {
                let bridge = bridge(name, links)?;
                selection.later.push(Later::Ports {
                    bridge: pattern.clone(),
                    index: bridge.index,
                });
                let ports = links.iter().filter(|link| {
                    link.master == Some(bridge.index) && link.up && can_be_read(link)
                });
                std::iter::once(bridge).chain(ports).collect()
            }
        };
        for link in found {
            if taken.insert(link.index) {
                selection.links.push(link.clone());
            }
        }
    }
    Ok(selection)
}

/// The link to capture on when none was named, as libpcap chooses it: the first that is up,
/// preferring an operational one, and loopback only when there is nothing else.
///
/// # Errors
///
/// [`Error::Failure`] when no interface is up.
pub fn usual(links: &[Link]) -> Result<Selection> {
    let link = links
        .iter()
        .filter(|link| link.up && can_be_read(link))
        .min_by_key(|link| (is_loopback(link), !link.running, link.index))
        .ok_or_else(|| {
            Error::failure("no interface is up: bring one up with `ip link set NAME up`")
        })?;
    Ok(Selection {
        links: vec![link.clone()],
        ..Selection::default()
    })
}

fn named<'a>(name: &str, links: &'a [Link]) -> Result<&'a Link> {
    match links.iter().find(|link| link.is_called(name)) {
        Some(link) => capturable(link, name),
        None => {
            let hint = nearest(name, links)
                .map(|near| format!(", did you mean {}?", printable(near)))
                .unwrap_or_else(|| ";".into());
            Err(Error::failure(format!(
                "{}: no such interface{hint} `nodecap interfaces` lists them",
                printable(name)
            )))
        }
    }
}

fn indexed(index: u32, links: &[Link]) -> Result<&Link> {
    match links.iter().find(|link| link.index == index) {
        Some(link) => capturable(link, &format!("#{index} ({})", link.name)),
        None => Err(Error::failure(format!(
            "#{index}: no interface has this index; `nodecap interfaces` lists them"
        ))),
    }
}

fn bridge<'a>(name: &str, links: &'a [Link]) -> Result<&'a Link> {
    let called = printable(name);
    match links.iter().find(|link| link.is_called(name)) {
        Some(link) if is_bridge(link) => capturable(link, name),
        Some(link) => Err(Error::usage(format!(
            "--bridge {called}: it is no bridge ({}): name it with -i {called}; {}",
            printable(link.kind().name()),
            bridges(links)
        ))),
        None => Err(Error::usage(format!(
            "--bridge {called}: no such interface; {}",
            bridges(links)
        ))),
    }
}

/// The bridges to choose from, in words.
fn bridges(links: &[Link]) -> String {
    let names: Vec<_> = links
        .iter()
        .filter(|link| is_bridge(link))
        .map(|link| printable(&link.name).to_string())
        .collect();
    match names.as_slice() {
        [] => "there are no bridges here".into(),
        [one] => format!("the only bridge is {one}"),
        more => format!("the bridges are {}", more.join(", ")),
    }
}

fn is_bridge(link: &Link) -> bool {
    link.device == Device::Bridge
}

/// The link, which the user named so, if a capture on it is possible.
fn capturable<'a>(link: &'a Link, called: &str) -> Result<&'a Link> {
    if !link.up {
        return Err(Error::failure(format!(
            "{} is down: bring it up with `ip link set {} up`",
            printable(called),
            printable(&link.name)
        )));
    }
    if let Framing::Unsupported(arphrd) = link.framing {
        return Err(Error::failure(format!(
            "{}: can't read its link-layer header (ARPHRD type {arphrd}); name an interface with \
             Ethernet framing or without a link header",
            printable(called)
        )));
    }
    Ok(link)
}

fn all<'a>(
    pattern: &Pattern,
    text: &str,
    links: &'a [Link],
    notes: &mut Vec<String>,
) -> Result<Vec<&'a Link>> {
    let matching: Vec<_> = links.iter().filter(|link| pattern.matches(link)).collect();
    let mut found = Vec::new();
    for &link in matching.iter().filter(|link| link.up) {
        match link.framing {
            Framing::Unsupported(arphrd) => {
                let note = format!(
                    "{} is left out: can't read its link-layer header (ARPHRD type {arphrd})",
                    printable(&link.name)
                );
                if !notes.contains(&note) {
                    notes.push(note);
                }
            }
            Framing::Ethernet | Framing::Bare => found.push(link),
        }
    }
    if !found.is_empty() {
        found.sort_by_key(|link| link.index);
        return Ok(found);
    }
    let why = match matching.iter().find(|link| can_be_read(link)) {
        Some(link) => format!(
            "every interface that it matches is down: bring one up, as with `ip link set {} up`",
            printable(&link.name)
        ),
        None if matching.is_empty() => {
            "it matches no interface; `nodecap interfaces` lists them".into()
        }
        None => "no interface that it matches has Ethernet framing or bare IP packets; \
                 `nodecap interfaces` lists the others"
            .into(),
    };
    Err(Error::failure(format!("{}: {why}", printable(text))))
}

fn can_be_read(link: &Link) -> bool {
    !matches!(link.framing, Framing::Unsupported(_))
}

fn is_loopback(link: &Link) -> bool {
    link.device == Device::Loopback
}

/// The name nearest to a mistyped one, if it is near: a third of it may be wrong.
fn nearest<'a>(name: &str, links: &'a [Link]) -> Option<&'a str> {
    let allowed = name.chars().count().div_ceil(3).min(3);
    links
        .iter()
        .flat_map(|link| std::iter::once(&link.name).chain(&link.altnames))
        .map(|other| (strsim::osa_distance(name, other), other))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, other)| other.as_str())
}

#[cfg(test)]
mod tests;
