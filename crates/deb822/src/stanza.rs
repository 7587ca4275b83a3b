//! The control file syntax of deb822(5), for small files: `Release` and `.sources`.

use std::borrow::Cow;

/// One field of a stanza.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name as it is written; compared without regard to case.
    pub name: &'a str,
    /// The value; continuation lines keep their line ends and lose their first blank.
    pub value: Cow<'a, str>,
    /// The line on which it begins, from 1.
    pub line: usize,
}

/// A paragraph: fields up to an empty line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stanza<'a> {
    /// The fields in their order.
    pub fields: Vec<Field<'a>>,
}

impl Stanza<'_> {
    /// The value of a field, whatever the case of its name.
    pub fn get(&self, name: &str) -> Option<&str> {
        let field = self.fields.iter().find(|field| field.name.eq_ignore_ascii_case(name))?;
        Some(field.value.as_ref())
    }

    /// The words of a field; none where it is absent.
    pub fn words(&self, name: &str) -> impl Iterator<Item = &str> {
        self.get(name).unwrap_or_default().split_ascii_whitespace()
    }
}

/// Splits a text into stanzas. Lines that begin with `#` are comments.
///
/// # Errors
/// The number of the first line that is neither a field, a continuation, a comment nor empty.
pub fn stanzas(text: &str) -> Result<Vec<Stanza<'_>>, usize> {
    let mut first = None;
    let stanzas = split(text, |line| {
        first.get_or_insert(line);
    });
    first.map_or(Ok(stanzas), Err)
}

/// Splits a text into stanzas like [`stanzas`], and passes over lines that are none of these, as apt does with files of archives.
pub fn stanzas_among_other_lines(text: &str) -> Vec<Stanza<'_>> {
    split(text, |_| ())
}

fn split<'a>(text: &'a str, mut stray: impl FnMut(usize)) -> Vec<Stanza<'a>> {
    let mut stanzas = Vec::new();
    let mut stanza = Stanza::default();
    for (index, line) in text.lines().enumerate() {
        let line_number = index + 1;
        if line.trim().is_empty() {
            finish(&mut stanza, &mut stanzas);
        } else if line.starts_with([' ', '\t']) {
            match stanza.fields.last_mut() {
                Some(field) => {
                    let value = field.value.to_mut();
                    value.push('\n');
                    value.push_str(line.get(1..).unwrap_or_default());
                }
                None => stray(line_number),
            }
        } else if !line.starts_with('#') {
            match line.split_once(':') {
                Some((name, value)) if !name.is_empty() && !name.contains(char::is_whitespace) => {
                    stanza.fields.push(Field { name, value: Cow::Borrowed(value.trim()), line: line_number });
                }
                _ => stray(line_number),
            }
        }
    }
    finish(&mut stanza, &mut stanzas);
    stanzas
}

fn finish<'a>(stanza: &mut Stanza<'a>, stanzas: &mut Vec<Stanza<'a>>) {
    if !stanza.fields.is_empty() {
        stanzas.push(std::mem::take(stanza));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_continuations() {
        let text = "# a comment\nTypes: deb\nSigned-By:\n -----BEGIN\n .\n# not a field\n AbC=\n\n\nURIs: file:/x\n";
        let stanzas = stanzas(text).unwrap();
        assert_eq!(stanzas.len(), 2);
        assert_eq!(stanzas[0].get("types"), Some("deb"));
        assert_eq!(stanzas[0].get("Signed-By"), Some("\n-----BEGIN\n.\nAbC="));
        assert_eq!(stanzas[1].fields[0].line, 10);
    }

    #[test]
    fn other_lines_are_refused() {
        for (text, line) in
            [("no colon", 1), ("A: b\nname with blank: c", 2), (" continuation of nothing", 1), (": x", 1)]
        {
            assert_eq!(stanzas(text), Err(line), "{text:?}");
        }
    }

    #[test]
    fn other_lines_are_passed_over() {
        let text = " of nothing\nstray\nA: b\n c\nalso stray\n d\nname with blank: e\nF: g\n";
        let stanzas = stanzas_among_other_lines(text);
        let fields: Vec<_> = stanzas[0].fields.iter().map(|field| (field.name, &*field.value)).collect();
        assert_eq!((stanzas.len(), fields), (1, vec![("A", "b\nc\nd"), ("F", "g")]));
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[\\PC\n\t ]{0,200}") {
            let _ = stanzas(&text);
        }
    }
}
