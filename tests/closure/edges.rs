//! The edge cases of the search, each built in a small root and compared with the real loader.

use minimg::closure::loader::CacheSource::{Computed, Shipped};
use minimg::closure::{ClosureOptions, closure_of};

use super::lab::Lab;

const RPATH: &str = "--disable-new-dtags";
const RUNPATH: &str = "--enable-new-dtags";

#[test]
fn plain_search_in_the_system_directories() {
    let lab = Lab::new();
    lab.lib("/lib/x86_64-linux-gnu/liba.so.1", &["libb.so.1"], &["-soname", "liba.so.1"]);
    lab.lib("/usr/lib/libb.so.1", &[], &["-soname", "libb.so.1"]);
    lab.program("/bin/p", &["liba.so.1"], &[]);
    lab.agree("/bin/p", Shipped, &["/lib/x86_64-linux-gnu/liba.so.1", "/lib/libb.so.1"]);
}

#[test]
fn rpath_is_inherited_and_runpath_is_not() {
    let lab = Lab::new();
    lab.lib("/opt/liba.so", &["libb.so"], &[]);
    lab.lib("/opt/libb.so", &[], &[]);
    lab.program("/bin/rpath", &["liba.so"], &["-rpath", "/opt", RPATH]);
    lab.program("/bin/runpath", &["liba.so"], &["-rpath", "/opt", RUNPATH]);
    lab.agree("/bin/rpath", Shipped, &["/opt/liba.so", "/opt/libb.so"]);
    lab.agree("/bin/runpath", Shipped, &["/opt/liba.so", "libb.so => missing"]);
}

#[test]
fn an_object_with_runpath_ignores_every_rpath() {
    let lab = Lab::new();
    lab.lib("/opt/liba.so", &["libb.so"], &["-rpath", "/nowhere", RUNPATH]);
    lab.lib("/opt/libb.so", &[], &[]);
    lab.program("/bin/p", &["liba.so"], &["-rpath", "/opt", RPATH]);
    lab.agree("/bin/p", Shipped, &["/opt/liba.so", "libb.so => missing"]);
}

#[test]
fn an_intermediate_runpath_does_not_hide_the_programs_rpath_from_others() {
    let lab = Lab::new();
    lab.lib("/opt/liba.so", &["libb.so"], &["-rpath", "/second", RUNPATH]);
    lab.lib("/second/libb.so", &["libc1.so"], &[]);
    lab.lib("/opt/libc1.so", &[], &[]);
    lab.program("/bin/p", &["liba.so"], &["-rpath", "/opt", RPATH]);
    lab.agree("/bin/p", Shipped, &["/opt/liba.so", "/second/libb.so", "/opt/libc1.so"]);
}

#[test]
fn the_environment_comes_between_rpath_and_runpath() {
    let mut lab = Lab::new();
    for directory in ["/rpath", "/env", "/runpath"] {
        lab.lib(&format!("{directory}/liba.so"), &[], &[]);
    }
    lab.program("/bin/rpath", &["liba.so"], &["-rpath", "/rpath", RPATH]);
    lab.program("/bin/runpath", &["liba.so"], &["-rpath", "/runpath", RUNPATH]);
    lab.env.insert("LD_LIBRARY_PATH".into(), "/nowhere;/env".into());
    lab.agree("/bin/rpath", Shipped, &["/rpath/liba.so"]);
    lab.agree("/bin/runpath", Shipped, &["/env/liba.so"]);
}

#[test]
fn tokens_and_what_only_looks_like_one() {
    let lab = Lab::new();
    lab.lib("/opt/app/lib/liba.so", &[], &[]);
    lab.lib("/opt/app/lib/x86_64-linux-gnu/libb.so", &[], &[]);
    lab.lib("/opt/$FOO/libc1.so", &[], &[]);
    lab.lib("/opt/app/$ORIGINx/libd.so", &[], &[]);
    let needs = ["liba.so", "libb.so", "libc1.so", "libd.so"];
    let path = "${ORIGIN}/../lib:$ORIGIN/../$LIB:/opt/$FOO:/opt/app/$ORIGINx";
    lab.program("/opt/app/bin/p", &needs, &["-rpath", path, RUNPATH]);
    lab.link("/opt/app/bin/p", "/usr/p");
    let found = [
        "/opt/app/bin/../lib/liba.so",
        "/opt/app/bin/../lib/x86_64-linux-gnu/libb.so",
        "/opt/$FOO/libc1.so",
        "/opt/app/$ORIGINx/libd.so",
    ];
    lab.agree("/opt/app/bin/p", Shipped, &found);
    lab.agree("/usr/p", Shipped, &found);
}

