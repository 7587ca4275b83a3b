//! A small HTTP server on the loopback that can misbehave.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How a path is served.
#[derive(Clone)]
pub(crate) enum Manner {
    /// As a good server does, ranges and validators included.
    Good,
    /// Whole, whatever range is asked for, and without validators.
    Plain,
    /// Cut off after so many bytes of each answer, as many times, then well.
    Cut { after: usize, times: u32, ranges: bool },
    /// Silent after so many bytes, once.
    Stall { after: usize },
    /// A byte every twentieth of a second.
    Trickle,
    /// All but the end, which comes when another path was asked for, or after five seconds.
    Hold { until: &'static str },
    /// A status, as many times, then well.
    Status { status: u16, times: u32 },
    /// To another path.
    Redirect(String),
    /// Without an announced length, and followed by much more.
    Endless,
}

#[derive(Default)]
struct State {
    files: BTreeMap<String, (Vec<u8>, Manner)>,
    served: BTreeMap<String, u32>,
    log: Vec<String>,
}

pub(crate) struct Server {
    pub(crate) address: String,
    state: Arc<Mutex<State>>,
}

impl Server {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State::default()));
        let shared = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = shared.clone();
                std::thread::spawn(move || _ = serve(stream, &state));
            }
        });
        Self { address, state }
    }

    pub(crate) fn put(&self, path: &str, content: impl Into<Vec<u8>>) {
        self.state.lock().unwrap().files.insert(path.to_owned(), (content.into(), Manner::Good));
    }

    pub(crate) fn put_all(&self, files: BTreeMap<String, Vec<u8>>) {
        for (path, content) in files {
            self.put(&path, content);
        }
    }

    pub(crate) fn remove(&self, part: &str) {
        self.state.lock().unwrap().files.retain(|path, _| !path.contains(part));
    }

    /// Replaces the content of all files whose path contains `part`.
    pub(crate) fn change(&self, part: &str, change: impl Fn(&mut Vec<u8>)) {
        let mut state = self.state.lock().unwrap();
        let mut files = state.files.iter_mut().filter(|(path, _)| path.contains(part)).peekable();
        assert!(files.peek().is_some(), "{part}");
        files.for_each(|(_, (content, _))| change(content));
    }

    pub(crate) fn behave(&self, part: &str, manner: Manner) {
        let mut state = self.state.lock().unwrap();
        state.served.clear();
        for (_, (_, how)) in state.files.iter_mut().filter(|(path, _)| path.contains(part)) {
            *how = manner.clone();
        }
    }

    /// What was asked for since the last time: `path[ from N][ if changed][ as WHO] status`.
    pub(crate) fn log(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().log)
    }
}

fn serve(stream: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut out = stream;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        let (mut from, mut known, mut who) = (None, None, String::new());
        loop {
            let mut header = String::new();
            reader.read_line(&mut header)?;
            let (name, value) = header.split_once(':').unwrap_or(("", ""));
            match name.to_ascii_lowercase().as_str() {
                "range" => from = value.trim().trim_start_matches("bytes=").trim_end_matches('-').parse::<usize>().ok(),
                "if-none-match" => known = Some(value.trim().to_owned()),
                "authorization" => who = format!(" as {}", value.trim()),
                _ => {}
            }
            if header.trim().is_empty() {
                break;
            }
        }
        if !answer(&mut out, state, &path, from, known, &who)? {
            return Ok(());
        }
    }
}

/// Answers one request; whether the connection is kept.
fn answer(
    out: &mut TcpStream,
    state: &Mutex<State>,
    path: &str,
    from: Option<usize>,
    known: Option<String>,
    who: &str,
) -> std::io::Result<bool> {
    let (file, times) = {
        let mut state = state.lock().unwrap();
        let times = state.served.entry(path.to_owned()).or_default();
        *times += 1;
        let times = *times;
        (state.files.get(path).cloned(), times)
    };
    let note = |status: u16| {
        let from = from.map_or(String::new(), |from| format!(" from {from}"));
        let known = if known.is_some() { " if changed" } else { "" };
        state.lock().unwrap().log.push(format!("{path}{from}{known}{who} {status}"));
        status
    };
    let Some((content, manner)) = file else {
        let status = note(404);
        write!(out, "HTTP/1.1 {status} x\r\nContent-Length: 0\r\n\r\n")?;
        return Ok(true);
    };
    let etag = format!("\"{}\"", minimg::digest::Digest::of(&content).short());
    let mut cut = None;
    let mut ranges = true;
    match manner {
        Manner::Good | Manner::Hold { .. } | Manner::Trickle => {}
        Manner::Plain => ranges = false,
        Manner::Cut { after, times: most, ranges: r } => {
            ranges = r;
            cut = Some(after).filter(|_| times <= most);
        }
        Manner::Stall { after } => cut = Some(after).filter(|_| times == 1),
        Manner::Status { status, times: most } if times <= most => {
            note(status);
            write!(out, "HTTP/1.1 {status} x\r\nContent-Length: 0\r\n\r\n")?;
            return Ok(true);
        }
        Manner::Status { .. } => {}
        Manner::Redirect(to) => {
            note(302);
            write!(out, "HTTP/1.1 302 x\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n")?;
            return Ok(true);
        }
        Manner::Endless => {
            note(200);
            write!(out, "HTTP/1.1 200 x\r\nConnection: close\r\n\r\n")?;
            out.write_all(&content)?;
            for _ in 0..4096 {
                out.write_all(&[0; 65536])?;
            }
            return Ok(false);
        }
    }
    if ranges && known.as_ref() == Some(&etag) {
        note(304);
        write!(out, "HTTP/1.1 304 x\r\nETag: {etag}\r\n\r\n")?;
        return Ok(true);
    }
    let start = from.filter(|start| ranges && *start < content.len());
    let status = note(if start.is_some() { 206 } else { 200 });
    let body = &content[start.unwrap_or(0)..];
    write!(out, "HTTP/1.1 {status} x\r\nContent-Length: {}\r\n", body.len())?;
    if let Some(start) = start {
        write!(out, "Content-Range: bytes {start}-{}/{}\r\n", content.len() - 1, content.len())?;
    }
    if ranges {
        write!(out, "ETag: {etag}\r\n")?;
    }
    write!(out, "\r\n")?;
    if let Manner::Hold { until } = manner {
        let (first, rest) = body.split_at(body.len() - 100);
        out.write_all(first)?;
        out.flush()?;
        let is_asked = || state.lock().unwrap().served.contains_key(until);
        let enough = Instant::now() + Duration::from_secs(5);
        while !is_asked() && Instant::now() < enough {
            std::thread::sleep(Duration::from_millis(5));
        }
        if !is_asked() {
            state.lock().unwrap().log.push(format!("{until} was never asked for"));
        }
        return out.write_all(rest).map(|()| true);
    }
    if matches!(manner, Manner::Trickle) {
        for byte in body {
            out.write_all(&[*byte])?;
            out.flush()?;
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    match (cut, &manner) {
        (Some(after), manner) => {
            out.write_all(&body[..after.min(body.len())])?;
            out.flush()?;
            if matches!(manner, Manner::Stall { .. }) {
                std::thread::sleep(Duration::from_secs(20));
            }
            Ok(false)
        }
        (None, _) => out.write_all(body).map(|()| true),
    }
}
