//! Reading ahead: one thread decodes while another parses.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, sync_channel};

/// How much is handed over at once.
const CHUNK: usize = 256 * 1024;
/// How many chunks may wait: enough to even out, little enough to stay small.
const WAITING: usize = 8;

/// Calls `consume` with a reader that gives what `reader` does, which another thread reads meanwhile. When `consume` stops early, so does
/// that thread.
pub(super) fn with_read_ahead<T>(reader: impl Read + Send, consume: impl FnOnce(&mut dyn Read) -> T) -> T {
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel(WAITING);
        scope.spawn(move || {
            let mut reader = reader;
            loop {
                let mut chunk = Vec::with_capacity(CHUNK);
                let result = (&mut reader).take(CHUNK as u64).read_to_end(&mut chunk);
                let last = result.is_err() || chunk.is_empty();
                if sender.send(result.map(|_| chunk)).is_err() || last {
                    return;
                }
            }
        });
        consume(&mut Chunks { receiver, chunk: Vec::new(), at: 0 })
    })
}

struct Chunks {
    receiver: Receiver<io::Result<Vec<u8>>>,
    chunk: Vec<u8>,
    at: usize,
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.chunk.len() {
            match self.receiver.recv() {
                Ok(chunk) => (self.chunk, self.at) = (chunk?, 0),
                // The other thread ended after the last chunk.
                Err(_) => return Ok(0),
            }
        }
        let mut rest = self.chunk.get(self.at..).unwrap_or_default();
        let count = rest.read(buffer)?;
        self.at += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_gives_the_same_bytes() {
        let data: Vec<u8> = (0..1_000_003_u32).map(|n| (n % 251) as u8).collect();
        let mut read = Vec::new();
        with_read_ahead(&data[..], |reader| reader.read_to_end(&mut read)).unwrap();
        assert!(read == data);
    }

    #[test]
    fn errors_come_after_what_was_read_and_an_early_end_does_not_hang() {
        struct Failing(u32);
        impl Read for Failing {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                self.0 += 1;
                if self.0 > 40 { Err(io::Error::other("broken")) } else { Ok(buffer.len()) }
            }
        }
        let error = with_read_ahead(Failing(0), |reader| io::copy(reader, &mut io::sink())).unwrap_err();
        assert_eq!(error.to_string(), "broken");
        with_read_ahead(io::repeat(7), |reader| reader.read_exact(&mut [0; 10])).unwrap();
    }
}
