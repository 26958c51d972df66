"""The JSON and CSV API of the published file, `/api/v1`: HTTP alone, a module of routes for each noun; it writes nothing."""

PREFIX = "/api/v1"
