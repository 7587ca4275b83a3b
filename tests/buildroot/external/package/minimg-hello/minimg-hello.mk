# A program, a library that nothing needs, and two files: one that the package gives to somebody, one for the table of this tree.
MINIMG_HELLO_VERSION = 1.0
MINIMG_HELLO_SOURCE =
MINIMG_HELLO_LICENSE = MIT

define MINIMG_HELLO_BUILD_CMDS
	$(TARGET_CC) $(TARGET_CFLAGS) $(TARGET_LDFLAGS) -o $(@D)/minimg-hello $(MINIMG_HELLO_PKGDIR)/hello.c
	$(TARGET_CC) $(TARGET_CFLAGS) $(TARGET_LDFLAGS) -shared -fPIC -o $(@D)/libminimg-unneeded.so $(MINIMG_HELLO_PKGDIR)/unneeded.c
endef

define MINIMG_HELLO_INSTALL_TARGET_CMDS
	$(INSTALL) -D -m 755 $(@D)/minimg-hello $(TARGET_DIR)/usr/bin/minimg-hello
	$(INSTALL) -D -m 755 $(@D)/libminimg-unneeded.so $(TARGET_DIR)/usr/lib/libminimg-unneeded.so
	$(INSTALL) -D -m 644 $(MINIMG_HELLO_PKGDIR)/owned $(TARGET_DIR)/srv/owned
	$(INSTALL) -D -m 644 $(MINIMG_HELLO_PKGDIR)/owned $(TARGET_DIR)/srv/tabled
endef

define MINIMG_HELLO_PERMISSIONS
	/srv/owned f 640 33 42 - - - - -
endef

$(eval $(generic-package))
