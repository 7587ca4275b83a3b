//! Extended attributes that say something of the machine a root was on, and not of its files: they come from no backend into an image.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::PermissionsExt;

use minimg::rootfs;
use minimg::store::Store;

use crate::common::{Sandbox, succeed};
use crate::support::samples::path;

/// Entries of owner, group and others, which the mode has too (`linux/posix_acl_xattr.h`).
const SHORT_LIST: &[u8] =
    b"\x02\0\0\0\x01\0\x07\0\xff\xff\xff\xff\x04\0\x05\0\xff\xff\xff\xff\x20\0\x05\0\xff\xff\xff\xff";
/// The same, and one user more with a mask.
const LONG_LIST: &[u8] = b"\x02\0\0\0\x01\0\x07\0\xff\xff\xff\xff\x02\0\x04\0\xe8\x03\0\0\x04\0\x05\0\xff\xff\xff\xff\
                           \x10\0\x05\0\xff\xff\xff\xff\x20\0\x05\0\xff\xff\xff\xff";
/// `cap_net_bind_service`, effective (`linux/capability.h`).
const CAPABILITY: &[u8] = &[1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// Attributes of a root on some machine, and whether they are the file's own.
const ATTRIBUTES: [(&str, &[u8], bool); 9] = [
    ("security.selinux", b"system_u:object_r:bin_t:s0\0", false),
    ("RHT.security.selinux", b"system_u:object_r:bin_t:s0\0", false),
    ("security.ima", b"\x04", false),
    ("trusted.overlay.opaque", b"y", false),
    ("user.overlay.origin", b"", false),
    ("system.posix_acl_access", SHORT_LIST, false),
    ("system.posix_acl_default", LONG_LIST, true),
    ("security.capability", CAPABILITY, true),
    ("user.mime_type", b"text/plain", true),
];

/// Writes a root with one directory that has all of these attributes, and one file without them.
fn write_root(file: File) {
    let mut tar = tar::Builder::new(file);
    let records = ATTRIBUTES.map(|(name, value, _)| (format!("SCHILY.xattr.{name}"), value));
    tar.append_pax_extensions(records.iter().map(|(name, value)| (name.as_str(), *value))).unwrap();
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::Directory);
    header.set_mode(0o755);
    header.set_size(0);
    tar.append_data(&mut header, "opt/marked", &b""[..]).unwrap();
    let mut header = tar::Header::new_ustar();
    header.set_mode(0o644);
    header.set_size(5);
    tar.append_data(&mut header, "opt/marked/plain", &b"text\n"[..]).unwrap();
    tar.finish().unwrap();
}

/// The attributes that are in a tarball or image.
fn attributes(sandbox: &Sandbox, name: &str) -> BTreeMap<String, Vec<u8>> {
    let store = Store::open(&sandbox.path("reading")).unwrap();
    let tree = rootfs::open(&sandbox.path(name), None, &store).unwrap().tree;
    tree.get(&path("opt/marked")).unwrap_or_else(|| panic!("{name} lacks the directory")).meta.xattrs.clone()
}

/// All names of attributes that the bytes of an output have.
fn names_in(sandbox: &Sandbox, name: &str) -> String {
    String::from_utf8_lossy(&std::fs::read(sandbox.path(name)).unwrap()).into_owned()
}

#[test]
fn no_backend_brings_in_what_is_the_machines() {
    let sandbox = Sandbox::cold();
    write_root(File::create(sandbox.path("root.tar")).unwrap());
    let program = "#!/bin/sh\ncase $1 in\n\
        describe) echo '{\"protocol\": 1, \"description\": \"a root with marks\"}' ;;\n\
        resolve) echo '{\"key\": \"k\", \"origin\": \"o\"}' ;;\n\
        *) cat \"$ROOT\" ;;\nesac\n";
    let file = sandbox.write("minimg-backend-marked", program);
    std::fs::set_permissions(file, PermissionsExt::from_mode(0o755)).unwrap();
    let keep = "keep.globs = { '/opt/**' = 'a test' }\n";
    sandbox.write("outside.toml", &format!("backend = 'marked'\n{keep}"));
    sandbox.write("tarball.toml", &format!("backend = 'tarball'\nsource.options.tarball.root = 'root.tar'\n{keep}"));
    let path = format!("{}:{}", sandbox.directory.path().display(), std::env::var("PATH").unwrap());
    for profile in ["outside", "tarball"] {
        let output = format!("{profile}.tar");
        let arguments = ["build", &format!("./{profile}.toml"), "-q", "-o", &format!("rootfs:{output}")];
        let mut build = sandbox.minimg(&arguments);
        succeed(build.env("PATH", &path).env("ROOT", sandbox.path("root.tar")));
        let kept = attributes(&sandbox, &output);
        let text = names_in(&sandbox, &output);
        for (name, value, is_own) in ATTRIBUTES {
            assert_eq!(kept.get(name).map(Vec::as_slice), is_own.then_some(value), "{profile}: {name}");
            // What reading would leave out must not be there to be read by others.
            assert_eq!(text.contains(name), is_own, "{profile}: {name}");
        }
    }
}
