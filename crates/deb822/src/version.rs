//! The order of versions: deb-version(7).

use std::cmp::Ordering;

/// Compares two versions: epoch, upstream version, revision.
pub fn compare(a: &str, b: &str) -> Ordering {
    let ((epoch_a, upstream_a, revision_a), (epoch_b, upstream_b, revision_b)) = (split(a), split(b));
    compare_part(epoch_a, epoch_b)
        .then_with(|| compare_part(upstream_a, upstream_b))
        .then_with(|| compare_part(revision_a, revision_b))
}

/// `[epoch:]upstream[-revision]`; an absent part counts as `0`.
fn split(version: &str) -> (&[u8], &[u8], &[u8]) {
    let (epoch, rest) = version.split_once(':').unwrap_or(("0", version));
    let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, "0"));
    (epoch.as_bytes(), upstream.as_bytes(), revision.as_bytes())
}

/// Compares by turns what is not a digit and what is.
fn compare_part(mut a: &[u8], mut b: &[u8]) -> Ordering {
    while !a.is_empty() || !b.is_empty() {
        while a.first().is_some_and(|c| !c.is_ascii_digit()) || b.first().is_some_and(|c| !c.is_ascii_digit()) {
            match weight(a.first()).cmp(&weight(b.first())) {
                Ordering::Equal => (a, b) = (tail(a), tail(b)),
                unequal => return unequal,
            }
        }
        let (number_a, number_b) = (take_number(&mut a), take_number(&mut b));
        match number_a.len().cmp(&number_b.len()).then_with(|| number_a.cmp(number_b)) {
            Ordering::Equal => {}
            unequal => return unequal,
        }
    }
    Ordering::Equal
}

/// A tilde sorts before the end, the end and digits before letters, letters before all else.
fn weight(byte: Option<&u8>) -> i32 {
    match byte {
        Some(b'~') => -1,
        None | Some(b'0'..=b'9') => 0,
        Some(letter) if letter.is_ascii_alphabetic() => i32::from(*letter),
        Some(other) => i32::from(*other) + 256,
    }
}

fn tail(text: &[u8]) -> &[u8] {
    text.get(1..).unwrap_or_default()
}

/// The digits at the beginning, without leading zeros.
fn take_number<'a>(text: &mut &'a [u8]) -> &'a [u8] {
    let end = text.iter().position(|c| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    *text = rest;
    let zeros = number.iter().take_while(|c| **c == b'0').count();
    number.get(zeros..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_order_of_dpkg() {
        // Each is newer than the one before it.
        let ordered = [
            "0~~",
            "0~~a",
            "0~",
            "0",
            "0+b1",
            "1~rc1-1",
            "1",
            "1-0.1",
            "1-1~deb13u1",
            "1-1",
            "1-1+b1",
            "1-2",
            "1.0-1",
            "1.2",
            "1.10",
            "1.10a",
            "1.10b",
            "1.10+",
            "1.10-1-1",
            "1:0",
            "1:0-1",
            "2:0",
        ];
        for (i, a) in ordered.iter().enumerate() {
            for (j, b) in ordered.iter().enumerate() {
                assert_eq!(compare(a, b), i.cmp(&j), "{a} {b}");
            }
        }
        for (a, b) in [("1", "0:1"), ("1", "1-0"), ("01.002", "1.2"), ("1-00", "1"), ("", "0")] {
            assert_eq!(compare(a, b), Ordering::Equal, "{a} {b}");
        }
    }

    /// What dpkg itself says, the oracle.
    fn dpkg_says(a: &str, relation: &str, b: &str) -> bool {
        let status = std::process::Command::new("dpkg").args(["--compare-versions", a, relation, b]).status();
        status.expect("the test needs dpkg").success()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn it_agrees_with_dpkg(a in "([0-2]:)?[0-2][0-2a-b.+~]{0,5}(-[0-2a-b.+~]{1,3})?", b in "([0-2]:)?[0-2][0-2a-b.+~]{0,5}(-[0-2a-b.+~]{1,3})?") {
            let relation = match compare(&a, &b) {
                Ordering::Less => "lt",
                Ordering::Equal => "eq",
                Ordering::Greater => "gt",
            };
            prop_assert!(dpkg_says(&a, relation, &b), "{a} {relation} {b}");
        }
    }

    proptest! {
        #[test]
        fn it_is_an_order(a in "\\PC{0,8}", b in "\\PC{0,8}") {
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
            prop_assert_eq!(compare(&a, &a), Ordering::Equal);
        }
    }
}
