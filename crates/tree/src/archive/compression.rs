//! Decoding what archives are compressed with, streaming, with a stated limit on what may come out.

use std::io::{self, BufRead, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::gzip;

/// The compression of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Codec {
    /// As it is.
    None,
    /// gzip (RFC 1952), several members and zeros behind them allowed.
    Gzip,
    /// xz, several streams allowed.
    Xz,
    /// Zstandard (RFC 8878), several frames allowed.
    Zstd,
    /// bzip2, several streams allowed.
    Bzip2,
    /// The format of LZMA before xz, which old packages have. Its first bytes say nothing, so only a name tells it.
    Lzma,
}

impl Codec {
    /// The number of leading bytes that [`Codec::detect`] looks at.
    pub const MAGIC: usize = 6;

    /// Tells the codec by the first bytes of a stream; what is not known is taken as it is.
    pub fn detect(first: &[u8]) -> Self {
        match first {
            [0x1f, 0x8b, ..] => Codec::Gzip,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Codec::Xz,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Codec::Zstd,
            // A skippable frame may come first.
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Codec::Zstd,
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Codec::Bzip2,
            _ => Codec::None,
        }
    }

    /// Tells the codec by the last extension of a file's name (`gz`, `xz`, `zst`, `bz2`, `lzma`); `None` for another one.
    pub fn from_extension(extension: &[u8]) -> Option<Self> {
        match extension {
            b"" | b"tar" => Some(Codec::None),
            b"gz" => Some(Codec::Gzip),
            b"xz" => Some(Codec::Xz),
            b"zst" => Some(Codec::Zstd),
            b"bz2" => Some(Codec::Bzip2),
            b"lzma" => Some(Codec::Lzma),
            _ => None,
        }
    }

    /// Decodes `reader`. Errors about the bytes have the kinds `InvalidData`, `InvalidInput` and `UnexpectedEof`; a limit that is
    /// exceeded is an [`io::Error`] that holds [`TooLarge`].
    ///
    /// # Errors
    /// When a decoder cannot be made for want of memory.
    pub fn decode<'a>(self, reader: impl BufRead + Send + 'a, limits: Limits) -> io::Result<Box<dyn Read + Send + 'a>> {
        self.decoder(reader, limits, xz2::stream::CONCATENATED)
    }

    /// Like [`Codec::decode`], for bytes whose digest was checked: the format's own checksums, which are far weaker, are not looked at
    /// where that saves time (a twentieth of decoding xz).
    ///
    /// # Errors
    /// Like [`Codec::decode`].
    pub fn decode_verified<'a>(
        self,
        reader: impl BufRead + Send + 'a,
        limits: Limits,
    ) -> io::Result<Box<dyn Read + Send + 'a>> {
        self.decoder(reader, limits, xz2::stream::CONCATENATED | xz2::stream::IGNORE_CHECK)
    }

    fn decoder<'a>(
        self,
        reader: impl BufRead + Send + 'a,
        limits: Limits,
        xz_flags: u32,
    ) -> io::Result<Box<dyn Read + Send + 'a>> {
        let progress = Arc::<Progress>::default();
        let reader = Source { inner: reader, progress: progress.clone() };
        let decoder: Box<dyn Read + Send + 'a> = match self {
            Codec::None => Box::new(reader),
            Codec::Gzip => Box::new(gzip::Members::new(reader)),
            Codec::Xz => {
                let stream = xz2::stream::Stream::new_stream_decoder(XZ_MEMORY, xz_flags)?;
                Box::new(xz2::bufread::XzDecoder::new_stream(reader, stream))
            }
            Codec::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(reader)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG)?;
                Box::new(decoder)
            }
            Codec::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(reader)),
            Codec::Lzma => {
                let stream = xz2::stream::Stream::new_lzma_decoder(XZ_MEMORY)?;
                Box::new(xz2::bufread::XzDecoder::new_stream(reader, stream))
            }
        };
        Ok(Box::new(LimitedReader { inner: decoder, limits, progress, produced: 0 }))
    }
}

/// The most memory that an xz decoder may take: `xz -9` asks for 65 MiB, and that is the highest preset.
const XZ_MEMORY: u64 = 68 << 20;
/// The largest window of a Zstandard frame: `zstd -19 --long` has 2^27, the most that the tool itself decodes unasked.
const ZSTD_WINDOW_LOG: u32 = 27;

/// A limit on the decompressed size of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes.
    pub output: u64,
    /// The most bytes for each byte that went in, once more than [`Limits::ratio_from`] came out.
    pub ratio: u64,
    /// Up to this many bytes any ratio is accepted.
    pub ratio_from: u64,
}

