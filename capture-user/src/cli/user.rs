//! `--relinquish USER`: which user that is.
//!
//! Looked up in the files themselves: a static binary can't load what the C library would ask
//! besides them (nsswitch.conf(5)). A user that is somewhere else is named by numbers.

use std::fs;

use crate::error::{Error, Result};
use crate::kernel::relinquish::Identity;

/// The user of that name or number, or `UID:GID`.
///
/// # Errors
///
/// [`Error::Usage`], when there is none.
pub(super) fn resolve(typed: &str) -> Result<Identity> {
    // A system without them has no names.
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    find(typed, &read("/etc/passwd"), &read("/etc/group")).ok_or_else(|| {
        Error::usage(format!(
            "--relinquish {typed}: /etc/passwd has no such user: name another, or give UID:GID in numbers"
        ))
    })
}

fn find(typed: &str, users: &str, groups: &str) -> Option<Identity> {
    if let Some((user, group)) = typed.split_once(':') {
        return Some(Identity {
            user: id(user)?,
            group: id(group)?,
            groups: vec![id(group)?],
        });
    }
    // passwd(5): name, password, UID, GID, and what doesn't matter here.
    let entries = users.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let (name, _) = (fields.next()?, fields.next()?);
        Some((name, id(fields.next()?)?, id(fields.next()?)?))
    });
    let named = entries.clone().find(|(name, ..)| *name == typed);
    let (name, user, group) = named.or_else(|| {
        let number = id(typed)?;
        entries.clone().find(|(_, user, _)| *user == number)
    })?;
    // group(5): name, password, GID, members.
    let others = groups.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let number = id(fields.nth(2)?)?;
        let is_member = fields.next()?.split(',').any(|member| member == name);
        (is_member && number != group).then_some(number)
    });
    Some(Identity {
        user,
        group,
        groups: std::iter::once(group).chain(others).collect(),
    })
}

/// A number that is one's own: the highest stands for "no change" in setresuid(2).
fn id(text: &str) -> Option<u32> {
    text.parse().ok().filter(|id| *id != u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const USERS: &str =
        "root:x:0:0:root:/root:/bin/bash\n# broken\nwatch:x:990:991::/:/sbin/nologin\n";
    const GROUPS: &str =
        "root:x:0:\nadm:x:4:syslog,watch\nwatch:x:991:watch\nothers:x:7:watchful\n";

    fn found(typed: &str) -> Option<(u32, u32, Vec<u32>)> {
        find(typed, USERS, GROUPS).map(|it| (it.user, it.group, it.groups))
    }

    #[test]
    fn a_user_comes_with_all_of_its_groups() {
        let watch = Some((990, 991, vec![991, 4]));
        assert_eq!(found("watch"), watch);
        assert_eq!(found("990"), watch);
        assert_eq!(found("5:6"), Some((5, 6, vec![6])));
    }

    #[test]
    fn who_isn_t_there_is_nobody() {
        for typed in [
            "",
            "watc",
            "1000",
            "5:",
            ":6",
            "5:x",
            "4294967295:1",
            "-1:1",
        ] {
            assert_eq!(found(typed), None, "{typed}");
        }
    }
}
