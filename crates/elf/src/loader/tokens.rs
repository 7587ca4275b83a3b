//! Dynamic string tokens and search paths: `$ORIGIN`, `$LIB`, `$PLATFORM` (`elf/dl-load.c`, `_dl_dst_substitute` and `fillin_rpath`).

use crate::elf::Facts;
use crate::system::System;

/// What tokens stand for where they are expanded.
pub(super) struct Tokens<'a> {
    /// The directory of the file that names them, without a slash at the end.
    pub(super) origin: &'a [u8],
    /// The loader, for `$LIB`.
    pub(super) system: &'a System,
    /// What `$PLATFORM` may stand for.
    pub(super) platforms: &'a [&'static str],
}

/// Whether `text` names this token.
pub(super) fn names_token(text: &[u8], wanted: &[u8]) -> bool {
    memchr::memchr_iter(b'$', text).any(|dollar| token(&text[dollar + 1..]).is_some_and(|(name, _)| name == wanted))
}

/// Whether the loader has to know where the file lies.
pub(crate) fn names_origin(facts: &Facts) -> bool {
    let Some(dynamic) = &facts.dynamic else { return false };
    let path = dynamic.runpath.as_ref().or(dynamic.rpath.as_ref()).into_iter();
    let names = dynamic.edges.iter().map(|edge| &edge.name);
    path.chain(names).any(|text| names_token(text, b"ORIGIN"))
}

/// Expands the tokens of `text`. `$PLATFORM` gives one result for each value that it may have; nothing comes back when a token has no
/// value, and the element is dropped then.
pub(super) fn expand(text: &[u8], tokens: &Tokens<'_>) -> Vec<Vec<u8>> {
    if !text.contains(&b'$') {
        return vec![text.to_vec()];
    }
    let platforms = tokens.platforms;
    let first = expand_for(text, tokens, platforms.first().map(|p| p.as_bytes()));
    let Some((first, uses_platform)) = first else { return Vec::new() };
    let mut results = vec![first];
    if uses_platform {
        let others = platforms.iter().skip(1).filter_map(|p| expand_for(text, tokens, Some(p.as_bytes())));
        results.extend(others.map(|(result, _)| result));
    }
    results
}

fn expand_for(mut text: &[u8], tokens: &Tokens<'_>, platform: Option<&[u8]>) -> Option<(Vec<u8>, bool)> {
    let (mut result, mut uses_platform) = (Vec::with_capacity(text.len() + 32), false);
    while let Some(dollar) = text.iter().position(|&b| b == b'$') {
        result.extend_from_slice(&text[..dollar]);
        text = &text[dollar + 1..];
        let value = match token(text) {
            Some((b"ORIGIN", length)) => Some((tokens.origin, length)),
            Some((b"LIB", length)) => Some((&*tokens.system.lib, length)),
            Some((b"PLATFORM", length)) => {
                uses_platform = true;
                Some((platform?, length))
            }
            _ => None,
        };
        match value {
            Some((value, length)) => {
                result.extend_from_slice(value);
                text = &text[length..];
            }
            None => result.push(b'$'),
        }
    }
    result.extend_from_slice(text);
    Some((result, uses_platform))
}

/// The identifier after a dollar sign and how many bytes it takes with its braces. The longest identifier counts.
fn token(text: &[u8]) -> Option<(&[u8], usize)> {
    let word = |text: &[u8]| text.iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count();
    match text.strip_prefix(b"{") {
        None => Some((&text[..word(text)], word(text))),
        Some(inner) => {
            let length = word(inner);
            (inner.get(length) == Some(&b'}')).then(|| (&inner[..length], length + 2))
        }
    }
}

/// The directories of a search path, with a slash at the end, tokens expanded. An empty element is the working directory, and a path
/// that is empty as a whole has none.
pub(super) fn directories(path: &[u8], separators: &[u8], tokens: &Tokens<'_>, working: &[u8]) -> Vec<Vec<u8>> {
    if path.is_empty() {
        return Vec::new();
    }
    let elements = path.split(|b| separators.contains(b));
    let expanded = elements.flat_map(|element| expand(element, tokens));
    expanded.map(|directory| absolute(directory, working)).map(with_slash).collect()
}

/// A path from the working directory.
pub(super) fn absolute(path: Vec<u8>, working: &[u8]) -> Vec<u8> {
    if path.first() == Some(&b'/') {
        return path;
    }
    let mut full = with_slash(working.to_vec());
    full.extend_from_slice(&path);
    full
}

fn with_slash(mut directory: Vec<u8>) -> Vec<u8> {
    while directory.len() > 1 && directory.ends_with(b"/") {
        directory.pop();
    }
    if !directory.ends_with(b"/") {
        directory.push(b'/');
    }
    directory
}
