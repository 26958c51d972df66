# One image for every service of docker-compose.yml. The first stage installs, the second has only what runs.
FROM python:3.13.15-slim-trixie AS build
RUN python -m venv /app/venv
ENV PATH=/app/venv/bin:$PATH
WORKDIR /src
# What rarely changes first, so that a change of our own code or of a text doesn't install it all again.
COPY requirements-image.txt ./
RUN pip install --no-cache-dir --no-deps --require-hashes -r requirements-image.txt && pip check
COPY pyproject.toml README.md LICENSE ./
COPY vanc311_pipeline ./vanc311_pipeline
RUN pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.13.15-slim-trixie
# What lays out briefs as PDF.
RUN apt-get update -q && apt-get install -y -q --no-install-recommends libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0 fonts-dejavu-core \
    && rm -rf /var/lib/apt/lists/*
RUN useradd --create-home --uid 10001 vanc311 \
    && install -d -o vanc311 -g vanc311 /data /dagster
COPY --from=build /app/venv /app/venv
COPY workspace.yaml workspace.grpc.yaml /app/
WORKDIR /app
ENV PATH=/app/venv/bin:$PATH VANC311_DATA_DIR=/data DAGSTER_HOME=/dagster PYTHONUNBUFFERED=1
USER vanc311
