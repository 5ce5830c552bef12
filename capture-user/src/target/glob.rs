//! Shell patterns over interface names: `*`, `?`, `[abc]`, `[a-z]`, `[!a]`.

/// A pattern with at least one wildcard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    text: String,
    tokens: Vec<Token>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Char(char),
    /// `?`
    One,
    /// `*`
    Any,
    /// `[…]`: inclusive ranges; negated by `!` or `^`.
    Set {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

impl Glob {
    /// The pattern, or none if the text holds no wildcard and so stands for itself. As in a shell,
    /// a `[` without its `]` stands for itself too.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let chars: Vec<char> = text.chars().collect();
        let mut tokens = Vec::new();
        let mut rest = chars.as_slice();
        while let Some((&first, after)) = rest.split_first() {
            rest = after;
            tokens.push(match first {
                '?' => Token::One,
                '*' => Token::Any,
                '[' => match set(after) {
                    Some((set, after)) => {
                        rest = after;
                        set
                    }
                    None => Token::Char('['),
                },
                char => Token::Char(char),
            });
        }
        let wild = tokens.iter().any(|token| !matches!(token, Token::Char(_)));
        wild.then(|| Self {
            text: text.to_owned(),
            tokens,
        })
    }

    /// What was parsed.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the pattern matches the whole name.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let name: Vec<char> = name.chars().collect();
        let (mut token, mut at) = (0, 0);
        // The last `*` and how much of the name it has taken: on a mismatch it takes one more.
        let mut star: Option<(usize, usize)> = None;
        loop {
            match (self.tokens.get(token), name.get(at)) {
                (None, None) => return true,
                (Some(Token::Any), _) => {
                    star = Some((token, at));
                    token += 1;
                    continue;
                }
                (Some(wanted), Some(&char)) if wanted.takes(char) => {
                    token += 1;
                    at += 1;
                    continue;
                }
                _ => {}
            }
            match &mut star {
                Some((last, taken)) if *taken < name.len() => {
                    *taken += 1;
                    (token, at) = (*last + 1, *taken);
                }
                _ => return false,
            }
        }
    }
}

impl Token {
    fn takes(&self, char: char) -> bool {
        match self {
            Self::Char(own) => *own == char,
            Self::One | Self::Any => true,
            Self::Set { negated, ranges } => {
                ranges
                    .iter()
                    .any(|&(low, high)| (low..=high).contains(&char))
                    != *negated
            }
        }
    }
}

/// The set that begins after a `[`, and what follows its `]`. A `]` that comes first is a member.
fn set(mut rest: &[char]) -> Option<(Token, &[char])> {
    let negated = matches!(rest.first(), Some('!' | '^'));
    if negated {
        rest = &rest[1..];
    }
    let mut ranges = Vec::new();
    loop {
        match rest {
            [']', after @ ..] if !ranges.is_empty() => {
                return Some((Token::Set { negated, ranges }, after));
            }
            [low, '-', high, after @ ..] if *high != ']' => {
                ranges.push((*low, *high));
                rest = after;
            }
            [char, after @ ..] => {
                ranges.push((*char, *char));
                rest = after;
            }
            [] => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(pattern: &str, name: &str) -> bool {
        Glob::parse(pattern).expect("a wildcard").matches(name)
    }

    #[test]
    fn a_star_stands_for_any_run_of_characters_also_none() {
        assert!(matches("veth*", "veth"));
        assert!(matches("veth*", "veth2482a36"));
        assert!(!matches("veth*", "eth0"));
        assert!(matches("*a*b", "xaxbxb"));
        assert!(!matches("*a*b", "xaxbx"));
    }

    #[test]
    fn a_question_mark_stands_for_one_character_whatever_its_bytes() {
        assert!(matches("eth?", "ethé"));
        assert!(!matches("eth?", "eth"));
        assert!(!matches("eth?", "eth10"));
    }

    #[test]
    fn a_set_holds_characters_and_ranges_and_can_be_negated() {
        assert!(matches("eth[0-24]", "eth1") && matches("eth[0-24]", "eth4"));
        assert!(!matches("eth[0-24]", "eth3"));
        assert!(matches("eth[!0]", "eth1") && !matches("eth[^1]", "eth1"));
        assert!(matches("a[]]", "a]") && matches("a[a-]", "a-"));
        assert!(!matches("a[z-a]", "ab"));
    }

    #[test]
    fn text_without_a_wildcard_is_no_pattern() {
        for text in ["", "eth0", "eth[", "eth[0", "a]b", "[!", "[]"] {
            assert_eq!(Glob::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_pattern_that_sends_backtracking_matchers_astray_ends() {
        let pattern = "a*".repeat(40) + "b";
        assert!(!matches(&pattern, &"a".repeat(127)));
    }

    /// The definition, told by recursion.
    fn plainly(tokens: &[Token], name: &[char]) -> bool {
        match (tokens, name) {
            ([], []) => true,
            ([Token::Any, rest @ ..], _) => (0..=name.len()).any(|n| plainly(rest, &name[n..])),
            ([token, tokens @ ..], [char, name @ ..]) => {
                token.takes(*char) && plainly(tokens, name)
            }
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn it_agrees_with_the_definition(pattern in r"[ab*?\[\]!-]{0,8}", name in "[ab!-]{0,8}") {
            if let Some(glob) = Glob::parse(&pattern) {
                let chars: Vec<char> = name.chars().collect();
                prop_assert_eq!(glob.matches(&name), plainly(&glob.tokens, &chars));
            }
        }

        #[test]
        fn no_text_makes_it_panic(pattern: String, name: String) {
            if let Some(glob) = Glob::parse(&pattern) {
                let _ = glob.matches(&name);
            }
        }

        #[test]
        fn a_star_matches_what_is_behind_or_around_it(name in "[a-w0-9.@_-]{1,15}") {
            let (before, around) = (format!("{name}*"), format!("*{name}*"));
            let longer = format!("x{name}y");
            prop_assert!(matches(&before, &name));
            prop_assert!(matches(&around, &longer));
            prop_assert!(!matches(&before, &longer));
        }
    }
}