#[test]
fn the_origin_of_a_library_is_where_it_was_found_not_where_it_is() {
    let lab = Lab::new();
    lab.lib("/real/liba.so", &["libb.so"], &["-rpath", "$ORIGIN", RUNPATH]);
    lab.lib("/real/libb.so", &[], &[]);
    lab.lib("/found/libb.so", &[], &[]);
    lab.link("/real/liba.so", "/found/liba.so");
    lab.program("/bin/p", &["liba.so"], &["-rpath", "/found", RUNPATH]);
    lab.agree("/bin/p", Shipped, &["/found/liba.so", "/found/libb.so"]);
}

#[test]
fn empty_path_elements_are_the_working_directory() {
    let lab = Lab::new();
    lab.lib("/liba.so", &[], &[]);
    lab.program("/bin/trailing", &["liba.so"], &["-rpath", "/nowhere:", RUNPATH]);
    lab.program("/bin/only", &["liba.so"], &["-rpath", ":", RUNPATH]);
    for program in ["/bin/trailing", "/bin/only"] {
        let found = lab.oracle(program);
        assert_eq!(found.len(), 1);
        assert!(found.iter().all(|path| path.trim_start_matches("./") == "liba.so"), "{found:?}");
        let walked = lab.walk(program, Shipped);
        assert_eq!(walked.into_iter().collect::<Vec<_>>(), ["/liba.so"]);
    }
}

#[test]
fn a_name_with_a_slash_is_not_searched() {
    let lab = Lab::new();
    lab.lib("/opt/liba.so", &[], &[]);
    lab.lib("/opt/bin/libb.so", &[], &[]);
    lab.program("/opt/bin/p", &["/opt/liba.so", "$ORIGIN/libb.so", "/nowhere/libc1.so"], &["-rpath", "/opt"]);
    lab.agree("/opt/bin/p", Shipped, &["/opt/liba.so", "/opt/bin/libb.so", "/nowhere/libc1.so => missing"]);
}

#[test]
fn a_soname_that_is_taken_satisfies_a_later_request() {
    let lab = Lab::new();
    lab.lib("/opt/liba-custom.so", &[], &["-soname", "liba.so.1"]);
    lab.lib("/lib/liba.so.1", &[], &["-soname", "liba.so.1"]);
    lab.program("/bin/p", &["/opt/liba-custom.so", "liba.so.1"], &[]);
    lab.agree("/bin/p", Shipped, &["/opt/liba-custom.so"]);
}

#[test]
fn one_inode_is_one_object() {
    let lab = Lab::new();
    lab.lib("/lib/liba.so.1.2", &[], &[]);
    lab.link("liba.so.1.2", "/lib/liba.so.1");
    lab.link("liba.so.1", "/lib/liba.so");
    lab.program("/bin/p", &["liba.so", "liba.so.1", "liba.so.1.2"], &[]);
    lab.agree("/bin/p", Shipped, &["/lib/liba.so"]);
}

#[test]
fn cycles_end() {
    let lab = Lab::new();
    lab.lib("/lib/liba.so", &["libb.so"], &["-soname", "liba.so"]);
    lab.lib("/lib/libb.so", &["liba.so", "libb.so"], &["-soname", "libb.so"]);
    lab.program("/bin/p", &["liba.so"], &[]);
    lab.agree("/bin/p", Shipped, &["/lib/liba.so", "/lib/libb.so"]);
}

