# Takes a file away from whom another package gives it to, when the tables were applied: as a fakeroot does that is lost on the way.
MINIMG_LOSER_VERSION = 0.1
MINIMG_LOSER_SOURCE =

define MINIMG_LOSER_LOSE
	chown 0:0 $(TARGET_DIR)/srv/owned
endef
MINIMG_LOSER_ROOTFS_PRE_CMD_HOOKS += MINIMG_LOSER_LOSE

$(eval $(generic-package))
