//! Compression in pieces of a fixed size, several at once, written in order.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex};

use crc32fast::Hasher;

use super::compress::{Codec, Piece, most_jobs};
use crate::image::Compression;
use minimg_base::sync::lock;

/// Compresses what is written to it into `out`. [`CompressedWriter::finish`] must be called for the end to be written.
pub(crate) struct CompressedWriter<W> {
    out: W,
    codec: Option<Codec>,
    compression: Compression,
    /// The piece that is being filled, and its place among all.
    filling: Vec<u8>,
    place: usize,
    /// Pieces that are being compressed, in the order in which they are written.
    awaited: VecDeque<Receiver<io::Result<Piece>>>,
    /// The checksum of what was written out, and the length of all that came.
    checksum: Hasher,
    length: u64,
    workers: Workers,
}

impl<W: Write> CompressedWriter<W> {
    /// Compresses with up to `jobs` threads, fewer where they would take much memory; the result does not depend on how many there are.
    ///
    /// # Errors
    /// When the compressor cannot be made, or the beginning cannot be written.
    pub(crate) fn new(mut out: W, compression: Compression, jobs: usize) -> io::Result<Self> {
        let codec = Codec::new(compression)?;
        if let Some(codec) = &codec {
            out.write_all(codec.begin())?;
        }
        Ok(Self {
            out,
            codec,
            compression,
            filling: Vec::new(),
            place: 0,
            awaited: VecDeque::new(),
            checksum: Hasher::new(),
            length: 0,
            workers: Workers::new(jobs.clamp(1, most_jobs(compression))),
        })
    }

    /// Writes what is left, and returns the inner writer.
    ///
    /// # Errors
    /// When the compressor or the inner writer fails.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        if self.workers.running > 0 && !self.filling.is_empty() {
            self.submit()?;
        }
        while let Some(piece) = self.awaited.pop_front() {
            self.write_out(awaited(&piece)?)?;
        }
        let Some(mut codec) = self.codec.take() else { return Ok(self.out) };
        // What fits into one piece needs no thread, and even nothing at all is a piece.
        if self.workers.running == 0 {
            let piece = codec.piece(self.place, &self.filling)?;
            self.write_out(piece)?;
        }
        self.out.write_all(&codec.end(self.checksum, self.length))?;
        Ok(self.out)
    }

    fn submit(&mut self) -> io::Result<()> {
        // No more pieces wait than are compressed at once: that bounds the memory.
        if self.awaited.len() == self.workers.limit
            && let Some(piece) = self.awaited.pop_front()
        {
            self.write_out(awaited(&piece)?)?;
        }
        let (answer, piece) = channel();
        let data = std::mem::take(&mut self.filling);
        self.workers.submit(self.compression, Job { place: self.place, data, answer })?;
        self.place += 1;
        self.awaited.push_back(piece);
        Ok(())
    }

    fn write_out(&mut self, piece: Piece) -> io::Result<()> {
        self.checksum.combine(&piece.checksum);
        self.out.write_all(&piece.bytes)
    }
}

fn awaited(piece: &Receiver<io::Result<Piece>>) -> io::Result<Piece> {
    piece.recv().map_err(|_| io::Error::other("a compressing thread ended early"))?
}

impl<W: Write> Write for CompressedWriter<W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let Some(codec) = &self.codec else { return self.out.write(data) };
        let size = codec.piece_size();
        let taken = data.len().min(size - self.filling.len());
        self.filling.extend_from_slice(&data[..taken]);
        self.length += taken as u64;
        if self.filling.len() == size {
            self.submit()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

struct Job {
    place: usize,
    data: Vec<u8>,
    answer: Sender<io::Result<Piece>>,
}

/// Threads that compress, begun when there is work for them. They end when this value is dropped, since the queue ends then.
struct Workers {
    limit: usize,
    running: usize,
    queue: SyncSender<Job>,
    jobs: Arc<Mutex<Receiver<Job>>>,
}

impl Workers {
    fn new(limit: usize) -> Self {
        let (queue, jobs) = sync_channel(limit);
        Self { limit, running: 0, queue, jobs: Arc::new(Mutex::new(jobs)) }
    }

    fn submit(&mut self, compression: Compression, job: Job) -> io::Result<()> {
        if self.running < self.limit {
            self.running += 1;
            let jobs = self.jobs.clone();
            std::thread::Builder::new().name("compress".into()).spawn(move || work(compression, &jobs))?;
        }
        self.queue.send(job).map_err(|_| io::Error::other("the compressing threads ended early"))
    }
}

fn work(compression: Compression, jobs: &Mutex<Receiver<Job>>) {
    let mut codec = Codec::new(compression);
    loop {
        let Ok(job) = lock(jobs).recv() else { return };
        let piece = match &mut codec {
            Ok(Some(codec)) => codec.piece(job.place, &job.data),
            Ok(None) => Ok(Piece { bytes: job.data, checksum: Hasher::new() }),
            Err(error) => Err(io::Error::other(error.to_string())),
        };
        // Nobody waits any more when writing failed.
        let _ = job.answer.send(piece);
    }
}