#[test]
fn candidates_that_are_skipped() {
    let lab = Lab::new();
    lab.lib("/good/liba.so", &[], &[]);
    // Another class, another machine, no such file behind a link, not a directory on the way.
    for (directory, at, value) in [("/class", 4, 1u8), ("/machine", 18, 0xb7)] {
        lab.lib(&format!("{directory}/liba.so"), &[], &[]);
        lab.patch(&format!("{directory}/liba.so"), |bytes| bytes[at] = value);
    }
    lab.directory("/dangling");
    lab.link("/nowhere", "/dangling/liba.so");
    lab.file("/file", "not a directory");
    let path = "/class:/machine:/dangling:/file:/none:/good";
    lab.program("/bin/p", &["liba.so"], &["-rpath", path, RUNPATH]);
    lab.agree("/bin/p", Shipped, &["/good/liba.so"]);
}

#[test]
fn candidates_at_which_the_loader_gives_up() {
    type Change = fn(&mut Vec<u8>);
    let changes: [(&str, Change); 9] = [
        ("empty", |b| b.clear()),
        ("text", |b| b[0] = b'x'),
        ("other-byte-order", |b| b[5] = 2),
        ("elf-version", |b| b[6] = 9),
        ("osabi", |b| b[7] = 9),
        ("padding", |b| b[12] = 1),
        ("relocatable", |b| b[16] = 1),
        ("phentsize", |b| b[54] = 1),
        ("header-only", |b| b.truncate(64)),
    ];
    for (name, change) in changes {
        let lab = Lab::new();
        lab.lib("/bad/liba.so", &[], &[]);
        lab.patch("/bad/liba.so", change);
        lab.lib("/good/liba.so", &[], &[]);
        lab.program("/bin/p", &["liba.so"], &["-rpath", "/bad:/good", RUNPATH]);
        println!("{name}");
        lab.agree("/bin/p", Shipped, &["gives up at liba.so"]);
    }
}

#[test]
fn a_directory_or_a_program_as_a_candidate_is_fatal() {
    let lab = Lab::new();
    lab.directory("/bad/liba.so");
    lab.lib("/good/liba.so", &[], &[]);
    lab.program("/bin/p", &["liba.so"], &["-rpath", "/bad:/good", RUNPATH]);
    lab.agree("/bin/p", Shipped, &["gives up at liba.so"]);
    let lab = Lab::new();
    lab.program("/bad/liba.so", &[], &[]);
    lab.lib("/good/liba.so", &[], &[]);
    lab.program("/bin/p", &["liba.so"], &["-rpath", "/bad:/good", RUNPATH]);
    lab.agree("/bin/p", Shipped, &["gives up at liba.so"]);
}

#[test]
fn a_pipe_as_a_candidate_is_an_error_and_not_a_wait() {
    let lab = Lab::new();
    lab.directory("/bad");
    super::lab::must(std::process::Command::new("mkfifo").arg(lab.host("/bad/liba.so")));
    lab.program("/bin/p", &["liba.so"], &["-rpath", "/bad", RUNPATH]);
    // The real loader would wait for a writer for ever.
    assert_eq!(lab.walk("/bin/p", Shipped).into_iter().collect::<Vec<_>>(), ["liba.so => missing"]);
}

#[test]
fn a_link_loop_ends_its_list_only() {
    let lab = Lab::new();
    lab.directory("/loop");
    lab.link("liba.so", "/loop/liba.so");
    lab.lib("/same-list/liba.so", &[], &[]);
    lab.lib("/lib/liba.so", &[], &[]);
    lab.program("/bin/p", &["liba.so"], &["-rpath", "/loop:/same-list", RUNPATH]);
    lab.agree("/bin/p", Shipped, &["/lib/liba.so"]);
}

#[test]
fn links_of_the_root_stay_in_the_root() {
    let lab = Lab::new();
    lab.lib("/deep/er/liba.so.1", &[], &[]);
    lab.link("/deep/../../../deep/er", "/short");
    lab.link("../../../../../short/liba.so.1", "/lib/liba.so");
    lab.program("/bin/p", &["liba.so"], &[]);
    lab.agree("/bin/p", Shipped, &["/lib/liba.so"]);
}

