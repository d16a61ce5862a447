/* conf_struct.h - struct conf, spelled out of options.def. */
