use proptest::prelude::*;

use super::*;

fn sample() -> Vec<u8> {
    let mut builder = Builder::new();
    let long = "x".repeat(20_000);
    for (name, provides) in [("a", "v, w (= 2)"), ("b", "v"), ("c", ""), ("a", long.as_str())] {
        let package = Package { name, version: "1", provides, size: 5, sha256: [7; 32], ..Package::default() };
        builder.push(&package).unwrap();
    }
    builder.finish().unwrap()
}

fn names(index: &Index, wanted: &str) -> Vec<String> {
    index.named_or_providing(wanted).map(|package| package.name.to_owned()).collect()
}

#[test]
fn found_by_name_and_by_what_is_provided() {
    let index = Index::open(sample().into()).unwrap();
    for (wanted, expected) in
        [("a", vec!["a", "a"]), ("b", vec!["b"]), ("v", vec!["a", "b"]), ("w", vec!["a"]), ("d", vec![]), ("", vec![])]
    {
        assert_eq!(names(&index, wanted), expected, "{wanted}");
    }
    assert_eq!(index.names().collect::<Vec<_>>(), ["a", "b", "c", "a"]);
    assert!(!index.is_damaged());
}

#[test]
fn an_empty_index_is_sound() {
    let index = Index::open(Builder::new().finish().unwrap().into()).unwrap();
    assert_eq!((index.names().count(), names(&index, "a").len(), index.is_damaged()), (0, 0, false));
}

proptest! {
    #[test]
    fn every_flipped_bit_is_noticed(at in 0..sample().len(), bit in 0..8_u32) {
        let mut bytes = sample();
        bytes[at] ^= 1 << bit;
        if let Some(index) = Index::open(bytes.into()) {
            prop_assert!(index.names().count() < 4 || index.is_damaged());
            for name in ["a", "b", "c", "v", "w"] {
                let _ = names(&index, name);
            }
            prop_assert!(index.is_damaged());
        }
    }

    #[test]
    fn truncated_indexes_are_not_opened(cut in 0..sample().len()) {
        prop_assert!(Index::open(Bytes::from(sample()).slice(..cut)).is_none());
    }
}
