# It can be built in no time, or not at all: the same package for those who look at files.
MINIMG_SLOW_VERSION = 0.1
MINIMG_SLOW_SOURCE =

define MINIMG_SLOW_BUILD_CMDS
	if [ -n "$$MINIMG_TEST_SLOW" ]; then sleep 1000 & sleep 1000; fi
endef

define MINIMG_SLOW_INSTALL_TARGET_CMDS
	mkdir -p $(TARGET_DIR)/srv && touch $(TARGET_DIR)/srv/slow
endef

$(eval $(generic-package))
