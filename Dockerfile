# One image for every service of docker-compose.yml. The first stage installs, the second has only what runs.
FROM python:3.13.15-slim-trixie AS build
RUN python -m venv /app/venv
ENV PATH=/app/venv/bin:$PATH
WORKDIR /src
COPY constraints.txt pyproject.toml README.md LICENSE ./
# What rarely changes first, so that a change of our own code doesn't install it all again.
ARG EXTRAS=postgres,s3
RUN python -c "import sys, tomllib; project = tomllib.load(open('pyproject.toml', 'rb'))['project']; extras = project['optional-dependencies']; print(*project['dependencies'], *(each for name in sys.argv[1].split(',') for each in extras[name]), sep='\n')" "$EXTRAS" > requirements.txt \
    && pip install --no-cache-dir -c constraints.txt -r requirements.txt
COPY vanc311_pipeline ./vanc311_pipeline
RUN pip install --no-cache-dir --no-deps .

FROM python:3.13.15-slim-trixie
RUN useradd --create-home --uid 10001 vanc311 \
    && install -d -o vanc311 -g vanc311 /data /dagster
COPY --from=build /app/venv /app/venv
COPY workspace.yaml workspace.grpc.yaml /app/
WORKDIR /app
ENV PATH=/app/venv/bin:$PATH VANC311_DATA_DIR=/data DAGSTER_HOME=/dagster PYTHONUNBUFFERED=1
USER vanc311
