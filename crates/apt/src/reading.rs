//! Reading an index while it arrives: decoded, hashed, and never longer than was promised.

use std::io;
use std::sync::atomic::AtomicU64;

use super::index::Builder;
use super::packages::{self, PackagesError, Watch};
use super::read_ahead::with_read_ahead;
use super::sum::{Sum, SumHasher};

/// The longest decoded index that is read where the Release file does not say how long it is.
pub(super) const DECODED_LIMIT: u64 = 1 << 30;

/// The most memory that a decoder may take, in bytes: its window is chosen by whoever made the file.
const DECODER_MEMORY: u64 = 64 << 20;

/// What came of reading an index.
pub(super) struct Read {
    pub result: Result<Builder, PackagesError>,
    /// Whether all of it came.
    pub drained: io::Result<u64>,
    /// The digest of what came.
    pub found: Sum,
    /// How many bytes came.
    pub size: u64,
}

/// Reads an index of at most `limit` decoded bytes to the end, whatever it holds. The limit may be lowered meanwhile.
pub(super) fn read(
    compressed: impl io::Read + Send,
    hasher: SumHasher,
    suffix: &str,
    limit: &AtomicU64,
    watch: Watch<'_>,
) -> Read {
    let mut compressed = Hashed { inner: compressed, hasher, size: 0 };
    let result = match decoder(suffix, &mut compressed) {
        Ok(text) => with_read_ahead(text, |text| packages::read_watched(text, limit, watch)),
        Err(error) => Err(PackagesError::Io(error)),
    };
    // Of a wrong file it is the digest that is to be told, not how its nonsense fails to decode.
    let drained = io::copy(&mut compressed, &mut io::sink());
    Read { result, drained, size: compressed.size, found: compressed.hasher.finish() }
}

fn decoder<'r, R: io::Read + Send>(
    suffix: &str,
    compressed: &'r mut Hashed<R>,
) -> io::Result<Box<dyn io::Read + Send + 'r>> {
    Ok(match suffix {
        ".gz" => Box::new(flate2::bufread::MultiGzDecoder::new(io::BufReader::with_capacity(64 * 1024, compressed))),
        ".xz" => {
            let stream = xz2::stream::Stream::new_stream_decoder(DECODER_MEMORY, xz2::stream::CONCATENATED)?;
            Box::new(xz2::read::XzDecoder::new_stream(compressed, stream))
        }
        ".zst" => {
            let mut decoder = zstd::stream::read::Decoder::new(compressed)?;
            decoder.window_log_max(DECODER_MEMORY.ilog2())?;
            Box::new(decoder)
        }
        _ => Box::new(compressed),
    })
}

/// Hashes and counts what is read from it.
struct Hashed<R> {
    inner: R,
    hasher: SumHasher,
    size: u64,
}

impl<R: io::Read> io::Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        io::Write::write_all(&mut self.hasher, buffer.get(..count).unwrap_or_default())?;
        self.size += count as u64;
        Ok(count)
    }
}