impl Limits {
    /// For package and root archives: 16 GiB, and a ratio of 500 above 256 MiB. The largest packages of distributions have
    /// some 5 GiB; real files compress up to about 100 times, the formats allow some 1,000 (gzip) to 10,000 times.
    pub const PACKAGE: Limits = Limits { output: 16 << 30, ratio: 500, ratio_from: 256 << 20 };
    /// For the control archive of a package: 64 MiB.
    pub const CONTROL: Limits = Limits { output: 64 << 20, ratio: 2000, ratio_from: 16 << 20 };
}

/// More came out of a compressed stream than is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TooLarge {
    /// More than [`Limits::output`].
    #[error("the compressed data has more than the limit of {0} bytes")]
    Output(u64),
    /// More than [`Limits::ratio`] allows.
    #[error("{input} compressed bytes gave more than {output} bytes: a decompression bomb")]
    Ratio {
        /// The compressed bytes so far.
        input: u64,
        /// The decompressed bytes so far.
        output: u64,
    },
}

/// What became of a decoder's source.
#[derive(Debug, Default)]
struct Progress {
    consumed: AtomicU64,
    /// Whether it could not be read, so that the decoder's error is not about the bytes.
    has_failed: AtomicBool,
}

/// What a decoder reads from.
struct Source<R> {
    inner: R,
    progress: Arc<Progress>,
}

impl<R: BufRead> BufRead for Source<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let progress = &self.progress;
        self.inner.fill_buf().inspect_err(|error| {
            if error.kind() != io::ErrorKind::Interrupted {
                progress.has_failed.store(true, Ordering::Relaxed);
            }
        })
    }

    fn consume(&mut self, amount: usize) {
        self.progress.consumed.fetch_add(amount as u64, Ordering::Relaxed);
        self.inner.consume(amount);
    }
}

impl<R: BufRead> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

struct LimitedReader<R> {
    inner: R,
    limits: Limits,
    progress: Arc<Progress>,
    produced: u64,
}

impl<R> LimitedReader<R> {
    /// What a decoder says of the bytes: of some, also of windows that are too large, that is no more than that something is wrong.
    fn judge(&self, error: io::Error) -> io::Error {
        let is_of_bytes = error.kind() == io::ErrorKind::Other && !self.progress.has_failed.load(Ordering::Relaxed);
        if is_of_bytes { io::Error::new(io::ErrorKind::InvalidData, error) } else { error }
    }
}

