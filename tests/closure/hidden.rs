//! What no file names for the loader: configuration, directories that are compiled in, scripts; and every setting of `[closure]`.

use minimg::closure::{Closure, ClosureOptions, Severity, closure_of};
use minimg::profile::{Keep, Pattern, Policy};
use minimg::tree::RootPath;

use super::lab::Lab;

fn programs(names: &[&str]) -> Keep {
    Keep { programs: names.iter().map(ToString::to_string).collect(), ..Keep::default() }
}

fn closed(lab: &Lab, keep: &Keep) -> Closure {
    let options = ClosureOptions { env: lab.env.clone(), ..ClosureOptions::default() };
    closure_of(&lab.tree(), keep, options).unwrap()
}

fn kept(closure: &Closure, path: &str) -> bool {
    closure.kept.contains_key(&RootPath::new(path).unwrap())
}

/// The findings whose message has this text, as `severity path`.
fn found(closure: &Closure, text: &str) -> Vec<String> {
    let fitting = closure.findings.iter().filter(|finding| finding.message.contains(text));
    fitting.map(|finding| format!("{:?} {}", finding.severity, finding.path)).collect()
}

fn glob(glob: &str) -> Pattern {
    Pattern { glob: glob.to_owned(), reason: "a test".to_owned() }
}

/// A root with a program that was linked with libpam, its service, and modules.
fn pam() -> Lab {
    let lab = Lab::new();
    lab.lib("/lib/x86_64-linux-gnu/libpam.so.0", &[], &["-soname", "libpam.so.0"]);
    for module in ["unix", "helped", "deny", "unused", "loginuid"] {
        let needs: &[&str] = if module == "helped" { &["libhelp.so"] } else { &[] };
        lab.lib(&format!("/lib/x86_64-linux-gnu/security/pam_{module}.so"), needs, &[]);
    }
    lab.lib("/lib/libhelp.so", &[], &[]);
    lab.program("/usr/sbin/served", &["libpam.so.0"], &[]);
    lab.program("/usr/sbin/unix_chkpwd", &[], &[]);
    lab.file(
        "/etc/pam.d/served",
        "auth [success=1 default=ignore] pam_unix.so nullok\n@include common\n-session optional pam_absent.so\nsession required pam_gone.so\n",
    );
    lab.file("/etc/pam.d/common", "account substack deeper\n");
    lab.file("/etc/pam.d/deeper", "account required /lib/x86_64-linux-gnu/security/pam_helped.so\n");
    lab.file("/etc/pam.d/other", "auth required pam_deny.so\n");
    lab.file("/etc/pam.d/another", "auth required pam_unused.so\n");
    lab
}

#[test]
fn pam_services_bring_their_files_and_modules() {
    let closure = closed(&pam(), &programs(&["served"]));
    for path in [
        "etc/pam.d/served",
        "etc/pam.d/common",
        "etc/pam.d/deeper",
        "etc/pam.d/other",
        "usr/lib/libhelp.so",
        "usr/sbin/unix_chkpwd",
    ] {
        assert!(kept(&closure, path), "{path}");
    }
    for (module, expected) in [("unix", true), ("helped", true), ("deny", true), ("unused", false), ("loginuid", false)]
    {
        assert_eq!(kept(&closure, &format!("usr/lib/x86_64-linux-gnu/security/pam_{module}.so")), expected, "{module}");
    }
    assert!(!kept(&closure, "etc/pam.d/another"));
    assert_eq!(found(&closure, "pam_gone.so"), ["Warning /etc/pam.d/served"]);
    assert!(found(&closure, "pam_absent.so").is_empty(), "a leading dash means that it may be absent");
}

