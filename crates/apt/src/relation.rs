//! The syntax of relations between packages: Debian policy, section 7.1.

use std::cmp::Ordering;
use std::fmt;

use minimg_deb822::compare;

/// One alternative of a relation: `libc6:any (>= 2.36)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Relation<'a> {
    /// The name of a package, or of something that packages provide.
    pub name: &'a str,
    /// What follows the colon: `any`, `native` or an architecture.
    pub qualifier: Option<&'a str>,
    /// The demand on the version.
    pub version: Option<(Operator, &'a str)>,
}

/// How a version must compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Less,
    LessOrEqual,
    Equal,
    GreaterOrEqual,
    Greater,
}

impl Operator {
    fn admits(self, order: Ordering) -> bool {
        match self {
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Equal => order.is_eq(),
            Self::GreaterOrEqual => order.is_ge(),
            Self::Greater => order.is_gt(),
        }
    }
}

impl Relation<'_> {
    /// Whether a package of this version fits; the name is not looked at.
    pub(super) fn admits(&self, version: &str) -> bool {
        self.version.is_none_or(|(operator, wanted)| operator.admits(compare(version, wanted)))
    }

    /// Whether something that is provided in this version, or in none, fits.
    pub(super) fn admits_provided(&self, version: Option<&str>) -> bool {
        match version {
            Some(version) => self.admits(version),
            None => self.version.is_none(),
        }
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Less => "<<",
            Self::LessOrEqual => "<=",
            Self::Equal => "=",
            Self::GreaterOrEqual => ">=",
            Self::Greater => ">>",
        })
    }
}

impl fmt::Display for Relation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        if let Some(qualifier) = self.qualifier {
            write!(f, ":{qualifier}")?;
        }
        match self.version {
            Some((operator, version)) => write!(f, " ({operator} {version})"),
            None => Ok(()),
        }
    }
}

/// The groups of a relation field, separated by commas, and the alternatives of each, separated by bars.
///
/// # Errors
/// The alternative that is malformed.
pub(super) fn parse(field: &str) -> Result<Vec<Vec<Relation<'_>>>, &str> {
    groups(field).map(|group| group.split('|').map(alternative).collect()).collect()
}

/// The relations of a field without alternatives: Provides, Conflicts, Breaks. What is malformed is left out.
pub(super) fn list(field: &str) -> impl Iterator<Item = Relation<'_>> {
    groups(field).filter_map(|text| alternative(text).ok())
}

fn groups(field: &str) -> impl Iterator<Item = &str> {
    field.split(',').map(str::trim).filter(|group| !group.is_empty())
}

fn alternative(text: &str) -> Result<Relation<'_>, &str> {
    let text = text.trim();
    // Restrictions to architectures and build profiles do not occur in binary packages, and mean nothing there.
    let text_without = text.split(['[', '<']).next().filter(|_| !text.contains('(')).unwrap_or(text);
    let (name, version) = match text_without.split_once('(') {
        None => (text_without.trim(), None),
        Some((name, rest)) => {
            let (demand, _restrictions) = rest.split_once(')').ok_or(text)?;
            (name.trim(), Some(parse_demand(demand.trim()).ok_or(text)?))
        }
    };
    let (name, qualifier) = match name.split_once(':') {
        Some((name, qualifier)) => (name, Some(qualifier)),
        None => (name, None),
    };
    let sound = |word: &str| !word.is_empty() && word.bytes().all(is_name_byte);
    if !sound(name) || !qualifier.is_none_or(sound) {
        return Err(text);
    }
    Ok(Relation { name, qualifier, version })
}

/// What names of packages and architectures are made of, and what some archives add to that.
pub(super) fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.' | b'_' | b'~')
}

fn parse_demand(text: &str) -> Option<(Operator, &str)> {
    let end = text.find(|c| !matches!(c, '<' | '>' | '='))?;
    let (operator, version) = text.split_at_checked(end)?;
    let operator = match operator {
        "<<" => Operator::Less,
        // The single forms are old and mean this.
        "<=" | "<" => Operator::LessOrEqual,
        "=" => Operator::Equal,
        ">=" | ">" => Operator::GreaterOrEqual,
        ">>" => Operator::Greater,
        _ => return None,
    };
    let version = version.trim();
    (!version.is_empty() && !version.contains(char::is_whitespace)).then_some((operator, version))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(field: &str) -> String {
        match parse(field) {
            Ok(groups) => {
                let group =
                    |group: &Vec<Relation<'_>>| group.iter().map(Relation::to_string).collect::<Vec<_>>().join(" | ");
                groups.iter().map(group).collect::<Vec<_>>().join(", ")
            }
            Err(text) => format!("malformed: {text}"),
        }
    }

    #[test]
    fn fields() {
        for (field, expected) in [
            ("", ""),
            ("a", "a"),
            (" a ( >= 1:2-3 ) |b,\n c:any , ", "a (>= 1:2-3) | b, c:any"),
            ("a(<<1)", "a (<< 1)"),
            ("a (< 1), b (> 1)", "a (<= 1), b (>= 1)"),
            ("a [amd64 !i386], b <!nocheck>, c (= 1) [amd64] <x>", "a, b, c (= 1)"),
            ("g++-12:arm64 (>> 1~)", "g++-12:arm64 (>> 1~)"),
            ("a |", "malformed: "),
            ("a (1)", "malformed: a (1)"),
            ("a (>= )", "malformed: a (>= )"),
            ("a (>= 1", "malformed: a (>= 1"),
            ("a (== 1)", "malformed: a (== 1)"),
            ("a b", "malformed: a b"),
            ("a:", "malformed: a:"),
            ("/etc/passwd", "malformed: /etc/passwd"),
        ] {
            assert_eq!(printed(field), expected, "{field}");
        }
    }

    #[test]
    fn versions() {
        for (relation, version, fits) in [
            ("a (<< 2)", "1", true),
            ("a (<< 2)", "2", false),
            ("a (<= 2)", "2", true),
            ("a (= 2)", "2-0", true),
            ("a (>= 2)", "2~", false),
            ("a (>> 2)", "2+", true),
            ("a", "0", true),
        ] {
            assert_eq!(parse(relation).unwrap()[0][0].admits(version), fits, "{relation} {version}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[a-z0-9+ ,|()<>=:\\[\\]\\PC]{0,60}") {
            let _ = parse(&text);
            assert!(list(&text).count() <= text.len());
        }
    }
}
