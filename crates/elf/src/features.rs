//! Features of the C library that need files which nothing names, seen by the functions that an object asks for.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use crate::elf::SymbolTable;
use crate::view::Object;
use minimg_tree::{FileId, RootPath};

/// A feature of the C library that needs files which nothing names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Feature {
    /// Threads are cancelled or the stack is walked: libgcc_s.
    Unwind,
    /// Libraries are opened by name.
    Dlopen,
    /// Text is converted: gconv modules.
    Iconv,
    /// The locale of the environment is used.
    Locale,
    /// Names of hosts are resolved.
    Resolver,
    /// Users, groups, hosts or services are looked up: NSS modules.
    NameService,
    /// `/etc/services` or `/etc/protocols` are read.
    Services,
    /// Local time is told: tzdata.
    LocalTime,
}

/// The functions that use a feature; sorted by name for the search.
const FUNCTIONS: [(&str, Feature); 45] = {
    use Feature::{Dlopen, Iconv, LocalTime, Locale, NameService, Resolver, Services, Unwind};
    [
        ("backtrace", Unwind),
        ("dlmopen", Dlopen),
        ("dlopen", Dlopen),
        ("getaddrinfo", Resolver),
        ("getgrent", NameService),
        ("getgrgid", NameService),
        ("getgrgid_r", NameService),
        ("getgrnam", NameService),
        ("getgrnam_r", NameService),
        ("getgrouplist", NameService),
        ("gethostbyaddr", NameService),
        ("gethostbyaddr_r", NameService),
        ("gethostbyname", NameService),
        ("gethostbyname2", NameService),
        ("gethostbyname2_r", NameService),
        ("gethostbyname_r", NameService),
        ("getnameinfo", Resolver),
        ("getnetbyname", NameService),
        ("getnetgrent", NameService),
        ("getprotobyname", Services),
        ("getprotobyname_r", Services),
        ("getprotobynumber", Services),
        ("getpwent", NameService),
        ("getpwnam", NameService),
        ("getpwnam_r", NameService),
        ("getpwuid", NameService),
        ("getpwuid_r", NameService),
        ("getrpcbyname", NameService),
        ("getservbyname", Services),
        ("getservbyname_r", Services),
        ("getservbyport", Services),
        ("getservbyport_r", Services),
        ("getservent", Services),
        ("getspnam", NameService),
        ("getspnam_r", NameService),
        ("iconv_open", Iconv),
        ("initgroups", NameService),
        ("localtime", LocalTime),
        ("localtime_r", LocalTime),
        ("mktime", LocalTime),
        ("newlocale", Locale),
        ("pthread_cancel", Unwind),
        ("pthread_exit", Unwind),
        ("setlocale", Locale),
        ("thrd_exit", Unwind),
    ]
};

/// The features of each object, read once, and the first kept object that uses each.
#[derive(Debug, Default)]
pub(crate) struct Features {
    first: BTreeMap<Feature, RootPath>,
    known: HashMap<FileId, Used>,
}

/// The features that an object uses, each with a function that says so.
pub(crate) type Used = BTreeMap<Feature, &'static str>;

impl Features {
    /// The features that `object` uses.
    pub(crate) fn of(&mut self, object: &Object) -> &Used {
        self.known.entry(object.id).or_insert_with(|| features(object))
    }

    /// Notes what the kept file at `path` uses.
    pub(crate) fn note(&mut self, path: &RootPath, object: &Object) {
        let features: Vec<Feature> = self.of(object).keys().copied().collect();
        for feature in features {
            self.first.entry(feature).or_insert_with(|| path.clone());
        }
    }

    /// The first kept object that uses a feature.
    pub(crate) fn first(&self, feature: Feature) -> Option<&RootPath> {
        self.first.get(&feature)
    }
}

fn features(object: &Object) -> Used {
    let mut found = Used::new();
    let Ok(facts) = &object.facts else { return found };
    let Some(table) = SymbolTable::new(&object.bytes, facts) else { return found };
    for symbol in table.undefined() {
        if let Ok(at) = FUNCTIONS.binary_search_by(|(name, _)| name.as_bytes().cmp(symbol.name)) {
            let (name, feature) = FUNCTIONS[at];
            found.entry(feature).or_insert(name);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_sorted() {
        assert!(FUNCTIONS.is_sorted_by_key(|(name, _)| *name));
    }
}
