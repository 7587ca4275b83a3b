//! The package file: deb(5), format 2.0. Read as a stream, once; scripts are text and never run.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read};
use std::sync::Arc;

use super::ar;
use super::error::Problem;
use super::ration::{Ration, Rationed};
use minimg_deb822::{Control, ControlError};
use minimg_tree::archive::tar::{self, EntryKind};
use minimg_tree::archive::{Codec, Limits, TarError};

/// What the control archive of a package holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// The control paragraph.
    pub control: Control,
    /// The other files of the control archive by name (`conffiles`, `md5sums`, `postinst`, ...), as they are.
    pub files: BTreeMap<String, Vec<u8>>,
}

/// The tar stream with a package's files.
pub type Data<'a> = tar::Reader<Box<dyn Read + Send + 'a>>;

/// The most bytes that one file of a control archive may have. The md5sums of the largest packages have some 3 MiB.
const MAX_CONTROL_FILE: u64 = 32 << 20;

/// Reads a package, whose digest was checked, up to its files, which are then read from the second value. Who has read all of them asks it
/// for [`tar::Reader::drain`], which finds out that the package ends within its last member.
///
/// # Errors
/// When the bytes are not a package, or beyond the limits.
pub fn read<'a>(reader: impl BufRead + Send + 'a) -> Result<(Metadata, Data<'a>), Problem> {
    read_rationed(reader, None)
}

/// Like [`read`]; all that is decoded, of the files too, is taken of the ration.
pub(super) fn read_rationed<'a>(
    mut reader: impl BufRead + Send + 'a,
    ration: Option<Arc<Ration>>,
) -> Result<(Metadata, Data<'a>), Problem> {
    ar::read_magic(&mut reader)?;
    read_format(&mut reader)?;
    let mut metadata = None;
    while let Some(header) = ar::read_header(&mut reader)? {
        if let Some(extension) = header.name.strip_prefix("control.tar") {
            let codec = codec(&header.name, extension)?;
            metadata = Some(read_control(codec, header.body(&mut reader), ration.clone())?);
        } else if let Some(extension) = header.name.strip_prefix("data.tar") {
            let metadata =
                metadata.ok_or_else(|| Problem::Container("it has no control archive before its files".into()))?;
            let codec = codec(&header.name, extension)?;
            let data = codec.decode_verified(header.body(reader), Limits::PACKAGE)?;
            return Ok((metadata, tar::Reader::new(rationed(data, ration))));
        } else if !header.name.starts_with('_') {
            // deb(5): members whose names begin with an underscore may be skipped, all others must be known.
            return Err(Problem::Container(format!("it has the unknown member {:?}", header.name)));
        } else {
            io::copy(&mut header.body(&mut reader), &mut io::sink())?;
        }
        continue_at_even(&mut reader, header.size)?;
    }
    Err(Problem::Container("it has no files' archive".into()))
}

fn read_format(reader: &mut impl BufRead) -> Result<(), Problem> {
    let header = ar::read_header(reader)?.filter(|header| header.name == "debian-binary" && header.size <= 64);
    let header = header.ok_or_else(|| Problem::Container("its first member is not debian-binary".into()))?;
    let mut format = Vec::new();
    header.body(&mut *reader).read_to_end(&mut format)?;
    if !format.starts_with(b"2.") {
        let format = String::from_utf8_lossy(&format);
        return Err(Problem::Container(format!("its format is {:?}, but only 2.0 is supported", format.trim_end())));
    }
    continue_at_even(reader, header.size)
}

fn rationed<'a>(inner: Box<dyn Read + Send + 'a>, ration: Option<Arc<Ration>>) -> Box<dyn Read + Send + 'a> {
    match ration {
        Some(ration) => Box::new(Rationed { inner, ration }),
        None => inner,
    }
}

fn read_control(
    codec: Codec,
    mut member: impl BufRead + Send,
    ration: Option<Arc<Ration>>,
) -> Result<Metadata, Problem> {
    let wrong = |source| Problem::Archive { member: "control.tar", source };
    let mut files = BTreeMap::new();
    let mut tar = tar::Reader::new(rationed(codec.decode(&mut member, Limits::CONTROL)?, ration));
    while let Some(entry) = tar.next_entry().map_err(wrong)? {
        if entry.kind != EntryKind::File {
            continue;
        }
        if entry.size > MAX_CONTROL_FILE {
            return Err(wrong(TarError::TooLarge { what: "a control file", limit: MAX_CONTROL_FILE }));
        }
        let mut bytes = Vec::new();
        tar.read_to_end(&mut bytes).map_err(|e| wrong(TarError::Io(e)))?;
        files.insert(String::from_utf8_lossy(entry.path.as_bytes()).into_owned(), bytes);
    }
    drop(tar);
    io::copy(&mut member, &mut io::sink())?;
    let control = files.remove("control").ok_or_else(|| Problem::Control(ControlError("is missing".into())))?;
    let control = Control::parse(&String::from_utf8_lossy(&control)).map_err(Problem::Control)?;
    Ok(Metadata { control, files })
}

fn codec(name: &str, extension: &str) -> Result<Codec, Problem> {
    let extension = match extension.strip_prefix('.') {
        Some("") | None if !extension.is_empty() => return Err(Problem::Compression(name.to_owned())),
        Some(extension) => extension,
        None => "",
    };
    Codec::from_extension(extension.as_bytes()).ok_or_else(|| Problem::Compression(name.to_owned()))
}

/// Members begin at even offsets.
fn continue_at_even(reader: &mut impl BufRead, size: u64) -> Result<(), Problem> {
    if size % 2 == 1 && io::copy(&mut reader.take(1), &mut io::sink())? == 0 {
        return Err(Problem::Container("it is truncated".into()));
    }
    Ok(())
}