#[test]
fn the_configuration_of_openssl_is_followed() {
    let lab = Lab::new();
    let source = "const char *names = \"MODULESDIR: \\\"/opt/ssl/modules\\\"\\0OPENSSLDIR: \\\"/opt/ssl\\\"\";\n";
    lab.compile(
        "/lib/x86_64-linux-gnu/libcrypto.so.3",
        source,
        &["-shared", "-nostdlib", "-Wl,-soname,libcrypto.so.3"],
    );
    lab.lib("/opt/ssl/modules/legacy.so", &["libhelp.so"], &[]);
    lab.lib("/opt/ssl/modules/fips.so", &[], &[]);
    lab.lib("/lib/libhelp.so", &[], &[]);
    lab.file("/opt/ssl/openssl.cnf", "openssl_conf = init\n.include /etc/ssl/conf.d\n[init]\nproviders = p\n[p]\nlegacy = l\ngone = g\n[l]\nactivate = 1\n[g]\nactivate = 1\n");
    lab.file("/etc/ssl/conf.d/one.cnf", "x = y\n");
    lab.file("/etc/ssl/conf.d/two.txt", "x = y\n");
    lab.program("/usr/bin/p", &["libcrypto.so.3"], &[]);
    let mut keep = programs(&["p"]);
    let plain = closed(&lab, &keep);
    assert!(!kept(&plain, "opt/ssl/openssl.cnf"));
    assert_eq!(found(&plain, "the rule set openssl"), ["Note /usr/lib/x86_64-linux-gnu/libcrypto.so.3"]);
    keep.keep = vec![glob("/opt/ssl/openssl.cnf")];
    let closure = closed(&lab, &keep);
    assert!(kept(&closure, "opt/ssl/modules/legacy.so") && kept(&closure, "usr/lib/libhelp.so"));
    assert!(!kept(&closure, "opt/ssl/modules/fips.so"), "nothing activates it");
    assert!(kept(&closure, "etc/ssl/conf.d/one.cnf") && !kept(&closure, "etc/ssl/conf.d/two.txt"));
    assert_eq!(found(&closure, "gone.so"), ["Warning /opt/ssl/openssl.cnf"]);
    // The rule set knows the directories that are compiled in, wherever they are.
    keep = Keep { rules: vec!["openssl".to_owned()], ..programs(&["p"]) };
    let closure = closed(&lab, &keep);
    assert!(kept(&closure, "opt/ssl/openssl.cnf") && kept(&closure, "opt/ssl/modules/fips.so"));
}

#[test]
fn nodes_builtins_are_read_from_the_program() {
    let lab = Lab::new();
    let source = "const char *a = \"/usr/share/nodejs/acorn/dist/acorn.js\", *b = \"/usr/share/nodejs/gone.js\";\nvoid _start(void) {}\n";
    lab.compile("/usr/bin/node", source, &["-nostdlib", "-pie"]);
    lab.file("/usr/share/nodejs/acorn/dist/acorn.js", "");
    lab.file("/usr/share/nodejs/npm/index.js", "");
    let closure = closed(&lab, &programs(&["node"]));
    assert!(kept(&closure, "usr/share/nodejs/acorn/dist/acorn.js"), "a certain trigger keeps by itself");
    assert!(!kept(&closure, "usr/share/nodejs/npm/index.js"));
}

#[test]
fn a_cache_of_modules_that_lists_what_is_not_kept_is_a_warning() {
    let lab = Lab::new();
    for module in ["one", "two"] {
        lab.lib(&format!("/usr/lib/gio/modules/lib{module}.so"), &[], &[]);
    }
    lab.file("/usr/lib/gio/modules/giomodule.cache", "libone.so: gio-tls-backend\nlibtwo.so: gio-vfs\n");
    let keep = Keep { keep: vec![glob("/usr/lib/gio/modules/{libone.so,giomodule.cache}")], ..Keep::default() };
    let closure = closed(&lab, &keep);
    assert_eq!(found(&closure, "not in the image (libtwo.so)"), ["Warning /usr/lib/gio/modules/giomodule.cache"]);
    let keep = Keep { keep: vec![glob("/usr/lib/gio/modules/*")], ..Keep::default() };
    assert!(closed(&lab, &keep).findings.is_empty());
}

#[test]
fn commands_of_scripts_as_the_setting_says() {
    let lab = Lab::new();
    for name in ["sh", "tool", "other"] {
        lab.program(&format!("/usr/bin/{name}"), &[], &[]);
    }
    lab.executable("/usr/bin/script", "#!/usr/bin/sh\n# other\nif x; then tool --flag; fi\n");
    let mut keep = programs(&["script"]);
    let cases = [(Policy::Ignore, false, 0), (Policy::Report, false, 1), (Policy::Keep, true, 0)];
    for (policy, is_kept, notes) in cases {
        keep.closure.script_commands = policy;
        let closure = closed(&lab, &keep);
        assert_eq!(kept(&closure, "usr/bin/tool"), is_kept, "{policy:?}");
        assert_eq!(found(&closure, "commands that are not kept (tool)").len(), notes, "{:?}", closure.findings);
        assert!(!kept(&closure, "usr/bin/other"), "a comment is not a command");
    }
}

/// A root with glibc in it.
fn glibc() -> Lab {
    let lab = Lab::new();
    lab.copy("/lib/x86_64-linux-gnu/libc.so.6");
    lab
}

