//! OpenSSL's configuration: which other files it includes, and which modules it makes the library load (config(5)).

use std::collections::BTreeMap;

/// What a configuration names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Named {
    /// Files or directories of `.include`.
    pub(super) includes: Vec<String>,
    /// Providers that are activated: a path, or a name to be looked up in the directory of modules.
    pub(super) modules: Vec<String>,
    /// Engines (`dynamic_path`).
    pub(super) engines: Vec<String>,
}

/// Providers that are part of the library.
const BUILT_IN: [&str; 3] = ["default", "base", "null"];

type Sections<'a> = BTreeMap<&'a str, BTreeMap<&'a str, &'a str>>;

/// What the text names. Values with variables in them are passed over.
pub(super) fn parse(text: &str) -> Named {
    let mut named = Named::default();
    let joined = text.replace("\\\n", "");
    let mut sections = Sections::new();
    let mut section = "default";
    for line in joined.lines().map(|line| line.split('#').next().unwrap_or_default().trim()) {
        if let Some(include) = line.strip_prefix(".include") {
            named.includes.extend(plain(include.trim_start().trim_start_matches('=')));
        } else if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name.trim();
        } else if let Some((key, value)) = line.split_once('=') {
            sections.entry(section).or_default().insert(key.trim(), value.trim().trim_matches('"'));
        }
    }
    let value = |section: &str, key: &str| sections.get(section).and_then(|keys| keys.get(key)).copied();
    for start in ["openssl_conf", "nodejs_conf"].iter().filter_map(|key| value("default", key)) {
        for (provider, theirs) in entries(&sections, value(start, "providers")) {
            // What does not belong to the library is loaded only when it is activated.
            let is_active = value(theirs, "activate").is_some_and(|v| matches!(v, "1" | "yes" | "true" | "on"));
            let provider = provider.rsplit('.').next().unwrap_or(provider);
            if is_active && !BUILT_IN.contains(&provider) {
                named.modules.extend(plain(value(theirs, "module").unwrap_or(provider)));
            }
        }
        for (_, theirs) in entries(&sections, value(start, "engines")) {
            named.engines.extend(value(theirs, "dynamic_path").and_then(plain));
        }
    }
    named
}

fn entries<'a>(sections: &Sections<'a>, name: Option<&str>) -> Vec<(&'a str, &'a str)> {
    let section = name.and_then(|name| sections.get(name));
    section.map(|keys| keys.iter().map(|(key, value)| (*key, *value)).collect()).unwrap_or_default()
}

fn plain(value: &str) -> Option<String> {
    let value = value.trim().trim_matches('"');
    (!value.is_empty() && !value.contains('$')).then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_configuration_names() {
        let text = "openssl_conf = init # x\n.include /etc/ssl/more.cnf\n.include = /etc/ssl/conf.d\n.include $ENV::HOME/x\n\
                    [init]\nproviders = provs\nengines = engs\n[provs]\ndefault = d\nlegacy = l\nown = o\noff = f\n\
                    [d]\nactivate = 1\n[l]\nactivate = 1\n[o]\nactivate = yes\nmodule = /opt/own.so\n[f]\nmodule = off.so\n\
                    [engs]\ntoken = t\n[t]\ndynamic_path = /usr/lib/engines/token.so\n";
        let named = parse(text);
        assert_eq!(named.includes, ["/etc/ssl/more.cnf", "/etc/ssl/conf.d"]);
        assert_eq!(named.modules, ["legacy", "/opt/own.so"]);
        assert_eq!(named.engines, ["/usr/lib/engines/token.so"]);
    }
}
