//! What the options of backends in a profile have in common: how they are refused, and spans of time.

use std::time::Duration;

use jiff::SpanRelativeTo;
use minimg_base::error::{Class, Error};
use minimg_base::suggest;

/// Why the options of a backend cannot be followed.
#[derive(Debug, thiserror::Error)]
#[error("the profile's [source.options.{backend}] is wrong: {message}")]
pub struct OptionsError {
    /// The backend.
    pub backend: &'static str,
    /// What is wrong.
    pub message: String,
}

impl From<OptionsError> for Error {
    fn from(error: OptionsError) -> Self {
        Error::new(Class::Profile, error)
    }
}

/// What is said of a key that nobody knows: with the nearest that is known.
pub fn unknown<'a>(key: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    format!("there is no `{key}`; {}", suggest::help(key, known).unwrap_or_default())
}

/// What is wrong with options as a whole, on one line: the first line of such an error says what, the second of which key.
pub fn unreadable(error: &toml::de::Error) -> String {
    error.to_string().trim().replace('\n', " ")
}

/// A span of time in the notation of jiff, from weeks to nanoseconds, the larger unit first: `90s`, `1m30s`, `2h`, `30d`. A day has 24 hours.
///
/// # Errors
/// In words, when it is none.
pub fn span(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let parsed: Option<jiff::Span> = text.parse().ok();
    let span = parsed.and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()).ok());
    let span = span.and_then(|span| Duration::try_from(span).ok());
    span.ok_or_else(|| format!("{text:?} is not a span of time: write `90s`, `1m30s`, `2h` or `30d`"))
}

/// What is said of a limit in which nothing can be done.
pub const NO_TIME: &str = "`time-limit` leaves no time; write `90s`, `30m` or `2h`";

/// The `time-limit` of a tool: a span of time that leaves some.
///
/// # Errors
/// In words, when it is none.
pub fn time_limit(text: &str) -> Result<Duration, String> {
    match span(text) {
        Ok(span) if span.is_zero() => Err(NO_TIME.to_owned()),
        span => span.map_err(|message| format!("`time-limit`: {message}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_of_time() {
        for (text, seconds) in [
            ("0", Some(0)),
            ("90s", Some(90)),
            ("1m30s", Some(90)),
            ("1 hour 30 min", Some(5400)),
            ("PT2H", Some(7200)),
            ("30d", Some(30 * 86_400)),
            ("2w", Some(14 * 86_400)),
            ("1mo", None),
            ("30s1m", None),
            ("-1s", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(span(text).ok().map(|span| span.as_secs()), seconds, "{text}");
        }
    }
}
