"""Measurements that are run by hand, and the data they run on; nothing here is part of the installed pipeline."""
