//! passwd(5) and group(5): lines of fields with colons between them, the first of which is a name and the third its number.

use std::collections::BTreeMap;

/// A user or a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its number.
    pub id: u32,
    /// All its fields, name and number included.
    pub fields: Vec<&'a str>,
}

/// The users of a passwd(5), or the groups of a group(5). Lines without a name and a number are left out.
pub fn accounts(text: &str) -> impl Iterator<Item = Account<'_>> {
    text.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, id, ..] = fields[..] else { return None };
        Some(Account { name, id: id.parse().ok()?, fields })
    })
}

/// The numbers of the users of a passwd(5), or of the groups of a group(5), by name. The last line of a name counts.
pub fn account_numbers(text: &str) -> BTreeMap<String, u32> {
    accounts(text).map(|account| (account.name.to_owned(), account.id)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_with_a_name_and_a_number_are_accounts() {
        let text = "root:*:0:0:root:/root:/bin/sh\n\n# none:x\n+::::::\nx:y\nbad:x:one:\ngames::60:\nbig:*:4294967296:\nroot:*:7:";
        let read: Vec<_> = accounts(text).map(|account| (account.name, account.id, account.fields.len())).collect();
        assert_eq!(read, [("root", 0, 7), ("games", 60, 4), ("root", 7, 4)]);
        assert_eq!(account_numbers(text), BTreeMap::from([("games".into(), 60), ("root".into(), 7)]));
    }
}
