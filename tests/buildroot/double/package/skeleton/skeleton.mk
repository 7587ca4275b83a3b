# Like the real one it has no version; the directories are not merged, and there is no device.
SKELETON_ADD_SKELETON_DEPENDENCY = NO
SKELETON_ADD_TOOLCHAIN_DEPENDENCY = NO
define SKELETON_INSTALL_TARGET_CMDS
	mkdir -p $(addprefix $(TARGET_DIR)/,bin sbin lib usr/bin usr/sbin usr/lib etc proc tmp root)
	ln -sfn lib $(TARGET_DIR)/lib64; ln -sfn lib $(TARGET_DIR)/usr/lib64
	printf 'root:x:0:0:root:/root:/bin/sh\n' >$(TARGET_DIR)/etc/passwd; printf 'root:x:0:\n' >$(TARGET_DIR)/etc/group
endef
$(eval $(generic-package))