#[test]
fn strings_suggestions_and_triggers_as_the_settings_say() {
    let lab = glibc();
    let source = "#include <dlfcn.h>\n#include <netdb.h>\nint main(void) { struct addrinfo *a; return dlopen(\"libplug.so.1\", 1) != 0 || getaddrinfo(\"x\", 0, 0, &a); }\n";
    lab.compile("/usr/bin/p", source, &["-Wl,--no-as-needed", "-L", lab.root().to_str().unwrap()]);
    lab.lib("/lib/libplug.so.1", &[], &[]);
    lab.lib("/lib/x86_64-linux-gnu/libidn2.so.0", &[], &[]);
    lab.lib("/lib/libssl.so.3", &[], &[]);
    lab.program("/usr/bin/q", &["libssl.so.3"], &[]);
    lab.file("/etc/ssl/certs/ca-certificates.crt", "");
    let mut keep = programs(&["p", "q"]);
    let table = [(Policy::Ignore, false, 0), (Policy::Report, false, 1), (Policy::Keep, true, 0)];
    for (policy, is_kept, notes) in table {
        keep.closure.dlopen_strings = policy;
        keep.closure.suggested = policy;
        keep.closure.triggers = policy;
        let closure = closed(&lab, &keep);
        assert_eq!(kept(&closure, "usr/lib/libplug.so.1"), is_kept, "{policy:?}");
        assert_eq!(kept(&closure, "usr/lib/x86_64-linux-gnu/libidn2.so.0"), is_kept, "{policy:?}");
        assert_eq!(kept(&closure, "etc/ssl/certs/ca-certificates.crt"), is_kept, "{policy:?}");
        assert_eq!(found(&closure, "dlopen-strings").len(), notes, "{:?}", closure.findings);
        assert_eq!(found(&closure, "ca-certificates").len(), notes, "{:?}", closure.findings);
    }
}

#[test]
fn levels_of_processors_as_the_setting_says() {
    let lab = Lab::new();
    for level in ["", "glibc-hwcaps/x86-64-v2/", "glibc-hwcaps/x86-64-v3/"] {
        lab.lib(&format!("/lib/{level}liba.so.1"), &[], &["-soname", "liba.so.1"]);
    }
    lab.lib("/lib/glibc-hwcaps/x86-64-v3/libonly.so.1", &[], &["-soname", "libonly.so.1"]);
    lab.program("/usr/bin/p", &["liba.so.1", "libonly.so.1"], &[]);
    for hwcaps in [false, true] {
        let mut keep = programs(&["p"]);
        keep.closure.hwcaps = hwcaps;
        let closure = closed(&lab, &keep);
        assert!(kept(&closure, "usr/lib/liba.so.1"));
        assert_eq!(kept(&closure, "usr/lib/glibc-hwcaps/x86-64-v2/liba.so.1"), hwcaps);
        assert_eq!(kept(&closure, "usr/lib/glibc-hwcaps/x86-64-v3/liba.so.1"), hwcaps);
        let only = "/usr/lib/glibc-hwcaps/x86-64-v3/libonly.so.1";
        assert_eq!(found(&closure, "of the level x86-64-v3 only"), [format!("Warning {only}")]);
    }
}

#[test]
fn the_origin_of_a_program_needs_proc() {
    let lab = Lab::new();
    lab.lib("/opt/lib/liba.so", &[], &[]);
    lab.program("/opt/bin/p", &["liba.so"], &["-rpath", "$ORIGIN/../lib"]);
    let trace = [("LD_TRACE_LOADED_OBJECTS", "1")];
    let listed = |output: std::process::Output| String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(listed(lab.chroot("/opt/bin/p", &trace)).contains("/opt/bin/../lib/liba.so"));
    assert!(listed(lab.chroot_without_proc("/opt/bin/p", &trace)).contains("liba.so => not found"));
    let closure = closed(&lab, &programs(&["/opt/bin/p"]));
    assert_eq!(found(&closure, "/proc"), ["Note /opt/bin/p"]);
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(lab.host("/opt/bin/p"), std::fs::Permissions::from_mode(0o4755)).unwrap();
    let closure = closed(&lab, &programs(&["/opt/bin/p"]));
    assert_eq!(found(&closure, "absolute RUNPATH"), ["Warning /opt/bin/p"]);
}

#[test]
fn time_zones_terminals_and_service_names_are_reported_by_name() {
    let lab = glibc();
    let source = "#include <time.h>\n#include <netdb.h>\nint main(void) { time_t t = 0; return !localtime(&t) || !getservbyname(\"a\", \"b\"); }\n";
    lab.compile("/usr/bin/p", source, &[]);
    lab.lib("/lib/libtinfo.so.6", &[], &[]);
    lab.program("/usr/bin/q", &["libtinfo.so.6"], &[]);
    let keep = programs(&["p", "q"]);
    assert!(closed(&lab, &keep).findings.is_empty(), "nothing is said of what the tree does not have");
    for file in ["/usr/share/zoneinfo/UTC", "/etc/services", "/usr/share/terminfo/x/xterm"] {
        lab.file(file, "");
    }
    let closure = closed(&lab, &keep);
    for (rule, by) in [("tzdata", "/usr/bin/p"), ("netbase", "/usr/bin/p"), ("terminfo", "/usr/lib/libtinfo.so.6")] {
        assert_eq!(found(&closure, &format!("the rule set {rule} ")), [format!("Note {by}")], "{:?}", closure.findings);
    }
}

