//! How far into a package to read for the sake of one file.

use std::collections::HashMap;

use minimg_tree::archive::{Member, MemberKind};

/// For each file of a package the last file that is likely to be asked for with it: those of the same directory, and every program.
/// What comes after them (documentation, locales, character sets) is most of a package, and seldom kept.
///
/// One number for each member: a tree may have a hundred thousand.
#[derive(Debug)]
pub(crate) struct Reach(Box<[u32]>);

impl Reach {
    pub(crate) fn new(members: &[Member]) -> Self {
        let mut last_of_directory: HashMap<&[u8], u32> = HashMap::new();
        let mut last_program = 0;
        let files = || (0..).zip(members).filter(|(_, member)| matches!(member.kind, MemberKind::File(_)));
        for (key, member) in files() {
            last_of_directory.insert(directory_of(member), key);
            if is_program(member) {
                last_program = key;
            }
        }
        let mut reach = vec![0; members.len()];
        for (key, member) in files() {
            let last = last_of_directory.get(directory_of(member)).copied().unwrap_or(key);
            if let Some(reach) = reach.get_mut(key as usize) {
                *reach = last.max(last_program);
            }
        }
        Self(reach.into())
    }

    /// The file up to which to read when `key` is asked for.
    pub(crate) fn from(&self, key: u64) -> u64 {
        usize::try_from(key).ok().and_then(|key| self.0.get(key)).map_or(key, |&last| last.into())
    }
}

fn directory_of(member: &Member) -> &[u8] {
    let path = member.path.as_bytes();
    memchr::memrchr(b'/', path).map_or(&[], |slash| &path[..slash])
}

/// Whether people call it by its name: an executable file of a directory for those.
fn is_program(member: &Member) -> bool {
    let directory = member.path.parent();
    let directory = directory.as_ref().map_or(&b""[..], |parent| parent.file_name());
    matches!(member.kind, MemberKind::File(_))
        && member.meta.mode & 0o111 != 0
        && matches!(directory, b"bin" | b"sbin" | b"games")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use minimg_tree::{Meta, RootPath};

    fn member(path: &str, mode: u32) -> Member {
        let meta = Meta { mode, uid: 0, gid: 0, mtime: 0, xattrs: BTreeMap::new() };
        let kind = if path.ends_with('/') { MemberKind::Directory } else { MemberKind::File(1) };
        Member { path: RootPath::new(path.trim_end_matches('/')).unwrap(), kind, meta }
    }

    #[test]
    fn a_file_reaches_to_its_neighbors_and_to_the_programs() {
        let members = [
            member("lib/x-linux-gnu/", 0o755),
            member("lib/x-linux-gnu/libc.so.6", 0o755),
            member("lib/x-linux-gnu/libm.so.6", 0o644),
            member("usr/bin/", 0o755),
            member("usr/bin/ldd", 0o755),
            member("usr/lib/gconv/a.so", 0o644),
            member("usr/lib/gconv/b.so", 0o644),
            member("usr/share/doc/copyright", 0o644),
        ];
        let reach = Reach::new(&members);
        let cases = [(1, 4), (2, 4), (4, 4), (5, 6), (6, 6), (7, 7), (99, 99)];
        for (key, expected) in cases {
            assert_eq!(reach.from(key), expected, "{key}");
        }
    }
}
