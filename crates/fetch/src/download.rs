//! One download as a reader that resumes when the connection breaks.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use ureq::http::uri::InvalidUri;
use ureq::http::{Response, Uri, header};

use super::local::local_path;
use super::pace::Pace;
use super::{FetchError, Fetcher, Patience, Validators, redirect};
use minimg_base::report::Event;

/// Tells concurrent downloads of the whole process apart.
static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// The most bytes that are skipped at once when a server cannot resume.
const SKIP_CHUNK: usize = 64 * 1024;

/// A download in progress. Reading gives its bytes; failures of the network are mended inside, as long as patience lasts.
pub struct Download<'f> {
    fetcher: &'f Fetcher,
    id: u64,
    url: String,
    size: Option<u64>,
    limit: u64,
    position: u64,
    failures: u32,
    pace: Pace,
    body: Option<Box<dyn Read + Send>>,
    /// The address that was asked last, to which redirects may have led.
    asked: Option<Uri>,
}

impl<'f> Download<'f> {
    /// Begins a download. The validators are `None` when the document that `known` stands for has not changed.
    pub(super) fn open(
        fetcher: &'f Fetcher,
        name: &str,
        url: &str,
        size: Option<u64>,
        limit: u64,
        known: Option<&Validators>,
    ) -> Result<(Self, Option<Validators>), FetchError> {
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        let mut download = Self {
            fetcher,
            id,
            url: url.to_owned(),
            size,
            limit,
            position: 0,
            failures: 0,
            pace: Pace::default(),
            body: None,
            asked: None,
        };
        let local = local_path(url)?;
        if local.is_none() && fetcher.context.offline {
            return Err(FetchError::Offline { name: name.to_owned(), url: url.to_owned() });
        }
        fetcher.context.reporter.event(Event::DownloadStarted { id, name, size });
        let validators = match local {
            Some(path) => {
                download.body = Some(Box::new(download.open_file(&path)?));
                Some(Validators::default())
            }
            None => loop {
                match download.request(known) {
                    Ok(validators) => break validators,
                    Err(failure) => download.forgive(failure)?,
                }
            },
        };
        Ok((download, validators))
    }

    /// How many bytes have come.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The download's own error out of one that went through `io::Read`.
    pub(super) fn own(&self, error: io::Error) -> FetchError {
        FetchError::from_io(error).unwrap_or_else(|error| self.network(&error))
    }

