"""A stream's records on disk: frames in segments, one writer a partition, readers anywhere."""
