//! `..` in names and in what links lead to: the kernel goes up from where it is, and each directory on the way has to be there.

use std::fs;

use minimg::closure::loader::CacheSource::{Computed, Shipped};
use minimg::closure::{Closure, ClosureOptions, closure_of};
use minimg::profile::{Keep, Pattern};
use minimg::tree::RootPath;

use super::lab::{LOADER, Lab};

fn closed(lab: &Lab, programs: &[&str], globs: &[&str]) -> Closure {
    let pattern = |glob: &&str| Pattern { glob: (*glob).to_owned(), reason: "a test".to_owned() };
    let keep = Keep {
        programs: programs.iter().map(ToString::to_string).collect(),
        keep: globs.iter().map(pattern).collect(),
        ..Keep::default()
    };
    closure_of(&lab.tree(), &keep, ClosureOptions { env: lab.env.clone(), ..ClosureOptions::default() }).unwrap()
}

/// A root in which `/cur` leads to a directory without any file that is kept, and what is above that differs from what is above the link.
fn lab() -> Lab {
    let lab = Lab::new();
    lab.directory("/opt/v1/bin");
    lab.link("/opt/v1/bin", "/cur");
    lab.lib("/opt/v1/lib/liba.so", &[], &[]);
    lab.lib("/lib/liba.so", &[], &["-soname", "wrong.so"]);
    lab
}

#[test]
fn libraries_are_found_above_where_a_link_leads_in_the_pruned_root_too() {
    let way = "/cur/../lib";
    type Change<'a> = &'a dyn Fn(&mut Lab);
    let cases: [(&str, Change<'_>); 5] = [
        ("RUNPATH", &|lab| lab.program("/bin/p", &["liba.so"], &["-rpath", way])),
        ("a name", &|lab| lab.program("/bin/p", &["/cur/../lib/liba.so"], &[])),
        ("LD_LIBRARY_PATH", &|lab| {
            lab.program("/bin/p", &["liba.so"], &[]);
            lab.env.insert("LD_LIBRARY_PATH".into(), way.into());
        }),
        ("the cache", &|lab| {
            lab.program("/bin/p", &["liba.so"], &[]);
            lab.file("/etc/ld.so.conf", way);
            lab.write_caches(&lab.tree());
        }),
        ("the interpreter", &|lab| {
            let loader = format!("/cur/../../..{LOADER}");
            lab.program("/bin/p", &["liba.so"], &["-dynamic-linker", &loader, "-rpath", way]);
        }),
    ];
    for (what, prepare) in cases {
        let mut lab = lab();
        prepare(&mut lab);
        for cache in [Shipped, Computed] {
            lab.agree("/bin/p", cache, &["/cur/../lib/liba.so"]);
        }
        let closure = closed(&lab, &["/bin/p"], &[]);
        assert!(!closure.kept.contains_key(&RootPath::new("usr/lib/liba.so").unwrap()), "{what}");
        let pruned = lab.pruned(&closure);
        assert!(pruned.host("/opt/v1/bin").is_dir(), "{what}: {:?}", closure.kept);
        pruned.agree("/bin/p", Shipped, &["/cur/../lib/liba.so"]);
    }
}

#[test]
fn what_links_lead_to_can_be_read_in_the_pruned_root() {
    // A link, where it leads, and the globs that keep it.
    for (path, target, glob) in [
        ("/etc/conf", "../opt/x/bin/../../data/c", "/etc/conf"),
        ("/etc/conf", "d/../../opt/data/./c", "/etc/*"),
        ("/srv", "opt/x/bin/../../data", "/srv/c"),
        ("/srv", "opt/x/bin/../..", "/srv/data/*"),
    ] {
        let lab = Lab::empty();
        for directory in ["/opt/x/bin", "/etc/d"] {
            lab.directory(directory);
        }
        lab.file("/opt/data/c", "data");
        lab.link(target, path);
        let pruned = lab.pruned(&closed(&lab, &[], &[glob]));
        let name = if path == "/etc/conf" { path } else { glob.trim_end_matches('*') };
        let name = if name.ends_with('/') { format!("{name}c") } else { name.to_owned() };
        assert_eq!(fs::read_to_string(pruned.host(&name)).ok().as_deref(), Some("data"), "{path} -> {target}");
    }
}

#[test]
fn an_interpreter_of_a_script_can_be_reached() {
    let lab = Lab::empty();
    lab.directory("/opt/x/bin");
    lab.executable("/opt/x/sh", "#!/opt/x/bin/../real\n");
    lab.executable("/opt/x/real", "no program");
    lab.executable("/bin/script", "#!/opt/x/bin/../sh\n");
    let closure = closed(&lab, &["script"], &[]);
    let kept: Vec<String> = closure.kept.keys().map(ToString::to_string).collect();
    assert_eq!(kept, ["/bin/script", "/opt/x/bin", "/opt/x/real", "/opt/x/sh"]);
    let reason = closure.reason(&RootPath::new("opt/x/bin").unwrap()).unwrap();
    assert_eq!(reason.why.to_string(), "the way leads into this directory and back by `..`");
}