    fn open_file(&self, path: &Path) -> Result<File, FetchError> {
        let failed = |source| FetchError::File { path: path.to_owned(), source };
        let mut file = File::open(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => FetchError::NotFound { url: self.url.clone() },
            _ => failed(error),
        })?;
        let meta = file.metadata().map_err(failed)?;
        if !meta.is_file() {
            return Err(failed(io::Error::other("this is not a regular file")));
        }
        self.check_total(meta.len())?;
        file.seek(SeekFrom::Start(self.position)).map_err(failed)?;
        Ok(file)
    }

    /// Asks for the bytes from the current position on.
    fn request(&mut self, known: Option<&Validators>) -> Result<Option<Validators>, Failure> {
        let Answer { response, from } = self.follow(known)?;
        let status = response.status().as_u16();
        if let (Some(host), 401 | 403) = (from, status) {
            return Err(Failure::Final(FetchError::RefusedElsewhere { url: self.url.clone(), host, status }));
        }
        match status {
            304 if known.is_some() && self.position == 0 => return Ok(None),
            200 => {}
            206 if self.position > 0 && range_start(&response) == Some(self.position) => {}
            404 | 410 => return Err(Failure::Final(FetchError::NotFound { url: self.url.clone() })),
            401 => {
                let challenge = all_header_texts(&response, header::WWW_AUTHENTICATE);
                return Err(Failure::Final(FetchError::Unauthorized { url: self.url.clone(), challenge }));
            }
            status @ (408 | 425 | 429 | 500..=599) => return Err(Failure::Passing(format!("status {status}"))),
            status => return Err(Failure::Final(FetchError::Status { url: self.url.clone(), status })),
        }
        self.begin_body(response).map(Some)
    }

    /// The answer at the end of all redirects. Once another server was asked nobody is told who asks any more, not even the first one: the
    /// other chose what that is asked for.
    fn follow(&mut self, known: Option<&Validators>) -> Result<Answer, Failure> {
        let first: Uri = self.url.parse().map_err(|error: InvalidUri| self.wrong_address(error.to_string()))?;
        let url = self.url.clone();
        let refused = |message| Failure::Final(FetchError::Redirect { url: url.clone(), message });
        let safe = !self.fetcher.headers.is_empty();
        let (mut asked, mut from) = (first.clone(), None);
        for _ in 0..=redirect::MOST {
            self.asked = Some(asked.clone());
            if from.is_some() || !redirect::is_same_server(&first, &asked) {
                from = Some(redirect::host_and_port(&asked));
            }
            let response = self.ask(&asked, from.is_none(), known);
            let response = response.map_err(|error| self.classify(&asked, error))?;
            let Some(location) = redirect::location(&response) else { return Ok(Answer { response, from }) };
            asked = redirect::target(&asked, location, safe).map_err(refused)?;
            redirect::finish(response);
        }
        Err(refused(format!("without end, the last time to {asked}")))
    }

    /// Asks one address, through the proxy that is its own.
    fn ask(&self, address: &Uri, who: bool, known: Option<&Validators>) -> Result<Response<ureq::Body>, ureq::Error> {
        let mut request = self.fetcher.agent.get(address);
        if let Some(proxy) = self.fetcher.proxies.tunnelling(address) {
            request = request.config().proxy(Some(proxy.clone())).build();
        }
        for (name, value) in self.fetcher.headers.iter().filter(|(name, _)| who || *name != header::AUTHORIZATION) {
            request = request.header(*name, value);
        }
        if self.position > 0 {
            request = request.header(header::RANGE, format!("bytes={}-", self.position));
        } else if let Some(known) = known {
            let headers = [(header::IF_NONE_MATCH, &known.etag), (header::IF_MODIFIED_SINCE, &known.modified)];
            for (name, value) in headers.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?))) {
                request = request.header(name, value);
            }
        }
        request.call()
    }

    fn begin_body(&mut self, response: Response<ureq::Body>) -> Result<Validators, Failure> {
        let resumed = response.status() == 206;
        if let Some(length) = response.body().content_length() {
            let total = if resumed { self.position.saturating_add(length) } else { length };
            self.check_total(total).map_err(Failure::Final)?;
        }
        let validators = Validators {
            etag: header_text(&response, header::ETAG),
            modified: header_text(&response, header::LAST_MODIFIED),
        };
        let mut body = response.into_body().into_reader();
        if !resumed {
            skip(&mut body, self.position).map_err(|error| Failure::Passing(error.to_string()))?;
        }
        self.body = Some(Box::new(body));
        Ok(validators)
    }

    /// Whether a length that was announced may be.
    fn check_total(&self, found: u64) -> Result<(), FetchError> {
        match self.size {
            Some(expected) if expected != found => Err(FetchError::Size { url: self.url.clone(), expected, found }),
            _ if found > self.limit => Err(self.too_large()),
            _ => Ok(()),
        }
    }

    fn too_large(&self) -> FetchError {
        FetchError::TooLarge { url: self.url.clone(), limit: self.size.unwrap_or(self.limit) }
    }

    fn network(&self, message: &dyn std::fmt::Display) -> FetchError {
        let way = self.asked.as_ref().map_or(String::new(), |asked| self.way(asked));
        let message = format!("{message}{way}");
        FetchError::Network { url: self.url.clone(), message, attempts: self.failures, received: self.position }
    }

    fn wrong_address(&self, message: String) -> Failure {
        Failure::Final(FetchError::Address { url: self.url.clone(), message })
    }

    /// What it means that an address gave no answer.
    fn classify(&self, asked: &Uri, error: ureq::Error) -> Failure {
        match error {
            ureq::Error::BadUri(message) => self.wrong_address(message),
            ureq::Error::Http(error) => self.wrong_address(error.to_string()),
            ureq::Error::Io(error) => {
                tls_error(&error).map_or_else(|| Failure::Passing(error.to_string()), |error| tls_failure(asked, error))
            }
            error => Failure::Passing(error.to_string()),
        }
    }

    /// How an address was asked, where that is not plain from the download's own.
    fn way(&self, asked: &Uri) -> String {
        let host = asked.host().filter(|_| *asked != self.url.as_str());
        let elsewhere = host.map_or(String::new(), |host| format!(", redirected to {host}"));
        let proxy = self.fetcher.proxies.of(asked);
        let through = proxy.map(|proxy| format!(", through the proxy {}:{}", proxy.host(), proxy.port()));
        format!("{elsewhere}{}", through.unwrap_or_default())
    }

    /// Waits after a failure that may pass; gives up when patience is at its end.
    fn forgive(&mut self, failure: Failure) -> Result<(), FetchError> {
        let message = match failure {
            Failure::Final(error) => return Err(error),
            Failure::Passing(message) => message,
        };
        let Patience { attempts, first_pause, .. } = self.fetcher.patience;
        self.failures += 1;
        self.pace = Pace::default();
        if self.failures >= attempts || self.fetcher.is_stopped() {
            return Err(self.network(&message));
        }
        let text = format!("{}: {message}; trying again", self.url);
        self.fetcher.context.reporter.event(Event::Detail(&text));
        std::thread::sleep(first_pause.saturating_mul(1 << (self.failures - 1).min(6)));
        Ok(())
    }

    /// Reads from the current body; `Ok(0)` is its end.
    fn read_body(&mut self, buffer: &mut [u8]) -> Result<usize, Failure> {
        if self.body.is_none() {
            self.request(None)?;
        }
        let Some(body) = &mut self.body else { return Ok(0) };
        let begun = Instant::now();
        let result = body.read(buffer);
        if let Ok(count @ 1..) = result {
            self.pace.came(count, begun.elapsed());
            if let Some(message) = self.pace.too_slow(&self.fetcher.patience) {
                return Err(Failure::Passing(message));
            }
        }
        if let Ok(0) = result
            && let Some(expected) = self.size
            && self.position < expected
        {
            return Err(Failure::Passing("the connection ended before all bytes came".to_owned()));
        }
        result.map_err(|error| Failure::Passing(error.to_string()))
    }
}

