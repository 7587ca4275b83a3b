//! Which extended attributes belong to a file, and which to the machine that the file was on.

use super::Xattrs;

const ACCESS_LIST: &str = "system.posix_acl_access";
const DEFAULT_LIST: &str = "system.posix_acl_default";
/// Version 2 of lists of access rights, the only one (`linux/posix_acl_xattr.h`).
const LIST_VERSION: [u8; 4] = [2, 0, 0, 0];
/// Entries of a list that the mode has too: owner, owning group, others.
const IN_THE_MODE: [u16; 3] = [0x01, 0x04, 0x20];

/// Takes out what says something of the machine alone: labels of SELinux and its like (`security.*`), notes of overlay file systems, and
/// access rights that the mode has already. Capabilities, `user.*` and longer lists of access rights are the file's own.
pub(crate) fn forget_machine(xattrs: &mut Xattrs) {
    xattrs.retain(|name, value| match &**name {
        "security.capability" => true,
        ACCESS_LIST | DEFAULT_LIST => says_more_than_mode(value),
        name => name.starts_with("user.") && !name.starts_with("user.overlay."),
    });
}

/// Whether a list of access rights has an entry for which the mode has no bits. Entries have eight bytes: tag, rights and number.
fn says_more_than_mode(list: &[u8]) -> bool {
    let entries = list.strip_prefix(&LIST_VERSION).map(<[u8]>::as_chunks::<8>);
    entries.is_some_and(|(entries, rest)| {
        let tag = |entry: &[u8; 8]| u16::from_le_bytes([entry[0], entry[1]]);
        rest.is_empty() && entries.iter().any(|entry| !IN_THE_MODE.contains(&tag(entry)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Node, RootPath, RootTree};

    fn list(tags: &[u16]) -> Vec<u8> {
        let entries = tags.iter().flat_map(|tag| [tag.to_le_bytes(), [7, 0], [0xff; 2], [0xff; 2]].concat());
        LIST_VERSION.into_iter().chain(entries).collect()
    }

    #[test]
    fn what_is_the_machines_does_not_enter_a_tree() {
        for (name, value, stays) in [
            ("security.capability", b"\x01".to_vec(), true),
            ("user.mime_type", b"text/plain".to_vec(), true),
            ("user.overlay.origin", vec![], false),
            ("security.selinux", b"system_u:object_r:usr_t:s0".to_vec(), false),
            ("security.SMACK64", b"_".to_vec(), false),
            ("security.ima", vec![4], false),
            ("security.evm", vec![2], false),
            ("trusted.overlay.opaque", b"y".to_vec(), false),
            ("trusted.md5sum", vec![], false),
            ("RHT.security.selinux", vec![], false),
            ("system.posix_acl_access", list(&[0x01, 0x04, 0x20]), false),
            ("system.posix_acl_access", list(&[0x01, 0x02, 0x04, 0x10, 0x20]), true),
            ("system.posix_acl_default", list(&[0x01, 0x04, 0x20]), false),
            ("system.posix_acl_default", list(&[0x01, 0x04, 0x08, 0x10, 0x20]), true),
            ("system.posix_acl_access", b"\x02\0\0\0\x02".to_vec(), false),
        ] {
            let mut node = Node::file(0o644, "");
            node.meta.xattrs.insert(name.to_owned(), value);
            let mut tree = RootTree::new();
            tree.insert(RootPath::new("f").unwrap(), node);
            let there = tree.iter().any(|(_, node)| node.meta.xattrs.contains_key(name));
            assert_eq!(there, stays, "{name}");
        }
    }
}
