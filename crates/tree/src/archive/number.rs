//! Numbers in tar headers.

/// An octal or base-256 number that is not negative.
pub(super) fn number(field: &[u8]) -> Option<u64> {
    signed(field).and_then(|value| u64::try_from(value).ok())
}

/// An octal number between spaces and NULs (an empty field is 0), or a base-256 number: the first bit set, then two's complement.
pub(super) fn signed(field: &[u8]) -> Option<i64> {
    let first = *field.first()?;
    if first & 0x80 != 0 {
        let negative = first & 0x40 != 0;
        let start: i128 = if negative { -1 } else { 0 };
        let mut value = (start << 7) | i128::from(first & 0x7f);
        for &byte in &field[1..] {
            value = value.checked_mul(256)? | i128::from(byte);
            i64::try_from(value).ok()?;
        }
        return i64::try_from(value).ok();
    }
    let digits = field.iter().skip_while(|&&b| b == b' ').take_while(|&&b| b != 0 && b != b' ');
    digits.clone().try_fold(0i64, |value, &b| {
        let digit = (b'0'..=b'7').contains(&b).then(|| i64::from(b - b'0'))?;
        value.checked_mul(8)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        let cases: [(&[u8], Option<i64>); 11] = [
            (b"0000644\0", Some(0o644)),
            (b"   644 \0", Some(0o644)),
            (b"\0\0\0\0\0\0\0\0", Some(0)),
            (b"777777777777", Some(0o777_777_777_777)),
            (b"0000648\0", None),
            (b"-000001\0", None),
            (&[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2], Some(258)),
            (&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe], Some(-2)),
            (&[0x80, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], Some(i64::MAX)),
            (&[0x80, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0], None),
            (&[0xbf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], None),
        ];
        for (field, value) in cases {
            assert_eq!(signed(field), value, "{field:?}");
        }
    }
}