impl Read for Download<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.fetcher.is_stopped() {
                return Err(self.network(&"nobody waits for it any more").into());
            }
            match self.read_body(buffer) {
                Ok(count) => {
                    self.position += count as u64;
                    if self.position > self.size.unwrap_or(self.limit) {
                        return Err(self.too_large().into());
                    }
                    if count > 0 {
                        if self.pace.is_progress(&self.fetcher.patience) {
                            self.failures = 0;
                        }
                        let event = Event::DownloadAdvanced { id: self.id, bytes: count as u64 };
                        self.fetcher.context.reporter.event(event);
                    }
                    return Ok(count);
                }
                Err(failure) => {
                    self.body = None;
                    self.forgive(failure)?;
                }
            }
        }
    }
}

impl Drop for Download<'_> {
    fn drop(&mut self) {
        self.fetcher.context.reporter.event(Event::DownloadFinished { id: self.id });
    }
}

/// An answer, and which server gave it where that is another than was asked first.
struct Answer {
    response: Response<ureq::Body>,
    from: Option<String>,
}

/// A failure, and whether trying again may help.
enum Failure {
    Passing(String),
    Final(FetchError),
}

/// What TLS said, out of an error of the connection below it.
fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

/// What TLS says of a certificate it will say again; all else may be of this one connection.
fn tls_failure(asked: &Uri, error: &rustls::Error) -> Failure {
    let hint = match error {
        rustls::Error::InvalidCertificate(_) => {
            let (url, message) = (asked.to_string(), error.to_string());
            return Failure::Final(FetchError::Untrusted { url, message });
        }
        rustls::Error::InvalidMessage(_) => {
            "; what answered does not speak it, as a login page of a network or a wrong port would"
        }
        _ => "",
    };
    Failure::Passing(format!("no connection of TLS: {error}{hint}"))
}

/// All headers of this name, as one list (RFC 9110, section 5.3).
fn all_header_texts(response: &Response<ureq::Body>, name: header::HeaderName) -> Option<String> {
    let texts: Vec<&str> = response.headers().get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
    Some(texts.join(", ")).filter(|all| !all.is_empty())
}

fn header_text(response: &Response<ureq::Body>, name: header::HeaderName) -> Option<String> {
    response.headers().get(name)?.to_str().ok().map(str::to_owned)
}

/// The first byte of a partial answer: `bytes 100-199/1000` gives 100.
fn range_start(response: &Response<ureq::Body>) -> Option<u64> {
    let range = header_text(response, header::CONTENT_RANGE)?;
    range.strip_prefix("bytes ")?.split_once('-')?.0.trim().parse().ok()
}

/// Skips the part that exists already, if a server answers with the whole.
fn skip(body: &mut impl Read, count: u64) -> io::Result<()> {
    let mut buffer = vec![0; SKIP_CHUNK.min(usize::try_from(count).unwrap_or(SKIP_CHUNK))];
    let mut left = count;
    while left > 0 {
        let wanted = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        match body.read(&mut buffer[..wanted])? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            got => left -= got as u64,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_skipped() {
        let mut body = std::io::repeat(1).take(200_000);
        skip(&mut body, 150_000).unwrap();
        assert_eq!(body.limit(), 50_000);
        assert!(skip(&mut body, 50_001).is_err());
    }
}
