//! Live progress on a terminal, plain lines elsewhere, nothing with `--quiet`; and the sums for the summary.

use std::io::IsTerminal;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use minimg::report::{Event, Reporter};

use super::output::harmless;
use super::style::Style;
use super::{Global, style};

/// What a build took from the store and from the network.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub(super) struct Sums {
    pub(super) downloads: u64,
    pub(super) downloaded_bytes: u64,
    pub(super) reused: u64,
    pub(super) reused_bytes: u64,
    pub(super) misses: Vec<String>,
    pub(super) warnings: Vec<String>,
}

/// Shows the progress of a build.
pub(super) struct Progress {
    style: Style,
    mode: Mode,
    verbose: u8,
    state: Mutex<State>,
}

enum Mode {
    /// Bars that are redrawn.
    Live(MultiProgress),
    /// A line for each phase.
    Plain,
    /// Nothing.
    Silent,
}

#[derive(Default)]
struct State {
    name: String,
    phase: Option<ProgressBar>,
    downloads: Option<ProgressBar>,
    active: std::collections::BTreeMap<u64, String>,
    sums: Sums,
}

impl Progress {
    /// Chooses how to show progress.
    pub(super) fn new(global: &Global, style: Style) -> Arc<Self> {
        let mode = if global.quiet || global.json {
            Mode::Silent
        } else if std::io::stderr().is_terminal() {
            Mode::Live(MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(15)))
        } else {
            Mode::Plain
        };
        Arc::new(Self { style, mode, verbose: global.verbose, state: Mutex::default() })
    }

    /// Removes the bars and returns the sums.
    pub(super) fn finish(&self) -> Sums {
        let mut state = self.lock();
        for bar in state.phase.take().into_iter().chain(state.downloads.take()) {
            bar.finish_and_clear();
        }
        std::mem::take(&mut state.sums)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Prints a line above the bars.
    fn line(&self, text: &str) {
        match &self.mode {
            Mode::Live(bars) => {
                let _ = bars.println(text);
            }
            Mode::Plain => eprintln!("{text}"),
            Mode::Silent => {}
        }
    }

    fn phase(&self, state: &mut State, name: &str) {
        for bar in state.phase.take().into_iter().chain(state.downloads.take()) {
            bar.finish_and_clear();
        }
        name.clone_into(&mut state.name);
        match &self.mode {
            Mode::Live(bars) => {
                let template = ProgressStyle::with_template("{spinner:.cyan} {msg} {elapsed:.dim}");
                let bar = bars.add(ProgressBar::new_spinner());
                bar.set_style(template.unwrap_or_else(|_| ProgressStyle::default_spinner()));
                bar.set_message(name.to_owned());
                bar.enable_steady_tick(Duration::from_millis(120));
                state.phase = Some(bar);
            }
            Mode::Plain => eprintln!("{name}"),
            Mode::Silent => {}
        }
    }

    fn download_started(&self, state: &mut State, id: u64, name: &str, size: Option<u64>) {
        state.sums.downloads += 1;
        state.active.insert(id, name.to_owned());
        if let Mode::Live(bars) = &self.mode {
            let bar = state.downloads.get_or_insert_with(|| {
                let text = "  {bar:30.cyan/dim} {decimal_bytes}/{decimal_total_bytes} at {decimal_bytes_per_sec}  {wide_msg:.dim}";
                let bar = bars.add(ProgressBar::new(0));
                bar.set_style(ProgressStyle::with_template(text).unwrap_or_else(|_| ProgressStyle::default_bar()));
                bar
            });
            bar.inc_length(size.unwrap_or(0));
            bar.set_message(names(&state.active));
        }
    }
}

fn names(active: &std::collections::BTreeMap<u64, String>) -> String {
    active.values().cloned().collect::<Vec<_>>().join(", ")
}

impl Reporter for Progress {
    fn event(&self, event: Event<'_>) {
        let mut state = self.lock();
        match event {
            Event::Phase(phase) => self.phase(&mut state, &phase.to_string()),
            Event::Steps(count) => state.phase.iter().for_each(|bar| bar.set_length(count)),
            Event::Step => state.phase.iter().for_each(|bar| bar.inc(1)),
            Event::Activity(text) => {
                let message = format!("{}: {}", state.name, harmless(text));
                state.phase.iter().for_each(|bar| bar.set_message(message.clone()));
                if self.verbose > 0 {
                    self.line(&self.style.dim(&format!("  {}", harmless(text))));
                }
            }
            Event::DownloadStarted { id, name, size } => self.download_started(&mut state, id, name, size),
            Event::DownloadAdvanced { bytes, .. } => {
                state.sums.downloaded_bytes += bytes;
                if let Some(bar) = &state.downloads {
                    // What comes without its length being known, or longer than was said, is at least what came of it.
                    bar.set_length(bar.length().unwrap_or(0).max(bar.position() + bytes));
                    bar.inc(bytes);
                }
            }
            Event::DownloadFinished { id } => {
                let name = state.active.remove(&id);
                let message = names(&state.active);
                state.downloads.iter().for_each(|bar| bar.set_message(message.clone()));
                if self.verbose > 0
                    && let Some(name) = name
                {
                    self.line(&self.style.dim(&format!("  fetched {name}")));
                }
            }
            Event::Reused { what, bytes } => {
                state.sums.reused += 1;
                state.sums.reused_bytes += bytes;
                if self.verbose > 0 {
                    self.line(&self.style.dim(&format!("  reused: {what} ({})", style::bytes(bytes))));
                }
            }
            Event::Missed { what, why } => {
                state.sums.misses.push(format!("{what}: {why}"));
                self.line(&self.style.dim(&format!("  a new {what}: {why}")));
            }
            Event::Warning(text) => {
                state.sums.warnings.push(text.to_owned());
                self.line(&format!("{} {}", self.style.warning("warning:"), harmless(text)));
            }
            Event::Detail(text) if self.verbose > 1 => self.line(&self.style.dim(&format!("  {text}"))),
            _ => {}
        }
    }
}
