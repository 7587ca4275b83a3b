//! The bundle of CA certificates and the links next to it, as `update-ca-certificates` makes them.

use sha1::{Digest as _, Sha1};

/// The name of a certificate's link in `/etc/ssl/certs`, from the name of its file.
pub(super) fn link_name(file: &str) -> String {
    let stem = file.strip_suffix(".crt").unwrap_or(file);
    let stem: String = stem
        .chars()
        .map(|c| match c {
            ' ' | ',' => '_',
            '(' | ')' => '=',
            other => other,
        })
        .collect();
    stem + ".pem"
}

/// The hash of the subject of the first certificate in a PEM file, by which OpenSSL finds it (`openssl x509 -subject_hash`): the first
/// four bytes of the SHA-1 of the canonical name, lowest first. `None` when there is not exactly one certificate.
pub(super) fn subject_hash(pem: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(pem).ok()?;
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    let (_, after) = text.split_once(BEGIN)?;
    let (body, rest) = after.split_once("-----END CERTIFICATE-----")?;
    if rest.contains(BEGIN) {
        return None;
    }
    let canonical = canonical_name(subject(&base64(body)?)?)?;
    let hash = Sha1::digest(&canonical);
    Some(u32::from_le_bytes([hash[0], hash[1], hash[2], hash[3]]))
}

/// Names links as `openssl rehash` does: the hash in hex, and a number that tells those of one hash apart in the order of the names.
pub(super) fn hash_links<'a>(certificates: impl IntoIterator<Item = (&'a str, u32)>) -> Vec<(String, &'a str)> {
    let mut sorted: Vec<(&str, u32)> = certificates.into_iter().collect();
    sorted.sort();
    let mut counts = std::collections::BTreeMap::new();
    let name = |(file, hash): (&'a str, u32)| {
        let count = counts.entry(hash).or_insert(0u32);
        let link = format!("{hash:08x}.{count}");
        *count += 1;
        (link, file)
    };
    sorted.into_iter().map(name).collect()
}

/// RFC 4648 with line breaks.
fn base64(text: &str) -> Option<Vec<u8>> {
    let (mut bytes, mut bits, mut held) = (Vec::with_capacity(text.len() * 3 / 4), 0u32, 0);
    for byte in text.bytes().filter(|b| !b.is_ascii_whitespace()).take_while(|&b| b != b'=') {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6 | u32::from(value)) & 0xff_ffff;
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
        }
    }
    Some(bytes)
}

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const UTF8_STRING: u8 = 0x0c;

/// A DER value: tag, whole encoding, content, and what follows it.
struct Value<'a> {
    tag: u8,
    whole: &'a [u8],
    content: &'a [u8],
    rest: &'a [u8],
}

fn value(der: &[u8]) -> Option<Value<'_>> {
    let (&tag, after) = der.split_first()?;
    let (&first, after) = after.split_first()?;
    let (length, header) = match first {
        0..=0x7f => (usize::from(first), 2),
        0x81..=0x84 => {
            let count = usize::from(first & 0x7f);
            let length = after.get(..count)?.iter().fold(0usize, |length, &byte| length << 8 | usize::from(byte));
            (length, 2 + count)
        }
        _ => return None,
    };
    let end = header.checked_add(length)?;
    Some(Value { tag, whole: der.get(..end)?, content: der.get(header..end)?, rest: der.get(end..)? })
}

fn expect(der: &[u8], tag: u8) -> Option<Value<'_>> {
    value(der).filter(|value| value.tag == tag)
}

/// The content of the subject's SEQUENCE (RFC 5280, 4.1).
fn subject(certificate: &[u8]) -> Option<&[u8]> {
    let tbs = expect(expect(certificate, SEQUENCE)?.content, SEQUENCE)?.content;
    const VERSION: u8 = 0xa0;
    let mut rest = value(tbs).filter(|version| version.tag == VERSION).map_or(tbs, |version| version.rest);
    // Serial number, signature algorithm, issuer, validity.
    for _ in 0..4 {
        rest = value(rest)?.rest;
    }
    Some(expect(rest, SEQUENCE)?.content)
}

/// The name as OpenSSL compares names (`x509_name_canon`): the sets one after another without the sequence around them; strings as
/// UTF-8 in lower case, without spaces at the ends, runs of spaces as one.
fn canonical_name(mut name: &[u8]) -> Option<Vec<u8>> {
    let mut canonical = Vec::new();
    while !name.is_empty() {
        let set = expect(name, SET)?;
        name = set.rest;
        let mut attributes = Vec::new();
        let mut rest = set.content;
        while !rest.is_empty() {
            let attribute = expect(rest, SEQUENCE)?;
            rest = attribute.rest;
            let kind = value(attribute.content)?;
            let text = value(kind.rest)?;
            let text = match canonical_text(&text)? {
                Some(text) => encode(UTF8_STRING, &text),
                None => text.whole.to_vec(),
            };
            attributes.push(encode(SEQUENCE, &[kind.whole, &text].concat()));
        }
        attributes.sort();
        canonical.extend(encode(SET, &attributes.concat()));
    }
    Some(canonical)
}

/// `None` inside for what is not a string and stays as it is.
fn canonical_text(value: &Value<'_>) -> Option<Option<Vec<u8>>> {
    let latin = |bytes: &[u8]| bytes.iter().map(|&b| char::from(b)).collect::<String>();
    let wide = |bytes: &[u8], width| {
        let characters = bytes.chunks_exact(width).map(|unit| unit.iter().fold(0, |c, &byte| c << 8 | u32::from(byte)));
        characters.map(char::from_u32).collect::<Option<String>>()
    };
    let text = match value.tag {
        // UTF8String, PrintableString, TeletexString, IA5String, VisibleString.
        UTF8_STRING => std::str::from_utf8(value.content).ok()?.to_owned(),
        0x13 | 0x14 | 0x16 | 0x1a => latin(value.content),
        // BMPString, UniversalString.
        0x1e => wide(value.content, 2)?,
        0x1c => wide(value.content, 4)?,
        _ => return Some(None),
    };
    let is_space = |c: char| matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c');
    let words: Vec<String> =
        text.split(is_space).filter(|word| !word.is_empty()).map(str::to_ascii_lowercase).collect();
    Some(Some(words.join(" ").into_bytes()))
}

fn encode(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut der = vec![tag];
    let length = content.len();
    if length < 0x80 {
        der.push(length as u8);
    } else {
        let bytes = length.to_be_bytes();
        let significant = &bytes[bytes.iter().position(|&b| b != 0).unwrap_or(bytes.len() - 1)..];
        der.push(0x80 | significant.len() as u8);
        der.extend_from_slice(significant);
    }
    der.extend_from_slice(content);
    der
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_links() {
        assert_eq!(link_name("Some CA (2009), new.crt"), "Some_CA_=2009=__new.pem");
        let links = hash_links([("b.pem", 0x1f), ("a.pem", 0x1f), ("c.pem", 0xdeadbeef)]);
        let expected = [("0000001f.0", "a.pem"), ("0000001f.1", "b.pem"), ("deadbeef.0", "c.pem")];
        assert_eq!(links, expected.map(|(link, file)| (link.to_owned(), file)));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            if let Some(name) = subject(&bytes) {
                canonical_name(name);
            }
            canonical_name(&bytes);
        }
    }
}
