"""A folder for PYTHONPATH, with which acceptor processes have a disk that fails (`sitecustomize`)."""
