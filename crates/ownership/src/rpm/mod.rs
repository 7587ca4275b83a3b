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
pub use manifest::trim;
pub use ndb::blobs;

use super::{Installed, MOST_PATHS, OwnershipError, content, fixed_path, take};
use minimg_tree::{Package, RootPath, RootTree};

/// Where distributions have it: the usual place, that of Fedora and SUSE, that of image-based systems.
pub const DIRECTORIES: [&str; 3] = ["var/lib/rpm", "usr/lib/sysimage/rpm", "usr/share/rpm"];

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
            let parsed = of_sqlite(&bytes).and_then(|blobs| parse(blobs.iter().map(Vec::as_slice)));
            headers = parsed.map_err(|message| malformed(&sqlite, message))?;
        } else if let Some(bytes) = content(tree, &ndb)? {
            let parsed = blobs(&bytes).and_then(|blobs| parse(blobs.into_iter()));
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

fn parse<'a>(blobs: impl Iterator<Item = &'a [u8]>) -> Result<Vec<Header>, String> {
    let (mut headers, mut left) = (Vec::new(), MOST_PATHS);
    for blob in blobs {
        let header = Header::parse(blob)?;
        header.files.iter().try_for_each(|file| take(file.path.len(), &mut left))?;
        headers.push(header);
    }
    Ok(headers)
}

/// The headers in a database of SQLite.
///
/// # Errors
/// In words, when it is none, is damaged, or has more to it than tables: what stands in a table takes no more than the file.
pub fn of_sqlite(bytes: &Bytes) -> Result<Vec<Vec<u8>>, String> {
    let read = || -> rusqlite::Result<Option<Vec<Vec<u8>>>> {
        let mut connection = Connection::open_in_memory()?;
        // rpm writes with a log beside the database, which is empty once it has closed it; in memory there can be none. Bytes 18 and 19
        // of the file say which it is (SQLite's file format, section 1.3.3).
        let (head, tail) = bytes.split_at(bytes.len().min(18));
        let plain: &[u8] = if tail.starts_with(&[2, 2]) { &[1, 1] } else { &[] };
        let file = head.chain(plain).chain(&tail[plain.len()..]);
        connection.deserialize_read_exact(rusqlite::MAIN_DB, file, bytes.len(), true)?;
        let more =
            "SELECT count(*) FROM sqlite_schema WHERE sql NOT LIKE 'CREATE TABLE %' AND sql NOT LIKE 'CREATE INDEX %'";
        if connection.query_row(more, [], |row| row.get::<_, u32>(0))? > 0 {
            return Ok(None);
        }
        let mut statement = connection.prepare("SELECT length(blob), blob FROM Packages")?;
        let (mut rows, mut all, mut left) = (statement.query([])?, Vec::new(), bytes.len() as u64);
        while let Some(row) = rows.next()? {
            let Some(rest) = left.checked_sub(row.get::<_, u32>(0)?.into()) else { return Ok(None) };
            left = rest;
            all.push(row.get(1)?);
        }
        Ok(Some(all))
    };
    let blobs = read().map_err(|error| error.to_string())?;
    blobs.ok_or_else(|| "it has more to it than tables with what is in the file".to_owned())
}

fn package(header: &Header) -> Package {
    Package { name: header.name.clone(), version: header.evr(), architecture: header.architecture.clone() }
}