impl<R: Read> Read for LimitedReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer).map_err(|error| self.judge(error))?;
        self.produced = self.produced.saturating_add(read as u64);
        if self.produced > self.limits.output {
            return Err(io::Error::other(TooLarge::Output(self.limits.output)));
        }
        let input = self.progress.consumed.load(Ordering::Relaxed);
        if self.produced > self.limits.ratio_from && self.produced / self.limits.ratio > input {
            return Err(io::Error::other(TooLarge::Ratio { input, output: self.produced }));
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const CODECS: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Xz, Codec::Zstd, Codec::Bzip2];

    fn encode(codec: Codec, data: &[u8]) -> Vec<u8> {
        match codec {
            Codec::None => data.to_vec(),
            Codec::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
                encoder.write_all(data).unwrap();
                encoder.finish().unwrap()
            }
            Codec::Xz => {
                let mut encoder = xz2::write::XzEncoder::new(Vec::new(), 6);
                encoder.write_all(data).unwrap();
                encoder.finish().unwrap()
            }
            Codec::Zstd => zstd::encode_all(data, 3).unwrap(),
            Codec::Lzma => {
                let options = xz2::stream::LzmaOptions::new_preset(6).unwrap();
                let stream = xz2::stream::Stream::new_lzma_encoder(&options).unwrap();
                let mut encoder = xz2::write::XzEncoder::new_stream(Vec::new(), stream);
                encoder.write_all(data).unwrap();
                encoder.finish().unwrap()
            }
            Codec::Bzip2 => {
                let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::best());
                encoder.write_all(data).unwrap();
                encoder.finish().unwrap()
            }
        }
    }

    fn decode(codec: Codec, data: &[u8], limits: Limits) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        codec.decode(data, limits)?.read_to_end(&mut out)?;
        Ok(out)
    }

    #[test]
    fn every_codec_is_told_by_its_first_bytes_and_decoded() {
        let data = b"some text, some text, some text";
        for codec in CODECS {
            let mut encoded = encode(codec, data);
            assert_eq!(Codec::detect(&encoded), codec);
            assert_eq!(decode(codec, &encoded, Limits::PACKAGE).unwrap(), data, "{codec:?}");
            if codec != Codec::None {
                encoded.extend_from_slice(&encode(codec, data));
                assert_eq!(decode(codec, &encoded, Limits::PACKAGE).unwrap(), data.repeat(2), "{codec:?} twice");
                encoded.truncate(encoded.len() - 5);
                assert!(decode(codec, &encoded, Limits::PACKAGE).is_err(), "{codec:?} truncated");
            }
        }
    }

    #[test]
    fn lzma_is_told_by_its_name() {
        let data = b"some text, some text, some text";
        let encoded = encode(Codec::Lzma, data);
        assert_eq!(Codec::from_extension(b"lzma"), Some(Codec::Lzma));
        assert_eq!(decode(Codec::Lzma, &encoded, Limits::PACKAGE).unwrap(), data);
        assert!(decode(Codec::Lzma, &encoded[..encoded.len() - 5], Limits::PACKAGE).is_err(), "truncated");
        assert!(decode(Codec::Lzma, &encode(Codec::Xz, data), Limits::PACKAGE).is_err(), "another format");
    }

    #[test]
    fn bombs_are_stopped() {
        let zeros = vec![0; 4 << 20];
        for codec in CODECS.into_iter().chain([Codec::Lzma]) {
            let encoded = encode(codec, &zeros);
            let by_size = Limits { output: 1 << 20, ratio: u64::MAX, ratio_from: u64::MAX };
            let error = decode(codec, &encoded, by_size).unwrap_err();
            assert_eq!(super::super::class_of_io(&error), minimg_base::Class::Malformed);
            assert!(error.to_string().contains("more than the limit of 1048576 bytes"), "{codec:?}: {error}");
            if codec != Codec::None {
                let by_ratio = Limits { output: u64::MAX, ratio: 100, ratio_from: 1 << 20 };
                let error = decode(codec, &encoded, by_ratio).unwrap_err();
                assert!(error.to_string().contains("bomb"), "{codec:?}: {error}");
            }
        }
    }

    #[test]
    fn what_a_decoder_says_of_the_bytes_is_of_the_bytes() {
        let words = (0..100_000_u32).map(|i| format!("{} ", i.wrapping_mul(2_654_435_761) >> 8));
        let data = words.collect::<String>().into_bytes();
        let damaged = |codec| {
            let mut encoded = encode(codec, &data);
            let middle = encoded.len() / 2;
            encoded[middle..middle + 64].fill(0x55);
            encoded
        };
        // 2^31 bytes of a window.
        let window = [&[0x28, 0xb5, 0x2f, 0xfd, 0b0000_0000, 0b1010_1000][..], &[0; 64]].concat();
        // A dictionary of 1 GiB, in the header of the first block, which has a checksum of its own.
        let mut demanding = encode(Codec::Xz, &data);
        demanding[16] = 36;
        let mut checksum = flate2::Crc::new();
        checksum.update(&demanding[12..20]);
        demanding[20..24].copy_from_slice(&checksum.sum().to_le_bytes());
        let cases = [
            (Codec::Zstd, damaged(Codec::Zstd)),
            (Codec::Xz, damaged(Codec::Xz)),
            (Codec::Gzip, damaged(Codec::Gzip)),
            (Codec::Bzip2, damaged(Codec::Bzip2)),
            (Codec::Zstd, window),
            (Codec::Xz, demanding),
        ];
        for (codec, bytes) in cases {
            let error = decode(codec, &bytes, Limits::PACKAGE).unwrap_err();
            assert_eq!(super::super::class_of_io(&error), minimg_base::Class::Malformed, "{codec:?}: {error:?}");
        }
    }

    #[test]
    fn what_the_source_says_is_not_of_the_bytes() {
        struct Failing;
        impl Read for Failing {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("the disk failed"))
            }
        }
        for codec in CODECS {
            let encoded = encode(codec, b"some text");
            let source = io::BufReader::new(encoded[..encoded.len() - 1].chain(Failing));
            let mut decoder = codec.decode(source, Limits::PACKAGE).unwrap();
            let error = io::copy(&mut decoder, &mut io::sink()).unwrap_err();
            assert_eq!(super::super::class_of_io(&error), minimg_base::Class::Machine, "{codec:?}: {error:?}");
        }
    }

    #[test]
    fn zeros_behind_gzip_are_passed_over_and_nothing_else() {
        let text = b"some text";
        let one = encode(Codec::Gzip, text);
        for (tail, expected) in [
            (vec![0; 1], Some(1)),
            (vec![0; 70_000], Some(1)),
            ([&one[..], &[0; 512]].concat(), Some(2)),
            (b"\0\0x".to_vec(), None),
            (b"x".to_vec(), None),
            ([&[0; 512][..], &one].concat(), None),
            (one[..10].to_vec(), None),
        ] {
            let decoded = decode(Codec::Gzip, &[&one[..], &tail].concat(), Limits::PACKAGE);
            assert_eq!(decoded.ok(), expected.map(|times| text.repeat(times)), "{} bytes", tail.len());
        }
    }
}
