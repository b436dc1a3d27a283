# The daily commands; CONTRIBUTING.md says when.
.PHONY: quick test lint format docs

quick:  ## the tests that a change is tried with
	python -m pytest -m "not slow"

test:  ## all tests
	python -m pytest

lint:  ## what the gate holds besides the tests
	ruff check .
	ruff format --check .
	lint-imports
	mypy

format:
	ruff check --fix .
	ruff format .

docs:  ## the API as pages, in build/api
	python docs/api.py
