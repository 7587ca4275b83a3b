//! Words: quotes, variables and substitutions.

use crate::command::Word;

/// A word at the beginning of a text.
pub(crate) struct Read<'s> {
    pub(crate) word: Word,
    /// How many bytes it takes, at least one.
    pub(crate) length: usize,
    /// The scripts of its substitutions.
    pub(crate) substitutions: Vec<&'s str>,
}

/// Reads the word at the beginning of `text`; `variable` gives the value of a variable, where it is known.
pub(crate) fn word<'s>(text: &'s str, variable: &dyn Fn(&str) -> Option<String>) -> Read<'s> {
    let (mut value, mut is_known, mut is_quoted, mut at) = (String::new(), true, false, 0);
    let mut substitutions = Vec::new();
    while let Some(next) = text[at..].chars().next() {
        let here = &text[at..];
        match next {
            '"' => {
                is_quoted = !is_quoted;
                at += 1;
            }
            '\'' if !is_quoted => {
                let inner = here[1..].split('\'').next().unwrap_or_default();
                value += inner;
                at = (at + inner.len() + 2).min(text.len());
            }
            '\\' => {
                let escaped = here[1..].chars().next().unwrap_or_default();
                match escaped {
                    '\n' => {}
                    _ if is_quoted && !"\\\"$`".contains(escaped) => value.extend(['\\', escaped]),
                    _ => value.push(escaped),
                }
                at = (at + 1 + escaped.len_utf8()).min(text.len());
            }
            '`' => {
                is_known = false;
                let inner = here[1..].split('`').next().unwrap_or_default();
                let length = (inner.len() + 2).min(here.len());
                substitutions.push(inner);
                value += &here[..length];
                at += length;
            }
            '$' if here[1..].starts_with('(') => {
                is_known = false;
                let length = 1 + balanced(&here[1..]);
                let inner = here[2..length].strip_suffix(')').unwrap_or(&here[2..length]);
                // $((...)) is a number.
                if !inner.starts_with('(') {
                    substitutions.push(inner);
                }
                value += &here[..length];
                at += length;
            }
            '$' => {
                let (found, length) = expansion(here, variable);
                is_known &= found.is_some();
                value += found.as_deref().unwrap_or(&here[..length]);
                at += length;
            }
            ' ' | '\t' | '\n' | ';' | '&' | '|' | '(' | ')' if !is_quoted => break,
            '*' | '?' | '[' if !is_quoted && at > 0 => {
                is_known = false;
                value.push(next);
                at += 1;
            }
            _ => {
                value.push(next);
                at += next.len_utf8();
            }
        }
    }
    let word = if is_known { Word::Known(value) } else { Word::Unknown(value) };
    Read { word, length: at.max(1), substitutions }
}

/// What a variable at the beginning of `text` stands for, if that is known, and how long it is there.
fn expansion(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> (Option<String>, usize) {
    let after = &text[1..];
    if let Some(inner) = after.strip_prefix('{') {
        let end = inner.find('}').unwrap_or(inner.len());
        return (braced(&inner[..end], variable), (end + 3).min(text.len()));
    }
    let end = after.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(after.len());
    let end = if end == 0 { after.chars().next().map_or(0, char::len_utf8) } else { end };
    (variable(&after[..end]), 1 + end)
}

/// `NAME`, or `NAME:-DEFAULT` of a variable that is known.
fn braced(inner: &str, variable: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let Some((name, default)) = inner.split_once(":-") else { return variable(inner) };
    let value = variable(name)?;
    let is_literal = !default.contains(['$', '`', '"', '\'', '\\']);
    if value.is_empty() { is_literal.then(|| default.to_owned()) } else { Some(value) }
}

/// The length of a redirection such as `2>&` or `>>` at the beginning of `text`, without what it leads to.
pub(crate) fn redirection(text: &str) -> Option<usize> {
    let after_number = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let after = after_number.trim_start_matches(['<', '>']);
    (after.len() < after_number.len()).then(|| text.len() - after.trim_start_matches(['&', '|']).len())
}

/// The length of a `( ... )` at the beginning of `text`.
fn balanced(text: &str) -> usize {
    let mut depth = 0;
    for (at, next) in text.char_indices() {
        match next {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    text.len()
}
