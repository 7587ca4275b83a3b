# The machine's own. Its configure step is as strict as those of host packages that are of autoconf and gnulib.
BUSYBOX_VERSION = 1.36
BUSYBOX_SOURCE = busybox-1.36.tar.bz2
BUSYBOX_LICENSE = GPL-2.0
define BUSYBOX_PERMISSIONS
	/bin/busybox                     f 4755 0  0 - - - - -
endef
define BUSYBOX_CONFIGURE_CMDS
	@[ $$(id -u) != 0 ] || [ -n "$$FORCE_UNSAFE_CONFIGURE" ] || { echo 'configure: not as root' >&2; exit 1; }
endef
define BUSYBOX_INSTALL_TARGET_CMDS
	$(INSTALL) -D -m 755 /bin/busybox $(TARGET_DIR)/bin/busybox
	ln -sfn busybox $(TARGET_DIR)/bin/sh
endef
$(eval $(generic-package))
