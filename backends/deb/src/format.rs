//! The package file: deb(5), format 2.0. Read as a stream, once; scripts are text and never run.

use std::io::{self, BufRead, Read};
use std::sync::Arc;

use super::ar::{self, container};
use minimg_deb822::Control;
use minimg_package::{Format, Head, Payload, Problem, Ration};
use minimg_tree::archive::tar::{self, EntryKind};
use minimg_tree::archive::{Codec, Limits, Member, MemberKind, TarError};

/// The format of Debian's packages.
#[derive(Debug, Clone, Copy)]
pub struct DebFormat;

/// What is known of a package without its files' contents.
pub type Listing = minimg_package::Listing<DebFormat>;
/// A package that is ready to be put in a tree.
pub type Loaded = minimg_package::Loaded<DebFormat>;
/// Decodes packages side by side.
pub type Unpacker = minimg_package::Unpacker<DebFormat>;
/// The tar stream with a package's files.
pub type Data<'a> = tar::Reader<Box<dyn Read + Send + 'a>>;

/// The most bytes that one file of a control archive may have. The md5sums of the largest packages have some 3 MiB.
const MAX_CONTROL_FILE: u64 = 32 << 20;

/// The files of the control archive that later steps read: the paragraph itself, what scanners want, and the scripts that rules stand
/// in for.
const HEAD: [&str; 5] = ["control", "conffiles", "md5sums", "preinst", "postinst"];

impl Format for DebFormat {
    type Facts = Control;

    const PAYLOAD: &'static str = "data.tar";

    fn open<'a>(
        package: Box<dyn BufRead + Send + 'a>,
        ration: &Arc<Ration>,
    ) -> Result<(Head, Box<dyn Payload + 'a>), Problem> {
        let (head, data) = open(package, ration)?;
        Ok((head, Box::new(data)))
    }

    fn facts(head: &Head) -> Result<Control, Problem> {
        let control = head.get("control").ok_or_else(|| Problem::Head("its control file is missing".into()))?;
        let wrong = |error| Problem::Head(format!("its control file {error}"));
        Control::parse(&String::from_utf8_lossy(control)).map_err(wrong)
    }

    fn identity(control: &Control) -> (&str, &str, &str) {
        (&control.package, &control.version, &control.architecture)
    }

    /// Policy 12.5 asks every package for `usr/share/doc/PACKAGE/copyright`, and packages have it near their end.
    fn is_always_kept(member: &Member) -> bool {
        let path = member.path.as_bytes();
        let is_in_place = path.starts_with(b"usr/share/doc/") && path.ends_with(b"/copyright");
        is_in_place && matches!(member.kind, MemberKind::File(_))
    }
}

/// Reads a package, whose digest was checked, up to its files, which are then read from the second value. Who has read all of them asks it
/// for [`tar::Reader::drain`], which finds out whether the package ends within its last member.
///
/// # Errors
/// When the bytes are not a package, or exceed the limits.
pub fn read<'a>(reader: impl BufRead + Send + 'a) -> Result<(Head, Data<'a>), Problem> {
    open(Box::new(reader), &Ration::unlimited())
}

fn open<'a>(mut reader: Box<dyn BufRead + Send + 'a>, ration: &Arc<Ration>) -> Result<(Head, Data<'a>), Problem> {
    ar::read_magic(&mut reader)?;
    read_format(&mut reader)?;
    let mut head = None;
    while let Some(header) = ar::read_header(&mut reader)? {
        if let Some(extension) = header.name.strip_prefix("control.tar") {
            let codec = codec(&header.name, extension)?;
            head = Some(read_control(codec, header.body(&mut reader), ration)?);
        } else if let Some(extension) = header.name.strip_prefix("data.tar") {
            let head = head.ok_or_else(|| container("it has no control archive before its files"))?;
            let codec = codec(&header.name, extension)?;
            let data = codec.decode_verified(header.body(reader), Limits::PACKAGE)?;
            return Ok((head, tar::Reader::new(ration.limit(data))));
        } else if !header.name.starts_with('_') {
            // deb(5): members whose names begin with an underscore may be skipped, all others must be known.
            return Err(container(format!("it has the unknown member {:?}", header.name)));
        } else {
            io::copy(&mut header.body(&mut reader), &mut io::sink())?;
        }
        continue_at_even(&mut reader, header.size)?;
    }
    Err(container("it has no files' archive"))
}

fn read_format(reader: &mut impl BufRead) -> Result<(), Problem> {
    let header = ar::read_header(reader)?.filter(|header| header.name == "debian-binary" && header.size <= 64);
    let header = header.ok_or_else(|| container("its first member is not debian-binary"))?;
    let mut format = Vec::new();
    header.body(&mut *reader).read_to_end(&mut format)?;
    if !format.starts_with(b"2.") {
        let format = String::from_utf8_lossy(&format);
        return Err(container(format!("its format is {:?}, but only 2.0 is supported", format.trim_end())));
    }
    continue_at_even(reader, header.size)
}

fn read_control(codec: Codec, mut member: impl BufRead + Send, ration: &Arc<Ration>) -> Result<Head, Problem> {
    let wrong = |source| Problem::Archive { member: "control.tar", source };
    let mut head = Head::new();
    let mut tar = tar::Reader::new(ration.limit(codec.decode(&mut member, Limits::CONTROL)?));
    while let Some(entry) = tar.next_entry().map_err(wrong)? {
        let name = HEAD.into_iter().find(|name| entry.path.as_bytes() == name.as_bytes());
        let Some(name) = name.filter(|_| entry.kind == EntryKind::File) else { continue };
        if entry.size > MAX_CONTROL_FILE {
            return Err(wrong(TarError::TooLarge { what: "a control file", limit: MAX_CONTROL_FILE }));
        }
        let mut bytes = Vec::new();
        tar.read_to_end(&mut bytes).map_err(|e| wrong(TarError::Io(e)))?;
        head.insert(name.to_owned(), bytes.into());
    }
    drop(tar);
    io::copy(&mut member, &mut io::sink())?;
    Ok(head)
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
        return Err(container("it is truncated"));
    }
    Ok(())
}
