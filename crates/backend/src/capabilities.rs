//! File capabilities, as setcap(8) writes them: the attribute `security.capability` in its second revision, `struct vfs_cap_data` of
//! `linux/capability.h`.

/// The attribute's name.
pub const ATTRIBUTE: &str = "security.capability";

/// `VFS_CAP_REVISION_2`.
const REVISION: u32 = 0x0200_0000;
/// `VFS_CAP_FLAGS_EFFECTIVE`.
const EFFECTIVE: u32 = 1;

/// The names in the order of their numbers, without `cap_`.
const NAMES: [&str; 41] = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];

/// The attribute's value for a text such as `cap_net_raw,cap_net_admin+ep` (cap_from_text(3)); `None` for what is not as plain as that,
/// and for what the attribute cannot say: it has one flag for all effective capabilities.
pub fn attribute(text: &str) -> Option<Vec<u8>> {
    let (mut permitted, mut inheritable, mut effective) = (0_u64, 0_u64, 0_u64);
    for clause in text.split_whitespace() {
        let (names, flags) = clause.split_once(['+', '='])?;
        let mut set = 0;
        for name in names.split(',') {
            let name = name.to_lowercase();
            let number = NAMES.iter().position(|known| name.strip_prefix("cap_") == Some(known))?;
            set |= 1 << number;
        }
        for flag in flags.chars() {
            match flag {
                'p' => permitted |= set,
                'i' => inheritable |= set,
                'e' => effective |= set,
                _ => return None,
            }
        }
    }
    let all = permitted | inheritable;
    if all == 0 || (effective != 0 && effective != all) {
        return None;
    }
    let low = |set: u64| (set & u64::from(u32::MAX)) as u32;
    let high = |set: u64| (set >> 32) as u32;
    let magic = REVISION | if effective == 0 { 0 } else { EFFECTIVE };
    let words = [magic, low(permitted), low(inheritable), high(permitted), high(inheritable)];
    Some(words.into_iter().flat_map(u32::to_le_bytes).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Option<String> {
        attribute(text).map(|bytes| bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The values are those that `getfattr -e hex` shows after `setcap`.
    #[test]
    fn capabilities_become_the_attribute() {
        for (text, expected) in [
            ("cap_net_raw+ep", Some("0100000200200000000000000000000000000000")),
            ("CAP_NET_RAW=ep", Some("0100000200200000000000000000000000000000")),
            ("cap_net_raw+p", Some("0000000200200000000000000000000000000000")),
            ("cap_net_bind_service,cap_bpf=eip", Some("0100000200040000000400008000000080000000")),
            ("cap_chown+p cap_kill+i", Some("0000000201000000200000000000000000000000")),
            ("cap_chown+ep cap_kill+p", None),
            ("cap_net_raw-p", None),
            ("cap_net_raw+x", None),
            ("cap_unheard_of+p", None),
            ("net_raw+p", None),
            ("all=ep", None),
            ("cap_net_raw+", None),
            ("", None),
        ] {
            assert_eq!(hex(text).as_deref(), expected, "{text}");
        }
    }
}
