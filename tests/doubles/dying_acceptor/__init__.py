"""A folder for PYTHONPATH, with which acceptor processes die between an answer and what follows it."""