#[test]
fn locales_that_the_environment_asks_for() {
    let mut lab = glibc();
    lab.compile("/usr/bin/p", "#include <locale.h>\nint main(void) { return !setlocale(LC_ALL, \"\"); }\n", &[]);
    for locale in ["C.utf8", "de_DE.utf8"] {
        lab.file(&format!("/usr/lib/locale/{locale}/LC_CTYPE"), "");
    }
    let cases = [("", 0, 0), ("C", 0, 0), ("C.UTF-8", 1, 0), ("de_DE.UTF-8", 1, 0), ("fr_FR.UTF-8", 0, 1)];
    for (value, locales, warnings) in cases {
        lab.env.insert("LANG".to_owned(), value.to_owned());
        let closure = closed(&lab, &programs(&["p"]));
        assert_eq!(closure.kept.keys().filter(|path| path.file_name() == b"LC_CTYPE").count(), locales, "{value}");
        assert_eq!(closure.findings.iter().filter(|f| f.severity == Severity::Warning).count(), warnings, "{value}");
    }
}

#[test]
fn conversions_come_with_their_tables_and_helpers() {
    let lab = glibc();
    lab.compile(
        "/usr/bin/p",
        "#include <iconv.h>\nint main(void) { return iconv_open(\"a\", \"b\") == (iconv_t)-1; }\n",
        &[],
    );
    let gconv = "/lib/x86_64-linux-gnu/gconv";
    lab.file(&format!("{gconv}/gconv-modules"), "");
    lab.file(&format!("{gconv}/gconv-modules.d/extra.conf"), "");
    lab.lib(&format!("{gconv}/UTF-16.so"), &["libHELP.so"], &["-rpath", "$ORIGIN"]);
    lab.lib(&format!("{gconv}/libHELP.so"), &[], &[]);
    lab.lib(&format!("{gconv}/EBCDIC-DE.so"), &[], &[]);
    let closure = closed(&lab, &programs(&["p"]));
    let names: Vec<String> = closure
        .kept
        .keys()
        .filter_map(|path| path.to_string().strip_prefix("/usr/lib/x86_64-linux-gnu/gconv/").map(str::to_owned))
        .collect();
    assert_eq!(names, ["UTF-16.so", "gconv-modules", "gconv-modules.d/extra.conf", "libHELP.so"]);
}

/// What the walk keeps of nested scripts is all that the kernel and `env` need to run them.
#[test]
fn nested_scripts_run_from_what_is_kept() {
    let lab = glibc();
    lab.copy("/usr/bin/env");
    lab.compile(
        "/usr/bin/print",
        "#include <stdio.h>\nint main(int c, char **v) { for (int i = 0; i < c; i++) puts(v[i]); return 0; }\n",
        &[],
    );
    lab.executable("/usr/bin/inner", "#!/usr/bin/env -S LANG=C print 'a b'\n");
    lab.executable("/usr/bin/outer", "#! /usr/bin/inner  one argument \n");
    lab.executable("/usr/bin/unused", "#!/usr/bin/print\n");
    let closure = closed(&lab, &programs(&["outer"]));
    let image = Lab::empty();
    for path in closure.kept.keys() {
        let from = lab.host(&path.to_string());
        if from.is_symlink() {
            let target = std::fs::read_link(&from).unwrap();
            std::fs::create_dir_all(image.host(&path.to_string()).parent().unwrap()).unwrap();
            image.link(target.to_str().unwrap(), &path.to_string());
        } else {
            image.executable(&path.to_string(), std::fs::read(from).unwrap());
        }
    }
    assert!(!image.host("/usr/bin/unused").exists());
    let output = image.chroot_with(&["/usr/bin/outer", "last"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(text, "print\na b\n/usr/bin/inner\none argument\n/usr/bin/outer\nlast\n", "{output:?}");
}

/// The kernel gives up at a certain depth, and so does the walk.
#[test]
fn scripts_may_be_nested_as_deep_as_the_kernel_allows() {
    let lab = glibc();
    lab.compile("/usr/bin/p0", "int main(void) { return 0; }\n", &[]);
    for depth in 1..=8 {
        lab.executable(&format!("/usr/bin/p{depth}"), format!("#!/usr/bin/p{}\n", depth - 1));
    }
    for depth in 1..=8 {
        let name = format!("/usr/bin/p{depth}");
        let runs = lab.chroot_with(&[&name]).status.success();
        let refused = !found(&closed(&lab, &programs(&[&name])), "nested deeper").is_empty();
        assert_eq!(runs, !refused, "at depth {depth} the kernel says {runs}");
    }
}
