//! Members of gzip, one after another.

use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;

/// Decodes all members of a stream. Zeros behind the last one are passed over, as gzip(1) does: tapes and some writers fill up with them.
pub(super) struct Members<R> {
    /// `None` at the end.
    member: Option<GzDecoder<R>>,
}

impl<R: BufRead> Members<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { member: Some(GzDecoder::new(reader)) }
    }
}

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.member {
            let read = member.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            self.member = match self.member.take() {
                Some(ended) => next_member(ended.into_inner())?,
                None => None,
            };
        }
        Ok(0)
    }
}

/// The member that begins where the last one ended.
fn next_member<R: BufRead>(mut reader: R) -> io::Result<Option<GzDecoder<R>>> {
    if reader.fill_buf()?.first().is_some_and(|&byte| byte != 0) {
        return Ok(Some(GzDecoder::new(reader)));
    }
    loop {
        let rest = reader.fill_buf()?;
        if rest.iter().any(|&byte| byte != 0) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "something other than zeros follows the gzip data"));
        }
        let length = rest.len();
        if length == 0 {
            return Ok(None);
        }
        reader.consume(length);
    }
}
