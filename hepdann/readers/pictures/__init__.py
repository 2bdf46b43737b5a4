"""Pictures and their classes, from the files in which data sets of them are passed on."""
