# Two commands for a newcomer: `make demo` and `make test`. Each sets up all it needs in .venv/.