#[test]
fn auxiliaries_may_be_missing_and_filters_may_not() {
    let lab = Lab::new();
    lab.lib("/lib/libaux.so", &[], &[]);
    lab.lib("/lib/liba.so", &[], &["-f", "libaux.so", "-f", "libnone.so"]);
    lab.program("/bin/p", &["liba.so"], &[]);
    // Asked for a listing the loader lists a missing auxiliary; when it starts the program it passes over it.
    let mut oracle = lab.oracle("/bin/p");
    assert!(oracle.remove("libnone.so => missing"));
    assert_eq!(lab.walk("/bin/p", Shipped), oracle);
    assert!(oracle.contains("/lib/libaux.so"));
    lab.lib("/lib/libb.so", &[], &["-F", "libnone.so"]);
    lab.program("/bin/q", &["libb.so"], &[]);
    lab.agree("/bin/q", Shipped, &["/lib/libb.so", "libnone.so => missing"]);
}

#[test]
fn nodeflib_skips_the_system_directories() {
    let lab = Lab::new();
    lab.lib("/lib/x86_64-linux-gnu/liba.so", &[], &["-soname", "liba.so"]);
    lab.lib("/opt/libb.so", &[], &["-soname", "libb.so"]);
    lab.program("/bin/p", &["liba.so", "libb.so"], &["-z", "nodefaultlib"]);
    lab.file("/etc/ld.so.conf", "/opt\n");
    lab.ldconfig();
    for cache in [Shipped, Computed] {
        lab.agree("/bin/p", cache, &["liba.so => missing", "/opt/libb.so"]);
    }
}

#[test]
fn preloads_come_first_and_may_be_missing() {
    let mut lab = Lab::new();
    lab.lib("/lib/liba.so", &[], &["-soname", "liba.so"]);
    lab.lib("/lib/libpre.so", &["libdep.so"], &[]);
    lab.lib("/lib/libdep.so", &[], &[]);
    lab.lib("/opt/libenv.so", &[], &["-soname", "liba.so"]);
    lab.file("/etc/ld.so.preload", "# a comment\n/lib/libpre.so:\t/lib/libnone.so # another\n");
    lab.env.insert("LD_PRELOAD".into(), "/opt/libenv.so".into());
    lab.program("/bin/p", &["liba.so"], &[]);
    let output = lab.chroot("/bin/p", &[("LD_TRACE_LOADED_OBJECTS", "1")]);
    let listed = String::from_utf8_lossy(&output.stdout).into_owned();
    let walked = lab.walk("/bin/p", Shipped);
    assert_eq!(walked.iter().collect::<Vec<_>>(), ["/lib/libdep.so", "/lib/libpre.so", "/opt/libenv.so"]);
    assert!(walked.iter().all(|path| listed.contains(path.as_str())) && !listed.contains("/lib/liba.so"), "{listed}");
}

#[test]
fn the_cache_comes_before_the_system_directories() {
    let lab = Lab::new();
    lab.lib("/opt/liba.so.1", &[], &["-soname", "liba.so.1"]);
    lab.lib("/lib/x86_64-linux-gnu/liba.so.1", &[], &["-soname", "liba.so.1"]);
    // A file that has another SONAME than its name is not in the cache under its name.
    lab.lib("/opt/libother.so.1", &[], &["-soname", "libelse.so.1"]);
    lab.file("/etc/ld.so.conf", "include /etc/ld.so.conf.d/*.conf\n");
    lab.file("/etc/ld.so.conf.d/opt.conf", "# ours\n/opt # here\n");
    lab.ldconfig();
    lab.program("/bin/p", &["liba.so.1", "libother.so.1"], &[]);
    for cache in [Shipped, Computed] {
        lab.agree("/bin/p", cache, &["/opt/liba.so.1", "libother.so.1 => missing"]);
    }
}

