"""One file per sink type; `sink.py` is the port."""
