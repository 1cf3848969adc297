# syntax=docker/dockerfile:1
# The API and the page: docker build --file deploy/docker/server.Dockerfile --tag wattle-server .
# For a build that is the same every time: --build-arg PYTHON_IMAGE=python@sha256:...
# For the exporters to MLflow and Weights & Biases: --build-arg EXTRAS=server,mysql,otel,mlflow,wandb. With a driver of an object store: --build-arg EXTRA_PACKAGES=...
# (docs/production.md has the packages).
ARG PYTHON_IMAGE=python:3.11.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/venv
WORKDIR /app
COPY . .
# Editable, for gunicorn.conf.py, .streamlit and static are found beside the programs.
ARG EXTRAS=server,mysql,otel
RUN /opt/venv/bin/pip install --constraint constraints.txt --editable ".[$EXTRAS]"
# Not constrained: drivers may want other versions of what nothing of Wattle minds (docs/artifacts.md).
ARG EXTRA_PACKAGES=""
# hadolint ignore=DL3013,SC2086
RUN if [ -n "$EXTRA_PACKAGES" ]; then /opt/venv/bin/pip install $EXTRA_PACKAGES; fi

FROM ${PYTHON_IMAGE}
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /data wattle \
    && install --directory --owner wattle --group wattle /data
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 WATTLE_DATA_DIR=/data
WORKDIR /app
USER 10001:10001
VOLUME /data
EXPOSE 5000 8501
# The page is the same image with another command (compose.yaml), and another check.
HEALTHCHECK --interval=15s --timeout=10s --start-period=30s CMD ["python", "deploy/docker/healthy.py", "backend"]
CMD ["python", "backend.py"]
