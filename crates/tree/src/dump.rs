//! A tree as text, a line for each path: what tests compare and `diff` reads.

use std::fmt::{self, Write as _};

use super::{Kind, Node, RootPath, RootTree};
use minimg_base::digest::Digest;

impl RootTree {
    /// One line for each path: kind, mode, owner and group, then the path with a directory's slash, a link's target, or the size and
    /// the first twelve digits of the content's SHA-256. Times are left out, since they hide what matters in a comparison.
    ///
    /// # Errors
    /// When content cannot be read.
    pub fn dump(&self) -> std::io::Result<String> {
        let mut text = String::new();
        for (path, node) in self {
            let detail = match &node.kind {
                Kind::File(content) => format!(" {} {}", content.size(), Digest::of(content.map()?).short()),
                _ => String::new(),
            };
            let _ = writeln!(text, "{}{detail}", Line(path, node));
        }
        Ok(text)
    }
}

struct Line<'a>(&'a RootPath, &'a Node);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Line(path, node) = self;
        let letter = match node.kind {
            Kind::Directory => 'd',
            Kind::File(_) => 'f',
            Kind::Hardlink(_) => 'h',
            Kind::Symlink(_) => 'l',
            Kind::CharDevice { .. } => 'c',
            Kind::BlockDevice { .. } => 'b',
            Kind::Fifo => 'p',
        };
        write!(f, "{letter} {:04o} {}:{} {path}", node.meta.mode, node.meta.uid, node.meta.gid)?;
        match &node.kind {
            Kind::Directory => write!(f, "/")?,
            Kind::Hardlink(target) => write!(f, " = {target}")?,
            Kind::Symlink(target) => write!(f, " -> {}", String::from_utf8_lossy(target))?,
            Kind::CharDevice { major, minor } | Kind::BlockDevice { major, minor } => write!(f, " {major},{minor}")?,
            Kind::File(_) | Kind::Fifo => {}
        }
        for (name, value) in &node.meta.xattrs {
            write!(f, " {name}={}", Digest::of(value).short())?;
        }
        Ok(())
    }
}
