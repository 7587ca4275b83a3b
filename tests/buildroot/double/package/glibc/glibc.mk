# The machine's own C library, as a toolchain's installs it.
define INSTALL_LIBC
	for library in libc.so.6 libresolv.so.2 ld-linux-x86-64.so.2; do \
	  file=$$(ldd /bin/busybox | grep -o "/[^ ]*/$$library" | head -n 1); install -m 755 "$$file" $(TARGET_DIR)/lib/ || exit 1; done
endef

GLIBC_VERSION = 2.36
GLIBC_LICENSE = LGPL-2.1+
GLIBC_ADD_TOOLCHAIN_DEPENDENCY = NO
GLIBC_INSTALL_TARGET_CMDS = $(INSTALL_LIBC)
$(eval $(generic-package))