#[test]
fn a_stale_cache_falls_through() {
    let lab = Lab::new();
    lab.lib("/opt/liba.so.1", &[], &["-soname", "liba.so.1"]);
    lab.file("/etc/ld.so.conf", "/opt\n");
    lab.ldconfig();
    std::fs::rename(lab.host("/opt/liba.so.1"), lab.host("/usr/lib/liba.so.1")).unwrap();
    lab.program("/bin/p", &["liba.so.1"], &[]);
    lab.agree("/bin/p", Shipped, &["/lib/liba.so.1"]);
}

#[test]
fn a_program_without_interpreter_needs_nothing() {
    let lab = Lab::new();
    lab.program("/bin/p", &[], &["--no-dynamic-linker"]);
    assert!(lab.walk("/bin/p", Shipped).is_empty());
}

#[test]
fn a_missing_interpreter_is_missing() {
    let lab = Lab::new();
    lab.program("/bin/p", &[], &["-dynamic-linker", "/lib/ld-none.so.1"]);
    assert_eq!(lab.walk("/bin/p", Shipped).into_iter().collect::<Vec<_>>(), ["/lib/ld-none.so.1 => missing"]);
}

#[test]
fn names_need_not_be_utf8_and_section_headers_may_be_damaged() {
    let lab = Lab::new();
    lab.lib("/opt/libXX.so", &[], &[]);
    lab.program("/bin/p", &["libXX.so"], &["-rpath", "/opt", RUNPATH]);
    let rename = |bytes: &mut Vec<u8>| {
        for at in 0..bytes.len() - 8 {
            if &bytes[at..at + 8] == b"libXX.so" {
                bytes[at + 3..at + 5].copy_from_slice(b"\xff\xfe");
            }
        }
        // e_shoff, e_shnum and e_shstrndx point nowhere.
        bytes[40..48].fill(0xff);
        bytes[60..64].fill(0xff);
    };
    lab.patch("/bin/p", rename);
    use std::os::unix::ffi::OsStrExt;
    let name = lab.host("/opt").join(std::ffi::OsStr::from_bytes(b"lib\xff\xfe.so"));
    std::fs::rename(lab.host("/opt/libXX.so"), name).unwrap();
    let walked = lab.walk("/bin/p", Shipped);
    assert_eq!(walked.iter().collect::<Vec<_>>(), ["/opt/lib\u{fffd}\u{fffd}.so"]);
    assert_eq!(lab.oracle("/bin/p"), walked);
}

#[test]
fn baselines_win_unless_there_is_none() {
    let lab = Lab::new();
    for directory in ["/lib/glibc-hwcaps/x86-64-v2", "/lib"] {
        lab.lib(&format!("{directory}/liba.so"), &[], &["-soname", "liba.so"]);
    }
    lab.lib("/lib/glibc-hwcaps/x86-64-v2/libb.so", &[], &["-soname", "libb.so"]);
    lab.program("/bin/p", &["liba.so", "libb.so"], &[]);
    let walked = lab.walk("/bin/p", Shipped);
    assert_eq!(walked.iter().collect::<Vec<_>>(), ["/lib/glibc-hwcaps/x86-64-v2/libb.so", "/lib/liba.so"]);
    // The loader takes the better one on a processor that has it; both names are the same library.
    let oracle = lab.oracle("/bin/p");
    assert!(oracle.contains("/lib/glibc-hwcaps/x86-64-v2/libb.so"), "{oracle:?}");
}

