"""One file per sink type, found by its name; sink.py in the folder above says what it has."""
