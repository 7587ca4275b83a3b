//! rpm's database, which holds the header of each package: in SQLite (rpm 4.16 and newer) or in rpm's own format ndb (SUSE). The older
//! one in Berkeley DB is not read.

mod header;
mod manifest;
mod ndb;

use std::io::Read;

use bytes::Bytes;
use rusqlite::Connection;

pub use header::{File, Header};
pub use manifest::PLACE as MANIFEST;
pub(crate) use manifest::trim;
pub use ndb::blobs;

use super::{Installed, OwnershipError, content, fixed_path};
use crate::tree::{Package, RootPath, RootTree};

/// Where distributions have it: the usual place, that of Fedora and SUSE, that of image-based systems.
pub(crate) const DIRECTORIES: [&str; 3] = ["var/lib/rpm", "usr/lib/sysimage/rpm", "usr/share/rpm"];

/// The packages that stand for public keys.
const KEYS: &str = "gpg-pubkey";

/// Reads the tree's database, where it has one, and adds the manifest of its packages that images without rpm have.
pub(super) fn read(tree: &mut RootTree) -> Result<Vec<Installed>, OwnershipError> {
    let headers = headers(tree)?;
    manifest::add(tree, &headers);
    let owned = |header: &Header| {
        let mut paths: Vec<Box<[u8]>> = header.files.iter().map(|file| file.path.clone().into()).collect();
        paths.sort();
        Installed { package: package(header), paths }
    };
    Ok(headers.iter().map(owned).collect())
}

/// What the tree's database knows of its packages, sorted by name and version; nothing when the tree has none.
///
/// # Errors
/// When it is malformed, too large, or cannot be read.
pub fn headers(tree: &RootTree) -> Result<Vec<Header>, OwnershipError> {
    let mut headers = Vec::new();
    for directory in DIRECTORIES.map(fixed_path) {
        let (sqlite, ndb) = (directory.child("rpmdb.sqlite"), directory.child("Packages.db"));
        let malformed = |path: &RootPath, message: String| OwnershipError::Malformed { path: path.clone(), message };
        if let Some(bytes) = content(tree, &sqlite)? {
            let blobs = of_sqlite(&bytes).map_err(|error| malformed(&sqlite, error.to_string()))?;
            let parsed = blobs.iter().map(|blob| Header::parse(blob));
            headers = parsed.collect::<Result<_, _>>().map_err(|message| malformed(&sqlite, message))?;
        } else if let Some(bytes) = content(tree, &ndb)? {
            let parsed = blobs(&bytes).and_then(|blobs| blobs.into_iter().map(Header::parse).collect());
            headers = parsed.map_err(|message| malformed(&ndb, message))?;
        }
        if !headers.is_empty() {
            break;
        }
    }
    headers.retain(|header| header.name != KEYS);
    headers.sort_by(|a, b| (&a.name, a.evr(), &a.architecture).cmp(&(&b.name, b.evr(), &b.architecture)));
    Ok(headers)
}

/// The headers in a database of SQLite.
///
/// # Errors
/// When it is none, or is damaged.
pub fn of_sqlite(bytes: &Bytes) -> rusqlite::Result<Vec<Vec<u8>>> {
    let mut connection = Connection::open_in_memory()?;
    // rpm writes with a log beside the database, which is empty once it has closed it; in memory there can be none. Bytes 18 and 19 of the
    // file say which it is (SQLite's file format, section 1.3.3).
    let (head, tail) = bytes.split_at(bytes.len().min(18));
    let plain: &[u8] = if tail.starts_with(&[2, 2]) { &[1, 1] } else { &[] };
    let file = head.chain(plain).chain(&tail[plain.len()..]);
    connection.deserialize_read_exact(rusqlite::MAIN_DB, file, bytes.len(), true)?;
    let mut statement = connection.prepare("SELECT blob FROM Packages ORDER BY hnum")?;
    let rows = statement.query_map([], |row| row.get::<_, Vec<u8>>(0))?;
    rows.collect()
}

fn package(header: &Header) -> Package {
    Package { name: header.name.clone(), version: header.evr(), architecture: header.architecture.clone() }
}
