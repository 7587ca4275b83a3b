//! The compressors, each pinned to one set of parameters: other parameters or versions give other digests.

use std::io::{self, Read};

use crc32fast::Hasher;
use libdeflater::{CompressionLvl, Compressor};

use super::deflate;
use crate::image::Compression;

/// libdeflate's level. Measured on the layer of busybox-glibc (3.2 MB in two pieces; milliseconds of one core): 6 gives 1.455 MB in 50,
/// 8 gives 1.449 in 85, 9 gives 1.448 in 105, 10 gives 1.412 in 290.
const GZIP_LEVEL: i32 = 8;
/// The level after the first few pieces: in a large layer, half the time matters more than half a percent.
const GZIP_LATER_LEVEL: i32 = 6;
/// How many pieces have the better level: minimal images are smaller than this.
const GZIP_BETTER: usize = 3;
/// How much is deflated at once. The smallest images are two of these pieces, so that two cores are done at the same time; 1 MiB costs 0.1 %
/// in size.
const GZIP_PIECE: usize = 1664 * 1024;
/// The header of a gzip member without name and time (RFC 1952): deflate, nothing that is optional, an unknown system.
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// Zstandard's level, the last one that does not need a window that decoders refuse by default.
const ZSTD_LEVEL: i32 = 19;
/// How much goes into one frame. The window is never larger, which bounds the memory of both sides: 45 MiB for one compressor.
/// Frames of 2 MiB make small layers 1.3 % larger; those of 8 MiB need twice the memory.
const ZSTD_FRAME: usize = 4 * 1024 * 1024;

/// xz's preset, which is that of the program `xz` too.
const XZ_PRESET: u32 = 6;
/// How much goes into one stream, and the size of the dictionary, on which the memory depends: 48 MiB for one compressor.
const XZ_STREAM: usize = 4 * 1024 * 1024;

/// What compresses one piece. A piece's bytes depend on its content and place alone, so the result does not depend on how many are compressed at
/// once. With gzip the pieces are parts of one member, since there are readers that stop behind the first; of the other formats each is a whole
/// frame or stream, and readers take those that follow one another as one.
pub(super) enum Codec {
    Gzip { better: Compressor, later: Compressor },
    Zstd(zstd::bulk::Compressor<'static>),
    Xz,
}

/// A compressed piece.
pub(super) struct Piece {
    pub(super) bytes: Vec<u8>,
    /// The checksum of its content, for [`Codec::end`].
    pub(super) checksum: Hasher,
}

impl Codec {
    /// `None` when nothing is to be compressed.
    pub(super) fn new(compression: Compression) -> io::Result<Option<Self>> {
        Ok(Some(match compression {
            Compression::None => return Ok(None),
            Compression::Gzip => {
                let compressor = |level| match CompressionLvl::new(level) {
                    Ok(level) => Ok(Compressor::new(level)),
                    Err(error) => Err(io::Error::other(format!("{error:?}"))),
                };
                Codec::Gzip { better: compressor(GZIP_LEVEL)?, later: compressor(GZIP_LATER_LEVEL)? }
            }
            Compression::Zstd => Codec::Zstd(zstd::bulk::Compressor::new(ZSTD_LEVEL)?),
            Compression::Xz => Codec::Xz,
        }))
    }

    /// How much goes into one piece.
    pub(super) fn piece_size(&self) -> usize {
        match self {
            Codec::Gzip { .. } => GZIP_PIECE,
            Codec::Zstd(_) => ZSTD_FRAME,
            Codec::Xz => XZ_STREAM,
        }
    }

    /// What comes before all pieces.
    pub(super) fn begin(&self) -> &'static [u8] {
        match self {
            Codec::Gzip { .. } => &GZIP_HEADER,
            Codec::Zstd(_) | Codec::Xz => &[],
        }
    }

    /// The piece that holds `data`, the one at `place` among all.
    pub(super) fn piece(&mut self, place: usize, data: &[u8]) -> io::Result<Piece> {
        let mut checksum = Hasher::new();
        let bytes = match self {
            Codec::Gzip { better, later } => {
                checksum.update(data);
                deflated(if place < GZIP_BETTER { better } else { later }, data)?
            }
            Codec::Zstd(compressor) => compressor.compress(data)?,
            Codec::Xz => {
                let mut options = xz2::stream::LzmaOptions::new_preset(XZ_PRESET)?;
                options.dict_size(XZ_STREAM as u32);
                let mut filters = xz2::stream::Filters::new();
                filters.lzma2(&options);
                let stream = xz2::stream::Stream::new_stream_encoder(&filters, xz2::stream::Check::Crc64)?;
                let mut out = Vec::new();
                xz2::read::XzEncoder::new_stream(data, stream).read_to_end(&mut out)?;
                out
            }
        };
        Ok(Piece { bytes, checksum })
    }

    /// What comes after all pieces: of content with this checksum and length.
    pub(super) fn end(&self, checksum: Hasher, length: u64) -> Vec<u8> {
        match self {
            // The format has room for the lowest 32 bits of the length.
            Codec::Gzip { .. } => {
                [&deflate::END[..], &checksum.finalize().to_le_bytes(), &(length as u32).to_le_bytes()].concat()
            }
            Codec::Zstd(_) | Codec::Xz => Vec::new(),
        }
    }
}

/// A part of a deflate stream, which goes on.
fn deflated(compressor: &mut Compressor, data: &[u8]) -> io::Result<Vec<u8>> {
    let mut out = vec![0; compressor.deflate_compress_bound(data.len())];
    let size = compressor.deflate_compress(data, &mut out).map_err(|e| io::Error::other(e.to_string()))?;
    out.truncate(size);
    deflate::make_open(&mut out, data).ok_or_else(|| io::Error::other("libdeflate wrote no deflate stream"))?;
    Ok(out)
}

/// How many compressors may run at once, so that all of a build stays below 128 MiB.
pub(super) fn most_jobs(compression: Compression) -> usize {
    match compression {
        Compression::None | Compression::Gzip => 8,
        Compression::Zstd | Compression::Xz => 2,
    }
}

/// What compresses, with its version and parameters: part of what identifies a compressed blob, and of the record of a build.
pub fn compressor(compression: Compression) -> String {
    match compression {
        Compression::None => "none".into(),
        Compression::Gzip => format!(
            "libdeflate 1.26 level {GZIP_LEVEL}, {GZIP_LATER_LEVEL} from piece {GZIP_BETTER} on, one gzip member of pieces of {GZIP_PIECE} bytes"
        ),
        Compression::Zstd => {
            format!("libzstd {} level {ZSTD_LEVEL}, frames of {ZSTD_FRAME} bytes", zstd::zstd_safe::version_string())
        }
        Compression::Xz => format!("liblzma preset {XZ_PRESET}, streams of {XZ_STREAM} bytes"),
    }
}

/// Reads what was compressed, by whatever program: members that follow one another are one stream.
///
/// # Errors
/// When the decoder cannot be made; malformed data is an error of the reader.
pub fn decompress<'a>(compression: Compression, compressed: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    Ok(match compression {
        Compression::None => Box::new(compressed),
        Compression::Gzip => Box::new(flate2::read::MultiGzDecoder::new(io::BufReader::new(compressed))),
        Compression::Zstd => Box::new(zstd::stream::read::Decoder::new(compressed)?),
        Compression::Xz => Box::new(xz2::read::XzDecoder::new_multi_decoder(compressed)),
    })
}
