include $(sort $(wildcard $(BR2_EXTERNAL_MINIMG_PATH)/package/*/*.mk))
