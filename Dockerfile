# One image for every service of docker-compose.yml.
FROM python:3.12-slim
RUN useradd --create-home --uid 10001 vanc311 \
    && install -d -o vanc311 -g vanc311 /app /data /dagster
WORKDIR /app
COPY constraints.txt pyproject.toml README.md LICENSE ./
COPY vanc311_pipeline ./vanc311_pipeline
RUN pip install --no-cache-dir -c constraints.txt .
COPY workspace.yaml ./
ENV VANC311_DATA_DIR=/data DAGSTER_HOME=/dagster PYTHONUNBUFFERED=1
USER vanc311
VOLUME ["/data", "/dagster"]