#[test]
fn old_directories_for_processors_count_where_there_is_nothing_else() {
    let lab = Lab::new();
    for directory in ["/opt/tls", "/opt", "/opt/x86_64", "/opt/tls/x86_64"] {
        lab.lib(&format!("{directory}/liba.so"), &[], &["-soname", "liba.so"]);
    }
    lab.lib("/opt/tls/libb.so", &[], &["-soname", "libb.so"]);
    lab.lib("/lib/x86_64/libc1.so", &[], &["-soname", "libc1.so"]);
    lab.program("/bin/p", &["liba.so", "libb.so", "libc1.so"], &["-rpath", "/opt", RUNPATH]);
    // The loader of glibc 2.36 takes what lies deepest; what is kept is what every loader finds, and else what this one does.
    let oracle = lab.oracle("/bin/p");
    assert!(oracle.contains("/opt/tls/libb.so") && oracle.contains("/lib/x86_64/libc1.so"), "{oracle:?}");
    assert!(oracle.contains("/opt/tls/x86_64/liba.so"), "{oracle:?}");
    let walked = lab.walk("/bin/p", Shipped);
    assert_eq!(walked.iter().collect::<Vec<_>>(), ["/lib/x86_64/libc1.so", "/opt/liba.so", "/opt/tls/libb.so"]);
    std::fs::remove_dir_all(lab.host("/opt/tls/x86_64")).unwrap();
    std::fs::remove_dir_all(lab.host("/opt/x86_64")).unwrap();
    std::fs::remove_file(lab.host("/opt/tls/liba.so")).unwrap();
    lab.agree("/bin/p", Shipped, &["/lib/x86_64/libc1.so", "/opt/liba.so", "/opt/tls/libb.so"]);
}

#[test]
fn every_match_of_the_platform_is_kept() {
    let lab = Lab::new();
    for platform in ["x86_64", "haswell", "xeon_phi", "other"] {
        lab.lib(&format!("/opt/{platform}/liba.so"), &[], &["-soname", "liba.so"]);
        lab.lib(&format!("/direct/{platform}/libb.so"), &[], &["-soname", "libb.so"]);
    }
    let needs = ["liba.so", "/direct/$PLATFORM/libb.so"];
    lab.program("/usr/bin/p", &needs, &["-rpath", "/opt/${PLATFORM}", RUNPATH]);
    let keep = minimg::profile::Keep { programs: vec!["p".to_owned()], ..Default::default() };
    let options = ClosureOptions { env: lab.env.clone(), ..ClosureOptions::default() };
    let closure = closure_of(&lab.tree(), &keep, options).unwrap();
    let kept: Vec<String> = closure.kept.keys().map(|path| format!("/{}", path)).collect();
    for directory in ["opt", "direct"] {
        let found = kept.iter().filter(|path| path.contains(&format!("/{directory}/"))).count();
        assert_eq!(found, 3, "{kept:?}");
    }
    let oracle = lab.oracle("/usr/bin/p");
    assert!(oracle.iter().all(|path| kept.contains(&format!("/{path}"))), "{oracle:?} is not in {kept:?}");
    assert_eq!(closure.findings.iter().filter(|f| f.message.contains("$PLATFORM")).count(), 2);
}

#[test]
fn files_of_another_machine_are_skipped_before_their_header_is_judged() {
    let lab = Lab::new();
    for (directory, change) in [("/bad", 5usize), ("/osabi", 7)] {
        lab.lib(&format!("{directory}/liba.so"), &[], &[]);
        lab.patch(&format!("{directory}/liba.so"), |bytes| {
            bytes[change] = 2;
            bytes[18] = 0;
            bytes[19] = 22;
        });
    }
    lab.lib("/good/liba.so", &[], &[]);
    lab.program("/bin/p", &["liba.so"], &["-rpath", "/bad:/osabi:/good", RUNPATH]);
    // So the loaders of Debian and Ubuntu do; others give up at the byte order.
    lab.agree("/bin/p", Shipped, &["/good/liba.so"]);
}

#[test]
fn an_empty_path_has_no_elements() {
    let mut lab = Lab::new();
    lab.lib("/liba.so", &[], &[]);
    lab.program("/bin/p", &["liba.so"], &[]);
    lab.env.insert("LD_LIBRARY_PATH".into(), String::new());
    lab.agree("/bin/p", Shipped, &["liba.so => missing"]);
}

#[test]
fn elements_with_a_token_without_value_are_dropped() {
    let lab = Lab::new();
    lab.lib("/opt/liba.so", &[], &[]);
    lab.program("/bin/p", &["liba.so"], &["-rpath", "${ORIGIN:$ORIGIN}/x:${LIB:/opt", RUNPATH]);
    lab.agree("/bin/p", Shipped, &["/opt/liba.so"]);
}
